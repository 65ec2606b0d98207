//! Files looked at one by one: what each says, and where a damaged one is damaged.

use futures_util::FutureExt;
use host::Disk;
use model::{Epochs, LeaderEpoch, Offset, Producer, ProducerId, Timestamp};
use proptest::prelude::*;
use storage::inspect::{Batches, Content, FoundBatch, InspectError, LogFile, content};

use crate::batch::batch_of;
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, open};

/// Ten records of one producer, four to a segment, of a log that begins at 5 and was closed in order.
fn disk() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    (0..10).for_each(|at| log.append(&batch_of((7, 0, at as i32), at, 1 + at as i32 / 8, 1, 60)).unwrap());
    let kept = log.begin_start(Offset(5)).unwrap().run().now_or_never().unwrap().unwrap();
    log.finish_start(kept).unwrap();
    let done = log.begin_close().run().now_or_never().unwrap().unwrap();
    log.finish_sync(done);
    disk
}

fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn says(disk: &MemoryDisk, name: &str) -> Content {
    content(LogFile::of(name).unwrap(), &disk.content(&path(name))).unwrap().unwrap()
}

fn batches(disk: &MemoryDisk, name: &str) -> (Vec<FoundBatch>, Option<InspectError>) {
    let file = disk.open(&path(name)).unwrap();
    let mut batches = Batches::of(&file).unwrap();
    let mut found = Vec::new();
    loop {
        match batches.next_batch() {
            Ok(Some(batch)) => found.push(batch),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

#[test]
fn each_file_says_what_the_log_wrote() {
    let disk = disk();
    let names = disk.list(DIRECTORY).unwrap();
    assert!(names.iter().all(|name| LogFile::of(name).is_some()), "{names:?}");
    let (found, error) = batches(&disk, "00000000000000000004.log");
    assert!(error.is_none());
    let offsets: Vec<i64> = found.iter().map(|batch| batch.header.base_offset.0).collect();
    assert_eq!(offsets, [4, 5, 6, 7]);
    assert!(found.iter().all(|batch| batch.has_valid_checksum));
    let size = found[0].header.size as u64;
    assert_eq!(found[3].position, 3 * size);
    let places = Content::OffsetIndex(vec![(Offset(8), 0)]);
    assert_eq!(says(&disk, "00000000000000000008.index"), places);
    assert_eq!(says(&disk, "00000000000000000008.timeindex"), Content::TimeIndex(vec![(Timestamp(1_009), Offset(9))]));
    assert_eq!(says(&disk, "recovery-point-checkpoint"), Content::RecoveryPoint(Offset(8), 2 * size));
    assert_eq!(says(&disk, "log-start-offset-checkpoint"), Content::LogStart(Offset(5)));
    let mut epochs = Epochs::default();
    epochs.assign(LeaderEpoch(1), Offset(5));
    epochs.assign(LeaderEpoch(2), Offset(8));
    assert_eq!(says(&disk, "leader-epoch-checkpoint"), Content::LeaderEpochs(epochs));
    let Content::Producers(producers) = says(&disk, "00000000000000000010.snapshot") else { panic!() };
    let known =
        |(id, producer): (ProducerId, &Producer)| (id, producer.batches.back().unwrap().end, producer.last_timestamp);
    let known: Vec<_> = producers.iter().map(known).collect();
    assert_eq!(known, [(ProducerId(7), Offset(10), Timestamp(1_009))]);
    for foreign in ["orders.txt", "x.log", "00000000000000000004.log.1.tmp", "partition.metadata", ""] {
        assert_eq!(LogFile::of(foreign), None, "{foreign}");
    }
}

#[test]
fn a_torn_segment_is_read_up_to_where_it_is_torn() {
    let disk = disk();
    let name = "00000000000000000004.log";
    let whole = disk.content(&path(name));
    let size = whole.len() as u64 / 4;
    disk.overwrite(&path(name), whole[..whole.len() - 1].to_vec());
    let (found, error) = batches(&disk, name);
    assert_eq!(found.len(), 3);
    assert!(matches!(error, Some(InspectError::Damaged { position, .. }) if position == 3 * size), "{error:?}");
    // Offsets are under no checksum, and may claim anything.
    let mut last = whole.clone();
    last[..8].copy_from_slice(&i64::MAX.to_be_bytes());
    disk.overwrite(&path(name), last);
    assert_eq!(batches(&disk, name).0[0].header.last_offset(), Offset(i64::MAX));
    // A flipped bit is seen, and what comes after it too.
    let mut flipped = whole;
    *flipped.last_mut().unwrap() ^= 1;
    flipped[size as usize + 70] ^= 1;
    disk.overwrite(&path(name), flipped);
    let (found, error) = batches(&disk, name);
    let valid: Vec<bool> = found.iter().map(|batch| batch.has_valid_checksum).collect();
    assert_eq!((valid, error.is_none()), (vec![true, false, true, false], true));
}

#[test]
fn a_damaged_index_says_where() {
    let [place, moment] = [LogFile::OffsetIndex(Offset(0)), LogFile::TimeIndex(Offset(0))];
    let position = |file, bytes: &[u8]| match content(file, bytes) {
        Err(InspectError::Damaged { position, .. }) => Some(position),
        _ => None,
    };
    assert_eq!(position(place, &[0; 11]), Some(8));
    assert_eq!(position(moment, &[0; 25]), Some(24));
    assert_eq!(position(place, &[0; 24]), Some(8));
    assert_eq!(position(place, &[0; 8]), None);
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), digits in "[0-9]{0,25}", at in 0..7usize) {
        let names = ["leader-epoch-checkpoint", "recovery-point-checkpoint", "log-start-offset-checkpoint", ".log", ".index", ".timeindex", ".snapshot"];
        let name = if at < 3 { names[at].to_owned() } else { format!("{digits}{}", names[at]) };
        if let Some(file) = LogFile::of(&name) {
            let _any = content(file, &bytes);
        }
        let disk = disk();
        disk.overwrite(&path("00000000000000000004.log"), bytes.clone());
        let (found, _) = batches(&disk, "00000000000000000004.log");
        prop_assert!(found.len() <= bytes.len() / 61);
    }
}
