//! What a log knew of its producers at some offset: `<offset>.snapshot`.
//!
//! A checksum and [`Producers`] in CBOR, taken where a segment begins, now and then within the one that grows, and when the log is closed.
//! It is put in place like the recovery point, and before it: once the log is safe up to there. So a start, or a truncation, reads the last
//! batches alone, each of which it verifies, and what retention deletes stays known: where a crash came before the snapshot, or retention would, one is put at the
//! log's new start before that holds. A file that is missing, damaged or cannot be read counts as none: then
//! an older one and more batches tell. A truncation removes those beyond the log's new end before it makes the file of the new
//! tail, so that none of another history is ever found.

use host::{Disk, File};
use model::{Bug, Offset, Planted, Producers};

use crate::recovery::numbered;
use crate::segment::Segment;
use crate::walk::{WHOLE_CHUNK, Walk};
use crate::{StorageError, checkpoint};

const SUFFIX: &str = ".snapshot";

/// A snapshot of an open log.
pub(crate) struct Snapshot {
    /// All batches that end here or before are in it.
    pub(crate) offset: Offset,
    /// What its file will have, while it has none.
    pub(crate) unkept: Option<Vec<u8>>,
}

impl Snapshot {
    pub(crate) fn take(offset: Offset, producers: &Producers) -> Snapshot {
        Snapshot { offset, unkept: Some(encode(producers)) }
    }

    fn read<D: Disk>(&self, disk: &D, directory: &str) -> Option<Producers> {
        match &self.unkept {
            Some(bytes) => decode(bytes),
            None => read(disk, &path(directory, self.offset)),
        }
    }
}

/// What was known, if a whole snapshot at `path` says so.
fn read<D: Disk>(disk: &D, path: &str) -> Option<Producers> {
    let producers = match checkpoint::read_file(disk, path) {
        Ok(bytes) => decode(&bytes?),
        Err(error) => {
            tracing::warn!(path, %error, "a snapshot of producers cannot be read");
            None
        }
    };
    if producers.is_none() {
        model::reached!("a damaged snapshot of producers was passed over");
        tracing::warn!(path, "the snapshot of producers is of no use: the batches before it are read instead");
    }
    producers
}

/// The producers of the batches that end at or before `end`: from the last snapshot on, the batches tell.
///
/// # Errors
/// `Corrupt` or `Unreadable` if these cannot be read.
pub(crate) fn rebuild<D: Disk>(
    disk: &D,
    directory: &str,
    snapshots: &[Snapshot],
    segments: &[Segment<D::File>],
    end: Offset,
    planted: Planted,
) -> Result<Producers, StorageError> {
    let usable = snapshots.iter().rev().filter(|snapshot| snapshot.offset <= end);
    let found = usable.filter_map(|snapshot| Some((snapshot.read(disk, directory)?, snapshot.offset))).next();
    let (mut producers, from) = found.unwrap_or_default();
    for segment in segments {
        note_between(segment, from, end, &mut producers, planted)?;
    }
    Ok(producers)
}

fn note_between<F: File>(
    segment: &Segment<F>,
    from: Offset,
    end: Offset,
    producers: &mut Producers,
    planted: Planted,
) -> Result<(), StorageError> {
    if segment.end <= from {
        return Ok(());
    }
    let Some((position, first)) = segment.locate(from)? else { return Ok(()) };
    let mut expected = first.base_offset;
    let mut walk = Walk::new(&segment.file, position, segment.length, WHOLE_CHUNK);
    let next =
        |walk: &mut Walk<F>| if planted.has(Bug::RecoveryTrustsTornTail) { walk.peek() } else { walk.verified() };
    while let Some(header) = next(&mut walk).map_err(|error| segment.refused(walk.position(), error))? {
        segment.follows(expected, &header, walk.position())?;
        expected = header.end_offset();
        if end < expected {
            break;
        }
        if let Some(stamp) = header.stamp() {
            producers.note(&stamp, header.base_offset, header.end_offset());
        }
        walk.step(&header);
    }
    Ok(())
}

/// The offset in the name of a snapshot file.
pub(crate) fn offset_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SUFFIX)?;
    digits.parse().ok().map(Offset)
}

pub(crate) fn path(directory: &str, offset: Offset) -> String {
    numbered(directory, offset, SUFFIX)
}

pub(crate) fn encode(producers: &Producers) -> Vec<u8> {
    let content = minicbor::to_vec(producers).unwrap_or_else(|never: minicbor::encode::Error<_>| {
        unreachable!("a vector takes all that is written: {never}")
    });
    checkpoint::seal(&content)
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Producers> {
    minicbor::decode(checkpoint::unseal(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use model::{ProducerId, ProducerStamp, Timestamp};

    use super::*;

    #[test]
    fn a_snapshot_reads_back_and_a_damaged_one_does_not() {
        let mut producers = Producers::default();
        let (id, timestamp) = (ProducerId(4), Timestamp(9));
        let stamp = ProducerStamp { id, epoch: 1, first_sequence: 0, last_sequence: 8, timestamp };
        producers.note(&stamp, Offset(3), Offset(12));
        let bytes = encode(&producers);
        assert_eq!(decode(&bytes), Some(producers));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length} bytes");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "byte {at}");
        }
        assert_eq!(decode(&encode(&Producers::default())), Some(Producers::default()));
    }

    #[test]
    fn a_snapshot_is_named_by_its_offset() {
        assert_eq!(offset_of("00000000000000184213.snapshot"), Some(Offset(184_213)));
        for other in ["00000000000000184213.log", ".snapshot", "x.snapshot", "00000000000000184213.snapshot.1.tmp"] {
            assert_eq!(offset_of(other), None, "{other}");
        }
    }
}
