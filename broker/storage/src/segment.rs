//! One file of a log, and how batches are found in it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use host::{File, FileRange};
use model::{BatchError, BatchHeader, Offset, Timestamp, batches};

use crate::index::{Index, Moment, Place};
use crate::recent::{RecentBatches, Ticket};
use crate::walk::{HEADER_CHUNK, WHOLE_CHUNK, Walk, WalkError, refused};
use crate::{LogConfig, StorageError};

/// Batches at a segment's end whose place is known without reading: whoever keeps up reads these.
const TAIL_MAX: usize = 16;

/// As many entries of each index that will be written again are compared with their batches: those of some megabytes.
const ENTRIES_PROVEN_MAX: usize = 1024;

/// Fewer bytes are read and looked at before they are sent: that costs little, and finds rot early.
const SENT_BYTES_MIN: u64 = 64 << 10;

pub(crate) struct Segment<F: File> {
    pub(crate) base: Offset,
    /// The offset after its last record; the base if it has none.
    pub(crate) end: Offset,
    pub(crate) path: String,
    pub(crate) file: F,
    /// Bytes that belong to the log. The file may be longer while a truncation is not yet safe.
    pub(crate) length: u64,
    /// Bytes that outlive a loss of power.
    pub(crate) synced_length: u64,
    /// The file is longer than `length`: the next segment's file says where it ends.
    pub(crate) has_surplus: bool,
    pub(crate) index: Index,
    /// Index files stand beside it. They may lack what came later; and after a start that could not go by them, be wrong until they are made again.
    pub(crate) has_index_files: bool,
    /// The bytes of it that those files tell of.
    pub(crate) indexed_length: u64,
    /// The timestamp of its first batch: how old it is, for whoever rolls it by age.
    pub(crate) first_time: Option<Timestamp>,
    /// The last batches, oldest first.
    tail: VecDeque<Recent>,
}

/// A batch and where it stands in its segment.
type Found = (u64, BatchHeader);

/// One of the last batches of a segment.
struct Recent {
    position: u64,
    header: BatchHeader,
    /// Where it may still be in memory: in what was put there at once, and at which of its bytes.
    kept: Option<(Ticket, usize)>,
}

impl<F: File> Segment<F> {
    pub(crate) fn new(base: Offset, path: String, file: F, config: &LogConfig) -> Segment<F> {
        Segment {
            base,
            end: base,
            path,
            file,
            length: 0,
            synced_length: 0,
            has_surplus: false,
            index: Index::new(config),
            has_index_files: false,
            indexed_length: 0,
            first_time: None,
            tail: VecDeque::new(),
        }
    }

    /// Takes the batch at the segment's end for its own.
    pub(crate) fn note(&mut self, header: &BatchHeader) {
        self.index.note(header, self.length);
        if self.length == 0 {
            self.first_time = Some(header.max_timestamp).filter(|&time| Timestamp(0) <= time);
        }
        if self.tail.len() == TAIL_MAX {
            self.tail.pop_front();
        }
        self.tail.push_back(Recent { position: self.length, header: *header, kept: None });
        self.length += header.size as u64;
        self.end = header.end_offset();
    }

    /// Its index was kept, and `place` was the last in it: from there on batches are noted again.
    pub(crate) fn go_on_from(&mut self, place: Place) {
        self.length = place.position;
        self.end = place.offset;
    }

    /// The timestamp of the first batch, if there is one and it has any.
    pub(crate) fn read_first_time(&self, file_length: u64) -> Result<Option<Timestamp>, StorageError> {
        let mut walk = Walk::new(&self.file, 0, file_length, HEADER_CHUNK);
        let first = walk.peek().map_err(|error| self.refused(0, error))?;
        Ok(first.map(|header| header.max_timestamp).filter(|&time| Timestamp(0) <= time))
    }

    /// Reads the header of each of its batches.
    pub(crate) fn each_header(&self, mut take: impl FnMut(&BatchHeader)) -> Result<(), StorageError> {
        let mut walk = Walk::new(&self.file, 0, self.length, HEADER_CHUNK);
        while let Some(header) = walk.peek().map_err(|error| self.refused(walk.position(), error))? {
            take(&header);
            walk.step(&header);
        }
        Ok(())
    }

    /// Gives up the batches from `position` on, the first of which begins at `end`. The file keeps its bytes.
    pub(crate) fn cut(&mut self, position: u64, end: Offset) -> Result<(), StorageError> {
        // What was rotten would be written again, as if it were true.
        let is_true = self.has_true_entries();
        let mut index = if is_true { self.index.clone() } else { self.index.anew() };
        let from = index.forget_from(position).map_or(0, |place| place.position);
        let mut walk = Walk::new(&self.file, from, position, WHOLE_CHUNK);
        while let Some(header) = walk.verified().map_err(|error| self.refused(walk.position(), error))? {
            index.note(&header, walk.position());
            walk.step(&header);
        }
        self.index = index;
        self.indexed_length = 0;
        self.tail.retain(|recent| recent.position < position);
        self.has_surplus |= position < self.length;
        self.length = position;
        self.synced_length = self.synced_length.min(position);
        self.end = end;
        Ok(())
    }

    /// Are the newest entries of its indexes, as far as they come from files, those of their batches? Rot may have made others of them that
    /// have the order of the rest.
    pub(crate) fn has_true_entries(&self) -> bool {
        let places = self.index.places_to_prove(ENTRIES_PROVEN_MAX);
        places.iter().all(|place| self.is_there(*place)) && self.has_true_moments(ENTRIES_PROVEN_MAX)
    }

    /// As far as the newest moments go.
    pub(crate) fn has_true_moments(&self, most: usize) -> bool {
        self.index.moments_to_prove(most).iter().all(|moment| self.is_true(*moment))
    }

    fn is_there(&self, place: Place) -> bool {
        let mut walk = Walk::new(&self.file, place.position, self.length, HEADER_CHUNK);
        matches!(walk.peek(), Ok(Some(header)) if header.base_offset == place.offset)
    }

    pub(crate) fn is_true(&self, moment: Moment) -> bool {
        let found = self.find(self.index.before(moment.offset), |header| moment.offset <= header.last_offset());
        let is_that =
            |header: &BatchHeader| (header.base_offset, header.max_timestamp) == (moment.offset, moment.latest);
        // Where the batches make no sense it is not for the index to say so.
        found.map_or(true, |found| found.is_some_and(|(_, header)| is_that(&header)))
    }

    /// The first batch whose last offset is at or after `offset`.
    pub(crate) fn locate(&self, offset: Offset) -> Result<Option<Found>, StorageError> {
        if let Some(at) = self.locate_recent(offset) {
            return Ok(self.tail.get(at).map(|recent| (recent.position, recent.header)));
        }
        self.find(self.index.before(offset), |header| offset <= header.last_offset())
    }

    /// The same, if one of the last batches is it, or there is none: its number among them.
    fn locate_recent(&self, offset: Offset) -> Option<usize> {
        let first = self.tail.front()?;
        (first.header.base_offset <= offset)
            .then(|| self.tail.partition_point(|recent| recent.header.last_offset() < offset))
    }

    /// The batches in `bytes` are the segment's last, and may be had from there.
    pub(crate) fn keep(&mut self, recent: &RecentBatches, bytes: &Bytes) {
        let ticket = recent.put(bytes);
        let begin = self.length - bytes.len() as u64;
        for batch in self.tail.iter_mut().rev().take_while(|batch| begin <= batch.position) {
            batch.kept = Some((ticket, (batch.position - begin) as usize));
        }
    }

    /// What [`Segment::read`] would give, if all of it is still in memory.
    pub(crate) fn read_recent(
        &self,
        recent: &RecentBatches,
        from: Offset,
        below: Offset,
        bytes_max: usize,
    ) -> Option<Bytes> {
        let first = self.locate_recent(from)?;
        let mut found: Option<Bytes> = None;
        let mut joined = BytesMut::new();
        let mut room = bytes_max.max(self.tail.get(first)?.header.size);
        let fits = |batch: &&Recent| {
            let fits = batch.header.base_offset < below && batch.header.size <= room;
            room = room.saturating_sub(batch.header.size);
            fits
        };
        let mut wanted = self.tail.range(first..).take_while(fits).peekable();
        while let Some(batch) = wanted.next() {
            let (ticket, begin) = batch.kept?;
            let mut end = begin + batch.header.size;
            // Those that came with it lie beside it.
            while let Some(next) = wanted.next_if(|next| next.kept == Some((ticket, end))) {
                end += next.header.size;
            }
            let part = recent.get(ticket)?.slice(begin..end);
            match found.take() {
                None if joined.is_empty() => found = Some(part),
                before => {
                    joined.extend_from_slice(&before.unwrap_or_default());
                    joined.extend_from_slice(&part);
                }
            }
        }
        Some(found.unwrap_or_else(|| joined.freeze()))
    }

    /// The first batch that has a timestamp at or after `at`, and an offset at or after `from`.
    pub(crate) fn locate_time(&self, at: Timestamp, from: Offset) -> Result<Option<Found>, StorageError> {
        if self.index.latest() < at || self.end <= from {
            return Ok(None);
        }
        let moment = self.index.moment_before(at).filter(|moment| !self.index.is_from_files() || self.is_true(*moment));
        let places = [moment.and_then(|moment| self.index.before(moment.offset)), self.index.before(from)];
        let place = places.into_iter().flatten().max_by_key(|place| place.position);
        self.find(place, |header| from <= header.last_offset() && at <= header.max_timestamp)
    }

    /// The latest timestamp from the batch on that holds `from`; the smallest there is if there is no such batch.
    pub(crate) fn latest_from(&self, from: Offset) -> Result<Timestamp, StorageError> {
        let mut latest = Timestamp(i64::MIN);
        let mut next = from;
        while let Some((_, header)) = self.locate(next)? {
            latest = latest.max(header.max_timestamp);
            next = header.end_offset();
        }
        Ok(latest)
    }

    /// Walks from the place that the index knows. Should that be wrong, from the beginning: the segment is what counts.
    fn find(&self, from: Option<Place>, is_it: impl Fn(&BatchHeader) -> bool) -> Result<Option<Found>, StorageError> {
        let first = Place { offset: self.base, position: 0 };
        let from = from.unwrap_or(first);
        match self.find_from(from, &is_it) {
            Err(_) if from != first => self.find_from(first, &is_it),
            result => result,
        }
    }

    fn find_from(&self, from: Place, is_it: impl Fn(&BatchHeader) -> bool) -> Result<Option<Found>, StorageError> {
        let mut expected = from.offset;
        let mut walk = Walk::new(&self.file, from.position, self.length, HEADER_CHUNK);
        while let Some(header) = walk.peek().map_err(|error| self.refused(walk.position(), error))? {
            self.follows(expected, &header, walk.position())?;
            if is_it(&header) {
                return Ok(Some((walk.position(), header)));
            }
            expected = header.end_offset();
            walk.step(&header);
        }
        Ok(None)
    }

    /// Offsets are not under a batch's checksum: that each begins where the one before ended proves them.
    pub(crate) fn follows(&self, expected: Offset, header: &BatchHeader, position: u64) -> Result<(), StorageError> {
        if header.base_offset == expected {
            return Ok(());
        }
        let reason = format!("the batch has offset {} in the place of {expected}", header.base_offset);
        Err(StorageError::Corrupt { file: self.path.clone(), position, reason })
    }

    /// Whole batches from the one that holds `from`, none that begins at or after `below`; at least one, even if larger than
    /// `bytes_max`.
    pub(crate) fn read(&self, from: Offset, below: Offset, bytes_max: usize) -> Result<Bytes, StorageError> {
        let Some((position, first)) = self.locate(from)? else { return Ok(Bytes::new()) };
        if below <= first.base_offset {
            return Ok(Bytes::new());
        }
        let limit = self.position_of_first_from(below)?;
        let want = (limit - position).min(bytes_max.max(first.size) as u64) as usize;
        let mut bytes = self.read_exactly(position, want)?;
        // The header that led here may be one that memory kept.
        let head = BatchHeader::parse(&bytes).map_err(|error| self.refused(position, WalkError::Damage(error)))?;
        self.follows(first.base_offset, &head, position)?;
        let whole: usize = batches(&bytes).map_while(Result::ok).map(|(header, _)| header.size).sum();
        if whole == 0 {
            let error = BatchError::Truncated { have: bytes.len(), need: head.size };
            return Err(self.refused(position, WalkError::Damage(error)));
        }
        bytes.truncate(whole);
        Ok(bytes.freeze())
    }

    /// Those of [`Segment::read`], to be sent as they lie in the file. None if they are few, or the disk has no such way.
    pub(crate) fn range(
        &self,
        from: Offset,
        below: Offset,
        bytes_max: usize,
    ) -> Result<Option<FileRange>, StorageError> {
        let Some((position, first)) = self.locate(from)? else { return Ok(None) };
        let most = position + bytes_max.max(first.size) as u64;
        if below <= first.base_offset || most < position + SENT_BYTES_MIN {
            return Ok(None);
        }
        let limit = self.position_of_first_from(below)?;
        let end = if limit <= most { limit } else { self.last_end_up_to(most, position)? };
        let length = (end - position) as usize;
        Ok(if position + SENT_BYTES_MIN <= end { self.file.range(position, length) } else { None })
    }

    /// Where the last batch ends that does so at or before `most`, which lies behind the batch at `position`.
    fn last_end_up_to(&self, most: u64, position: u64) -> Result<u64, StorageError> {
        let known = self.index.before_position(most).map_or(0, |place| place.position);
        let mut walk = Walk::new(&self.file, known.max(position), self.length, HEADER_CHUNK);
        while let Some(header) = walk.peek().map_err(|error| self.refused(walk.position(), error))?
            && walk.position() + header.size as u64 <= most
        {
            walk.step(&header);
        }
        Ok(walk.position())
    }

    pub(crate) fn read_exactly(&self, position: u64, length: usize) -> Result<BytesMut, StorageError> {
        let mut bytes = BytesMut::zeroed(length);
        let have =
            self.file.read_at(position, &mut bytes).map_err(|error| self.refused(position, WalkError::Read(error)))?;
        if have < length {
            let reason = format!("the file ends after {have} of {length} bytes");
            return Err(StorageError::Corrupt { file: self.path.clone(), position, reason });
        }
        Ok(bytes)
    }

    /// Where the first batch stands that begins at or after `offset`; the segment's length if there is none.
    fn position_of_first_from(&self, offset: Offset) -> Result<u64, StorageError> {
        if self.end <= offset {
            return Ok(self.length);
        }
        Ok(match self.locate(offset)? {
            Some((position, header)) if offset <= header.base_offset => position,
            Some((position, header)) => position + header.size as u64,
            None => self.length,
        })
    }

    pub(crate) fn refused(&self, position: u64, error: WalkError) -> StorageError {
        refused(&self.path, position, error)
    }
}
