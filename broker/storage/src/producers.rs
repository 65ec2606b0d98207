//! What a log knows of the producers that wrote it, and the snapshots that spare a start and a truncation the walk over all of it.

use host::Disk;
use model::{Bug, Offset, ProducerId, Producers};

use crate::producer_snapshot::{self, Snapshot};
use crate::{Log, StorageError};

impl<D: Disk> Log<D> {
    /// What the log tells of those who wrote it. Of a producer whose batches were all deleted, it may tell what it was before.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forgets a producer that was silent for long. It is known again if its batches are read again.
    pub fn forget_producer(&mut self, id: ProducerId) {
        self.producers.forget(id);
    }

    /// Keeps what is known of the producers at the log's end, with the next checkpoint.
    pub(crate) fn take_snapshot(&mut self) {
        let end = self.end();
        let is_taken = self.snapshots.last().is_some_and(|last| last.offset == end);
        let says_nothing = self.producers.is_empty() && self.segments[0].base == end;
        if !is_taken && !says_nothing {
            self.snapshots.push(Snapshot::take(end, &self.producers));
        }
    }

    /// What is known of producers up to `start`, once the log begins there, if what stays of it would not tell: no snapshot on disk that
    /// stays has it, and segments go.
    ///
    /// # Errors
    /// `Corrupt` or `Unreadable` if the batches cannot be read that tell it.
    pub(crate) fn unkept_below(&self, start: Offset) -> Result<Option<Vec<u8>>, StorageError> {
        let first = self.segments.iter().find(|segment| start < segment.end).map_or(start, |segment| segment.base);
        let is_kept = |snapshot: &Snapshot| snapshot.unkept.is_none() && (first..=start).contains(&snapshot.offset);
        let none_goes = first == self.segments[0].base;
        if none_goes || self.producers.is_empty() || self.end() < start || self.snapshots.iter().any(is_kept) {
            return Ok(None);
        }
        model::reached!("a log start was kept with what was known of producers");
        let producers = self.producers_at(start)?;
        Ok(Some(producer_snapshot::encode(&producers)))
    }

    /// A snapshot at `offset` is on disk. What was cut meanwhile lay above: a log start is committed.
    pub(crate) fn snapshot_kept(&mut self, offset: Offset) {
        match self.snapshots.binary_search_by_key(&offset, |snapshot| snapshot.offset) {
            Ok(index) => self.snapshots[index].unkept = None,
            Err(index) => self.snapshots.insert(index, Snapshot { offset, unkept: None }),
        }
    }

    /// What will be known of producers once the log ends at `end`, if that is not what is known now.
    pub(crate) fn producers_cut_at(&self, end: Offset) -> Result<Option<Producers>, StorageError> {
        if !self.producers.reach_beyond(end) || self.config.planted.has(Bug::ProducersSurviveTruncation) {
            return Ok(None);
        }
        self.producers_at(end).map(Some)
    }

    fn producers_at(&self, end: Offset) -> Result<Producers, StorageError> {
        let Log { disk, directory, snapshots, segments, config, .. } = self;
        producer_snapshot::rebuild(disk, directory, snapshots, segments, end, config.planted)
    }

    /// Removes the snapshots that speak of more than the log will have when it ends at `end`.
    pub(crate) fn remove_snapshots_beyond(&mut self, end: Offset) -> Result<(), StorageError> {
        if self.config.planted.has(Bug::ProducersSurviveTruncation) {
            return Ok(());
        }
        while let Some(snapshot) = self.snapshots.pop_if(|snapshot| end < snapshot.offset) {
            self.remove_snapshot(&snapshot)?;
        }
        Ok(())
    }

    /// Removes the snapshots that belong to segments that are no more.
    pub(crate) fn remove_snapshots_below(&mut self, base: Offset) -> Result<(), StorageError> {
        let below = self.snapshots.partition_point(|snapshot| snapshot.offset < base);
        for snapshot in self.snapshots.drain(..below).collect::<Vec<_>>() {
            self.remove_snapshot(&snapshot)?;
        }
        Ok(())
    }

    /// Removes the snapshots that a newer one in the same segment stands for. The next start would do it as well.
    pub(crate) fn remove_passed_snapshots(&mut self) {
        let Some(newest) = self.snapshots.iter().rfind(|snapshot| snapshot.unkept.is_none()) else { return };
        let between = self.snapshots[0].offset.plus(1)..newest.offset;
        // Both are in order, and there may be thousands.
        let mut bases = self.segments.iter().map(|segment| segment.base).peekable();
        let is_passed = |snapshot: &mut Snapshot| {
            while bases.next_if(|base| *base < snapshot.offset).is_some() {}
            let begins_segment = bases.peek() == Some(&snapshot.offset);
            snapshot.unkept.is_none() && between.contains(&snapshot.offset) && !begins_segment
        };
        for passed in self.snapshots.extract_if(.., is_passed) {
            let path = producer_snapshot::path(&self.directory, passed.offset);
            if let Err(error) = self.disk.remove(&path) {
                tracing::warn!(path, %error, "a snapshot of producers stays that is of no use any more");
            }
        }
    }

    fn remove_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), StorageError> {
        match snapshot.unkept {
            Some(_) => Ok(()),
            None => self.remove(&producer_snapshot::path(&self.directory, snapshot.offset)),
        }
    }
}
