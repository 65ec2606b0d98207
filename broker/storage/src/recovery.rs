//! Opening a log: what is whole is kept, a torn tail is cut, rot is named.
//!
//! A segment ends where the next one begins, even if its file goes on: the next file was begun by a truncation. Where a batch
//! is not whole, its checksum is wrong or its offset is not the next one, the log's end was torn, and everything from there on
//! goes, later segments too. Unless it lies below the recovery point: those bytes were safe, and losing them is not ours to
//! decide.
//!
//! Of what lies below the recovery point nothing is read but the index files and the checkpoint of the leader epochs, and the batches
//! after each index's last entry; of the last segment these may be some, since its index follows from time to time. Should they not agree,
//! the segment is walked as if they were not there. Every batch that is walked is verified, those that are known to be safe as well: an index
//! that was made from a header alone would keep its rot when the batch is long mended.

use host::{Disk, File};
use model::{Bug, Epochs, Offset, Producers};

use crate::producer_snapshot::{self, Snapshot};
use crate::recovery_point::{self, RecoveryPoint};
use crate::scan::{Damage, Known, Scan};
use crate::segment::Segment;
use crate::walk::WHOLE_CHUNK;
use crate::{LogConfig, StorageError, anew, checkpoint, compaction, epoch_checkpoint, index_files, log_start};

/// What opening a log found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off. Nothing in them was ever synced.
    pub cut_bytes: u64,
    /// Bytes whose checksums were verified; the rest lies below the recovery point, and an index on disk tells of it.
    pub verified_bytes: u64,
    /// Segments whose batches were walked from where their index ends, or all of them; the last one is always among them.
    pub walked_segments: usize,
    /// Where the log begins, empty, because an earlier life gave up what it had. It takes no records before it has
    /// [settled](crate::Log::begin_settling).
    pub begun_anew: Option<Offset>,
}

pub(crate) struct Recovered<F: File> {
    pub(crate) start: Offset,
    pub(crate) segments: Vec<Segment<F>>,
    pub(crate) epochs: Epochs,
    pub(crate) producers: Producers,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) point: Option<RecoveryPoint>,
    /// What the checkpoint of the leader epochs says, if it can be read.
    pub(crate) kept_epochs: Option<Epochs>,
    pub(crate) compacted: Option<Offset>,
    pub(crate) recovery: Recovery,
}

/// Name of the segment file whose first record is at `base`.
pub(crate) fn segment_path(directory: &str, base: Offset) -> String {
    numbered(directory, base, ".log")
}

/// The path of a file that is named by an offset: twenty digits, so that names have the order of their offsets.
pub(crate) fn numbered(directory: &str, offset: Offset, suffix: &str) -> String {
    let mut digits = [b'0'; 20];
    let mut rest = offset.0.unsigned_abs();
    for digit in digits.iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    let mut path = String::with_capacity(directory.len() + 1 + digits.len() + suffix.len());
    path.push_str(directory);
    path.push('/');
    path.extend(digits.map(char::from));
    path.push_str(suffix);
    path
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
    let recovered = recover_from(disk, directory, config, &names).await;
    // What was made or removed here, if only by an attempt that failed: whoever comes next goes by the names that he finds.
    if names != disk.list(directory).map_err(failed)? {
        disk.sync_directory(directory).await.map_err(failed)?;
    }
    recovered
}

async fn recover_from<D: Disk>(
    disk: &D,
    directory: &str,
    config: &LogConfig,
    names: &[String],
) -> Result<Recovered<D::File>, StorageError> {
    let failed = |error| StorageError::of(directory, &error);
    for leftover in names.iter().filter(|name| name.ends_with(".tmp") || name.ends_with(compaction::UNFINISHED)) {
        model::reached!("a half-written file was left by a crash");
        disk.remove(&format!("{directory}/{leftover}")).map_err(failed)?;
    }
    let anew = anew::recover(disk, directory)?;
    let (start, names) = match anew {
        Some(to) => (to, &[][..]),
        None => (log_start::read_file(disk, directory, log_start::FILE_NAME)?.unwrap_or(Offset::ZERO), names),
    };
    let mut bases: Vec<Offset> = names.iter().filter_map(|name| base_of(name)).collect();
    let dead = bases.partition_point(|&base| base <= start).saturating_sub(1);
    for base in bases.drain(..dead) {
        model::reached!("a start removed a segment below the log's start");
        disk.remove(&segment_path(directory, base)).map_err(failed)?;
    }
    let indexed: Vec<_> = names.iter().filter_map(|name| Some((name, index_files::base_of(name)?))).collect();
    for (orphan, _) in indexed.iter().filter(|(_, base)| bases.binary_search(base).is_err()) {
        disk.remove(&format!("{directory}/{orphan}")).map_err(failed)?;
    }

    let point = RecoveryPoint::read(disk, directory).map_err(failed)?;
    let missing = |base| {
        let file = segment_path(directory, base);
        Err(StorageError::Corrupt { file, position: 0, reason: "the file is missing".into() })
    };
    match (bases.first(), point) {
        (Some(&first), _) if start < first => return missing(start),
        (first, Some(point))
            if first.is_none_or(|&first| first <= point.segment) && !bases.contains(&point.segment) =>
        {
            return missing(point.segment);
        }
        _ => {}
    }
    // A segment that retention took may have had the recovery point in it: the next one was not synced yet.
    let is_gone = |point: RecoveryPoint| !bases.contains(&point.segment);
    let point = match point {
        Some(point) if is_gone(point) => {
            model::reached!("a recovery point was found whose segment is gone");
            // It would vouch for another segment that begins where that one did.
            disk.remove(&format!("{directory}/{}", recovery_point::FILE_NAME)).map_err(failed)?;
            None
        }
        other => other,
    };

    let kept_epochs = epoch_checkpoint::read(disk, directory).map_err(failed)?;
    let known = point.and_then(|point| kept_epochs.clone().map(|epochs| Known { epochs, point }));
    let scan = Scan { disk, directory, config, point, start };
    let gathered = match known {
        Some(known) => match scan.run(&bases, Some(&known)) {
            Err(Damage::Epochs) => {
                tracing::warn!(
                    directory,
                    "the checkpoint of leader epochs does not agree with the log, which is walked"
                );
                scan.run(&bases, None)
            }
            gathered => gathered,
        },
        None => scan.run(&bases, None),
    };
    let mut recovered = gathered.map_err(Damage::into_error)?;
    // Whether or not their index was of use: it goes when they do.
    for segment in &mut recovered.segments {
        segment.has_index_files = indexed.iter().any(|(_, base)| *base == segment.base);
    }
    recovered.recovery.begun_anew = anew;
    recovered.kept_epochs = kept_epochs;
    // Before anything is cut: where that finds damage the log stays as it is.
    find_producers(disk, directory, config, names, &mut recovered)?;
    recovered.recovery.cut_bytes = cut(disk, directory, &bases, &mut recovered)?;
    if recovered.segments.last().is_none_or(|last| last.end < start) {
        begin_at(disk, directory, config, start, &mut recovered)?;
        find_producers(disk, directory, config, &disk.list(directory).map_err(failed)?, &mut recovered)?;
    }
    recovered.epochs.start_at(start);
    recovered.epochs.truncate_to(recovered.segments.last().map_or(start, |last| last.end));

    // What a crash left in the page cache, and what was cut, must be safe before anything is built on it.
    for segment in &mut recovered.segments {
        if segment.has_surplus || segment.synced_length < segment.length {
            write_again(segment).map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.file.sync().await.map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.synced_length = segment.length;
            segment.has_surplus = false;
        }
    }
    let end = recovered.segments.last().map_or(start, |last| last.end);
    recovered.compacted = compaction::read_checkpoint(disk, directory, start, end).map_err(failed)?;
    Ok(recovered)
}

/// What the segments and the snapshots beside them tell of producers.
fn find_producers<D: Disk>(
    disk: &D,
    directory: &str,
    config: &LogConfig,
    names: &[String],
    recovered: &mut Recovered<D::File>,
) -> Result<(), StorageError> {
    let Recovered { segments, snapshots, producers, .. } = recovered;
    *snapshots =
        sort_snapshots(disk, directory, names, segments).map_err(|error| StorageError::of(directory, &error))?;
    let Some(last) = segments.last().filter(|_| !config.planted.has(Bug::ForgetProducersOnRestart)) else {
        return Ok(());
    };
    *producers = producer_snapshot::rebuild(disk, directory, snapshots, segments, last.end, config.planted)?;
    Ok(())
}

/// The snapshots of producers that belong to these segments: one where each begins, the first one, which may stand for batches that are
/// gone, and the last one. The others are removed.
fn sort_snapshots<D: Disk>(
    disk: &D,
    directory: &str,
    names: &[String],
    segments: &[Segment<D::File>],
) -> std::io::Result<Vec<Snapshot>> {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return Ok(Vec::new()) };
    let is_within = |offset: &Offset| first.base <= *offset && *offset <= last.end;
    let mut offsets: Vec<Offset> = names.iter().filter_map(|name| producer_snapshot::offset_of(name)).collect();
    offsets.sort();
    let oldest = offsets.iter().copied().find(is_within);
    let newest = offsets.iter().copied().rfind(is_within);
    let mut snapshots = Vec::new();
    for offset in offsets {
        let begins_segment = segments.binary_search_by_key(&offset, |segment| segment.base).is_ok();
        if begins_segment || oldest == Some(offset) || newest == Some(offset) {
            snapshots.push(Snapshot { offset, unkept: None });
        } else {
            disk.remove(&producer_snapshot::path(directory, offset))?;
        }
    }
    Ok(snapshots)
}

/// Takes away what the files have beyond what was gathered, and says how many bytes of a torn tail went.
fn cut<D: Disk>(
    disk: &D,
    directory: &str,
    bases: &[Offset],
    recovered: &mut Recovered<D::File>,
) -> Result<u64, StorageError> {
    let mut cut_bytes = 0;
    let count = recovered.segments.len();
    for (index, segment) in recovered.segments.iter_mut().enumerate() {
        let file_length = segment.file.length().map_err(|error| StorageError::of(&segment.path, &error))?;
        if segment.length < file_length {
            segment.file.set_length(segment.length).map_err(|error| StorageError::of(&segment.path, &error))?;
            segment.has_surplus = true;
            if index + 1 == count {
                cut_bytes += file_length - segment.length;
            }
        }
    }
    // Last to first: should the power go meanwhile, what is left is still the beginning of the log.
    for &base in bases[count..].iter().rev() {
        model::reached!("a segment after a torn one was removed");
        cut_bytes += remove_segment(disk, directory, base)?;
    }
    Ok(cut_bytes)
}

/// Makes the log an empty one that begins at `start`: it is new, or what it had lies wholly below its start.
fn begin_at<D: Disk>(
    disk: &D,
    directory: &str,
    config: &LogConfig,
    start: Offset,
    recovered: &mut Recovered<D::File>,
) -> Result<(), StorageError> {
    if recovered.point.take().is_some() {
        let path = format!("{directory}/{}", recovery_point::FILE_NAME);
        disk.remove(&path).map_err(|error| StorageError::of(&path, &error))?;
    }
    let path = segment_path(directory, start);
    let file = disk.create(&path).map_err(|error| StorageError::of(&path, &error))?;
    for segment in std::mem::take(&mut recovered.segments) {
        remove_segment(disk, directory, segment.base)?;
    }
    recovered.epochs = Epochs::default();
    recovered.segments.push(Segment::new(start, path, file, config));
    Ok(())
}

/// Writes what may not be safe once more, the same bytes: if a sync failed before, the page cache counts them as written though the
/// device has lost them, and no sync would ever write them.
fn write_again<F: File>(segment: &Segment<F>) -> std::io::Result<()> {
    let mut position = segment.synced_length;
    let chunk = |position: u64| (segment.length - position).min(WHOLE_CHUNK as u64) as usize;
    let mut buffer = vec![0; chunk(position)];
    while position < segment.length {
        let want = chunk(position);
        let have = segment.file.read_at(position, &mut buffer[..want])?;
        if have == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        segment.file.write_at(position, &buffer[..have])?;
        position += have as u64;
    }
    Ok(())
}

/// Removes a segment's file, its index files before it, and says how long it was.
fn remove_segment<D: Disk>(disk: &D, directory: &str, base: Offset) -> Result<u64, StorageError> {
    let path = segment_path(directory, base);
    let failed = |error| StorageError::of(&path, &error);
    index_files::remove(disk, directory, base).map_err(failed)?;
    let length = disk.open(&path).map_err(failed)?.length().map_err(failed)?;
    disk.remove(&path).map_err(failed)?;
    Ok(length)
}

/// The base offset in a segment's file name.
pub(crate) fn base_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".log")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok().map(Offset))?
}
