//! Reads the files of a log one at a time, as they lie there: for people who look into them. Nothing is opened as a log, cut or
//! mended, and no more than one batch, or one small file, is in memory.

use std::io;

use bytes::{Bytes, BytesMut};
use host::File;
use model::{BatchHeader, Epochs, Offset, Producers, SnapshotId, Timestamp};
use thiserror::Error;

use crate::index::{MOMENT_BYTES, PLACE_BYTES};
use crate::walk::{HEADER_CHUNK, WHOLE_CHUNK, Walk, WalkError};
use crate::{
    anew, compaction, epoch_checkpoint, index_files, log_snapshot, log_start, producer_snapshot, recovery,
    recovery_point,
};

/// Largest batch whose records are read: many times what any broker takes.
pub const BATCH_BYTES_MAX: usize = 256 << 20;

/// What a file in a log's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// Batches, from this offset on.
    Segment(Offset),
    OffsetIndex(Offset),
    TimeIndex(Offset),
    /// The producers of all batches before this offset.
    Producers(Offset),
    LeaderEpochs,
    RecoveryPoint,
    LogStart,
    Compacted,
    /// Batches that stand for all that the log had below an offset.
    Snapshot(SnapshotId),
}

/// What a file says that is no segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Batches by their first offset, and where each stands in the segment.
    OffsetIndex(Vec<(Offset, u64)>),
    /// The latest timestamps of the segment, and the first offset of the batch that has each.
    TimeIndex(Vec<(Timestamp, Offset)>),
    Producers(Producers),
    LeaderEpochs(Epochs),
    /// The segment that begins here is synced up to this position, and so are those before it.
    RecoveryPoint(Offset, u64),
    LogStart(Offset),
    /// The log is compacted up to here.
    Compacted(Offset),
}

/// A batch of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundBatch {
    pub position: u64,
    pub header: BatchHeader,
    pub has_valid_checksum: bool,
}

/// Why a file cannot be read on.
#[derive(Debug, Error)]
pub enum InspectError {
    #[error("it cannot be read at byte {position}: {error}")]
    Unreadable { position: u64, error: io::Error },
    #[error("it is damaged at byte {position}: {reason}")]
    Damaged { position: u64, reason: String },
}

impl LogFile {
    /// None if a log has no file of this name.
    pub fn of(name: &str) -> Option<LogFile> {
        match name {
            epoch_checkpoint::FILE_NAME => return Some(LogFile::LeaderEpochs),
            recovery_point::FILE_NAME => return Some(LogFile::RecoveryPoint),
            log_start::FILE_NAME | anew::FILE_NAME => return Some(LogFile::LogStart),
            compaction::CHECKPOINT => return Some(LogFile::Compacted),
            _ => {}
        }
        let is_time_index = name.ends_with(".timeindex");
        let index = |base| if is_time_index { LogFile::TimeIndex(base) } else { LogFile::OffsetIndex(base) };
        let segment = recovery::base_of(name).map(LogFile::Segment);
        let snapshot = || producer_snapshot::offset_of(name).map(LogFile::Producers);
        let kept = || log_snapshot::id_of(name).map(LogFile::Snapshot);
        segment.or_else(|| index_files::base_of(name).map(index)).or_else(snapshot).or_else(kept)
    }
}

/// What the bytes of a file say that is no segment; of a segment or a snapshot, nothing.
///
/// # Errors
/// If they are not what the file's name says.
pub fn content(file: LogFile, bytes: &[u8]) -> Result<Option<Content>, InspectError> {
    let text = || std::str::from_utf8(bytes).ok();
    let content = match file {
        LogFile::Segment(_) | LogFile::Snapshot(_) => return Ok(None),
        LogFile::OffsetIndex(base) => return offset_index(bytes, base).map(Some),
        LogFile::TimeIndex(base) => return time_index(bytes, base).map(Some),
        LogFile::Producers(_) => producer_snapshot::decode(bytes).map(Content::Producers),
        LogFile::LeaderEpochs => text().and_then(epoch_checkpoint::from_text).map(Content::LeaderEpochs),
        LogFile::RecoveryPoint => text().and_then(recovery_point::RecoveryPoint::from_text).map(point),
        LogFile::LogStart => text().and_then(log_start::from_text).map(Content::LogStart),
        LogFile::Compacted => text().and_then(log_start::from_text).map(Content::Compacted),
    };
    let damaged = || InspectError::Damaged { position: 0, reason: "its checksum or its form is wrong".into() };
    content.map(Some).ok_or_else(damaged)
}

fn point(point: recovery_point::RecoveryPoint) -> Content {
    Content::RecoveryPoint(point.segment, point.position)
}

fn offset_index(bytes: &[u8], base: Offset) -> Result<Content, InspectError> {
    is_whole(bytes, PLACE_BYTES)?;
    let places: Vec<_> = index_files::places(bytes, base).map(|place| (place.offset, place.position)).collect();
    rises(&places, PLACE_BYTES, |before, after| before.0 < after.0 && before.1 < after.1)?;
    Ok(Content::OffsetIndex(places))
}

fn time_index(bytes: &[u8], base: Offset) -> Result<Content, InspectError> {
    is_whole(bytes, MOMENT_BYTES)?;
    let moments: Vec<_> = index_files::moments(bytes, base).map(|moment| (moment.latest, moment.offset)).collect();
    rises(&moments, MOMENT_BYTES, |before, after| before.0 < after.0 && before.1 < after.1)?;
    Ok(Content::TimeIndex(moments))
}

fn is_whole(bytes: &[u8], entry_bytes: usize) -> Result<(), InspectError> {
    match bytes.len() % entry_bytes {
        0 => Ok(()),
        rest => {
            let reason = format!("{rest} bytes are left over, and an entry has {entry_bytes}");
            Err(InspectError::Damaged { position: (bytes.len() - rest) as u64, reason })
        }
    }
}

fn rises<T>(entries: &[T], entry_bytes: usize, is_next: impl Fn(&T, &T) -> bool) -> Result<(), InspectError> {
    match entries.windows(2).position(|pair| !is_next(&pair[0], &pair[1])) {
        None => Ok(()),
        Some(before) => {
            let position = ((before + 1) * entry_bytes) as u64;
            Err(InspectError::Damaged { position, reason: "the entry is not after the one before it".into() })
        }
    }
}

/// The batches of a segment's file, one after the other, whatever log they belong to.
pub struct Batches<'a, F: File> {
    file: &'a F,
    walk: Walk<'a, F>,
}

impl<'a, F: File> Batches<'a, F> {
    /// # Errors
    /// Those of the disk.
    pub fn of(file: &'a F) -> io::Result<Batches<'a, F>> {
        Ok(Batches { file, walk: Walk::new(file, 0, file.length()?, HEADER_CHUNK) })
    }

    /// The next one; none at the file's end.
    ///
    /// # Errors
    /// If there is no whole batch: nothing behind that can be found.
    pub fn next_batch(&mut self) -> Result<Option<FoundBatch>, InspectError> {
        let position = self.walk.position();
        let header = self.walk.peek().map_err(|error| match error {
            WalkError::Read(error) => InspectError::Unreadable { position, error },
            WalkError::Damage(error) => InspectError::Damaged { position, reason: error.to_string() },
        })?;
        let Some(header) = header else { return Ok(None) };
        self.walk.step(&header);
        let has_valid_checksum = self.checksum(position, &header)? == header.crc;
        Ok(Some(FoundBatch { position, header, has_valid_checksum }))
    }

    /// The bytes of a batch that was found here.
    ///
    /// # Errors
    /// If they cannot be read, or are more than [`BATCH_BYTES_MAX`].
    pub fn bytes(&self, batch: &FoundBatch) -> Result<Bytes, InspectError> {
        let (position, size) = (batch.position, batch.header.size);
        if BATCH_BYTES_MAX < size {
            let reason = format!("the batch has {size} bytes, and records are read of {BATCH_BYTES_MAX} at most");
            return Err(InspectError::Damaged { position, reason });
        }
        let mut bytes = BytesMut::zeroed(size);
        self.fill(position, &mut bytes)?;
        Ok(bytes.freeze())
    }

    /// The checksum of a batch's bytes, however many they are.
    fn checksum(&self, position: u64, header: &BatchHeader) -> Result<u32, InspectError> {
        let mut checksum = 0;
        let mut done = model::BATCH_CHECKSUM_FROM;
        let mut chunk = vec![0; WHOLE_CHUNK.min(header.size)];
        while done < header.size {
            let part = chunk.len().min(header.size - done);
            self.fill(position + done as u64, &mut chunk[..part])?;
            checksum = crc32c::crc32c_append(checksum, &chunk[..part]);
            done += part;
        }
        Ok(checksum)
    }

    fn fill(&self, position: u64, buffer: &mut [u8]) -> Result<(), InspectError> {
        let have = self.file.read_at(position, buffer).map_err(|error| InspectError::Unreadable { position, error })?;
        if have < buffer.len() {
            let reason = format!("the file ends after {have} of {} bytes", buffer.len());
            return Err(InspectError::Damaged { position, reason });
        }
        Ok(())
    }
}
