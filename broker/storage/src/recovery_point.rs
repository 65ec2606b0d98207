//! How far the files of a log are known to be synced: `recovery-point-checkpoint`.
//!
//! One line of text, `1 <segment> <position> <checksum>`: the segment that begins at offset `segment` is synced up to byte
//! `position`, and so is every segment before it. Below, damage is rot; above, it is a torn tail. The file may lag behind the
//! truth, and never runs ahead of it: it is put in place only after a sync has ended and while no truncation has gone below
//! it, and a truncation removes it before it makes the segment file that begins the log's new tail.

use std::io;

use host::Disk;
use model::Offset;

use crate::checkpoint;

pub(crate) const FILE_NAME: &str = "recovery-point-checkpoint";
const VERSION: &str = "1";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RecoveryPoint {
    /// Base offset of the last segment that has synced bytes.
    pub(crate) segment: Offset,
    /// Bytes of it that are synced.
    pub(crate) position: u64,
}

impl RecoveryPoint {
    /// Bytes of the segment at `base` that need no check.
    pub(crate) fn synced_bytes(self, base: Offset) -> u64 {
        match base.cmp(&self.segment) {
            std::cmp::Ordering::Less => u64::MAX,
            std::cmp::Ordering::Equal => self.position,
            std::cmp::Ordering::Greater => 0,
        }
    }

    pub(crate) fn to_text(self) -> String {
        let content = format!("{VERSION} {} {}", self.segment, self.position);
        format!("{content} {:08x}\n", crc32c::crc32c(content.as_bytes()))
    }

    pub(crate) fn from_text(text: &str) -> Option<RecoveryPoint> {
        let (content, checksum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if format!("{:08x}", crc32c::crc32c(content.as_bytes())) != checksum {
            return None;
        }
        let (segment, position) = content.strip_prefix(VERSION)?.trim_start().split_once(' ')?;
        Some(RecoveryPoint { segment: Offset(segment.parse().ok()?), position: position.parse().ok()? })
    }

    /// Reads the checkpoint of the log in `directory`. One that is damaged counts as none: then everything is checked.
    pub(crate) fn read<D: Disk>(disk: &D, directory: &str) -> io::Result<Option<RecoveryPoint>> {
        let path = format!("{directory}/{FILE_NAME}");
        let Some(bytes) = checkpoint::read_file(disk, &path)? else { return Ok(None) };
        let point = std::str::from_utf8(&bytes).ok().and_then(RecoveryPoint::from_text);
        if point.is_none() {
            tracing::warn!(path, "the recovery point is damaged: the whole log is checked");
        }
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_point_reads_back_and_a_damaged_one_does_not() {
        let point = RecoveryPoint { segment: Offset(184_213), position: 77 };
        let text = point.to_text();
        assert_eq!(RecoveryPoint::from_text(&text), Some(point));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(std::str::from_utf8(&bytes).ok().and_then(RecoveryPoint::from_text), None, "byte {at}");
        }
    }
}
