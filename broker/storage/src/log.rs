//! A log: batches in the order of their offsets, in segments, the last of which is appended to.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use host::{Disk, File};
use model::{BatchHeader, Bug, Epochs, LeaderEpoch, Offset, Producers, Timestamp, batches};

use crate::error::Failure;
use crate::producer_snapshot::Snapshot;
use crate::recent::RecentBatches;
use crate::recovery::{self, Recovered, segment_path};
use crate::recovery_point::{self, RecoveryPoint};
use crate::segment::Segment;
use crate::sent::Records;
use crate::{LogConfig, Recovery, StorageError, index_files, timestamps};

/// The log of one replica. Its owner keeps it under a lock: nothing but [`Log::open`] and a [`PendingSync`](crate::PendingSync)
/// waits. After a write or a sync that failed, every call gives [`StorageError::Failed`].
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) directory: String,
    pub(crate) config: LogConfig,
    /// Oldest first, each beginning where the one before it ends; never none.
    pub(crate) segments: Vec<Segment<D::File>>,
    /// Records below are gone. It may lie in the middle of the first segment, even of a batch.
    pub(crate) start: Offset,
    pub(crate) epochs: Epochs,
    /// What the checkpoint on disk says of them.
    pub(crate) kept_epochs: Option<Epochs>,
    pub(crate) producers: Producers,
    /// Of the producers, oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) synced: Offset,
    /// The last segment takes no more: the next append begins a new one.
    pub(crate) is_sealed: bool,
    pub(crate) recovery_point: Option<RecoveryPoint>,
    /// Rises with every file that is made or removed; what `directory_synced` has reached is safe.
    pub(crate) directory_changes: u64,
    pub(crate) directory_synced: u64,
    pub(crate) truncations: u64,
    /// So many of them have left no file that is longer than what the log has of it.
    pub(crate) surplus_dropped: u64,
    /// How often compacted files took the place of others.
    pub(crate) rewrites: u64,
    /// Up to where it is compacted, as its checkpoint says.
    pub(crate) compacted: Option<Offset>,
    pub(crate) syncs_begun: u64,
    pub(crate) recent: Option<Arc<RecentBatches>>,
    /// False while it is being begun anew: nothing may be appended.
    pub(crate) is_settled: bool,
    /// Nothing changes any more.
    pub(crate) is_closed: bool,
    pub(crate) failure: Failure,
}

impl<D: Disk> Log<D> {
    /// Opens the log in `directory`, making it if there is none, and recovers it: afterwards everything in it is safe. What an earlier
    /// life named, renamed and removed there must be safe before ([`Disk::sync_names_below`]).
    ///
    /// # Errors
    /// `Corrupt` if bytes below the recovery point are damaged: they are left as they are; others as the disk gives them.
    pub async fn open(disk: &D, directory: &str, config: LogConfig) -> Result<(Log<D>, Recovery), StorageError> {
        let Recovered { start, segments, epochs, producers, snapshots, point, kept_epochs, compacted, recovery } =
            recovery::recover(disk, directory, &config).await?;
        let mut log = Log {
            disk: disk.clone(),
            directory: directory.into(),
            config,
            segments,
            start,
            epochs,
            kept_epochs,
            producers,
            snapshots,
            synced: Offset::ZERO,
            is_sealed: false,
            recovery_point: point,
            directory_changes: 0,
            directory_synced: 0,
            truncations: 0,
            surplus_dropped: 0,
            rewrites: 0,
            compacted,
            syncs_begun: 0,
            recent: None,
            is_settled: recovery.begun_anew.is_none(),
            is_closed: false,
            failure: Failure::default(),
        };
        log.synced = log.end();
        log.assert_invariants();
        Ok((log, recovery))
    }

    /// Goes by `config` from now on. What is written stays as it is.
    pub fn reconfigure(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// Has room in memory for what is appended last.
    pub fn keep_in(&mut self, recent: Arc<RecentBatches>) {
        self.recent = Some(recent);
    }

    /// The offset of the first record.
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The offset after the last record.
    pub fn end(&self) -> Offset {
        self.active().end
    }

    /// The bytes of its segments, those below its start among them.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Adds whole batches, whose offsets and epochs are stamped. They are written when this returns, and safe when a sync
    /// that begins later has ended.
    ///
    /// # Errors
    /// `Gap` or `Batch` if they are not what may come next; `Full` if there is no room. None of them is then in the log, and
    /// the log can still be used.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.may_change()?;
        assert!(self.is_settled, "a log that is being begun anew takes no records");
        let headers = self.admit(bytes)?;
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(()) };
        if first.base_offset < self.end() {
            self.begin_before_start(first.base_offset)?;
        } else if self.must_roll(bytes.len() as u64, last) {
            self.roll(bytes.len() as u64, first.base_offset)?;
        }

        let active = self.segments.len() - 1;
        let segment = &mut self.segments[active];
        if let Err(error) = segment.file.write_at(segment.length, bytes) {
            // Some of the bytes may be there. They are cut off, and their place in the file is not used again.
            let refused = StorageError::of(&segment.path, &error);
            let cut = segment.file.set_length(segment.length);
            if cut.is_err() || !matches!(refused, StorageError::Full { .. }) {
                return Err(self.failure.note(&segment.path, &error));
            }
            model::reached!("a full disk refused a batch");
            self.is_sealed = true;
            return Err(refused);
        }
        for header in &headers {
            segment.note(header);
            self.epochs.assign(header.leader_epoch, header.base_offset.max(self.start));
            if let Some(stamp) = header.stamp() {
                self.producers.note(&stamp, header.base_offset, header.end_offset());
            }
        }
        self.assert_invariants();
        Ok(())
    }

    /// As [`Log::append`]; the bytes may stay in memory, too, for those who read them soon.
    ///
    /// # Errors
    /// As for [`Log::append`].
    pub fn append_and_keep(&mut self, bytes: &Bytes) -> Result<(), StorageError> {
        self.append(bytes)?;
        if let (Some(recent), Some(active)) = (&self.recent, self.segments.last_mut()) {
            active.keep(recent, bytes);
        }
        Ok(())
    }

    /// Whole batches from the one that holds `from`, none that begins at or after `below`; at least one, even if larger than
    /// `bytes_max`; none if `from` is the log's end or not below `below`. May stop short at the end of a segment.
    ///
    /// # Errors
    /// `OutOfRange` if `from` is not in the log; `Corrupt` or `Unreadable` if the disk does not give back what was written.
    pub fn read(&self, from: Offset, below: Offset, bytes_max: usize) -> Result<Bytes, StorageError> {
        let Some(segment) = self.segment_to_read(from, below)? else { return Ok(Bytes::new()) };
        match self.read_recent(segment, from, below, bytes_max) {
            Some(recent) => Ok(recent),
            None => self.read_and_check(segment, from, below, bytes_max),
        }
    }

    /// As [`Log::read`], for somebody who only sends them: many that are not in memory stay where they are. Whoever gets those must
    /// look whether they are whole.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn read_to_send(&self, from: Offset, below: Offset, bytes_max: usize) -> Result<Records, StorageError> {
        let Some(segment) = self.segment_to_read(from, below)? else { return Ok(Records::default()) };
        if let Some(recent) = self.read_recent(segment, from, below, bytes_max) {
            return Ok(recent.into());
        }
        match segment.range(from, below, bytes_max)? {
            Some(range) => Ok(Records::InFile(range)),
            None => Ok(self.read_and_check(segment, from, below, bytes_max)?.into()),
        }
    }

    /// The segment that has the first batch; none if there is nothing to read.
    fn segment_to_read(&self, from: Offset, below: Offset) -> Result<Option<&Segment<D::File>>, StorageError> {
        self.failure.check()?;
        if from < self.start() || self.end() < from {
            return Err(StorageError::OutOfRange { offset: from, start: self.start(), end: self.end() });
        }
        let is_empty = from == self.end() || below <= from;
        Ok((!is_empty).then(|| &self.segments[self.segment_of(from)]))
    }

    fn read_recent(&self, segment: &Segment<D::File>, from: Offset, below: Offset, bytes_max: usize) -> Option<Bytes> {
        segment.read_recent(self.recent.as_ref()?, from, below, bytes_max)
    }

    fn read_and_check(
        &self,
        segment: &Segment<D::File>,
        from: Offset,
        below: Offset,
        bytes_max: usize,
    ) -> Result<Bytes, StorageError> {
        let bytes = segment.read(from, below, bytes_max)?;
        if !self.config.planted.has(Bug::RecoveryTrustsTornTail)
            && let Err((offset, reason)) = self.check(&bytes)
        {
            let position = segment.locate(offset)?.map_or(0, |(position, _)| position);
            return Err(StorageError::Corrupt { file: segment.path.clone(), position, reason });
        }
        Ok(bytes)
    }

    /// Removes every batch whose last offset is at or after `end`, so that the log ends at or before it.
    ///
    /// # Errors
    /// `Full` if there is no room for the new tail's file: then nothing was removed. Others are final.
    pub fn truncate_to(&mut self, end: Offset) -> Result<(), StorageError> {
        self.may_change()?;
        if self.end() <= end {
            return Ok(());
        }
        let end = end.max(self.start());
        let keep = self.segment_of(end);
        let Some((position, first_gone)) = self.segments[keep].locate(end)? else { return Ok(()) };
        // A log start in the middle of a batch stays where it is.
        let end = first_gone.base_offset.max(self.start);
        let base = self.segments[keep].base;
        let producers = self.producers_cut_at(end)?;

        // In this order: whatever part of it survives a loss of power, a start finds the beginning of one history.
        self.truncations += 1;
        if self.recovery_point.is_some_and(|point| position < point.synced_bytes(base)) {
            model::reached!("a truncation reached below the recovery point");
            self.recovery_point = None;
            self.remove(&format!("{}/{}", self.directory, recovery_point::FILE_NAME))?;
        }
        self.remove_snapshots_beyond(end)?;
        self.forget_compaction_from(end)?;
        // Their names go to other files.
        let first_renamed = if position == 0 { keep } else { keep + 1 };
        self.remove_indexes_of(first_renamed..self.segments.len())?;
        let is_in_last = keep + 1 == self.segments.len();
        if !is_in_last {
            model::reached!("a truncation reached into an older segment");
            self.move_tail_to(keep, end)?;
        }
        self.synced = self.synced.min(end);
        if self.epochs.epoch_at(end.plus(-1)) != self.epochs.epoch_at(self.end().plus(-1)) {
            model::reached!("a truncation took a whole epoch");
        }
        self.epochs.truncate_to(end);
        if let Some(producers) = producers {
            model::reached!("a truncation took batches of an idempotent producer");
            self.producers = producers;
        }
        let cut = self.segments[keep].cut(position, end);
        cut.map_err(|error| self.failure.keep(error))?;
        if is_in_last {
            self.is_sealed = true;
            match self.roll(0, end) {
                // The next append begins the new file, when there is room. Until then a crash brings the old tail back.
                Ok(()) | Err(StorageError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        } else if position == 0 {
            // The tail's file has taken the place of this one.
            self.segments.remove(keep);
        }
        self.take_snapshot();
        if end == self.start {
            self.remove_whole_segments_below_start()?;
        }
        self.assert_invariants();
        Ok(())
    }

    /// The first record whose timestamp is at or after `at`, with its timestamp and its epoch; of a compressed batch, the
    /// batch's first record. None if every record is earlier.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn offset_for_time(&self, at: Timestamp) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, StorageError> {
        self.failure.check()?;
        let mut from = self.start;
        for segment in &self.segments {
            while let Some((position, header)) = segment.locate_time(at, from)? {
                let batch = segment.read_exactly(position, header.size)?;
                if let Some((offset, timestamp)) = timestamps::first_record_from(&header, &batch, at, from) {
                    return Ok(Some((offset, timestamp, header.leader_epoch)));
                }
                from = header.end_offset();
            }
        }
        Ok(None)
    }

    /// The first record that has the latest timestamp of all, as [`Log::offset_for_time`] finds it. None if the log is empty.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn offset_of_latest_time(&self) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, StorageError> {
        match self.offset_of_latest_batch()? {
            // Compaction may have left an empty batch where the latest record was.
            None => match self.latest_time_of_records()? {
                Some(latest) => self.offset_for_time(latest),
                None => Ok(None),
            },
            found => Ok(found),
        }
    }

    /// The latest timestamp of all batches that have records, from the log's start on.
    fn latest_time_of_records(&self) -> Result<Option<Timestamp>, StorageError> {
        let mut latest = None;
        for segment in &self.segments {
            segment.each_header(|header| {
                if 0 < header.record_count && self.start < header.end_offset() {
                    latest = latest.max(Some(header.max_timestamp));
                }
            })?;
        }
        Ok(latest)
    }

    fn offset_of_latest_batch(&self) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, StorageError> {
        let later = self.segments[1..].iter().map(|segment| segment.index.latest()).max();
        let latest_with = |first: Timestamp| later.map_or(first, |later| later.max(first));
        let first = &self.segments[0];
        if first.base == self.start {
            return self.offset_for_time(latest_with(first.index.latest()));
        }
        // The latest time of the batch that holds the start may be that of a record below it.
        let found = self.offset_for_time(latest_with(first.latest_from(self.start)?))?;
        match (found, first.locate(self.start)?) {
            (None, Some((_, spanning))) => self.offset_for_time(latest_with(first.latest_from(spanning.end_offset())?)),
            (found, _) => Ok(found),
        }
    }

    /// Are these batches as they were written? If not, at which offset and why. Offsets and epochs are not under the checksums.
    fn check(&self, bytes: &[u8]) -> Result<(), (Offset, String)> {
        let mut expected: Option<Offset> = None;
        for (header, batch) in batches(bytes).map_while(Result::ok) {
            let base = header.base_offset;
            let offset = expected.unwrap_or(base);
            BatchHeader::verify(batch).map_err(|error| (offset, error.to_string()))?;
            if base != offset {
                return Err((offset, format!("the batch has offset {base} in the place of {offset}")));
            }
            if self.epochs.epoch_at(base.max(self.start)) != Some(header.leader_epoch) {
                return Err((offset, format!("the batch at offset {base} has epoch {}", header.leader_epoch)));
            }
            expected = Some(header.end_offset());
        }
        Ok(())
    }

    pub(crate) fn active(&self) -> &Segment<D::File> {
        &self.segments[self.segments.len() - 1]
    }

    /// Index of the last segment that begins at or before `offset`.
    fn segment_of(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1)
    }

    /// The headers of the batches in `bytes`, if they may come next.
    fn admit(&self, bytes: &[u8]) -> Result<Vec<BatchHeader>, StorageError> {
        let mut headers = Vec::new();
        let mut end = self.end();
        for batch in batches(bytes) {
            let (_, batch) = batch?;
            // A batch that fails its checksum would be cut at the next start, and all that follow it.
            let header = BatchHeader::verify(batch)?;
            let is_first = self.start == end && self.active().length == 0;
            let spans_start = is_first && header.base_offset < end && end < header.end_offset();
            if header.base_offset != end && !spans_start {
                return Err(StorageError::Gap { end, base: header.base_offset });
            }
            end = header.end_offset();
            headers.push(header);
        }
        Ok(headers)
    }

    /// Do `bytes` more, the last batch of which is `last`, belong into a new segment?
    fn must_roll(&self, bytes: u64, last: &BatchHeader) -> bool {
        let active = self.active();
        let is_full = self.config.segment_bytes < active.length + bytes
            || self.config.segment_index_bytes <= active.index.bytes();
        // By the records' own time, so that a clock that jumps rolls nothing.
        let age_ms = i64::try_from(self.config.segment_age_max().as_millis()).unwrap_or(i64::MAX);
        let is_old = active.first_time.is_some_and(|first| age_ms <= last.max_timestamp.0.saturating_sub(first.0));
        // Index files count from the segment's base, and from its first byte, in 32 bits.
        let most = i64::from(i32::MAX);
        let is_wide = most < last.end_offset().0 - active.base.0 || most < (active.length + bytes) as i64;
        self.is_sealed || 0 < active.length && (is_full || is_old || is_wide)
    }

    /// Begins a new segment at `base`, the log's end.
    pub(crate) fn roll(&mut self, bytes: u64, base: Offset) -> Result<(), StorageError> {
        let path = segment_path(&self.directory, base);
        let is_again = self.active().base == base;
        if self.is_sealed {
            // A sealed segment may have met a full disk: do not make an empty file for each attempt.
            let free = self.disk.space(&self.directory).map_err(|error| self.failure.note(&path, &error))?.free;
            if free < bytes {
                return Err(StorageError::Full { file: path });
            }
        }
        self.directory_changes += 1;
        let created = if is_again { self.create_in_place_of(&path) } else { self.disk.create(&path) };
        let file = created.map_err(|error| self.refused(&path, &error))?;
        if is_again {
            self.segments.pop();
        }
        if !self.is_sealed {
            model::reached!("a full segment was followed by the next");
        }
        self.segments.push(Segment::new(base, path, file, &self.config));
        self.is_sealed = false;
        self.take_snapshot();
        Ok(())
    }

    /// An empty file in the place of the one at `path`, which is never missing meanwhile.
    pub(crate) fn create_in_place_of(&self, path: &str) -> std::io::Result<D::File> {
        let temporary = format!("{path}.tmp");
        match self.disk.remove(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&temporary)?;
        self.disk.rename(&temporary, path)?;
        Ok(file)
    }

    /// Puts an empty segment that begins at `end` in the place of all segments after `keep`. The empty file takes the last
    /// one's place first and moves down from name to name: at every moment each file that may be longer than the log knows
    /// has a next one that bounds it. So what was truncated once cannot come back.
    fn move_tail_to(&mut self, keep: usize, end: Offset) -> Result<(), StorageError> {
        self.directory_changes += 1;
        let mut place = self.active().path.clone();
        let file = self.create_in_place_of(&place).map_err(|error| self.refused(&place, &error))?;
        let path = segment_path(&self.directory, end);
        let between = self.segments.drain(keep + 1..).rev().skip(1).map(|segment| segment.path);
        for next_place in between.chain([path.clone()]) {
            self.disk.rename(&place, &next_place).map_err(|error| self.failure.note(&place, &error))?;
            place = next_place;
        }
        self.segments.push(Segment::new(end, path, file, &self.config));
        self.is_sealed = false;
        Ok(())
    }

    /// The error of a file that could not be made: final, unless only the disk was full.
    fn refused(&self, path: &str, error: &std::io::Error) -> StorageError {
        match StorageError::of(path, error) {
            full @ StorageError::Full { .. } => full,
            _ => self.failure.note(path, error),
        }
    }

    /// The log is empty, and the batch that holds its start begins at `base`, before it (KAFKA-6975).
    fn begin_before_start(&mut self, base: Offset) -> Result<(), StorageError> {
        let path = segment_path(&self.directory, base);
        self.directory_changes += 1;
        let active = self.segments.len() - 1;
        let renamed = self.disk.rename(&self.segments[active].path, &path);
        renamed.map_err(|error| self.failure.note(&path, &error))?;
        let segment = &mut self.segments[active];
        (segment.base, segment.end, segment.path) = (base, base, path);
        Ok(())
    }

    /// Takes away the index files of these segments, by their numbers.
    pub(crate) fn remove_indexes_of(&mut self, numbers: Range<usize>) -> Result<(), StorageError> {
        for segment in self.segments[numbers].iter_mut().filter(|segment| segment.has_index_files) {
            self.directory_changes += 1;
            let removed = index_files::remove(&self.disk, &self.directory, segment.base);
            removed.map_err(|error| self.failure.note(&segment.path, &error))?;
            (segment.has_index_files, segment.indexed_length) = (false, 0);
        }
        Ok(())
    }

    /// # Errors
    /// What failed before; `Closed` after [`Log::begin_close`].
    pub(crate) fn may_change(&self) -> Result<(), StorageError> {
        self.failure.check()?;
        if self.is_closed { Err(StorageError::Closed) } else { Ok(()) }
    }

    pub(crate) fn remove(&mut self, path: &str) -> Result<(), StorageError> {
        self.directory_changes += 1;
        self.disk.remove(path).map_err(|error| self.failure.note(path, &error))
    }

    pub(crate) fn assert_invariants(&self) {
        assert!(self.segments[0].base <= self.start);
        assert!(self.start <= self.synced);
        assert!(self.synced <= self.end());
        assert!(self.directory_synced <= self.directory_changes);
        assert!(self.active().synced_length <= self.active().length);
    }
}
