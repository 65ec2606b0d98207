//! Moving a log's start: the new one is safe first, then it holds, and then whole segments below it are removed, oldest first.
//!
//! Begun and finished under the log's lock, waited for outside of it. A loss of power in between leaves a start that knows the new
//! log start, and removes what lies below. So what these segments alone tell of producers is safe before the start is. A start beyond
//! the log's end empties the log: it goes on there, as a follower must that comes back when its leader has nothing left of what it
//! would need next.

use host::Disk;
use model::{Bug, Epochs, Offset, Producers};

use crate::error::Failure;
use crate::recovery::segment_path;
use crate::segment::Segment;
use crate::{Log, StorageError, checkpoint, log_start, producer_snapshot, recovery_point};

/// A log start that was decided on, and is not safe yet. One at a time for one log. Dropping it changes nothing.
#[must_use = "the log begins where it did before this has run"]
pub struct PendingStart<D: Disk> {
    disk: D,
    directory: String,
    to: Offset,
    /// What of producers only segments tell that are to go; or why these cannot be read.
    snapshot: Result<Option<Vec<u8>>, StorageError>,
    is_planted: bool,
    failure: Failure,
}

/// A log start that is safe, for [`Log::finish_start`].
#[derive(Debug)]
#[must_use = "the log must hear of it"]
pub struct StartKept {
    to: Offset,
    has_snapshot: bool,
}

impl<D: Disk> Log<D> {
    /// Begins to move the log's start up to `to`. None if it is there already.
    pub fn begin_start(&self, to: Offset) -> Option<PendingStart<D>> {
        (self.start < to && !self.is_closed).then(|| PendingStart {
            disk: self.disk.clone(),
            directory: self.directory.clone(),
            to,
            snapshot: self.unkept_below(to),
            is_planted: self.config.planted.has(Bug::LogStartUnsynced),
            failure: self.failure.clone(),
        })
    }

    /// The log begins where it is known to be safe that it does, and whole segments below are removed.
    ///
    /// # Errors
    /// Those of the disk, final.
    pub fn finish_start(&mut self, kept: StartKept) -> Result<(), StorageError> {
        self.may_change()?;
        if kept.to <= self.start {
            return Ok(());
        }
        if kept.has_snapshot {
            self.snapshot_kept(kept.to);
        }
        if self.end() < kept.to {
            self.begin_anew(kept.to)?;
        } else {
            self.start = kept.to;
            self.epochs.start_at(kept.to);
            self.epochs.truncate_to(self.end());
            self.synced = self.synced.max(kept.to);
            self.remove_whole_segments_below_start()?;
        }
        self.assert_invariants();
        Ok(())
    }

    /// Removes the segments that end at or before the start. If that is all of them, a new one begins first.
    pub(crate) fn remove_whole_segments_below_start(&mut self) -> Result<(), StorageError> {
        if self.end() == self.start && 0 < self.active().length {
            match self.roll(0, self.start) {
                // The segment stays until there is room for the file of the next.
                Ok(()) | Err(StorageError::Full { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let below = self.segments[..self.segments.len() - 1].partition_point(|segment| segment.end <= self.start);
        for segment in self.segments.drain(..below).collect::<Vec<_>>() {
            self.remove_segment(&segment)?;
        }
        self.remove_snapshots_below(self.segments[0].base)
    }

    /// Puts an empty segment that begins at `start`, beyond the log's end, in the place of all that there is.
    fn begin_anew(&mut self, start: Offset) -> Result<(), StorageError> {
        model::reached!("a log was begun anew beyond its end");
        self.truncations += 1;
        self.forget_compaction_from(Offset::ZERO)?;
        if self.recovery_point.take().is_some() {
            self.remove(&format!("{}/{}", self.directory, recovery_point::FILE_NAME))?;
        }
        let path = segment_path(&self.directory, start);
        self.directory_changes += 1;
        let file = self.disk.create(&path).map_err(|error| self.failure.note(&path, &error))?;
        let next = Segment::new(start, path, file, &self.config);
        for segment in std::mem::replace(&mut self.segments, vec![next]) {
            self.remove_segment(&segment)?;
        }
        self.remove_snapshots_below(start.plus(1))?;
        self.producers = Producers::default();
        self.epochs = Epochs::default();
        self.is_sealed = false;
        (self.start, self.synced) = (start, start);
        Ok(())
    }

    pub(crate) fn remove_segment(&mut self, segment: &Segment<D::File>) -> Result<(), StorageError> {
        if segment.has_index_files {
            let removed = crate::index_files::remove(&self.disk, &self.directory, segment.base);
            removed.map_err(|error| self.failure.note(&segment.path, &error))?;
        }
        self.remove(&segment.path)
    }
}

impl<D: Disk> PendingStart<D> {
    /// Where the log will begin.
    pub fn to(&self) -> Offset {
        self.to
    }

    /// Waits for the device.
    ///
    /// # Errors
    /// `Full` if there is no room for the checkpoint: the log begins where it did. Others are final.
    pub async fn run(self) -> Result<StartKept, StorageError> {
        let PendingStart { disk, directory, to, snapshot, is_planted, failure } = self;
        failure.check()?;
        let snapshot = snapshot?;
        let has_snapshot = snapshot.is_some();
        let snapshot = snapshot.map(|bytes| (producer_snapshot::path(&directory, to), bytes));
        let start = (format!("{directory}/{}", log_start::FILE_NAME), log_start::to_text(to).into_bytes());
        for (path, bytes) in snapshot.into_iter().chain((!is_planted).then_some(start)) {
            let kept = checkpoint::replace_file(&disk, &path, &bytes).await;
            kept.map_err(|error| match StorageError::of(&path, &error) {
                full @ StorageError::Full { .. } => full,
                _ => failure.note(&path, &error),
            })?;
        }
        Ok(StartKept { to, has_snapshot })
    }
}
