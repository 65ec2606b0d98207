//! Random lives of a log, beside a list of batches: after any crash it is what it may be, and no mixture of histories.

use futures_util::FutureExt;
use model::{Epochs, LeaderEpoch, Offset, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use storage::SyncedTo;

use crate::batch::batch;
use crate::disk::MemoryDisk;
use crate::{everything, open, sync};

#[derive(Clone, Debug)]
enum Step {
    Append { batches: usize, records: usize, value_bytes: usize },
    NextEpoch,
    Truncate { to: f64 },
    Read { from: f64, below: f64, bytes_max: usize },
    Sync,
    SyncBegun,
    SyncEnded,
    Crash,
    LosePower { seed: u64 },
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        // Sizes that put batches on the borders of sectors: 61 + 19 bytes.
        6 => (1..4usize, 1..4usize, prop_oneof![Just(8usize), Just(9), Just(25), 0..80usize])
            .prop_map(|(batches, records, value_bytes)| Step::Append { batches, records, value_bytes }),
        1 => Just(Step::NextEpoch),
        2 => (0.0..1.0f64).prop_map(|to| Step::Truncate { to }),
        2 => (0.0..1.0f64, 0.0..1.2f64, 0..500usize).prop_map(|(from, below, bytes_max)| Step::Read { from, below, bytes_max }),
        2 => Just(Step::Sync),
        1 => Just(Step::SyncBegun),
        1 => Just(Step::SyncEnded),
        1 => Just(Step::Crash),
        2 => any::<u64>().prop_map(|seed| Step::LosePower { seed }),
        1 => Just(Step::Close),
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

fn bytes_of(batches: &[Known]) -> Vec<u8> {
    batches.iter().flat_map(|batch| batch.bytes.clone()).collect()
}

fn epochs_of(batches: &[Known]) -> Epochs {
    let mut epochs = Epochs::default();
    for batch in batches {
        epochs.assign(LeaderEpoch(batch.epoch), Offset(batch.base));
    }
    epochs
}

proptest! {
    #[test]
    fn a_log_is_a_list_of_batches_and_what_was_synced_outlives_everything(steps in steps()) {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        let mut known: Vec<Known> = Vec::new();
        // What the log was before each truncation that no sync has settled.
        let mut earlier: Vec<Vec<Known>> = Vec::new();
        let mut begun: Option<SyncedTo> = None;
        let mut epoch = 1;
        for step in steps {
            let end = known.last().map_or(0, |last| last.end);
            match step {
                Step::Append { batches, records, value_bytes } => {
                    let mut base = end;
                    let mut bytes = Vec::new();
                    for _ in 0..batches {
                        let batch = batch(base, epoch, records, value_bytes);
                        let end = base + records as i64;
                        bytes.extend(&batch);
                        known.push(Known { base, end, epoch, bytes: batch });
                        base = end;
                    }
                    log.append(&bytes).unwrap();
                }
                Step::NextEpoch => epoch += 1,
                Step::Truncate { to } => {
                    let to = (to * (end + 1) as f64) as i64;
                    earlier.push(known.clone());
                    known.retain(|batch| batch.end <= to);
                    log.truncate_to(Offset(to)).unwrap();
                }
                Step::Read { from, below, bytes_max } => {
                    let from = (from * (end + 1) as f64) as i64;
                    let below = (below * (end + 1) as f64) as i64;
                    let read = log.read(Offset(from), Offset(below), bytes_max).unwrap();
                    let all: Vec<Known> =
                        known.iter().filter(|batch| from < batch.end && batch.base < below && from < below).cloned().collect();
                    prop_assert_eq!(read.is_empty(), all.is_empty());
                    prop_assert!(bytes_of(&all).starts_with(&read));
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
                Step::Crash => {
                    begun = None;
                    drop(log);
                    log = open(&disk);
                    // The new history is complete or, while its file was not begun, the same.
                    prop_assert_eq!(log.end(), Offset(end));
                    earlier.clear();
                }
                Step::LosePower { seed } => {
                    begun = None;
                    let synced = log.synced();
                    drop(log);
                    let mut random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &seed_bytes(seed));
                    disk.lose_power(|count| random.next_u32() as usize % count);
                    log = open(&disk);
                    prop_assert!(synced <= log.end(), "synced to {}, recovered to {}", synced, log.end());
                    let recovered = everything(&log);
                    earlier.push(known);
                    let origin = earlier.iter().find(|whole| bytes_of(whole).starts_with(&recovered));
                    prop_assert!(origin.is_some(), "what was recovered never was");
                    known = origin.unwrap().iter().filter(|batch| batch.end <= log.end().0).cloned().collect();
                    earlier.clear();
                }
                Step::Close => {
                    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
                    prop_assert_eq!(log.finish_sync(done), Offset(end));
                    log = open(&disk);
                    begun = None;
                    earlier.clear();
                }
            }
            prop_assert_eq!(log.end(), Offset(known.last().map_or(0, |last| last.end)));
            prop_assert_eq!(log.epochs(), &epochs_of(&known));
            prop_assert_eq!(everything(&log), bytes_of(&known));
            let time = 1_000 + log.end().0 / 2;
            let expected = (log.end() != Offset(0)).then_some((Offset(time - 1_000), Timestamp(time)));
            let found = log.offset_for_time(Timestamp(time)).unwrap();
            prop_assert_eq!(found.map(|(offset, time, _)| (offset, time)), expected);
        }
    }
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}
