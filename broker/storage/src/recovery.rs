//! Opening a log: what is whole is kept, a torn tail is cut, rot is named.
//!
//! A segment ends where the next one begins, even if its file goes on: the next file was begun by a truncation. Where a batch
//! is not whole, its checksum is wrong or its offset is not the next one, the log's end was torn, and everything from there on
//! goes, later segments too. Unless it lies below the recovery point: those bytes were safe, and losing them is not ours to
//! decide.

use host::{Disk, File};
use model::{BatchHeader, Bug, Epochs, Offset};

use crate::recovery_point::RecoveryPoint;
use crate::segment::Segment;
use crate::walk::{HEADER_CHUNK, WHOLE_CHUNK, Walk, WalkError};
use crate::{LogConfig, StorageError, checkpoint};

/// What opening a log found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off. Nothing in them was ever synced.
    pub cut_bytes: u64,
    /// Bytes whose checksums were verified; the rest lies below the recovery point.
    pub verified_bytes: u64,
}

pub(crate) struct Recovered<F: File> {
    pub(crate) segments: Vec<Segment<F>>,
    pub(crate) epochs: Epochs,
    pub(crate) point: Option<RecoveryPoint>,
    pub(crate) recovery: Recovery,
}

/// Name of the segment file whose first record is at `base`.
pub(crate) fn segment_path(directory: &str, base: Offset) -> String {
    format!("{directory}/{base:0>20}.log")
}

pub(crate) async fn recover<D: Disk>(
    disk: &D,
    directory: &str,
    config: &LogConfig,
) -> Result<Recovered<D::File>, StorageError> {
    let failed = |error| StorageError::of(directory, &error);
    let names = match disk.list(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            checkpoint::create_directory(disk, directory).await.map_err(failed)?;
            Vec::new()
        }
        other => other.map_err(failed)?,
    };
    for leftover in names.iter().filter(|name| name.ends_with(".tmp")) {
        model::reached!("a half-written file was left by a crash");
        disk.remove(&format!("{directory}/{leftover}")).map_err(failed)?;
    }
    let point = RecoveryPoint::read(disk, directory).map_err(failed)?;
    let bases: Vec<Offset> = names.iter().filter_map(|name| base_of(name)).collect();
    if let Some(point) = point
        && !bases.contains(&point.segment)
    {
        let file = segment_path(directory, point.segment);
        return Err(StorageError::Corrupt { file, position: 0, reason: "the file is missing".into() });
    }

    let mut recovered =
        Recovered { segments: Vec::new(), epochs: Epochs::default(), point, recovery: Recovery::default() };
    let mut bases = bases.into_iter().peekable();
    while let Some(base) = bases.next() {
        let path = segment_path(directory, base);
        let file = disk.open(&path).map_err(|error| StorageError::of(&path, &error))?;
        let file_length = file.length().map_err(|error| StorageError::of(&path, &error))?;
        let mut segment = Segment::new(base, path, file, config.index_interval_bytes);
        let synced_bytes = point.map_or(0, |point| point.synced_bytes(base));
        let torn = scan(&mut segment, file_length, bases.peek().copied(), synced_bytes, config, &mut recovered)?;
        segment.synced_length = segment.length.min(synced_bytes);

        if segment.length < file_length {
            segment.file.set_length(segment.length).map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.has_surplus = true;
        }
        if torn {
            recovered.recovery.cut_bytes += file_length - segment.length;
            // Last to first: should the power go meanwhile, what is left is still the beginning of the log.
            let later: Vec<Offset> = bases.by_ref().collect();
            for base in later.into_iter().rev() {
                model::reached!("a segment after a torn one was removed");
                recovered.recovery.cut_bytes += remove(disk, &segment_path(directory, base))?;
            }
        }
        recovered.segments.push(segment);
    }
    if recovered.segments.is_empty() {
        let path = segment_path(directory, Offset::ZERO);
        let file = disk.create(&path).map_err(|error| StorageError::of(&path, &error))?;
        recovered.segments.push(Segment::new(Offset::ZERO, path, file, config.index_interval_bytes));
    }

    // What a crash left in the page cache, and what was cut, must be safe before anything is built on it.
    for segment in &mut recovered.segments {
        if segment.has_surplus || segment.synced_length < segment.length {
            write_again(segment).map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.file.sync().await.map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.synced_length = segment.length;
            segment.has_surplus = false;
        }
    }
    disk.sync_directory(directory).await.map_err(failed)?;
    Ok(recovered)
}

/// Writes what may not be safe once more, the same bytes: if a sync failed before, the page cache counts them as written though the
/// device has lost them, and no sync would ever write them.
fn write_again<F: File>(segment: &Segment<F>) -> std::io::Result<()> {
    let mut position = segment.synced_length;
    let mut buffer = vec![0; WHOLE_CHUNK];
    while position < segment.length {
        let want = (segment.length - position).min(WHOLE_CHUNK as u64) as usize;
        let have = segment.file.read_at(position, &mut buffer[..want])?;
        if have == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        segment.file.write_at(position, &buffer[..have])?;
        position += have as u64;
    }
    Ok(())
}

/// Takes the whole batches of a segment's file, and says whether they end before they should.
fn scan<F: File>(
    segment: &mut Segment<F>,
    file_length: u64,
    next_base: Option<Offset>,
    synced_bytes: u64,
    config: &LogConfig,
    recovered: &mut Recovered<F>,
) -> Result<bool, StorageError> {
    let verify = !config.planted.has(Bug::RecoveryTrustsTornTail);
    let mut expected = recovered.segments.last().map_or(segment.base, |last| last.end);
    let file = segment.file.clone();
    let chunk = if synced_bytes < file_length { WHOLE_CHUNK } else { HEADER_CHUNK };
    let mut walk = Walk::new(&file, 0, file_length, chunk);
    let damage = loop {
        if next_base == Some(expected) {
            return Ok(false);
        }
        let position = walk.position();
        let header = match walk.peek() {
            Ok(Some(header)) => header,
            Ok(None) if next_base.is_some() => break format!("the file ends before offset {expected}"),
            Ok(None) if position < synced_bytes && synced_bytes != u64::MAX => {
                break format!("the file ends before byte {synced_bytes}");
            }
            Ok(None) => return Ok(false),
            Err(WalkError::Damage(error)) => break error.to_string(),
            Err(error) => return Err(segment.refused(position, error)),
        };
        if header.base_offset != expected {
            break format!("the batch has offset {} in the place of {expected}", header.base_offset);
        }
        if next_base.is_some_and(|next| next < header.end_offset()) {
            break format!("the batch ends at {} and reaches into the next file", header.end_offset());
        }
        if recovered.epochs.last().is_some_and(|last| header.leader_epoch < last) {
            break format!("the batch at offset {expected} has an epoch before the last one");
        }
        if synced_bytes < position + header.size as u64 && verify {
            let batch = walk.batch(&header).map_err(|error| segment.refused(position, error))?;
            if let Err(error) = BatchHeader::verify(batch) {
                break error.to_string();
            }
            recovered.recovery.verified_bytes += header.size as u64;
        }
        recovered.epochs.assign(header.leader_epoch, header.base_offset);
        segment.note(&header);
        walk.step(&header);
        expected = header.end_offset();
    };
    if walk.position() < synced_bytes {
        return Err(StorageError::Corrupt { file: segment.path.clone(), position: walk.position(), reason: damage });
    }
    model::reached!("a torn tail was cut");
    tracing::warn!(file = segment.path, position = walk.position(), damage, "a torn tail is cut");
    Ok(true)
}

/// Removes a file and says how long it was.
fn remove<D: Disk>(disk: &D, path: &str) -> Result<u64, StorageError> {
    let failed = |error| StorageError::of(path, &error);
    let length = disk.open(path).map_err(failed)?.length().map_err(failed)?;
    disk.remove(path).map_err(failed)?;
    Ok(length)
}

/// The base offset in a segment's file name.
fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(Offset))?
}
