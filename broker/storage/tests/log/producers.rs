//! What a log knows of its producers: after a start, a truncation, retention, and without the files that help it.

use futures_util::FutureExt;
use model::{Admission, Bug, Offset, Planted, ProducerId, ProducerStamp, Producers, SequenceError, Timestamp};
use storage::{Log, LogConfig, StorageError};

use crate::batch::{batch, batch_of};
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, open, small, sync, try_open};

/// Record `n` of the log has sequence `n`.
fn append(log: &mut Log<MemoryDisk>, offsets: std::ops::Range<i64>) {
    offsets.for_each(|offset| log.append(&batch_of((7, 0, offset as i32), offset, 1, 1, 60)).unwrap());
}

/// Twenty records of one producer, four to a segment.
fn twenty() -> (MemoryDisk, Log<MemoryDisk>) {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&mut log, 0..20);
    sync(&mut log);
    (disk, log)
}

fn close(mut log: Log<MemoryDisk>) {
    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
    let _end = log.finish_sync(done);
}

fn advance(log: &mut Log<MemoryDisk>, to: i64) {
    let kept = log.begin_start(Offset(to)).unwrap().run().now_or_never().unwrap().unwrap();
    log.finish_start(kept).unwrap();
}

fn stamp(epoch: i16, sequence: i32) -> ProducerStamp {
    let (id, timestamp) = (ProducerId(7), Timestamp(0));
    ProducerStamp { id, epoch, first_sequence: sequence, last_sequence: sequence, timestamp }
}

fn admit(log: &Log<MemoryDisk>, sequence: i32) -> Result<Admission, SequenceError> {
    let stamp = stamp(0, sequence);
    log.producers().admit(&stamp)
}

fn again(offset: i64) -> Result<Admission, SequenceError> {
    Ok(Admission::Again { base: Offset(offset), end: Offset(offset + 1) })
}

fn expects(expected: i32, asked: i32) -> Result<Admission, SequenceError> {
    Err(SequenceError::OutOfOrder { producer: ProducerId(7), epoch: 0, expected, asked })
}

fn snapshots(disk: &MemoryDisk) -> Vec<i64> {
    let names = host::Disk::list(disk, DIRECTORY).unwrap();
    names.iter().filter_map(|name| name.strip_suffix(".snapshot")?.parse().ok()).collect()
}

fn path(offset: i64) -> String {
    format!("{DIRECTORY}/{offset:0>20}.snapshot")
}

#[test]
fn a_snapshot_stands_where_each_segment_begins_once_the_log_is_synced_up_to_there() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    append(&mut log, 0..10);
    assert_eq!(snapshots(&disk), []);
    sync(&mut log);
    assert_eq!(snapshots(&disk), [4, 8]);
    close(log);
    assert_eq!(snapshots(&disk), [4, 8, 10]);
}

#[test]
fn within_a_segment_that_grows_the_newest_snapshot_stays() {
    let disk = MemoryDisk::default();
    let config = LogConfig { segment_bytes: 1 << 20, checkpoint_bytes: 300, ..small() };
    let (mut log, _) = try_open(&disk, config).unwrap();
    let mut seen = Vec::new();
    for offset in 0..40 {
        append(&mut log, offset..offset + 1);
        sync(&mut log);
        seen.extend(snapshots(&disk).into_iter().filter(|offset| !seen.contains(offset)).collect::<Vec<_>>());
        assert!(snapshots(&disk).len() <= 2, "the first and the newest: {:?}", snapshots(&disk));
    }
    assert!(4 < seen.len() && seen.len() < 12, "{seen:?}");
    drop(log);
    let (log, recovery) = try_open(&disk, config).unwrap();
    assert!(
        0 < recovery.verified_bytes && recovery.verified_bytes < log.bytes() / 3,
        "{recovery:?} of {}",
        log.bytes()
    );
    assert_eq!((admit(&log, 39), admit(&log, 41)), (again(39), expects(40, 41)));
}

#[test]
fn a_producer_whose_number_rotted_is_not_made_up() {
    let config = LogConfig { segment_bytes: 1 << 20, ..small() };
    let disk = MemoryDisk::default();
    let (mut log, _) = try_open(&disk, config).unwrap();
    append(&mut log, 0..5);
    close(log);
    // Neither help is there: the batches must tell.
    host::Disk::remove(&disk, &path(5)).unwrap();
    let file = format!("{DIRECTORY}/{:0>20}.log", 0);
    let mut bytes = disk.content(&file);
    // The last byte of the first batch's producer.
    bytes[50] ^= 1;
    disk.overwrite(&file, bytes);
    let error = try_open(&disk, config).err().unwrap();
    assert!(matches!(error, StorageError::Corrupt { position: 0, .. }), "{error}");
}

#[test]
fn a_log_without_producers_has_snapshots_too_so_that_a_start_need_not_look_for_any() {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    (0..10).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
    close(log);
    assert_eq!(snapshots(&disk), [4, 8, 10]);
    assert_eq!(open(&disk).producers(), &Producers::default());
}

#[test]
fn producers_are_known_after_a_crash_a_loss_of_power_and_an_orderly_stop() {
    let (disk, mut log) = twenty();
    append(&mut log, 20..22);
    let known = log.producers().clone();
    drop(log);
    let log = open(&disk);
    assert_eq!(log.producers(), &known);
    close(log);
    let log = open(&disk);
    assert_eq!(log.producers(), &known);
    drop(log);
    disk.lose_power(|_| 0);
    assert_eq!(open(&disk).producers(), &known);
}

#[test]
fn without_usable_snapshots_the_batches_tell() {
    for damaged in [&[16][..], &[16, 12], &[4, 8, 12, 16]] {
        for is_removed in [true, false] {
            let (disk, log) = twenty();
            let known = log.producers().clone();
            drop(log);
            for &offset in damaged {
                if is_removed {
                    host::Disk::remove(&disk, &path(offset)).unwrap();
                } else {
                    let mut content = disk.content(&path(offset));
                    content[9] ^= 1;
                    disk.overwrite(&path(offset), content);
                }
            }
            assert_eq!(open(&disk).producers(), &known, "{damaged:?} {is_removed}");
        }
    }
}

#[test]
fn a_truncation_takes_what_it_cuts_from_what_is_known() {
    for (to, next) in [(18, 18), (16, 16), (13, 13), (3, 3), (0, 0)] {
        let (disk, mut log) = twenty();
        log.truncate_to(Offset(to)).unwrap();
        assert!(snapshots(&disk).iter().all(|&offset| offset <= to), "{:?}", snapshots(&disk));
        for _start in 0..2 {
            if 0 < to {
                assert_eq!(admit(&log, next - 1), again(i64::from(next) - 1));
                assert_eq!(admit(&log, next + 1), expects(next, next + 1));
            }
            assert_eq!(admit(&log, next), Ok(Admission::New));
            drop(log);
            log = open(&disk);
        }
        // What comes in its place is known by what it is.
        log.append(&batch_of((7, 1, 0), to, 2, 1, 60)).unwrap();
        close(log);
        let stamp = stamp(1, 0);
        assert_eq!(open(&disk).producers().admit(&stamp), again(to));
    }
}

#[test]
fn a_snapshot_beyond_the_end_or_below_the_start_is_removed_at_a_start() {
    let (disk, mut log) = twenty();
    advance(&mut log, 13);
    assert_eq!(snapshots(&disk), [12, 16]);
    let content = disk.content(&path(16));
    drop(log);
    for stray in [3, 14, 21] {
        host::File::write_at(&host::Disk::create(&disk, &path(stray)).unwrap(), 0, &content).unwrap();
    }
    open(&disk);
    assert_eq!(snapshots(&disk), [12, 16]);
}

#[test]
fn who_wrote_what_retention_took_is_known_still() {
    let (disk, mut log) = twenty();
    (20..32).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
    sync(&mut log);
    advance(&mut log, 30);
    for _start in 0..2 {
        assert_eq!(admit(&log, 19), again(19));
        assert_eq!(admit(&log, 20), Ok(Admission::New));
        assert_eq!(admit(&log, 21), expects(20, 21));
        drop(log);
        disk.lose_power(|_| 0);
        log = open(&disk);
    }
    // All of it goes.
    advance(&mut log, 32);
    sync(&mut log);
    drop(log);
    assert_eq!(admit(&open(&disk), 19), again(19));
}

#[test]
fn who_wrote_what_goes_is_known_still_though_a_crash_came_before_the_snapshot() {
    for to in [20, 22, 24] {
        let (disk, mut log) = twenty();
        (20..24).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
        drop(log);
        let mut log = open(&disk);
        assert_eq!(snapshots(&disk), [4, 8, 12, 16]);
        advance(&mut log, to);
        assert_eq!(snapshots(&disk), [to]);
        for _start in 0..2 {
            assert_eq!(admit(&log, 19), again(19), "{to}");
            assert_eq!(admit(&log, 21), expects(20, 21), "{to}");
            drop(log);
            disk.lose_power(|_| 0);
            log = open(&disk);
        }
        // A later snapshot does not take its place: it may be cut again.
        (24..30).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
        close(log);
        let mut log = open(&disk);
        log.truncate_to(Offset(23)).unwrap();
        drop(log);
        assert_eq!(admit(&open(&disk), 19), again(19), "{to}");
    }
}

#[test]
fn who_wrote_what_goes_is_known_still_though_retention_came_before_the_snapshot() {
    let (disk, mut log) = twenty();
    (20..24).for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
    assert_eq!(snapshots(&disk), [4, 8, 12, 16]);
    advance(&mut log, 20);
    assert_eq!(snapshots(&disk), [20]);
    drop(log);
    assert_eq!(admit(&open(&disk), 19), again(19));
}

#[test]
fn a_log_that_begins_anew_knows_nobody_and_takes_any_sequence() {
    let (disk, mut log) = twenty();
    advance(&mut log, 50);
    assert_eq!((log.producers(), snapshots(&disk)), (&Producers::default(), vec![]));
    assert_eq!(admit(&log, 41), Ok(Admission::New));
    append(&mut log, 50..52);
    drop(log);
    assert_eq!(admit(&open(&disk), 51), again(51));
}

#[test]
fn a_batch_that_spans_the_start_is_known() {
    let (disk, mut log) = twenty();
    advance(&mut log, 52);
    log.append(&batch_of((7, 0, 50), 50, 3, 4, 10)).unwrap();
    log.append(&batch_of((7, 0, 54), 54, 3, 1, 10)).unwrap();
    log.truncate_to(Offset(53)).unwrap();
    assert!(log.producers().is_empty());
    log.append(&batch_of((7, 0, 50), 50, 3, 4, 10)).unwrap();
    assert_eq!(admit(&log, 54), Ok(Admission::New));
    assert_eq!(admit(&log, 55), expects(54, 55));
    drop(log);
    assert_eq!(admit(&open(&disk), 55), expects(54, 55));
}

#[test]
fn planted_faults_forget_and_remember_what_they_must_not() {
    let (disk, mut log) = twenty();
    log.reconfigure(LogConfig { planted: Planted::NONE.with(Bug::ProducersSurviveTruncation), ..small() });
    log.truncate_to(Offset(18)).unwrap();
    assert_eq!(admit(&log, 19), again(19));
    drop(log);
    let planted = Planted::NONE.with(Bug::ForgetProducersOnRestart);
    let (log, _) = try_open(&disk, LogConfig { planted, ..small() }).unwrap();
    assert!(log.producers().is_empty());
}

#[test]
fn an_offset_that_rotted_is_never_noted_as_a_producers() {
    let (disk, mut log) = twenty();
    let segment = format!("{DIRECTORY}/{:0>20}.log", 16);
    let mut bytes = disk.content(&segment);
    let second = bytes.len() / 4;
    bytes[second + 7] ^= 0x40;
    disk.overwrite(&segment, bytes);
    // The batches before the cut are read again for what they tell.
    let refused = log.truncate_to(Offset(19)).unwrap_err();
    assert!(matches!(refused, StorageError::Corrupt { position, .. } if position == second as u64), "{refused:?}");
}
