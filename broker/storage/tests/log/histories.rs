//! Random lives of a log, beside a list of batches: after any crash it is what it may be, and no mixture of histories.

use std::sync::Arc;

use futures_util::FutureExt;
use model::{BatchHeader, Epochs, LeaderEpoch, Offset, Producers, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use storage::{LogConfig, RecentBatches, SyncedTo};

use crate::batch::{NO_PRODUCER, batch_of};
use crate::disk::MemoryDisk;
use crate::{everything, small, sync, try_open};

#[derive(Clone, Debug)]
enum Step {
    /// By an idempotent producer, or by one without a number.
    Append {
        batches: usize,
        records: usize,
        value_bytes: usize,
        producer: Option<i64>,
    },
    NextEpoch,
    Truncate {
        to: f64,
    },
    Read {
        from: f64,
        below: f64,
        bytes_max: usize,
    },
    Sync,
    SyncBegun,
    SyncEnded,
    Crash,
    LosePower {
        seed: u64,
    },
    Close,
    /// The log's start moves; how far along that is may be cut off by what comes next.
    Advance {
        to: f64,
        is_finished: bool,
    },
    BeginAnew {
        beyond: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // Sizes that put batches on the borders of sectors: 61 + 19 bytes.
        6 => (1..4usize, 1..4usize, prop_oneof![Just(8usize), Just(9), Just(25), 0..80usize], prop::option::of(0..2i64))
            .prop_map(|(batches, records, value_bytes, producer)| Step::Append { batches, records, value_bytes, producer }),
        1 => Just(Step::NextEpoch),
        2 => (0.0..1.0f64).prop_map(|to| Step::Truncate { to }),
        2 => (0.0..1.0f64, 0.0..1.2f64, 0..500usize).prop_map(|(from, below, bytes_max)| Step::Read { from, below, bytes_max }),
        2 => Just(Step::Sync),
        1 => Just(Step::SyncBegun),
        1 => Just(Step::SyncEnded),
        1 => Just(Step::Crash),
        2 => any::<u64>().prop_map(|seed| Step::LosePower { seed }),
        1 => Just(Step::Close),
        1 => (0.0..1.0f64, any::<bool>()).prop_map(|(to, is_finished)| Step::Advance { to, is_finished }),
        1 => (1..5i64).prop_map(|beyond| Step::BeginAnew { beyond }),
    ];
    prop::collection::vec(step, 1..60)
}

/// One batch of the model: its records' offsets are `base..end`.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    base: i64,
    end: i64,
    epoch: i32,
    bytes: Vec<u8>,
}

/// The bytes of the batches that a reader gets from `start` on.
fn bytes_from(start: i64, batches: &[Known]) -> Vec<u8> {
    batches.iter().filter(|batch| start < batch.end).flat_map(|batch| batch.bytes.clone()).collect()
}

fn epochs_from(start: i64, batches: &[Known]) -> Epochs {
    let mut epochs = Epochs::default();
    for batch in batches.iter().filter(|batch| start < batch.end) {
        epochs.assign(LeaderEpoch(batch.epoch), Offset(batch.base.max(start)));
    }
    epochs
}

fn producers_from(start: i64, batches: &[Known]) -> Producers {
    let mut producers = Producers::default();
    for batch in batches.iter().filter(|batch| start < batch.end) {
        let header = BatchHeader::parse(&batch.bytes).unwrap();
        if let Some(stamp) = header.stamp() {
            producers.note(&stamp, header.base_offset, header.end_offset());
        }
    }
    producers
}

/// A place in `from..=to`.
fn between(part: f64, from: i64, to: i64) -> i64 {
    from + (part * (to + 1 - from) as f64) as i64
}

proptest! {
    #[test]
    fn a_log_is_a_list_of_batches_and_what_was_synced_outlives_everything(
        steps in steps(),
        memory in prop::option::of(0..3_000usize),
        // Of segments of 600 bytes, so that some checkpoints fall into the midst of one.
        checkpoint_bytes in prop_oneof![Just(0), 100..400u64, Just(1 << 20)],
    ) {
        let disk = MemoryDisk::default();
        let recent = memory.map(|bytes_max| Arc::new(RecentBatches::new(bytes_max)));
        let open = || {
            let mut log = try_open(&disk, LogConfig { checkpoint_bytes, ..small() }).unwrap().0;
            if let Some(recent) = &recent {
                log.keep_in(recent.clone());
            }
            log
        };
        let mut log = open();
        let mut known: Vec<Known> = Vec::new();
        let mut start = 0;
        // Where a start will find that the log begins.
        let mut kept_start = 0;
        let mut has_cut_committed = false;
        // What the log was before each truncation that no sync has settled.
        let mut earlier: Vec<Vec<Known>> = Vec::new();
        let mut begun: Option<SyncedTo> = None;
        let mut epoch = 1;
        let mut sequences = [0; 2];
        for step in steps {
            let end = known.last().map_or(0, |last| last.end).max(start);
            match step {
                Step::Append { batches, records, value_bytes, producer } => {
                    let mut base = end;
                    let mut bytes = Vec::new();
                    for _ in 0..batches {
                        let stamp = producer.map_or(NO_PRODUCER, |id| {
                            let next = &mut sequences[id as usize];
                            *next += records as i32;
                            (id, 0, *next - records as i32)
                        });
                        let batch = batch_of(stamp, base, epoch, records, value_bytes);
                        let end = base + records as i64;
                        bytes.extend(&batch);
                        known.push(Known { base, end, epoch, bytes: batch });
                        base = end;
                    }
                    log.append_and_keep(&bytes.into()).unwrap();
                }
                Step::NextEpoch => epoch += 1,
                Step::Truncate { to } => {
                    let to = (to * (end + 1) as f64) as i64;
                    has_cut_committed |= to < kept_start;
                    earlier.push(known.clone());
                    known.retain(|batch| batch.end <= to.max(start));
                    log.truncate_to(Offset(to)).unwrap();
                }
                Step::Read { from, below, bytes_max } => {
                    let from = between(from, start, end);
                    let below = (below * (end + 1) as f64) as i64;
                    let read = log.read(Offset(from), Offset(below), bytes_max).unwrap();
                    let all: Vec<Known> =
                        known.iter().filter(|batch| from < batch.end && batch.base < below && from < below).cloned().collect();
                    prop_assert_eq!(read.is_empty(), all.is_empty());
                    prop_assert!(bytes_from(0, &all).starts_with(&read));
                    let most = bytes_max.max(all.first().map_or(0, |batch| batch.bytes.len()));
                    prop_assert!(read.len() <= most);
                }
                Step::Sync => {
                    prop_assert_eq!(sync(&mut log), Offset(end));
                    earlier.clear();
                }
                Step::SyncBegun => {
                    begun = log.begin_sync().map(|pending| pending.run().now_or_never().unwrap().unwrap());
                }
                Step::SyncEnded => {
                    if let Some(done) = begun.take() {
                        log.finish_sync(done);
                    }
                }
                Step::Advance { to, is_finished } => {
                    let to = between(to, start, end);
                    if let Some(pending) = log.begin_start(Offset(to.max(kept_start))) {
                        kept_start = kept_start.max(to);
                        let kept = pending.run().now_or_never().unwrap().unwrap();
                        if is_finished {
                            log.finish_start(kept).unwrap();
                            start = kept_start;
                        }
                    }
                }
                Step::BeginAnew { beyond } => {
                    kept_start = kept_start.max(end + beyond);
                    let pending = log.begin_start(Offset(kept_start)).unwrap();
                    log.finish_start(pending.run().now_or_never().unwrap().unwrap()).unwrap();
                    start = kept_start;
                }
                Step::Crash => {
                    begun = None;
                    drop(log);
                    log = open();
                    start = kept_start;
                    // The new history is complete or, while its file was not begun, the same.
                    prop_assert_eq!(log.end(), Offset(end.max(start)));
                    earlier.clear();
                }
                Step::LosePower { seed } => {
                    begun = None;
                    let synced = log.synced();
                    drop(log);
                    let mut random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed_bytes(seed));
                    disk.lose_power(|count| random.next_u32() as usize % count);
                    log = open();
                    start = kept_start;
                    prop_assert!(synced <= log.end(), "synced to {}, recovered to {}", synced, log.end());
                    let recovered = everything(&log);
                    earlier.push(known);
                    let origin = earlier.iter().find(|whole| bytes_from(start, whole).starts_with(&recovered));
                    prop_assert!(origin.is_some(), "what was recovered never was");
                    known = origin.unwrap().iter().filter(|batch| batch.end <= log.end().0).cloned().collect();
                    earlier.clear();
                }
                Step::Close => {
                    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
                    prop_assert_eq!(log.finish_sync(done), Offset(end));
                    log = open();
                    start = kept_start;
                    begun = None;
                    earlier.clear();
                }
            }
            known.retain(|batch| start < batch.end);
            prop_assert_eq!(log.start(), Offset(start));
            prop_assert_eq!(log.end(), Offset(known.last().map_or(0, |last| last.end).max(start)));
            prop_assert_eq!(log.epochs(), &epochs_from(start, &known));
            prop_assert_eq!(log.producers().since(Offset(start)), producers_from(start, &known));
            prop_assert_eq!(everything(&log), bytes_from(start, &known));
            prop_assert!(log.indexes_equal_a_scan().unwrap());
            // A start moves within what is committed, so no broker cuts below one that is on its way.
            if !has_cut_committed {
                crate::stocktaking::assert_in_order(&disk, &log);
            }
            let middle = start + (log.end().0 - start) / 2;
            let expected = (start < log.end().0).then_some((Offset(middle), Timestamp(1_000 + middle)));
            let found = log.offset_for_time(Timestamp(1_000 + middle)).unwrap();
            prop_assert_eq!(found.map(|(offset, time, _)| (offset, time)), expected);
            let latest = log.offset_of_latest_time().unwrap().map(|(offset, _, _)| offset.plus(1));
            prop_assert_eq!(latest, (start < log.end().0).then_some(log.end()));
        }
    }
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
