//! Snapshots beside a log: `<end>-<epoch>.checkpoint`, what stands for all of its records below `end`, the last of which is of `epoch`.
//!
//! Written to a temporary name, synced, renamed, the directory synced: under its own name a snapshot is whole or it is not there. What is
//! in one is its owner's affair. The log never looks at them; its owner moves the log's start once a snapshot is safe.

use std::io;

use bytes::{Bytes, BytesMut};
use host::{Disk, File};
use model::{Bug, LeaderEpoch, Offset, Planted, SnapshotId};

use crate::checkpoint::{self, TEMPORARY};

const SUFFIX: &str = ".checkpoint";
const END_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;

fn path(directory: &str, snapshot: SnapshotId) -> String {
    format!("{directory}/{snapshot}{SUFFIX}")
}

/// The snapshot that a file of this name is.
pub(crate) fn id_of(name: &str) -> Option<SnapshotId> {
    let (end, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(end, END_DIGITS) || !is_number(epoch, EPOCH_DIGITS) {
        return None;
    }
    Some(SnapshotId { end: Offset(end.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
}

/// Every snapshot in `directory`, oldest first. A log was opened there: what its recovery found outlives a loss of power.
///
/// # Errors
/// Those of the disk.
pub fn list<D: Disk>(disk: &D, directory: &str) -> io::Result<Vec<SnapshotId>> {
    let mut found: Vec<SnapshotId> = disk.list(directory)?.iter().filter_map(|name| id_of(name)).collect();
    found.sort_unstable();
    Ok(found)
}

/// Puts a snapshot into `directory`. When it returns, it outlives a loss of power.
///
/// # Errors
/// Those of the disk: the snapshot is not there, or may be, and is whole then.
pub async fn store<D: Disk>(
    disk: &D,
    directory: &str,
    snapshot: SnapshotId,
    bytes: &[u8],
    planted: Planted,
) -> io::Result<()> {
    let path = path(directory, snapshot);
    if planted.has(Bug::SnapshotUnsynced) {
        let temporary = format!("{path}{TEMPORARY}");
        disk.create(&temporary)?.write_at(0, bytes)?;
        return disk.rename(&temporary, &path);
    }
    checkpoint::replace_file(disk, &path, bytes).await
}

/// All bytes of a snapshot.
///
/// # Errors
/// Those of the disk; `NotFound` if there is none.
pub fn read<D: Disk>(disk: &D, directory: &str, snapshot: SnapshotId) -> io::Result<Bytes> {
    read_piece(disk, directory, snapshot, 0, usize::MAX).map(|(bytes, _)| bytes)
}

/// Some bytes of a snapshot from `position` on, at most `bytes_max`, and how many it has in all; none at or past its end.
///
/// # Errors
/// Those of the disk; `NotFound` if there is none.
pub fn read_piece<D: Disk>(
    disk: &D,
    directory: &str,
    snapshot: SnapshotId,
    position: u64,
    bytes_max: usize,
) -> io::Result<(Bytes, u64)> {
    let file = disk.open(&path(directory, snapshot))?;
    let size = file.length()?;
    let length = usize::try_from(size.saturating_sub(position)).unwrap_or(usize::MAX).min(bytes_max);
    let mut bytes = BytesMut::zeroed(length);
    let have = file.read_at(position, &mut bytes)?;
    bytes.truncate(have);
    Ok((bytes.freeze(), size))
}

/// Removes a snapshot that another one stands for. After a crash it may be there again.
///
/// # Errors
/// Those of the disk.
pub fn remove<D: Disk>(disk: &D, directory: &str, snapshot: SnapshotId) -> io::Result<()> {
    disk.remove(&path(directory, snapshot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_no_other_file_is_taken_for_a_snapshot() {
        let snapshot = SnapshotId { end: Offset(184_213), epoch: LeaderEpoch(7) };
        let path = path("data", snapshot);
        assert_eq!(path, "data/00000000000000184213-0000000007.checkpoint");
        assert_eq!(id_of(&path["data/".len()..]), Some(snapshot));
        for name in [
            "00000000000000184213-0000000007.checkpoint.tmp",
            "00000000000000184213.checkpoint",
            "184213-7.checkpoint",
            "+0000000000000184213-0000000007.checkpoint",
            "leader-epoch-checkpoint",
        ] {
            assert_eq!(id_of(name), None, "{name}");
        }
    }
}
