//! Where a log begins: retention, deletion, and a log that goes on beyond its end.

use std::time::Duration;

use futures_util::FutureExt;
use model::{LogStartReason, Offset, Timestamp, batches};
use storage::{CleanupPolicy, Log, LogConfig, StorageError};

use crate::batch::batch;
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, everything, open, small, sync, try_open};

fn advance(log: &mut Log<MemoryDisk>, to: i64) {
    let kept = log.begin_start(Offset(to)).unwrap().run().now_or_never().unwrap().unwrap();
    log.finish_start(kept).unwrap();
}

/// Twenty records of a hundred bytes and more, a few to a segment; record `n` has the timestamp 1000 + n.
fn twenty(config: LogConfig) -> (MemoryDisk, Log<MemoryDisk>) {
    let disk = MemoryDisk::default();
    let (mut log, _) = try_open(&disk, config).unwrap();
    (0..20).for_each(|offset| log.append(&batch(offset, 1 + offset as i32 / 8, 1, 60)).unwrap());
    sync(&mut log);
    (disk, log)
}

fn segments(disk: &MemoryDisk) -> Vec<i64> {
    let names = host::Disk::list(disk, DIRECTORY).unwrap();
    names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
}

#[test]
fn records_below_the_start_are_gone_for_good_and_their_segments_with_them() {
    let (disk, mut log) = twenty(small());
    assert_eq!(segments(&disk)[..3], [0, 4, 8]);
    advance(&mut log, 9);
    assert_eq!((log.start(), log.end()), (Offset(9), Offset(20)));
    assert_eq!(segments(&disk)[0], 8);
    let out = StorageError::OutOfRange { offset: Offset(8), start: Offset(9), end: Offset(20) };
    assert_eq!(log.read(Offset(8), log.end(), 100), Err(out));
    assert_eq!(log.offset_for_time(Timestamp(1_000)).unwrap().map(|found| found.0), Some(Offset(9)));
    drop(log);
    disk.lose_power(|_| 0);
    let log = open(&disk);
    assert_eq!((log.start(), log.end()), (Offset(9), Offset(20)));
    assert_eq!(log.epochs().epoch_at(Offset(9)).map(|epoch| epoch.0), Some(2));
}

#[test]
fn a_start_that_was_kept_and_not_yet_heard_of_holds_after_a_crash() {
    let (disk, log) = twenty(small());
    let _kept = log.begin_start(Offset(11)).unwrap().run().now_or_never().unwrap().unwrap();
    assert_eq!(log.start(), Offset(0));
    drop(log);
    assert_eq!(open(&disk).start(), Offset(11));
    assert_eq!(segments(&disk)[0], 8);
}

#[test]
fn a_recovery_point_whose_segment_is_gone_vouches_for_no_later_one_of_that_name() {
    const POINT: &str = "orders-0/recovery-point-checkpoint";
    let (disk, mut log) = twenty(small());
    let closed = log.begin_close().run().now_or_never().unwrap().unwrap();
    let _end = log.finish_sync(closed);
    let point = disk.content(POINT);
    let mut log = open(&disk);
    advance(&mut log, 30);
    sync(&mut log);
    drop(log);
    // Its removal was lost with the power.
    host::File::write_at(&host::Disk::create(&disk, POINT).unwrap(), 0, &point).unwrap();
    let log = open(&disk);
    assert_eq!((log.start(), log.end()), (Offset(30), Offset(30)));
    assert!(!disk.names().iter().any(|name| name == POINT), "{:?}", disk.names());
}

#[test]
fn what_a_sync_meant_to_keep_of_segments_that_went_meanwhile_goes_with_them() {
    let changes: [fn(&mut Log<MemoryDisk>); 2] = [|log| advance(log, 9), |log| log.truncate_to(Offset(5)).unwrap()];
    for change in changes {
        let disk = MemoryDisk::default();
        let (mut log, _) = try_open(&disk, small()).unwrap();
        (0..20).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
        let done = log.begin_sync().unwrap().run().now_or_never().unwrap().unwrap();
        change(&mut log);
        let _ = log.finish_sync(done);
        sync(&mut log);
        let names = host::Disk::list(&disk, DIRECTORY).unwrap();
        let segments = segments(&disk);
        let is_of_none = |name: &str| {
            let index = name.strip_suffix(".index").or(name.strip_suffix(".timeindex"));
            index.is_some_and(|base| !segments.contains(&base.parse().unwrap()))
        };
        let left: Vec<&String> = names.iter().filter(|name| name.ends_with(".tmp") || is_of_none(name)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_log_whose_every_record_is_gone_goes_on_where_it_ended() {
    let (disk, mut log) = twenty(small());
    advance(&mut log, 20);
    assert_eq!((log.start(), log.end(), segments(&disk)), (Offset(20), Offset(20), vec![20]));
    log.append(&batch(20, 7, 1, 10)).unwrap();
    sync(&mut log);
    drop(log);
    disk.lose_power(|_| 0);
    let log = open(&disk);
    assert_eq!((log.start(), everything(&log)), (Offset(20), batch(20, 7, 1, 10)));
}

#[test]
fn a_log_may_begin_anew_beyond_its_end() {
    let (disk, mut log) = twenty(small());
    advance(&mut log, 50);
    assert_eq!((log.start(), log.end(), log.synced(), segments(&disk)), (Offset(50), Offset(50), Offset(50), vec![50]));
    assert!(log.epochs().entries().is_empty());
    log.append(&batch(50, 3, 2, 10)).unwrap();
    drop(log);
    assert_eq!(everything(&open(&disk)), batch(50, 3, 2, 10));
}

#[test]
fn an_empty_log_that_begins_in_the_middle_of_a_batch_takes_the_whole_batch() {
    let (disk, mut log) = twenty(small());
    advance(&mut log, 52);
    let spanning = batch(50, 3, 4, 10);
    assert!(matches!(log.append(&batch(50, 3, 2, 10)), Err(StorageError::Gap { .. })), "it ends at the start");
    log.append(&spanning).unwrap();
    assert_eq!((log.start(), log.end()), (Offset(52), Offset(54)));
    assert_eq!(log.read(Offset(53), log.end(), 1).unwrap(), spanning);
    assert_eq!(log.offset_for_time(Timestamp(0)).unwrap().map(|found| found.0), Some(Offset(52)));
    assert!(matches!(log.append(&batch(53, 3, 4, 10)), Err(StorageError::Gap { .. })));
    sync(&mut log);
    log.append(&batch(54, 3, 1, 10)).unwrap();
    log.truncate_to(Offset(54)).unwrap();
    drop(log);
    disk.lose_power(|_| 0);
    let mut log = open(&disk);
    assert_eq!((log.start(), log.end(), everything(&log)), (Offset(52), Offset(54), spanning.clone()));
    log.truncate_to(Offset(53)).unwrap();
    assert_eq!((log.start(), log.end()), (Offset(52), Offset(52)));
    log.append(&spanning).unwrap();
    drop(log);
    assert_eq!(everything(&open(&disk)), spanning);
}

#[test]
fn retention_by_size_takes_whole_segments_and_none_past_the_high_watermark() {
    let (_, log) = twenty(LogConfig { retention_bytes: Some(1_000), ..small() });
    let all = log.read(Offset(0), log.end(), 1).unwrap().len() as u64 * 20;
    let (to, reason) = log.retention_due(Timestamp(0), log.end()).unwrap();
    let kept = all - all / 20 * to.0 as u64;
    assert_eq!(reason, LogStartReason::Size { kept_bytes: kept, retention_bytes: 1_000 });
    assert!((1_000..1_600).contains(&kept), "{kept}");
    assert_eq!(log.retention_due(Timestamp(0), Offset(7)).map(|(to, _)| to), Some(Offset(4)));
    assert_eq!(log.retention_due(Timestamp(0), Offset(3)), None);
}

#[test]
fn retention_by_age_goes_by_the_latest_record_and_takes_the_last_segment_too() {
    let age = Some(Duration::from_millis(100));
    let (disk, mut log) = twenty(LogConfig { retention_age: age, ..small() });
    assert_eq!(log.retention_due(Timestamp(1_103), log.end()), None);
    let reason = LogStartReason::Age { latest: Timestamp(1_003), now: Timestamp(1_104), retention_ms: 100 };
    assert_eq!(log.retention_due(Timestamp(1_104), log.end()), Some((Offset(4), reason)));
    let (to, _) = log.retention_due(Timestamp(2_000), log.end()).unwrap();
    assert_eq!(to, log.end());
    // What comes while the new start is on its way to the disk stays.
    let kept = log.begin_start(to).unwrap().run().now_or_never().unwrap().unwrap();
    log.append(&batch(20, 4, 1, 60)).unwrap();
    log.finish_start(kept).unwrap();
    assert_eq!((log.start(), log.end()), (Offset(20), Offset(21)));
    assert_eq!(everything(&log), batch(20, 4, 1, 60));
    drop(log);
    assert_eq!(batches(&everything(&open(&disk))).count(), 1);
}

#[test]
fn a_log_that_is_only_compacted_loses_nothing_by_retention() {
    let config = LogConfig { retention_bytes: Some(0), cleanup_policy: CleanupPolicy::Compact, ..small() };
    let (_, log) = twenty(config);
    assert_eq!(log.retention_due(Timestamp(i64::MAX), log.end()), None);
}

#[test]
fn a_damaged_start_is_named_and_a_missing_segment_too() {
    let (disk, mut log) = twenty(small());
    advance(&mut log, 9);
    drop(log);
    let checkpoint = "orders-0/log-start-offset-checkpoint";
    let content = disk.content(checkpoint);
    disk.overwrite(checkpoint, b"1 3 00000000\n".to_vec());
    assert!(matches!(try_open(&disk, small()), Err(StorageError::Corrupt { .. })));
    disk.overwrite(checkpoint, content);
    host::Disk::remove(&disk, "orders-0/00000000000000000008.log").unwrap();
    assert!(matches!(try_open(&disk, small()), Err(StorageError::Corrupt { .. })));
}

fn give_up(log: &mut Log<MemoryDisk>, to: i64) {
    let kept = log.begin_anew_at(Offset(to)).run().now_or_never().unwrap().unwrap();
    let settling = log.finish_anew(kept).unwrap();
    let settled = settling.run().now_or_never().unwrap().unwrap();
    log.settled(settled);
}

#[test]
fn a_log_that_is_given_up_begins_anew_before_its_start_and_takes_records() {
    // Also where a file of the old log has the name of the new one.
    for (deleted_below, to) in [(9, 3), (9, 0), (9, 8), (10, 9), (20, 5)] {
        let (disk, mut log) = twenty(small());
        advance(&mut log, deleted_below);
        give_up(&mut log, to);
        let at = Offset(to);
        assert_eq!((log.start(), log.end(), log.synced(), segments(&disk)), (at, at, at, vec![to]));
        assert!(log.epochs().entries().is_empty() && log.indexes_equal_a_scan().unwrap());
        log.append(&batch(to, 9, 2, 10)).unwrap();
        sync(&mut log);
        drop(log);
        disk.lose_power(|_| 0);
        let log = open(&disk);
        assert_eq!((log.start(), everything(&log)), (at, batch(to, 9, 2, 10)));
    }
}

#[test]
fn whenever_the_power_goes_a_log_that_is_given_up_is_the_old_one_or_the_new_one() {
    // How much of what the directory went through is left after each step.
    for (steps, deleted_below, to) in [(0, 9, 3), (1, 9, 3), (2, 9, 3), (3, 9, 3), (1, 9, 8), (2, 9, 8), (3, 10, 0)] {
        for chance in 0..40 {
            let (disk, mut log) = twenty(small());
            advance(&mut log, deleted_below);
            sync(&mut log);
            let old = everything(&log);
            let pending = log.begin_anew_at(Offset(to));
            if 1 <= steps {
                let kept = pending.run().now_or_never().unwrap().unwrap();
                if 2 <= steps {
                    let settling = log.finish_anew(kept).unwrap();
                    if 3 <= steps {
                        let settled = settling.run().now_or_never().unwrap().unwrap();
                        log.settled(settled);
                        log.append(&batch(to, 9, 2, 10)).unwrap();
                        sync(&mut log);
                    }
                }
            }
            drop(log);
            let mut draws = chance;
            disk.lose_power(|count| {
                draws = (draws * 7 + 3) % 1009;
                draws % count
            });
            let (mut log, recovery) = try_open(&disk, small()).unwrap();
            let is_begun_anew = recovery.begun_anew == Some(Offset(to));
            assert_eq!(is_begun_anew, steps == 1 || steps == 2, "step {steps}, {chance}");
            let (start, content) = match steps {
                0 => (deleted_below, old),
                1 | 2 => (to, Vec::new()),
                _ => (to, batch(to, 9, 2, 10)),
            };
            assert_eq!((log.start(), everything(&log)), (Offset(start), content), "step {steps}, {chance}");
            if is_begun_anew {
                let settled = log.begin_settling().run().now_or_never().unwrap().unwrap();
                log.settled(settled);
                log.append(&batch(to, 9, 2, 10)).unwrap();
                sync(&mut log);
                drop(log);
                disk.lose_power(|_| 0);
                assert_eq!(everything(&open(&disk)), batch(to, 9, 2, 10));
            }
        }
    }
}

#[test]
fn a_log_that_nobody_could_say_is_given_up_is_as_it_was() {
    let (disk, log) = twenty(small());
    disk.limit(Some(0));
    let refused = log.begin_anew_at(Offset(3)).run().now_or_never().unwrap();
    assert!(matches!(refused, Err(StorageError::Full { .. })));
    disk.limit(None);
    let old = everything(&log);
    drop(log);
    let log = open(&disk);
    assert_eq!((log.start(), everything(&log)), (Offset(0), old));
}
