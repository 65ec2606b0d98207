//! Random lives of a log that is compacted at any moment, beside all that was ever written to it.

use std::collections::BTreeMap;
use std::time::Duration;

use compression::Compression;
use futures_util::FutureExt;
use model::{Epochs, LeaderEpoch, Offset, Timestamp, batches};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use storage::{CleanupPolicy, Compaction, Log, LogConfig, Step, StorageError};

use crate::disk::MemoryDisk;
use crate::keyed::{Keyed, Stamp, decode, keyed_batch};
use crate::{everything, small, sync, try_open};

const DELETE_RETENTION_MS: i64 = 50;
const KEY_BYTES_MAX: u64 = 500;

fn compacted() -> LogConfig {
    LogConfig {
        cleanup_policy: CleanupPolicy::Compact,
        delete_retention: Duration::from_millis(DELETE_RETENTION_MS as u64),
        min_cleanable_dirty_ratio: 0.0,
        ..small()
    }
}

fn open(disk: &MemoryDisk) -> Log<MemoryDisk> {
    try_open(disk, compacted()).unwrap().0
}

#[derive(Clone, Debug)]
enum Life {
    Append {
        records: Vec<(Option<u8>, Option<usize>)>,
        codec: Compression,
        producer: Option<i64>,
    },
    NextEpoch,
    Sync,
    Commit {
        part: f64,
    },
    Truncate {
        part: f64,
    },
    Advance {
        part: f64,
    },
    Begin,
    /// So many steps of the compaction that was begun.
    Compact {
        steps: usize,
    },
    TimePasses {
        ms: i64,
    },
    Crash,
    LosePower {
        seed: u64,
    },
    Close,
}

fn lives() -> impl Strategy<Value = Vec<Life>> {
    let key = prop_oneof![20 => (0..5u8).prop_map(Some), 1 => Just(None)];
    let value = prop_oneof![3 => (0..60usize).prop_map(Some), 1 => Just(None)];
    let records = prop::collection::vec((key, value), 1..5);
    let codec = prop::sample::select(Compression::ALL.to_vec());
    let producer = prop_oneof![2 => Just(None), 1 => (0..3i64).prop_map(Some)];
    let part = || 0.0..1.0f64;
    let life = prop_oneof![
        12 => (records, codec, producer).prop_map(|(records, codec, producer)| Life::Append { records, codec, producer }),
        1 => Just(Life::NextEpoch),
        4 => Just(Life::Sync),
        3 => (0.5..1.0f64).prop_map(|part| Life::Commit { part }),
        1 => part().prop_map(|part| Life::Truncate { part }),
        1 => (0.0..0.3f64).prop_map(|part| Life::Advance { part }),
        4 => Just(Life::Begin),
        6 => (1..40usize).prop_map(|steps| Life::Compact { steps }),
        2 => (1..80i64).prop_map(|ms| Life::TimePasses { ms }),
        1 => Just(Life::Crash),
        2 => any::<u64>().prop_map(|seed| Life::LosePower { seed }),
        1 => Just(Life::Close),
    ];
    prop::collection::vec(life, 1..80)
}

/// A batch as it was written.
#[derive(Clone, Debug)]
struct Written {
    base: i64,
    end: i64,
    epoch: i32,
    stamp: Stamp,
}

/// All that was written and not truncated, and what compactions were begun.
#[derive(Default)]
struct Everything {
    batches: Vec<Written>,
    records: BTreeMap<i64, Keyed>,
    start: i64,
    committed: i64,
    /// When, and up to which offset.
    compactions: Vec<(i64, i64)>,
}

impl Everything {
    fn end(&self) -> i64 {
        self.batches.last().map_or(0, |last| last.end).max(self.start)
    }

    fn cut(&mut self, end: i64) {
        self.batches.retain(|batch| batch.end <= end);
        let end = self.end();
        self.records.retain(|offset, _| *offset < end);
    }

    /// May the record at `offset` be gone?
    fn may_be_gone(&self, offset: i64, log_end: i64) -> bool {
        let Some(record) = self.records.get(&offset) else { return false };
        let mut passed = self.compactions.iter().filter(|(_, end)| offset < *end);
        let Some((first, _)) = passed.next() else { return false };
        let Some(key) = record.key else { return true };
        let is_superseded = self.records.range(offset + 1..log_end).any(|(_, later)| later.key == Some(key));
        is_superseded || record.value.is_none() && passed.any(|(now, _)| first + DELETE_RETENTION_MS <= *now)
    }

    fn check(&self, log: &Log<MemoryDisk>) -> Result<(), TestCaseError> {
        prop_assert_eq!((log.start(), log.end()), (Offset(self.start), Offset(self.end())));
        let bytes = everything(log);
        // No gap, whatever went.
        let mut end = None;
        for (header, _) in batches(&bytes).map(Result::unwrap) {
            prop_assert!(end.is_none_or(|end| end == header.base_offset));
            end = Some(header.end_offset());
        }
        prop_assert!(end.is_none_or(|end| end == log.end()));
        let found: Vec<(i64, Keyed)> = decode(&bytes).into_iter().filter(|(offset, _)| self.start <= *offset).collect();
        prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0));
        for (offset, record) in &found {
            prop_assert_eq!(self.records.get(offset), Some(record), "offset {}", offset);
        }
        for &offset in self.records.range(self.start..).map(|(offset, _)| offset) {
            let is_there = found.binary_search_by_key(&offset, |(offset, _)| *offset).is_ok();
            prop_assert!(is_there || self.may_be_gone(offset, log.end().0), "offset {} is gone", offset);
        }
        let mut epochs = Epochs::default();
        for batch in self.batches.iter().filter(|batch| self.start < batch.end) {
            epochs.assign(LeaderEpoch(batch.epoch), Offset(batch.base.max(self.start)));
        }
        prop_assert_eq!(log.epochs(), &epochs);
        prop_assert!(log.indexes_equal_a_scan().unwrap());
        self.check_producers(&bytes)?;
        self.check_times(log, &found)
    }

    /// The last batches of each producer tell its sequence.
    fn check_producers(&self, bytes: &[u8]) -> Result<(), TestCaseError> {
        for producer in 0..3 {
            let written = self.batches.iter().filter(|batch| self.start < batch.end);
            let written = written.filter_map(|batch| Some((batch.base, batch.end, batch.stamp?)));
            let written: Vec<_> = written.filter(|(_, _, (id, _))| *id == producer).collect();
            let there = batches(bytes).map(Result::unwrap).filter(|(header, _)| header.producer_id == producer);
            let there: Vec<_> = there
                .map(|(header, _)| {
                    (header.base_offset.0, header.end_offset().0, (header.producer_id, header.base_sequence))
                })
                .collect();
            let last = &written[written.len().saturating_sub(5)..];
            prop_assert!(there.ends_with(last), "producer {}: {:?} of {:?}", producer, there, written);
        }
        Ok(())
    }

    /// Look-ups by time skip nothing that is there.
    fn check_times(&self, log: &Log<MemoryDisk>, found: &[(i64, Keyed)]) -> Result<(), TestCaseError> {
        let latest = found.iter().map(|(_, record)| record.timestamp).max();
        let answer = log.offset_of_latest_time().unwrap().map(|(_, timestamp, _)| timestamp.0);
        prop_assert_eq!(answer.is_some(), latest.is_some());
        if let Some((offset, record)) = found.get(found.len() / 2) {
            let answer = log.offset_for_time(Timestamp(record.timestamp)).unwrap();
            prop_assert!(answer.is_some_and(|(first, _, _)| first.0 <= *offset), "{:?} for {}", answer, offset);
        }
        Ok(())
    }
}

/// Does one step; false when there is none any more.
fn advance(log: &mut Log<MemoryDisk>, compaction: &mut Option<Compaction<MemoryDisk>>) -> bool {
    let Some(mut running) = compaction.take() else { return false };
    match running.step() {
        Ok(Step::Worked { .. }) => *compaction = Some(running),
        Ok(Step::Ready(pending)) => {
            let swap = pending.run().now_or_never().unwrap().unwrap();
            if log.swap(swap).unwrap() {
                *compaction = Some(running);
            }
        }
        Ok(Step::Done) => {
            let kept = running.keep().now_or_never().unwrap().unwrap();
            log.finish_compaction(kept).unwrap();
        }
        Err(error) => panic!("{error}"),
    }
    compaction.is_some()
}

/// A whole compaction.
fn compact(log: &mut Log<MemoryDisk>, now: i64, below: i64) -> bool {
    let mut compaction = log.begin_compaction(Timestamp(now), Offset(below), 1 << 20);
    let has_begun = compaction.is_some();
    while advance(log, &mut compaction) {}
    has_begun
}

proptest! {
    #[test]
    fn compaction_keeps_the_last_value_of_each_key_and_all_that_others_go_by(lives in lives()) {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        let mut all = Everything::default();
        let mut compaction: Option<Compaction<MemoryDisk>> = None;
        let mut sequences = [0i32; 3];
        let (mut epoch, mut now, mut has_truncated) = (1, 1_000_000, false);
        for life in lives {
            match life {
                Life::Append { records, codec, producer } => {
                    let base = log.end().0;
                    let records: Vec<Keyed> = (0..).zip(records).map(|(delta, (key, size))| Keyed {
                        key,
                        value: size.map(|size| vec![base as u8; size]),
                        timestamp: now + (base + delta) % 7,
                    }).collect();
                    let stamp = producer.map(|id| (id, sequences[id as usize]));
                    if let Some(id) = producer {
                        sequences[id as usize] += records.len() as i32;
                    }
                    log.append(&keyed_batch(base, epoch, &records, codec, stamp)).unwrap();
                    let end = base + records.len() as i64;
                    all.batches.push(Written { base, end, epoch, stamp });
                    all.records.extend((base..).zip(records));
                }
                Life::NextEpoch => epoch += 1,
                Life::Sync => {
                    sync(&mut log);
                    has_truncated = false;
                }
                Life::Commit { part } => {
                    let most = (part * (log.synced().0 + 1) as f64) as i64;
                    let to = all.batches.iter().map(|batch| batch.end).take_while(|end| *end <= most).last();
                    all.committed = all.committed.max(to.unwrap_or(0));
                }
                Life::Truncate { part } => {
                    let to = all.committed + (part * (log.end().0 + 1 - all.committed) as f64) as i64;
                    log.truncate_to(Offset(to)).unwrap();
                    has_truncated = true;
                    all.cut(to);
                    // The next record of a producer follows those that are left.
                    for id in 0..3 {
                        let last = all.batches.iter().rev().find(|batch| batch.stamp.is_some_and(|(of, _)| of == id));
                        sequences[id as usize] =
                            last.map_or(0, |last| last.stamp.unwrap().1 + (last.end - last.base) as i32);
                    }
                    all.committed = all.committed.min(log.end().0);
                }
                Life::Advance { part } => {
                    let to = all.start + (part * (all.committed - all.start).max(0) as f64) as i64;
                    if let Some(pending) = log.begin_start(Offset(to)) {
                        log.finish_start(pending.run().now_or_never().unwrap().unwrap()).unwrap();
                        all.start = to;
                    }
                }
                Life::Begin => {
                    compaction = log.begin_compaction(Timestamp(now), Offset(all.committed), KEY_BYTES_MAX);
                    if let Some(compaction) = &compaction {
                        prop_assert!(compaction.end().0 <= all.committed);
                        all.compactions.push((now, compaction.end().0));
                    }
                }
                Life::Compact { steps } => {
                    for _ in 0..steps {
                        if !advance(&mut log, &mut compaction) {
                            break;
                        }
                    }
                }
                Life::TimePasses { ms } => now += ms,
                Life::Crash => {
                    compaction = None;
                    log = open(&disk);
                }
                Life::Close => {
                    compaction = None;
                    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
                    let _ = log.finish_sync(done);
                    log = open(&disk);
                }
                Life::LosePower { seed } => {
                    compaction = None;
                    // What becomes of a truncation that is not safe yet, other lives tell.
                    if has_truncated {
                        sync(&mut log);
                    }
                    let synced = log.synced();
                    let mut random = TestRng::from_seed(prop::test_runner::RngAlgorithm::ChaCha, &[seed as u8; 32]);
                    disk.lose_power(|count| random.next_u32() as usize % count);
                    log = open(&disk);
                    prop_assert!(synced <= log.end());
                    let end = log.end().0;
                    all.cut(end);
                }
            }
            all.check(&log)?;
            crate::stocktaking::assert_in_order(&disk, &log);
        }
    }
}

fn keyed(key: u8, value: Option<&str>, timestamp: i64) -> Keyed {
    Keyed { key: Some(key), value: value.map(|value| value.as_bytes().to_vec()), timestamp }
}

/// Appends one batch a record.
fn fill(log: &mut Log<MemoryDisk>, records: &[Keyed]) {
    for record in records {
        let batch = keyed_batch(log.end().0, 1, std::slice::from_ref(record), Compression::None, None);
        log.append(&batch).unwrap();
    }
    sync(log);
}

/// Values that go on, so many that what was before stands in a full segment.
fn rolled(log: &mut Log<MemoryDisk>, now: i64) {
    let long = "x".repeat(100);
    fill(log, &(0..12).map(|_| keyed(9, Some(&long), now)).collect::<Vec<_>>());
}

fn offsets_of(log: &Log<MemoryDisk>, key: u8) -> Vec<i64> {
    let found = decode(&everything(log)).into_iter();
    found.filter(|(_, record)| record.key == Some(key)).map(|(offset, _)| offset).collect()
}

#[test]
fn a_tombstone_stays_for_delete_retention_after_the_compaction_that_first_passed_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    fill(&mut log, &[keyed(1, Some("a"), 0), keyed(1, None, 0), keyed(2, Some("b"), 0)]);
    rolled(&mut log, 0);
    let committed = log.end().0;
    assert!(compact(&mut log, 1_000, committed));
    assert_eq!((offsets_of(&log, 1), offsets_of(&log, 2)), (vec![1], vec![2]));
    // The horizon outlives a restart, and nothing that is written later moves it.
    log = open(&disk);
    for (now, is_there) in [(1_000 + DELETE_RETENTION_MS - 1, true), (1_000 + DELETE_RETENTION_MS, false)] {
        rolled(&mut log, now);
        let committed = log.end().0;
        assert!(compact(&mut log, now, committed));
        assert_eq!(offsets_of(&log, 1), if is_there { vec![1] } else { vec![] });
    }
}

#[test]
fn nothing_at_or_above_what_is_committed_goes_nor_what_only_uncommitted_records_supersede() {
    let mut log = open(&MemoryDisk::default());
    fill(&mut log, &[keyed(1, Some("a"), 0), keyed(1, Some("b"), 0)]);
    rolled(&mut log, 0);
    rolled(&mut log, 0);
    assert!(!compact(&mut log, 1_000, 1));
    assert_eq!(offsets_of(&log, 1), [0, 1]);
}

#[test]
fn files_that_compaction_made_small_become_one() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for now in 0..6 {
        rolled(&mut log, now);
    }
    let files = |disk: &MemoryDisk| disk.names().iter().filter(|name| name.ends_with(".log")).count();
    let before = files(&disk);
    for now in 0..3 {
        rolled(&mut log, now);
        let committed = log.end().0;
        assert!(compact(&mut log, 1_000, committed));
    }
    assert!(files(&disk) < before / 2, "{} of {before}", files(&disk));
    assert_eq!(log.read(Offset::ZERO, log.end(), 1).unwrap().len(), 61);
}

#[test]
fn what_was_compacted_is_not_dirty_after_a_restart_and_a_young_record_is_not_touched() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    rolled(&mut log, 1_000);
    let committed = log.end();
    let due = log.compaction_due(Timestamp(1_000), committed).unwrap().unwrap();
    assert_eq!((due.dirty_bytes, due.is_overdue), (due.bytes, false));
    assert!(compact(&mut log, 1_000, committed.0));
    let mut log = open(&disk);
    assert_eq!(log.compaction_due(Timestamp(1_000), committed), Ok(None));

    rolled(&mut log, 2_000);
    let lag = Duration::from_millis(100);
    log.reconfigure(LogConfig { min_compaction_lag: lag, ..compacted() });
    let dirty_at = |log: &Log<MemoryDisk>, now| {
        let due = log.compaction_due(Timestamp(now), log.end()).unwrap();
        due.map_or(0, |due| due.dirty_bytes)
    };
    assert!(dirty_at(&log, 2_099) < dirty_at(&log, 2_100));
    // However little of it is dirty, what is too old must go.
    log.reconfigure(LogConfig { min_cleanable_dirty_ratio: 1.0, max_compaction_lag: Some(lag), ..compacted() });
    assert_eq!(log.compaction_due(Timestamp(1_100), log.end()), Ok(None));
    assert!(log.compaction_due(Timestamp(1_101), log.end()).unwrap().is_some_and(|due| due.is_overdue));
}

#[test]
fn a_log_that_changed_meanwhile_takes_no_compacted_file() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    rolled(&mut log, 0);
    rolled(&mut log, 0);
    let mut compaction = log.begin_compaction(Timestamp(1_000), log.end(), 1 << 20);
    let swap = loop {
        match compaction.as_mut().unwrap().step().unwrap() {
            Step::Ready(pending) => break pending.run().now_or_never().unwrap().unwrap(),
            Step::Worked { .. } => {}
            Step::Done => panic!("there was something to do"),
        }
    };
    let before = everything(&log);
    let to = log.end().plus(-1);
    log.truncate_to(to).unwrap();
    assert_eq!(log.swap(swap), Ok(false));
    assert!(before.starts_with(&everything(&log)));
    assert!(disk.names().iter().all(|name| !name.ends_with(".cleaned")));
}

#[test]
fn a_batch_whose_records_make_no_sense_stops_compaction_and_nothing_else() {
    let mut log = open(&MemoryDisk::default());
    let mut batch = keyed_batch(0, 1, &[keyed(1, Some("a"), 0)], Compression::None, None);
    batch[61] ^= 0x40;
    let crc = model::batch_checksum(&batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    log.append(&batch).unwrap();
    rolled(&mut log, 0);
    let mut compaction = log.begin_compaction(Timestamp(1_000), log.end(), 1 << 20).unwrap();
    let refused = loop {
        match compaction.step() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StorageError::Uncompactable { position: 0, .. }), "{refused}");
    assert!(!refused.is_final());
}
