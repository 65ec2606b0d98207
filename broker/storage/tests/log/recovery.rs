//! Recovery cuts a torn tail, and nothing else.

use futures_util::FutureExt;
use model::{Bug, Offset, Planted};
use storage::{LogConfig, StorageError};

use crate::batch::{NO_PRODUCER, Recipe, batch};
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, everything, open, small, sync, try_open};

const FIRST_SEGMENT: &str = "orders-0/00000000000000000000.log";

/// One segment, whatever it holds.
fn large() -> LogConfig {
    LogConfig { segment_bytes: 1 << 30, ..small() }
}

/// Five batches of two records in one segment, and where each ends.
fn five(disk: &MemoryDisk) -> (Vec<u8>, Vec<usize>) {
    let (mut log, _) = try_open(disk, large()).unwrap();
    let mut ends = vec![0];
    let mut all = Vec::new();
    for at in 0..5 {
        let bytes = batch(2 * at, 1, 2, 10 + at as usize);
        log.append(&bytes).unwrap();
        all.extend(bytes);
        ends.push(all.len());
    }
    (all, ends)
}

fn close(disk: &MemoryDisk) {
    let (mut log, _) = try_open(disk, large()).unwrap();
    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
    let _ = log.finish_sync(done);
}

#[test]
fn every_byte_prefix_of_a_tail_recovers_to_its_whole_batches() {
    let disk = MemoryDisk::default();
    let (all, ends) = five(&disk);
    for length in 0..=all.len() {
        disk.overwrite(FIRST_SEGMENT, all[..length].to_vec());
        let (log, recovery) = try_open(&disk, large()).unwrap();
        let whole = *ends.iter().rfind(|&&end| end <= length).unwrap();
        assert_eq!(everything(&log), all[..whole]);
        assert_eq!(recovery.cut_bytes, (length - whole) as u64);
        assert_eq!(disk.content(FIRST_SEGMENT).len(), whole);
    }
}

#[test]
fn every_flipped_byte_above_the_recovery_point_cuts_from_its_batch_on() {
    let disk = MemoryDisk::default();
    let (all, ends) = five(&disk);
    for at in 0..all.len() {
        let mut bytes = all.clone();
        bytes[at] ^= 0x10;
        disk.overwrite(FIRST_SEGMENT, bytes);
        let (log, _) = try_open(&disk, large()).unwrap();
        let batch_start = *ends.iter().rfind(|&&end| end <= at).unwrap();
        let is_epoch = (batch_start + 12..batch_start + 16).contains(&at);
        // The leader epoch lies outside of the checksum.
        assert!(is_epoch || everything(&log) == all[..batch_start], "byte {at}");
    }
}

#[test]
fn damage_below_the_recovery_point_is_named_and_not_cut() {
    let disk = MemoryDisk::default();
    let (all, ends) = five(&disk);
    close(&disk);
    let mut bytes = all.clone();
    bytes[ends[1] + 8] ^= 0x40;
    disk.overwrite(FIRST_SEGMENT, bytes.clone());
    // A start reads what the index does not tell; the rest is seen by whoever reads it.
    let (log, recovery) = try_open(&disk, large()).unwrap();
    assert_eq!((recovery.cut_bytes, log.end()), (0, Offset(10)));
    let error = log.read(Offset(2), log.end(), 1).err().unwrap();
    assert!(matches!(&error, StorageError::Corrupt { position, .. } if *position == ends[1] as u64), "{error}");
    host::Disk::remove(&disk, "orders-0/00000000000000000000.index").unwrap();
    let error = try_open(&disk, large()).err().unwrap();
    assert!(matches!(&error, StorageError::Corrupt { position, .. } if *position == ends[1] as u64), "{error}");
    assert_eq!(disk.content(FIRST_SEGMENT), bytes);

    disk.overwrite(FIRST_SEGMENT, all[..ends[3]].to_vec());
    assert!(matches!(try_open(&disk, large()), Err(StorageError::Corrupt { .. })), "a file lost its tail");
}

#[test]
fn a_time_that_rotted_below_the_recovery_point_is_not_taken_for_the_latest() {
    let disk = MemoryDisk::default();
    let (all, ends) = five(&disk);
    close(&disk);
    host::Disk::remove(&disk, "orders-0/00000000000000000000.timeindex").unwrap();
    for batch in [0, ends[1], ends[3]] {
        let mut bytes = all.clone();
        // The last but one of the latest timestamp's bytes, in a header that is walked over.
        bytes[batch + 41] ^= 0x40;
        disk.overwrite(FIRST_SEGMENT, bytes);
        let error = try_open(&disk, large()).err().unwrap();
        assert!(matches!(&error, StorageError::Corrupt { position, .. } if *position == batch as u64), "{error}");
    }
    disk.overwrite(FIRST_SEGMENT, all);
    let (log, _) = try_open(&disk, large()).unwrap();
    assert!(log.indexes_equal_a_scan().unwrap());
}

#[test]
fn no_bit_of_a_time_that_rotted_outlives_the_rot_in_an_index() {
    for checkpoint_bytes in [0, 150, 1 << 20] {
        let config = LogConfig { checkpoint_bytes, ..large() };
        let disk = MemoryDisk::default();
        let (mut log, _) = try_open(&disk, config).unwrap();
        let mut ends = vec![0];
        for offset in 0..12 {
            // Later by ever more, so that times are found between them.
            let timestamps = vec![1_000 + offset * offset];
            let recipe = Recipe { base_offset: offset, epoch: 1, timestamps, value_bytes: 30, producer: NO_PRODUCER };
            log.append(&recipe.build()).unwrap();
            sync(&mut log);
            ends.push(log.bytes() as usize);
        }
        drop(log);
        let names = host::Disk::list(&disk, DIRECTORY).unwrap();
        let files = |names: &[String]| -> Vec<(String, Vec<u8>)> {
            names
                .iter()
                .map(|name| format!("{DIRECTORY}/{name}"))
                .map(|path| (path.clone(), disk.content(&path)))
                .collect()
        };
        let (before, whole) = (files(&names), disk.content(FIRST_SEGMENT));
        for (batch, bit) in ends[..12].iter().flat_map(|&batch| (0..16).map(move |bit| (batch, bit))) {
            let mut bytes = whole.clone();
            bytes[batch + 42 - bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(FIRST_SEGMENT, bytes);
            if let Ok((log, _)) = try_open(&disk, config) {
                drop(log);
                close(&disk);
                // What it cut is gone for good; the rest is mended.
                let length = disk.content(FIRST_SEGMENT).len();
                disk.overwrite(FIRST_SEGMENT, whole[..length].to_vec());
                let (log, _) = try_open(&disk, config).unwrap();
                assert!(log.indexes_equal_a_scan().unwrap(), "bit {bit} of the batch at {batch}");
                crate::stocktaking::assert_in_order(&disk, &log);
            }
            for name in host::Disk::list(&disk, DIRECTORY).unwrap() {
                host::Disk::remove(&disk, &format!("{DIRECTORY}/{name}")).unwrap();
            }
            for (path, content) in &before {
                host::File::write_at(&host::Disk::create(&disk, path).unwrap(), 0, content).unwrap();
            }
        }
    }
}

#[test]
fn a_segment_that_was_safe_and_is_gone_is_named() {
    for gone in 1.. {
        let disk = MemoryDisk::default();
        let mut log = open(&disk);
        for offset in 0..20 {
            log.append(&batch(offset, 1, 1, 60)).unwrap();
            sync(&mut log);
        }
        let mut names = host::Disk::list(&disk, DIRECTORY).unwrap();
        names.retain(|name| name.ends_with(".log"));
        let Some(name) = names.get(gone) else {
            assert!(3 < gone);
            break;
        };
        host::Disk::remove(&disk, &format!("{DIRECTORY}/{name}")).unwrap();
        assert!(matches!(try_open(&disk, small()), Err(StorageError::Corrupt { .. })), "{name}");
    }
}

#[test]
fn an_orderly_stop_leaves_hardly_anything_to_check() {
    let disk = MemoryDisk::default();
    let (all, ends) = five(&disk);
    close(&disk);
    let syncs = disk.syncs();
    let (log, recovery) = try_open(&disk, large()).unwrap();
    // The batches after the last entry of the index.
    assert_eq!((recovery.verified_bytes, recovery.cut_bytes), ((ends[5] - ends[4]) as u64, 0));
    assert_eq!(log.synced(), Offset(10));
    assert_eq!(everything(&log), all);
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_tail_after_an_orderly_stop_is_still_checked() {
    let disk = MemoryDisk::default();
    let (all, _) = five(&disk);
    close(&disk);
    let (mut log, _) = try_open(&disk, large()).unwrap();
    log.append(&batch(10, 2, 1, 10)).unwrap();
    let mut bytes = disk.content(FIRST_SEGMENT);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.overwrite(FIRST_SEGMENT, bytes);
    let (log, recovery) = try_open(&disk, large()).unwrap();
    assert_eq!(everything(&log), all);
    assert!(0 < recovery.cut_bytes);
}

#[test]
fn a_planted_bug_trusts_a_torn_tail() {
    let disk = MemoryDisk::default();
    let (all, _) = five(&disk);
    let mut bytes = all.clone();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    disk.overwrite(FIRST_SEGMENT, bytes);
    let planted = LogConfig { planted: Planted::NONE.with(Bug::RecoveryTrustsTornTail), ..large() };
    let (log, _) = try_open(&disk, planted).unwrap();
    assert_eq!(log.end(), Offset(10));
}

#[test]
fn a_damaged_recovery_point_only_costs_a_check() {
    let disk = MemoryDisk::default();
    let (all, _) = five(&disk);
    close(&disk);
    disk.overwrite("orders-0/recovery-point-checkpoint", b"1 0 9999 deadbeef\n".to_vec());
    let (log, recovery) = try_open(&disk, large()).unwrap();
    assert_eq!(everything(&log), all);
    assert_eq!(recovery.verified_bytes, all.len() as u64);
}

#[test]
fn a_log_that_is_damaged_stays_as_it_is_though_its_tail_is_torn() {
    const KEPT: [&str; 3] = [
        "orders-0/recovery-point-checkpoint",
        "orders-0/00000000000000000000.index",
        "orders-0/00000000000000000000.timeindex",
    ];
    let disk = MemoryDisk::default();
    let append = |offsets: std::ops::Range<i64>| {
        let (mut log, _) = try_open(&disk, small()).unwrap();
        offsets.for_each(|offset| log.append(&batch(offset, 1, 1, 60)).unwrap());
        let done = log.begin_close().run().now_or_never().unwrap().unwrap();
        let _end = log.finish_sync(done);
    };
    append(0..3);
    let kept = KEPT.map(|path| disk.content(path));
    append(3..6);
    // As after a crash that came before the recovery point had followed: what lies behind it counts as torn where it is damaged.
    KEPT.into_iter().zip(kept).for_each(|(path, bytes)| disk.overwrite(path, bytes));
    let mut bytes = disk.content(FIRST_SEGMENT);
    let size = bytes.len() / 4;
    bytes[size / 2] ^= 1;
    bytes[3 * size + size / 2] ^= 1;
    disk.overwrite(FIRST_SEGMENT, bytes);
    // The producers must be found again.
    for snapshot in disk.names().into_iter().filter(|name| name.ends_with(".snapshot")) {
        host::Disk::remove(&disk, &snapshot).unwrap();
    }
    let segments =
        || disk.names().into_iter().filter(|name| name.ends_with(".log")).map(|name| (disk.content(&name), name));
    let before: Vec<_> = segments().collect();
    assert_eq!(before.len(), 2);
    let opened = try_open(&disk, small()).map(|_| ());
    assert!(matches!(opened, Err(StorageError::Corrupt { .. })), "{opened:?}");
    assert!(segments().eq(before), "what was damaged was cut");
}
