//! The two files beside a segment that spare a start the walk over its batches, in Kafka's formats. Of the segment that grows they are written
//! now and then, and tell of its beginning.
//!
//! ```text
//! <base>.index       8 bytes an entry: offset i32, relative to the base | position i32
//! <base>.timeindex  12 bytes an entry: timestamp i64 | offset i32, relative to the base
//! ```
//! Fault model. Both are put in place only once they are synced, and taken away before their segment's file gives its name to
//! another, so neither a crash nor a loss of power leaves one that is torn or speaks of another file. A truncation may leave
//! entries beyond the segment's end, which are dropped. Rot is seen by bounds and order, by the walk from the last entry to the
//! segment's end, and whenever an entry is used: the batch must begin there, and have that timestamp. The segment's last moment is compared
//! with its batch at each start, and the newest entries of those that are to be written again, because the segment goes on or was cut. A file that
//! is missing or wrong is made again from the segment; nothing but time is lost.

use std::io;

use host::Disk;
use model::{Offset, Timestamp};

use crate::index::{Index, MOMENT_BYTES, Moment, PLACE_BYTES, Place};
use crate::recovery::numbered;
use crate::{LogConfig, checkpoint};

/// Path of the offset index of the segment at `base`.
pub(crate) fn index_path(directory: &str, base: Offset) -> String {
    numbered(directory, base, ".index")
}

/// Path of its time index.
pub(crate) fn time_index_path(directory: &str, base: Offset) -> String {
    numbered(directory, base, ".timeindex")
}

/// The base offset in the name of an index file.
pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".index").or_else(|| name.strip_suffix(".timeindex"))?;
    digits.parse().ok().map(Offset)
}

/// The content of both files for the segment at `base`.
pub(crate) fn encode(index: &Index, base: Offset) -> [Vec<u8>; 2] {
    let relative = |offset: Offset| ((offset.0 - base.0) as i32).to_be_bytes();
    let places = index.places().iter();
    let moments = index.moments();
    [
        places.flat_map(|place| [relative(place.offset), (place.position as i32).to_be_bytes()].concat()).collect(),
        moments.flat_map(|moment| [&moment.latest.0.to_be_bytes()[..], &relative(moment.offset)].concat()).collect(),
    ]
}

/// What index files tell of their segment.
pub(crate) struct Told {
    /// Up to its last place, which is `place`: from there on the segment must be walked.
    pub(crate) index: Index,
    pub(crate) place: Place,
    /// The latest moment of all, which may lie behind that.
    pub(crate) latest: Option<Moment>,
}

/// What the index files of the segment at `base` tell, which ends at `end`. Places at or after that, or past `length` bytes, are of a tail
/// that was cut. None if a file is missing or makes no sense.
pub(crate) fn read<D: Disk>(
    disk: &D,
    directory: &str,
    base: Offset,
    end: Offset,
    length: u64,
    config: &LogConfig,
) -> Option<Told> {
    let bytes = entries(disk, &index_path(directory, base), PLACE_BYTES)?;
    let mut places: Vec<Place> = places(&bytes, base).collect();
    places.truncate(places.partition_point(|place| place.offset < end && place.position < length));
    let bytes = entries(disk, &time_index_path(directory, base), MOMENT_BYTES)?;
    let moments: Vec<Moment> = moments(&bytes, base).collect();
    let begins_well = places.first().is_some_and(|first| first.position == 0);
    let places_rise = places.is_sorted_by(|a, b| a.offset < b.offset && a.position < b.position);
    let moments_rise = moments.is_sorted_by(|a, b| a.latest < b.latest && a.offset < b.offset);
    let is_within = moments.iter().all(|moment| (base..end).contains(&moment.offset));
    if !(begins_well && places_rise && moments_rise && is_within) {
        return None;
    }
    let latest = moments.last().copied();
    let (index, place) = Index::from_entries(config, places, moments)?;
    Some(Told { index, place, latest })
}

/// The entries in the bytes of an offset index.
pub(crate) fn places(bytes: &[u8], base: Offset) -> impl Iterator<Item = Place> {
    let entries = bytes.chunks_exact(PLACE_BYTES);
    entries.map(move |entry| Place { offset: base.plus(number(&entry[..4])), position: number(&entry[4..]) as u64 })
}

/// The entries in the bytes of a time index.
pub(crate) fn moments(bytes: &[u8], base: Offset) -> impl Iterator<Item = Moment> {
    let entries = bytes.chunks_exact(MOMENT_BYTES);
    entries.map(move |entry| Moment { latest: Timestamp(number(&entry[..8])), offset: base.plus(number(&entry[8..])) })
}

/// Removes the index files of the segment at `base`, as far as they are there.
pub(crate) fn remove<D: Disk>(disk: &D, directory: &str, base: Offset) -> io::Result<()> {
    for path in [index_path(directory, base), time_index_path(directory, base)] {
        match disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The bytes of an index file, if they can be entries.
fn entries<D: Disk>(disk: &D, path: &str, entry_bytes: usize) -> Option<Vec<u8>> {
    match checkpoint::read_file(disk, path) {
        Ok(bytes) => bytes.filter(|bytes| bytes.len() % entry_bytes == 0),
        Err(error) => {
            tracing::warn!(path, %error, "an index cannot be read, and is made again");
            None
        }
    }
}

/// A signed number of four or eight bytes.
fn number(bytes: &[u8]) -> i64 {
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(sign, |value, &byte| value << 8 | i64::from(byte))
}
