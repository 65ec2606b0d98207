//! What a log promises, tried on a disk in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod batch;
mod clean_shutdown;
mod compaction;
mod disk;
mod histories;
mod indexes;
mod inspect;
mod keyed;
mod producers;
mod recovery;
mod sending;
mod sentences;
mod start;
mod stocktaking;

use futures_util::FutureExt;
use host::Disk;
use model::Offset;
use storage::{Log, LogConfig, Recovery, StorageError};

use disk::MemoryDisk;

const DIRECTORY: &str = "orders-0";

/// Segments of a few batches, an index of nearly every one.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 150, ..LogConfig::default() }
}

/// As a start does that does not know what the life before it left.
fn try_open(disk: &MemoryDisk, config: LogConfig) -> Result<(Log<MemoryDisk>, Recovery), StorageError> {
    let synced = disk.sync_names_below(DIRECTORY).now_or_never().expect("a disk in memory never waits");
    synced.expect("names are safe");
    Log::open(disk, DIRECTORY, config).now_or_never().expect("a disk in memory never waits")
}

fn open(disk: &MemoryDisk) -> Log<MemoryDisk> {
    try_open(disk, small()).unwrap().0
}

fn sync(log: &mut Log<MemoryDisk>) -> Offset {
    match log.begin_sync() {
        Some(pending) => {
            let done = pending.run().now_or_never().expect("a disk in memory never waits").unwrap();
            log.finish_sync(done)
        }
        None => log.synced(),
    }
}

/// All batches of a log, read a few at a time.
fn everything(log: &Log<MemoryDisk>) -> Vec<u8> {
    let mut all = Vec::new();
    let mut from = log.start();
    while from < log.end() {
        let bytes = log.read(from, log.end(), 300).unwrap();
        from = model::batches(&bytes).last().unwrap().unwrap().0.end_offset();
        all.extend_from_slice(&bytes);
    }
    all
}
