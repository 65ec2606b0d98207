//! A directory that was left in order, and a start that goes by it: at whatever moment a process dies, nothing that a start believes is
//! taken away by the power later.

use futures_util::FutureExt;
use model::{BrokerEpoch, Bug, Offset, Planted};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};
use storage::clean_shutdown::{leave, take};
use storage::{Log, Recovery, StorageError};

use crate::batch::batch;
use crate::disk::MemoryDisk;
use crate::{everything, small, sync};

const ROOT: &str = "data";
const EPOCH: BrokerEpoch = BrokerEpoch(1812);

fn begin(disk: &MemoryDisk, planted: Planted) -> std::io::Result<Option<BrokerEpoch>> {
    take(disk, ROOT, planted).now_or_never().expect("a disk in memory never waits")
}

/// Opens the only log as it is found.
fn open(disk: &MemoryDisk) -> Result<(Log<MemoryDisk>, Recovery), StorageError> {
    Log::open(disk, "data/orders-0", small()).now_or_never().expect("a disk in memory never waits")
}

/// A life: it goes by what it finds, writes batches of two records, and stops in order. What it synced; none if it died before it had.
fn live(disk: &MemoryDisk, planted: Planted, batches: usize) -> (Option<Offset>, Result<(), String>) {
    let mut synced = None;
    let mut run = || -> Result<(), String> {
        begin(disk, planted).map_err(|error| error.to_string())?;
        let (mut log, _) = open(disk).map_err(|error| error.to_string())?;
        synced = Some(log.end());
        for _ in 0..batches {
            log.append(&batch(log.end().0, 1, 2, 30)).map_err(|error| error.to_string())?;
            let Some(pending) = log.begin_sync() else { continue };
            let done = pending.run().now_or_never().unwrap().map_err(|error| error.to_string())?;
            synced = Some(log.finish_sync(done));
        }
        let done = log.begin_close().run().now_or_never().unwrap().map_err(|error| error.to_string())?;
        synced = Some(log.finish_sync(done));
        leave(disk, ROOT, EPOCH).now_or_never().unwrap().map_err(|error| error.to_string())
    };
    let end = run();
    (synced, end)
}

fn lose_power(disk: &MemoryDisk, seed: u64) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    disk.lose_power(|count| random.next_u32() as usize % count);
}

#[test]
fn who_stopped_in_order_is_told_once() {
    let disk = MemoryDisk::default();
    assert_eq!(begin(&disk, Planted::NONE).unwrap(), None);
    live(&disk, Planted::NONE, 3).1.unwrap();
    assert_eq!(begin(&disk, Planted::NONE).unwrap(), Some(EPOCH));
    lose_power(&disk, 7);
    assert_eq!(begin(&disk, Planted::NONE).unwrap(), None, "for good");
}

#[test]
fn a_damaged_word_is_not_believed_and_goes() {
    let disk = MemoryDisk::default();
    live(&disk, Planted::NONE, 3).1.unwrap();
    let marker = "data/.kafka_cleanshutdown";
    let whole = disk.content(marker);
    disk.overwrite(marker, whole[..whole.len() - 3].to_vec());
    assert_eq!(begin(&disk, Planted::NONE).unwrap(), None);
    assert!(!disk.names().contains(&marker.to_owned()));
}

#[test]
fn an_orderly_stop_leaves_a_start_with_one_directory_to_sync_and_no_file() {
    let disk = MemoryDisk::default();
    live(&disk, Planted::NONE, 9).1.unwrap();
    let syncs = disk.syncs();
    // Its removal, and the sync that has that outlive the power.
    disk.die_after(Some(2));
    assert_eq!(begin(&disk, Planted::NONE).unwrap(), Some(EPOCH));
    let (log, recovery) = open(&disk).unwrap();
    assert_eq!((recovery.walked_segments, log.end()), (1, Offset(18)));
    assert!(recovery.verified_bytes < 300, "what comes after the last entry of the last index: {recovery:?}");
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_closed_log_can_be_read_and_takes_nothing() {
    let disk = MemoryDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    log.append(&batch(0, 1, 2, 30)).unwrap();
    let late = log.begin_sync().unwrap().run().now_or_never().unwrap().unwrap();
    let last = log.begin_close().run().now_or_never().unwrap().unwrap();
    assert_eq!(log.append(&batch(2, 1, 2, 30)), Err(StorageError::Closed));
    assert_eq!(log.truncate_to(Offset(0)), Err(StorageError::Closed));
    assert!(log.begin_start(Offset(2)).is_none());
    assert_eq!(log.finish_sync(last), Offset(2));
    let names = disk.names();
    assert_eq!(log.finish_sync(late), Offset(2));
    assert_eq!(disk.names(), names);
    assert!(!everything(&log).is_empty());
}

/// Three lives, of which the first two may die anywhere, with or without the power; what the third finds stays.
fn tell(planted: Planted, lives: [(usize, Option<usize>, Option<u64>); 2], last: u64) -> Result<(), TestCaseError> {
    let disk = MemoryDisk::default();
    let mut safe = Offset::ZERO;
    for (batches, dies_after, power) in lives {
        disk.die_after(dies_after);
        let (synced, _) = live(&disk, planted, batches);
        disk.die_after(None);
        safe = safe.max(synced.unwrap_or(safe));
        if let Some(seed) = power {
            lose_power(&disk, seed);
        }
    }
    begin(&disk, planted).unwrap();
    let opened = open(&disk);
    prop_assert!(opened.is_ok(), "{:?}", opened.err());
    let (mut log, _) = opened.unwrap();
    prop_assert!(safe <= log.end(), "synced to {}, recovered to {}", safe, log.end());
    log.append(&batch(log.end().0, 1, 2, 30)).unwrap();
    let synced = sync(&mut log);
    drop(log);
    lose_power(&disk, last);
    begin(&disk, planted).unwrap();
    let opened = open(&disk);
    prop_assert!(opened.is_ok(), "{:?}", opened.err());
    let end = opened.unwrap().0.end();
    prop_assert!(synced <= end, "synced to {}, recovered to {}", synced, end);
    Ok(())
}

fn life() -> impl Strategy<Value = (usize, Option<usize>, Option<u64>)> {
    (0..9usize, prop::option::of(0..120usize), prop::option::of(any::<u64>()))
}

proptest! {
    #[test]
    fn nothing_that_a_start_believes_goes_with_the_power(lives in [life(), life()], last in any::<u64>()) {
        tell(Planted::NONE, lives, last)?;
    }
}

#[test]
fn a_word_that_is_left_where_it_is_loses_records() {
    let planted = Planted::NONE.with(Bug::StaleCleanShutdown);
    // The first stops in order, the second dies anywhere.
    let mut told = (0..60)
        .flat_map(|after| (0..20).map(move |seed| tell(planted, [(2, None, None), (9, Some(after), None)], seed)));
    assert!(told.any(|told| told.is_err()));
}
