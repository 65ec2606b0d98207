//! Index files: what is in them, when they are made, and that a wrong one changes nothing.

use futures_util::FutureExt;
use model::{Bug, Offset, Planted, Timestamp};
use storage::{Log, LogConfig};

use crate::batch::{NO_PRODUCER, Recipe, batch};
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, everything, open, small, sync, try_open};

/// A log of several segments whose timestamps go to and fro, closed in order.
fn closed(disk: &MemoryDisk, config: LogConfig) -> Vec<u8> {
    let (mut log, _) = try_open(disk, config).unwrap();
    for offset in 0..30 {
        let timestamps = vec![1_000 + 10 * offset + 35 * (offset % 4)];
        log.append(
            &Recipe {
                base_offset: offset,
                epoch: 1 + offset as i32 / 9,
                timestamps,
                value_bytes: 30,
                producer: NO_PRODUCER,
            }
            .build(),
        )
        .unwrap();
        if offset % 5 == 0 {
            sync(&mut log);
        }
    }
    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
    let _ = log.finish_sync(done);
    everything(&log)
}

fn files(disk: &MemoryDisk, suffix: &str) -> Vec<String> {
    let names = host::Disk::list(disk, DIRECTORY).unwrap();
    names.iter().filter(|name| name.ends_with(suffix)).map(|name| format!("{DIRECTORY}/{name}")).collect()
}

#[test]
fn index_files_have_the_entries_that_kafka_would_read() {
    let disk = MemoryDisk::default();
    let config = LogConfig { segment_bytes: 1 << 20, index_interval_bytes: 150, ..LogConfig::default() };
    let (mut log, _) = try_open(&disk, config).unwrap();
    for (offset, timestamp) in [(0, 700), (1, 900), (2, 800), (3, 850), (4, 950)] {
        log.append(
            &Recipe {
                base_offset: offset,
                epoch: 1,
                timestamps: vec![timestamp],
                value_bytes: 10,
                producer: NO_PRODUCER,
            }
            .build(),
        )
        .unwrap();
    }
    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
    let _ = log.finish_sync(done);
    let size = batch(0, 1, 1, 10).len() as i32;
    let place = |offset: i32| [offset.to_be_bytes(), (offset * size).to_be_bytes()].concat();
    let moment = |timestamp: i64, offset: i32| [&timestamp.to_be_bytes()[..], &offset.to_be_bytes()].concat();
    assert_eq!(disk.content(&files(&disk, ".index")[0]), [place(0), place(2), place(4)].concat());
    assert_eq!(disk.content(&files(&disk, ".timeindex")[0]), [moment(900, 1), moment(950, 4)].concat());
}

#[test]
fn a_start_after_an_orderly_stop_walks_the_end_of_the_last_segment_alone() {
    let disk = MemoryDisk::default();
    let all = closed(&disk, small());
    assert_eq!(files(&disk, ".index").len(), files(&disk, ".log").len());
    let (log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!(recovery.walked_segments, 1);
    assert!(recovery.verified_bytes < 300, "{recovery:?}");
    assert_eq!(everything(&log), all);
    assert!(log.indexes_equal_a_scan().unwrap());
}

#[test]
fn after_a_crash_only_what_was_not_synced_is_walked() {
    let disk = MemoryDisk::default();
    let all = closed(&disk, small());
    let (mut log, _) = try_open(&disk, small()).unwrap();
    let more: Vec<Vec<u8>> = (30..40).map(|offset| batch(offset, 9, 1, 30)).collect();
    more.iter().for_each(|batch| log.append(batch).unwrap());
    drop(log);
    let (log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!((recovery.walked_segments, files(&disk, ".log").len()), (3, 7), "the last one, and what came after it");
    assert_eq!(everything(&log), [all, more.concat()].concat());
    assert!(log.indexes_equal_a_scan().unwrap());
}

#[test]
fn an_index_file_that_is_missing_cut_or_altered_changes_no_answer() {
    let disk = MemoryDisk::default();
    let all = closed(&disk, small());
    let times = || (990..1_420).step_by(3).map(Timestamp);
    let by_time = |log: &Log<MemoryDisk>| times().map(|at| log.offset_for_time(at).unwrap()).collect::<Vec<_>>();
    let answers = by_time(&try_open(&disk, small()).unwrap().0);
    assert!(answers.first() != answers.last(), "some of the times are those of records");
    let untouched: Vec<(String, Vec<u8>)> = [".index", ".timeindex", "leader-epoch-checkpoint"]
        .iter()
        .flat_map(|suffix| files(&disk, suffix))
        .map(|path| (path.clone(), disk.content(&path)))
        .collect();
    for (path, content) in &untouched {
        let is_whole_checked = path.ends_with("checkpoint");
        let mut damaged: Vec<Vec<u8>> = (0..content.len()).map(|length| content[..length].to_vec()).collect();
        damaged.extend((0..content.len()).flat_map(|at| {
            [0x01, 0x80].map(|bit| {
                let mut bytes = content.clone();
                bytes[at] ^= bit;
                bytes
            })
        }));
        for bytes in damaged {
            untouched.iter().for_each(|(path, content)| disk.overwrite(path, content.clone()));
            let is_cut = bytes.len() < content.len();
            disk.overwrite(path, bytes);
            let (log, _) = try_open(&disk, small()).unwrap();
            assert_eq!(everything(&log), all, "{path}");
            // Nothing leaves a file that is cut where an entry ends.
            let differs = || by_time(&log).into_iter().zip(&answers).find(|(told, known)| told != *known);
            assert_eq!(if is_cut { None } else { differs() }, None, "{path}");
            for offset in (0..30).map(Offset) {
                let read = log.read(offset, log.end(), 1).unwrap();
                assert_eq!(model::BatchHeader::parse(&read).unwrap().base_offset, offset, "{path}");
            }
            assert!(!is_whole_checked || log.indexes_equal_a_scan().unwrap(), "{path}");
        }
        untouched.iter().for_each(|(path, content)| disk.overwrite(path, content.clone()));
        host::Disk::remove(&disk, path).unwrap();
        let (log, recovery) = try_open(&disk, small()).unwrap();
        assert!(0 < recovery.walked_segments);
        assert_eq!(everything(&log), all, "{path}");
        assert!(log.indexes_equal_a_scan().unwrap());
        drop(log);
        let file = host::Disk::create(&disk, path).unwrap();
        host::File::write_at(&file, 0, content).unwrap();
    }
}

#[test]
fn a_segment_ends_when_a_batch_comes_that_is_so_much_later_than_its_first() {
    let disk = MemoryDisk::default();
    let config = LogConfig { segment_age: std::time::Duration::from_millis(100), ..LogConfig::default() };
    let (mut log, _) = try_open(&disk, config).unwrap();
    for (offset, timestamp) in [(0, 1_000), (1, 1_099), (2, 900), (3, 1_100), (4, 1_150)] {
        log.append(
            &Recipe {
                base_offset: offset,
                epoch: 1,
                timestamps: vec![timestamp],
                value_bytes: 1,
                producer: NO_PRODUCER,
            }
            .build(),
        )
        .unwrap();
    }
    assert_eq!(files(&disk, ".log").len(), 2);
    assert_eq!(files(&disk, ".log")[1], "orders-0/00000000000000000003.log");
    drop(log);
    let (mut log, _) = try_open(&disk, config).unwrap();
    log.append(
        &Recipe { base_offset: 5, epoch: 1, timestamps: vec![1_200], value_bytes: 1, producer: NO_PRODUCER }.build(),
    )
    .unwrap();
    assert_eq!(files(&disk, ".log").len(), 3, "a start remembers how old the last segment is");
}

#[test]
fn a_segment_ends_when_its_index_is_full() {
    let disk = MemoryDisk::default();
    let config = LogConfig { segment_index_bytes: 24, index_interval_bytes: 1, ..LogConfig::default() };
    let (mut log, _) = try_open(&disk, config).unwrap();
    (0..7).for_each(|offset| log.append(&batch(offset, 1, 1, 1)).unwrap());
    assert_eq!(files(&disk, ".log").len(), 3);
}

#[test]
fn planted_bugs_leave_indexes_that_differ_from_a_scan() {
    let disk = MemoryDisk::default();
    let planted = LogConfig { planted: Planted::NONE.with(Bug::TimeIndexOfLastBatch), ..small() };
    closed(&disk, planted);
    let (log, _) = try_open(&disk, planted).unwrap();
    assert!(!log.indexes_equal_a_scan().unwrap());

    let disk = MemoryDisk::default();
    let planted = LogConfig { planted: Planted::NONE.with(Bug::StaleEpochCheckpoint), ..small() };
    closed(&disk, planted);
    let (log, _) = try_open(&disk, planted).unwrap();
    assert!(!log.indexes_equal_a_scan().unwrap());
    assert!(open(&disk).indexes_equal_a_scan().unwrap(), "without the bug it heals");
    assert_eq!(open(&disk).offset_for_time(Timestamp(1_000)).unwrap().map(|found| found.0), Some(Offset(0)));
}

#[test]
fn an_index_that_a_start_did_not_go_by_goes_with_its_segment() {
    let disk = MemoryDisk::default();
    closed(&disk, small());
    let (mut log, _) = try_open(&disk, small()).unwrap();
    log.append(&batch(30, 9, 1, 30)).unwrap();
    drop(log);
    // What was the last segment when its index was kept is not any more, and is walked like the one after it.
    let (mut log, recovery) = try_open(&disk, small()).unwrap();
    assert_eq!(recovery.walked_segments, 2);
    (31..45).for_each(|offset| log.append(&batch(offset, 9, 1, 30)).unwrap());
    let kept = log.begin_start(Offset(44)).unwrap().run().now_or_never().unwrap().unwrap();
    log.finish_start(kept).unwrap();
    crate::stocktaking::assert_in_order(&disk, &log);
}
