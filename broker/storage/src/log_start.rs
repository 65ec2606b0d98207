//! Where a log begins: `log-start-offset-checkpoint`.
//!
//! One line of text, `1 <offset> <checksum>`: records below `offset` are gone for good. It is safe before anything below it is removed
//! and before anybody hears of it, so that a start never brings back what a reader was told is gone. A log that has no such file
//! begins at zero; one that is damaged is rot, as it would be in a segment.

use host::Disk;
use model::Offset;

use crate::{StorageError, checkpoint};

pub(crate) const FILE_NAME: &str = "log-start-offset-checkpoint";
const VERSION: &str = "1";

pub(crate) fn to_text(start: Offset) -> String {
    let content = format!("{VERSION} {start}");
    format!("{content} {:08x}\n", crc32c::crc32c(content.as_bytes()))
}

pub(crate) fn from_text(text: &str) -> Option<Offset> {
    let (content, checksum) = text.strip_suffix('\n')?.rsplit_once(' ')?;
    if format!("{:08x}", crc32c::crc32c(content.as_bytes())) != checksum {
        return None;
    }
    content.strip_prefix(VERSION)?.strip_prefix(' ')?.parse().ok().map(Offset)
}

/// What the file `name` of the log in `directory` says; none if there is none.
///
/// # Errors
/// `Corrupt` if it makes no sense; others as the disk gives them.
pub(crate) fn read_file<D: Disk>(disk: &D, directory: &str, name: &str) -> Result<Option<Offset>, StorageError> {
    let file = format!("{directory}/{name}");
    let read = checkpoint::read_file(disk, &file);
    let Some(bytes) = read.map_err(|error| StorageError::of(&file, &error))? else { return Ok(None) };
    match std::str::from_utf8(&bytes).ok().and_then(from_text) {
        Some(start) => Ok(Some(start)),
        None => Err(StorageError::Corrupt { file, position: 0, reason: "its checksum does not fit".into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_start_reads_back_and_a_damaged_one_does_not() {
        let text = to_text(Offset(184_213));
        assert_eq!(from_text(&text), Some(Offset(184_213)));
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert_eq!(std::str::from_utf8(&bytes).ok().and_then(from_text), None, "byte {at}");
        }
    }
}
