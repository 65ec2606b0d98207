//! One sentence a test.

use std::sync::Arc;

use model::{BatchHeader, EpochStart, LeaderEpoch, Offset, Timestamp, batches};
use storage::{LogConfig, RecentBatches, StorageError};

use crate::batch::{Recipe, batch};
use crate::disk::MemoryDisk;
use crate::{everything, open, sync, try_open};

#[test]
fn an_empty_log_begins_and_ends_at_zero() {
    let log = open(&MemoryDisk::default());
    assert_eq!((log.start(), log.end(), log.synced()), (Offset(0), Offset(0), Offset(0)));
    assert!(log.read(Offset(0), Offset(10), 1000).unwrap().is_empty());
    assert_eq!(log.offset_for_time(Timestamp(0)).unwrap(), None);
    assert_eq!(log.offset_of_latest_time().unwrap(), None);
}

#[test]
fn a_read_in_the_middle_of_a_batch_returns_the_whole_batch() {
    let mut log = open(&MemoryDisk::default());
    let bytes = [batch(0, 1, 4, 10), batch(4, 1, 4, 10), batch(8, 1, 4, 10)].concat();
    log.append(&bytes).unwrap();
    let third = bytes.len() / 3;
    assert_eq!(log.read(Offset(6), log.end(), 1 << 20).unwrap(), bytes[third..]);
    assert_eq!(log.read(Offset(6), Offset(8), 1 << 20).unwrap(), bytes[third..2 * third]);
    assert_eq!(log.read(Offset(6), Offset(7), 1 << 20).unwrap(), bytes[third..2 * third]);
}

#[test]
fn a_read_returns_one_batch_even_if_it_is_larger_than_asked_for() {
    let mut log = open(&MemoryDisk::default());
    let bytes = [batch(0, 1, 1, 400), batch(1, 1, 1, 10)].concat();
    log.append(&bytes).unwrap();
    let read = log.read(Offset(0), log.end(), 1).unwrap();
    assert_eq!(batches(&read).count(), 1);
    assert_eq!(BatchHeader::verify(&read).unwrap().end_offset(), Offset(1));
}

#[test]
fn no_damaged_byte_is_served() {
    let disk = MemoryDisk::default();
    let config = LogConfig { segment_bytes: 1 << 30, ..LogConfig::default() };
    let (mut log, _) = try_open(&disk, config).unwrap();
    let all: Vec<u8> = (0..4).flat_map(|at| batch(2 * at, 1, 2, 10)).collect();
    log.append(&all).unwrap();
    for at in 0..all.len() {
        let mut bytes = all.clone();
        bytes[at] ^= 0x04;
        disk.overwrite("orders-0/00000000000000000000.log", bytes);
        let damaged = (2 * at / (all.len() / 4)) as i64 / 2 * 2;
        for from in (0..8).map(Offset) {
            match log.read(from, log.end(), 1 << 20) {
                Ok(served) => assert!(all.windows(served.len()).any(|part| part == served), "byte {at} from {from}"),
                Err(error) => assert!(matches!(error, StorageError::Corrupt { .. }), "byte {at} from {from}: {error}"),
            }
        }
        assert!(log.read(Offset(damaged), log.end(), 1).is_err(), "byte {at}, offset {damaged}");
    }
}

#[test]
fn what_a_failed_sync_left_in_doubt_is_written_again_by_the_next_start() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let bytes = batch(0, 1, 2, 10);
    log.append(&bytes).unwrap();
    drop(log);
    let before = disk.written();
    let log = open(&disk);
    assert_eq!(disk.written() - before, bytes.len());
    assert_eq!(everything(&log), bytes);
}

#[test]
fn a_read_outside_of_the_log_is_refused() {
    let mut log = open(&MemoryDisk::default());
    log.append(&batch(0, 1, 2, 10)).unwrap();
    for offset in [Offset(-1), Offset(3)] {
        let expected = StorageError::OutOfRange { offset, start: Offset(0), end: Offset(2) };
        assert_eq!(log.read(offset, log.end(), 100), Err(expected));
    }
}

#[test]
fn a_gap_an_overlap_and_a_bad_batch_are_refused_and_change_nothing() {
    let mut log = open(&MemoryDisk::default());
    log.append(&batch(0, 1, 2, 10)).unwrap();
    let end = Offset(2);
    assert_eq!(log.append(&batch(3, 1, 1, 10)), Err(StorageError::Gap { end, base: Offset(3) }));
    assert_eq!(log.append(&batch(1, 1, 1, 10)), Err(StorageError::Gap { end, base: Offset(1) }));
    let second_is_off = [batch(2, 1, 1, 10), batch(4, 1, 1, 10)].concat();
    assert_eq!(log.append(&second_is_off), Err(StorageError::Gap { end: Offset(3), base: Offset(4) }));
    let mut altered = batch(2, 1, 1, 10);
    altered[70] ^= 1;
    assert!(matches!(log.append(&altered), Err(StorageError::Batch(_))));
    assert!(matches!(log.append(&batch(2, 1, 1, 10)[..65]), Err(StorageError::Batch(_))));
    assert_eq!(log.end(), end);
    log.append(&batch(2, 1, 1, 10)).unwrap();
}

#[test]
fn segments_roll_and_are_read_as_one_log() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let mut expected = Vec::new();
    for offset in 0..40 {
        let bytes = batch(offset, 1, 1, 30);
        log.append(&bytes).unwrap();
        expected.extend(bytes);
    }
    let segments = host::Disk::list(&disk, crate::DIRECTORY).unwrap().len();
    assert!(5 < segments, "{segments} files");
    assert_eq!(everything(&log), expected);
    drop(log);
    assert_eq!(everything(&open(&disk)), expected);
}

#[test]
fn what_was_appended_last_is_read_without_the_disk() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    let mut expected = Vec::new();
    log.keep_in(Arc::new(RecentBatches::new(1 << 20)));
    for offset in 0..3 {
        // Two that lie side by side, and others.
        let bytes = [batch(2 * offset, 1, 1, 10), batch(2 * offset + 1, 1, 1, 10)].concat();
        log.append_and_keep(&bytes.clone().into()).unwrap();
        expected.push(bytes);
    }
    disk.names().iter().for_each(|name| disk.overwrite(name, Vec::new()));
    assert_eq!(log.read(Offset(2), Offset(4), 1_000).unwrap(), expected[1]);
    let half = expected[1].len() / 2;
    assert_eq!(log.read(Offset(3), Offset(6), 1_000).unwrap(), expected[1..].concat()[half..]);
}

#[test]
fn a_batch_larger_than_a_segment_has_one_of_its_own() {
    let mut log = open(&MemoryDisk::default());
    let bytes = [batch(0, 1, 1, 5000), batch(1, 1, 1, 10), batch(2, 1, 1, 5000)];
    for bytes in &bytes {
        log.append(bytes).unwrap();
    }
    assert_eq!(everything(&log), bytes.concat());
}

#[test]
fn truncation_removes_whole_batches() {
    let mut log = open(&MemoryDisk::default());
    log.append(&[batch(0, 1, 4, 10), batch(4, 2, 4, 10)].concat()).unwrap();
    log.truncate_to(Offset(6)).unwrap();
    assert_eq!(log.end(), Offset(4));
    assert_eq!(log.epochs().entries(), [EpochStart { epoch: LeaderEpoch(1), start: Offset(0) }]);
    log.truncate_to(Offset(0)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset(0), Offset(0)));
    log.append(&batch(0, 3, 1, 10)).unwrap();
    assert_eq!(log.epochs().last(), Some(LeaderEpoch(3)));
}

#[test]
fn nothing_is_synced_before_a_sync_has_ended() {
    let mut log = open(&MemoryDisk::default());
    log.append(&batch(0, 1, 2, 10)).unwrap();
    let pending = log.begin_sync().unwrap();
    log.append(&batch(2, 1, 2, 10)).unwrap();
    assert_eq!(log.synced(), Offset(0));
    let done = futures_util::FutureExt::now_or_never(pending.run()).unwrap().unwrap();
    assert_eq!(log.finish_sync(done), Offset(2));
    assert_eq!(sync(&mut log), Offset(4));
    assert!(log.begin_sync().is_none());
}

#[test]
fn a_truncation_during_a_sync_lowers_what_is_synced() {
    let mut log = open(&MemoryDisk::default());
    log.append(&[batch(0, 1, 1, 10), batch(1, 1, 1, 10)].concat()).unwrap();
    let pending = log.begin_sync().unwrap();
    log.truncate_to(Offset(1)).unwrap();
    log.append(&batch(1, 2, 3, 10)).unwrap();
    let done = futures_util::FutureExt::now_or_never(pending.run()).unwrap().unwrap();
    assert!(log.finish_sync(done) <= Offset(1));
    assert_eq!(sync(&mut log), Offset(4));
}

#[test]
fn a_failed_sync_is_final() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    log.append(&batch(0, 1, 1, 10)).unwrap();
    disk.fail_syncs();
    let pending = log.begin_sync().unwrap();
    let failed = futures_util::FutureExt::now_or_never(pending.run()).unwrap().err().unwrap();
    assert!(matches!(failed, StorageError::Failed { .. }));
    assert_eq!(log.append(&batch(1, 1, 1, 10)), Err(failed.clone()));
    assert_eq!(log.read(Offset(0), Offset(1), 100), Err(failed.clone()));
    assert_eq!(log.truncate_to(Offset(0)), Err(failed));
}

#[test]
fn a_full_disk_refuses_an_append_whole_and_takes_it_when_there_is_room() {
    for room in 0..200 {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        log.append(&batch(0, 1, 1, 10)).unwrap();
        sync(&mut log);
        let used = disk.content("orders-0/00000000000000000000.log").len() as u64;
        disk.limit(Some(used + room));
        let next = [batch(1, 1, 1, 60), batch(2, 1, 1, 60)].concat();
        if (next.len() as u64) <= room {
            continue;
        }
        assert!(matches!(log.append(&next), Err(StorageError::Full { .. })), "{room}");
        assert!(matches!(log.append(&next), Err(StorageError::Full { .. })), "{room}");
        assert_eq!(everything(&log), batch(0, 1, 1, 10));
        assert_eq!(everything(&open(&disk)), batch(0, 1, 1, 10));
        disk.limit(None);
        log.append(&next).unwrap();
        assert_eq!(sync(&mut log), Offset(3));
        assert_eq!(everything(&open(&disk)), [batch(0, 1, 1, 10), next].concat());
    }
}

#[test]
fn the_first_record_at_a_time_is_found_as_a_scan_finds_it() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    // Out of order within batches and between them.
    let times = [[10, 30, 20], [15, 5, 12], [40, 35, 60], [60, 61, 59], [100, 90, 80], [7, 8, 9]];
    let mut scan = Vec::new();
    for (at, times) in times.iter().cycle().take(24).enumerate() {
        let base_offset = 3 * at as i64;
        let lift = 50 * (at as i64 / 6);
        let timestamps: Vec<i64> = times.iter().map(|time| time + lift).collect();
        scan.extend(timestamps.iter().enumerate().map(|(delta, &time)| (base_offset + delta as i64, time)));
        log.append(
            &Recipe { base_offset, epoch: 4, timestamps, value_bytes: 20, producer: crate::batch::NO_PRODUCER }.build(),
        )
        .unwrap();
    }
    for log in [log, open(&disk)] {
        for at in -1..320 {
            let found = log.offset_for_time(Timestamp(at)).unwrap();
            let expected = scan.iter().find(|&&(_, time)| at <= time);
            assert_eq!(
                found,
                expected.map(|&(offset, time)| (Offset(offset), Timestamp(time), LeaderEpoch(4))),
                "{at}"
            );
        }
        let latest = scan.iter().map(|&(_, time)| time).max().unwrap();
        assert_eq!(log.offset_of_latest_time().unwrap(), log.offset_for_time(Timestamp(latest)).unwrap());
    }
}

#[test]
fn a_state_file_is_replaced_whole() {
    use futures_util::FutureExt;
    use storage::checkpoint::{read_file, replace_file};
    let disk = MemoryDisk::default();
    assert_eq!(read_file(&disk, "meta/quorum-state").unwrap(), None);
    for content in [&b"first and longer"[..], b"second"] {
        replace_file(&disk, "meta/quorum-state", content).now_or_never().unwrap().unwrap();
        for seed in 0..10 {
            disk.lose_power(|count| seed % count);
            assert_eq!(read_file(&disk, "meta/quorum-state").unwrap().unwrap(), content);
        }
    }
}
