//! Taking stock of a log's files: nothing is found in one that is in order, and each harm where it was done.

use model::{Epochs, LeaderEpoch, Offset, ProducerId, batches};
use storage::Log;
use storage::stocktaking::{Flaw, take_stock};

use crate::batch::batch_of;
use crate::disk::MemoryDisk;
use crate::{DIRECTORY, everything, open, sync};

/// The files of a log that is open have its batches, and nothing is wrong with them.
pub(crate) fn assert_in_order(disk: &MemoryDisk, log: &Log<MemoryDisk>) {
    // While a start is on the disk that lies beyond the end, and the log has not heard of it, nothing can be said.
    let Some(stock) = take_stock(disk, DIRECTORY).unwrap() else { return };
    assert_eq!(stock.flaws, []);
    assert_eq!(stock.end, log.end());
    assert!(log.start() <= stock.start);
    let all = everything(log);
    let known = batches(&all).map(|batch| batch.unwrap().0);
    let known: Vec<_> = known.filter(|header| stock.start < header.end_offset()).collect();
    let found = stock.batches.into_iter().filter(|header| stock.start < header.end_offset());
    assert_eq!(found.collect::<Vec<_>>(), known);
}

/// Twenty records of one producer, four to a segment, of two epochs; synced, so that all small files are there.
fn twenty() -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut log = open(&disk);
    for offset in 0..20 {
        log.append(&batch_of((7, 0, offset as i32), offset, 1 + offset as i32 / 10, 1, 60)).unwrap();
    }
    sync(&mut log);
    assert_in_order(&disk, &log);
    disk
}

fn path(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn flaws(disk: &MemoryDisk) -> Vec<Flaw> {
    take_stock(disk, DIRECTORY).unwrap().unwrap().flaws
}

/// What is found once the bytes of a file are changed: the file and the position of the first flaw.
fn found(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> (String, u64) {
    let disk = twenty();
    let mut bytes = disk.content(&path(name));
    change(&mut bytes);
    disk.overwrite(&path(name), bytes);
    let first = flaws(&disk).into_iter().next().expect("nothing was found");
    (first.file.strip_prefix("orders-0/").unwrap().to_owned(), first.position)
}

/// A checksum behind a text, as the small state files have it.
fn sealed(text: &str) -> Vec<u8> {
    format!("{text} {:08x}\n", crc32c::crc32c(text.as_bytes())).into_bytes()
}

const SECOND: &str = "00000000000000000004";

#[test]
fn a_byte_that_flips_is_found_where_its_batch_begins() {
    let segment = format!("{SECOND}.log");
    let size = batch_of((7, 0, 0), 0, 1, 1, 60).len();
    // In a record; and in the offset, which no checksum covers.
    for at in [100, 7] {
        let place = (segment.clone(), size as u64);
        assert_eq!(found(&segment, |bytes| bytes[size + at] ^= 0x40), place, "byte {at}");
    }
    // Nor does one cover the epoch: one of the two is wrong.
    assert_eq!(found(&segment, |bytes| bytes[size + 15] ^= 0x40).0, "leader-epoch-checkpoint");
}

#[test]
fn a_file_that_is_cut_or_gone_is_found() {
    let segment = format!("{SECOND}.log");
    let size = batch_of((7, 0, 0), 0, 1, 1, 60).len() as u64;
    assert_eq!(found(&segment, |bytes| bytes.truncate(bytes.len() - 1)), (segment.clone(), 3 * size));
    assert_eq!(found(&segment, |bytes| bytes.truncate(size as usize)), (segment.clone(), size));
    let last = "00000000000000000016.log";
    assert_eq!(found(last, |bytes| bytes.truncate(bytes.len() - 1)).0, "recovery-point-checkpoint");
    // The log itself does not tell that it had more; whoever knows its end does.
    let disk = twenty();
    let all = disk.content(&path(last));
    disk.overwrite(&path(last), all[..size as usize].to_vec());
    assert_eq!(take_stock(&disk, DIRECTORY).unwrap().unwrap().end, Offset(17));

    let disk = twenty();
    host::Disk::remove(&disk, &path(&segment)).unwrap();
    let files: Vec<String> = flaws(&disk).into_iter().map(|flaw| flaw.file).collect();
    assert_eq!(files[..2], [path(&format!("{SECOND}.index")), path("00000000000000000000.log")]);
    host::Disk::remove(&disk, &path("00000000000000000000.log")).unwrap();
    assert!(flaws(&disk).iter().any(|flaw| flaw.file == path("log-start-offset-checkpoint")));
}

#[test]
fn an_index_entry_that_is_of_no_batch_is_found() {
    for name in [format!("{SECOND}.index"), format!("{SECOND}.timeindex")] {
        // The position of an entry, and the timestamp of one.
        assert_eq!(found(&name, |bytes| bytes[7] ^= 1), (name.clone(), 0));
        assert_eq!(found(&name, |bytes| _ = bytes.pop()).0, name);
    }
    // What a truncation left behind the end of the segment is no flaw, nor is an index that lags behind.
    let disk = twenty();
    let name = path(&format!("{SECOND}.index"));
    let entries = disk.content(&name);
    let past = [9i32.to_be_bytes(), 9_000i32.to_be_bytes()].concat();
    disk.overwrite(&name, [entries.clone(), past].concat());
    assert_eq!(flaws(&disk), []);
    disk.overwrite(&name, entries[..8].to_vec());
    assert_eq!(flaws(&disk), []);
}

#[test]
fn leader_epochs_that_no_batch_has_are_found_below_the_recovery_point() {
    let name = "leader-epoch-checkpoint";
    let disk = twenty();
    let text = |begins: i64| {
        let mut epochs = Epochs::default();
        epochs.assign(LeaderEpoch(1), Offset(0));
        epochs.assign(LeaderEpoch(2), Offset(begins));
        let lines: String = epochs.entries().iter().map(|one| format!("{} {}\n", one.epoch, one.start)).collect();
        let content = format!("0\n2\n{lines}");
        format!("{content}{:08x}\n", crc32c::crc32c(content.as_bytes())).into_bytes()
    };
    assert_eq!(disk.content(&path(name)), text(10));
    disk.overwrite(&path(name), text(11));
    let flaw = flaws(&disk).remove(0);
    assert_eq!(flaw.file, path(name));
    assert!(flaw.reason.contains("the batch at 10 has epoch 2"), "{}", flaw.reason);
    // Above it the checkpoint may be out of date.
    host::Disk::remove(&disk, &path("recovery-point-checkpoint")).unwrap();
    assert_eq!(flaws(&disk), []);
    assert_eq!(found(name, |bytes| bytes[2] ^= 1).0, name);
}

#[test]
fn a_snapshot_of_producers_that_is_not_what_the_batches_tell_is_found() {
    let disk = twenty();
    let name = |offset: i64| path(&format!("{offset:0>20}.snapshot"));
    let stale = disk.content(&name(8));
    disk.overwrite(&name(12), stale.clone());
    let found = flaws(&disk);
    assert_eq!(
        found.iter().map(|flaw| (&flaw.file, flaw.producer)).collect::<Vec<_>>(),
        [(&name(12), Some(ProducerId(7)))]
    );
    // One beyond the log's end is of another history.
    let disk = twenty();
    let file = host::Disk::create(&disk, &name(24)).unwrap();
    host::File::write_at(&file, 0, &stale).unwrap();
    assert_eq!(flaws(&disk)[0].file, name(24));
}

#[test]
fn where_batches_are_gone_the_first_snapshot_is_believed_and_the_next_is_not() {
    let disk = twenty();
    let mut log = open(&disk);
    let pending = log.begin_start(Offset(9)).unwrap();
    let kept = futures_util::FutureExt::now_or_never(pending.run()).unwrap().unwrap();
    log.finish_start(kept).unwrap();
    assert_in_order(&disk, &log);
    let name = |offset: i64| path(&format!("{offset:0>20}.snapshot"));
    let other = disk.content(&name(16));
    disk.overwrite(&name(12), other);
    assert_eq!(flaws(&disk)[0].file, name(12));
    host::Disk::remove(&disk, &name(8)).unwrap();
    assert_eq!(flaws(&disk)[0].file, name(16), "by the one before");
}

#[test]
fn checkpoints_that_speak_of_what_is_not_there_are_found() {
    let name = "recovery-point-checkpoint";
    assert_eq!(found(name, |bytes| *bytes = sealed("1 13 5")), (name.into(), 0));
    assert_eq!(found(name, |bytes| *bytes = sealed("1 16 9000")), (name.into(), 0));
    assert_eq!(found(name, |bytes| bytes[0] ^= 1), (name.into(), 0));
    let disk = twenty();
    let name = path("cleaner-offset-checkpoint");
    let file = host::Disk::create(&disk, &name).unwrap();
    host::File::write_at(&file, 0, &sealed("1 20")).unwrap();
    assert_eq!(flaws(&disk), []);
    disk.overwrite(&name, sealed("1 21"));
    assert_eq!(flaws(&disk)[0].file, name);
}
