//! What a broker finds on its disk: logs, metadata records, its vote, its identity, and what its operator wrote.

use futures_util::FutureExt;
use model::{MetadataVersion, Offset, Timestamp};
use roles::controller::Record;
use roles::quorum::QuorumState;
use storage::{Log, LogConfig};

use crate::disk::MemoryDisk;
use crate::wire::made_right;

const DIRECTORY: &str = "orders-0";
/// Small intervals, so that a look-up has to walk.
fn config_of_a_log() -> LogConfig {
    LogConfig { index_interval_bytes: 128, segment_bytes: 1 << 20, ..LogConfig::default() }
}

/// A log as it is opened after anything: the first byte says how many of those that follow are its recovery point; the rest is its
/// segment, as it is, and once more as one batch that passes every check.
pub(crate) fn logs(data: &[u8]) {
    let [length, rest @ ..] = data else { return };
    let (point, segment) = rest.split_at(usize::from(*length).min(rest.len()));
    log(point, segment);
    if let Some(batch) = made_right(segment) {
        log(point, &batch);
    }
}

fn log(point: &[u8], segment: &[u8]) {
    let disk = MemoryDisk::default();
    disk.put(&format!("{DIRECTORY}/{:020}.log", 0), segment);
    if !point.is_empty() {
        disk.put(&format!("{DIRECTORY}/recovery-point-checkpoint"), point);
    }
    let Some(opened) = Log::open(&disk, DIRECTORY, config_of_a_log()).now_or_never() else {
        panic!("a disk in memory never waits")
    };
    let Ok((log, _)) = opened else { return };
    let _read = log.read(log.start(), log.end(), usize::MAX >> 1);
    let _read = log.read(log.end().plus(-1), Offset(i64::MAX), 1);
    let _found = log.offset_for_time(Timestamp(0));
    let _found = log.offset_of_latest_time();
}

/// A record of the metadata log: what is read is written, and read again as the same.
pub(crate) fn metadata(data: &[u8]) {
    if let Ok(record) = Record::decode(data, MetadataVersion::NEWEST) {
        let _by_an_older_release = Record::decode(data, MetadataVersion::OLDEST);
        assert_eq!(Record::decode(&record.encode(), MetadataVersion::NEWEST), Ok(record));
    }
}

/// The quorum's state: epoch, vote, leader; as it is, and once more with its checksum made right.
pub(crate) fn state(data: &[u8]) {
    for bytes in [data, &storage::checkpoint::seal(data)] {
        let Some(content) = storage::checkpoint::unseal(bytes) else { continue };
        let _read = minicbor::decode::<QuorumState>(content);
    }
}

/// A broker's configuration file.
pub(crate) fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _read = broker::read_config("broker.toml", text);
    }
}
