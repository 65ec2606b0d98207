//! Which leader epoch wrote which stretch of the log: `leader-epoch-checkpoint`, in Kafka's format and with a checksum behind.
//!
//! ```text
//! 0                 version
//! 2                 how many lines follow
//! 1 0               epoch, and the offset of its first record
//! 4 1812
//! 7c2f1a90          of all that stands above
//! ```
//! It is put in place before the recovery point that goes with it, so what it says of the log below that point is true; what it says
//! of the rest may be out of date, and is read from the batches again. A file that is torn or damaged counts as none: a start then
//! walks the whole log.

use std::io;

use host::Disk;
use model::{EpochStart, Epochs, LeaderEpoch, Offset};

use crate::checkpoint;

pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";
const VERSION: &str = "0";

pub(crate) fn to_text(epochs: &Epochs) -> String {
    let entries = epochs.entries();
    let lines: String = entries.iter().map(|entry| format!("{} {}\n", entry.epoch, entry.start)).collect();
    let content = format!("{VERSION}\n{}\n{lines}", entries.len());
    format!("{content}{:08x}\n", crc32c::crc32c(content.as_bytes()))
}

pub(crate) fn from_text(text: &str) -> Option<Epochs> {
    let content_length = text.strip_suffix('\n')?.rfind('\n')? + 1;
    let (content, checksum) = text.split_at(content_length);
    if format!("{:08x}\n", crc32c::crc32c(content.as_bytes())) != checksum {
        return None;
    }
    let mut lines = content.lines();
    if lines.next()? != VERSION {
        return None;
    }
    let entries = lines.skip(1).map(|line| {
        let (epoch, start) = line.split_once(' ')?;
        Some(EpochStart { epoch: LeaderEpoch(epoch.parse().ok()?), start: Offset(start.parse().ok()?) })
    });
    entries.collect::<Option<Vec<_>>>().map(Epochs::from_entries)
}

/// Reads the checkpoint of the log in `directory`, if there is one that can be read.
pub(crate) fn read<D: Disk>(disk: &D, directory: &str) -> io::Result<Option<Epochs>> {
    let path = format!("{directory}/{FILE_NAME}");
    let Some(bytes) = checkpoint::read_file(disk, &path)? else { return Ok(None) };
    let epochs = std::str::from_utf8(&bytes).ok().and_then(from_text);
    if epochs.is_none() {
        tracing::warn!(path, "the checkpoint of leader epochs is damaged: the whole log is walked");
    }
    Ok(epochs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_read_back_and_damaged_ones_do_not() {
        let entries = [(1, 0), (4, 1812), (5, 1_000_000_000_000)];
        let epochs = Epochs::from_entries(
            entries.map(|(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) }),
        );
        let text = to_text(&epochs);
        assert!(text.starts_with("0\n3\n1 0\n4 1812\n5 1000000000000\n"), "{text}");
        assert_eq!(from_text(&text), Some(epochs));
        for at in 0..text.len() {
            assert_eq!(from_text(&text[..at]), None, "{at} bytes");
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(std::str::from_utf8(&bytes).ok().and_then(from_text), None, "byte {at}");
        }
        assert_eq!(from_text(&to_text(&Epochs::default())), Some(Epochs::default()));
    }
}
