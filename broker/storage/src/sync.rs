//! Making a log safe: begun and finished under its owner's lock, waited for outside of it.

use std::borrow::Cow;

use futures_util::future::{join, try_join_all};
use host::{Disk, File};
use model::{Bug, Epochs, Offset};

use crate::error::Failure;
use crate::recovery_point::{self, RecoveryPoint};
use crate::segment::Segment;
use crate::{Log, StorageError, checkpoint, epoch_checkpoint, index_files, producer_snapshot};

/// The recovery point follows at the latest when so many bytes more are synced: a start writes about so much again.
const RECOVERY_POINT_LAG_MAX: u64 = 16 << 20;

/// A sync that was begun: what must reach the device for everything appended so far to be safe. Dropping it loses nothing.
#[must_use = "nothing is safe before it has run"]
pub struct PendingSync<D: Disk> {
    disk: D,
    directory: String,
    files: Vec<(String, D::File)>,
    is_directory_dirty: bool,
    failure: Failure,
    done: SyncedTo,
}

/// What a sync has made safe, for [`Log::finish_sync`].
#[derive(Debug)]
#[must_use = "the log must hear of it"]
pub struct SyncedTo {
    end: Offset,
    /// Bytes of each segment, by base offset.
    lengths: Vec<(Offset, u64)>,
    directory_changes: u64,
    truncations: u64,
    rewrites: u64,
    /// Most syncs have none, and are small without it.
    checkpoint: Option<Box<Checkpoint>>,
    is_last: bool,
}

/// What spares the next start work: in temporary files after the sync, and put in place by [`Log::finish_sync`].
#[derive(Debug)]
struct Checkpoint {
    /// Told from those of other syncs by this.
    number: u64,
    /// Base offset and index files of each segment that has grown no more since these were last kept.
    indexes: Vec<(Offset, [Vec<u8>; 2])>,
    /// Leader epochs, if the file has others.
    epochs: Option<Epochs>,
    /// Of producers, and up to which offset.
    snapshots: Vec<(Offset, Vec<u8>)>,
    point: RecoveryPoint,
}

impl Checkpoint {
    fn temporary(&self, path: &str) -> String {
        format!("{path}.{}.tmp", self.number)
    }

    /// The files that it consists of, in the order in which they are put in place: the recovery point vouches for the others.
    fn paths(&self, directory: &str) -> Vec<String> {
        let indexes = self.indexes.iter().flat_map(|(base, _)| index_paths(directory, *base));
        let epochs = self.epochs.iter().map(|_| format!("{directory}/{}", epoch_checkpoint::FILE_NAME));
        let snapshots = self.snapshots.iter().map(|(offset, _)| producer_snapshot::path(directory, *offset));
        let point = format!("{directory}/{}", recovery_point::FILE_NAME);
        indexes.chain(epochs).chain(snapshots).chain([point]).collect()
    }

    /// What is in each of them.
    fn contents(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let indexes = self.indexes.iter().flat_map(|(_, bytes)| bytes.iter().map(Cow::from));
        let epochs = self.epochs.iter().map(|epochs| Cow::from(epoch_checkpoint::to_text(epochs).into_bytes()));
        let snapshots = self.snapshots.iter().map(|(_, bytes)| Cow::from(bytes));
        indexes.chain(epochs).chain(snapshots).chain([Cow::from(self.point.to_text().into_bytes())])
    }

    /// Writes and syncs all of them, together, under temporary names. An error comes with the file that could not be written.
    async fn write<D: Disk>(&self, disk: &D, directory: &str) -> Result<(), (String, std::io::Error)> {
        let files = self.paths(directory).into_iter().zip(self.contents());
        let written = files.map(|(path, bytes)| async move {
            let written = checkpoint::write_temporary(disk, &self.temporary(&path), &bytes).await;
            written.map_err(|error| (path, error))
        });
        try_join_all(written).await.map(drop)
    }

    /// Those that stay, the next start removes.
    fn remove_temporary<D: Disk>(&self, disk: &D, files: impl IntoIterator<Item = String>) {
        for path in files {
            let _is_left = disk.remove(&self.temporary(&path));
        }
    }

    /// Takes out what speaks of segments and of snapshots that the log let go meanwhile: the files of it.
    fn take_what_is_gone(
        &mut self,
        directory: &str,
        is_segment_gone: impl Fn(Offset) -> bool,
        is_snapshot_gone: impl Fn(Offset) -> bool,
    ) -> Vec<String> {
        let indexes = self.indexes.extract_if(.., |(base, _)| is_segment_gone(*base));
        let snapshots = self.snapshots.extract_if(.., |(offset, _)| is_snapshot_gone(*offset));
        let snapshots = snapshots.map(|(offset, _)| producer_snapshot::path(directory, offset));
        indexes.flat_map(|(base, _)| index_paths(directory, base)).chain(snapshots).collect()
    }
}

fn index_paths(directory: &str, base: Offset) -> [String; 2] {
    [index_files::index_path(directory, base), index_files::time_index_path(directory, base)]
}

impl<D: Disk> Log<D> {
    /// Begins to make everything appended so far outlive a loss of power. None if it does already.
    pub fn begin_sync(&mut self) -> Option<PendingSync<D>> {
        self.has_unsynced().then(|| {
            let point = self.current_point();
            let before = self.recovery_point.unwrap_or(RecoveryPoint { segment: self.segments[0].base, position: 0 });
            let lag_max = self.lag_max(before.position).min(RECOVERY_POINT_LAG_MAX);
            let is_due = before.segment != point.segment || before.position + lag_max <= point.position;
            let checkpoint = is_due.then(|| {
                let active = self.active();
                let is_index_due = active.indexed_length + self.lag_max(active.indexed_length) <= active.length;
                if is_index_due {
                    self.take_snapshot();
                }
                self.checkpoint(point, self.segments.len() - usize::from(!is_index_due))
            });
            self.pending(checkpoint)
        })
    }

    /// True if a loss of power could take something.
    pub fn has_unsynced(&self) -> bool {
        self.dirty().next().is_some() || self.directory_synced < self.directory_changes
    }

    /// Begins the last sync of an orderly stop, after which a start checks hardly anything. The log can be read, and does not change any more.
    pub fn begin_close(&mut self) -> PendingSync<D> {
        self.take_snapshot();
        self.is_closed = true;
        let point = self.current_point();
        // A log that never had anything needs no word of it.
        let before = self.recovery_point.unwrap_or(RecoveryPoint { segment: self.segments[0].base, position: 0 });
        let is_due = before != point || self.unkept_snapshots().next().is_some();
        let checkpoint = is_due.then(|| self.checkpoint(point, self.segments.len()));
        let mut pending = self.pending(checkpoint);
        pending.done.is_last = true;
        pending
    }

    /// Takes note that a sync has ended, and gives the end below which everything is safe. A truncation that happened
    /// meanwhile leaves nothing certain: the next sync settles it.
    pub fn finish_sync(&mut self, done: SyncedTo) -> Offset {
        if self.is_closed && !done.is_last {
            // The last one has all that this one had.
            self.discard(done.checkpoint.as_deref());
            return self.synced;
        }
        self.directory_synced = self.directory_synced.max(done.directory_changes);
        if done.truncations != self.truncations {
            self.discard(done.checkpoint.as_deref());
            return self.synced;
        }
        for (base, length) in done.lengths {
            let found = self.segments.binary_search_by_key(&base, |segment| segment.base);
            if let Ok(index) = found {
                let segment = &mut self.segments[index];
                segment.synced_length = segment.synced_length.max(length.min(segment.length));
            }
        }
        self.synced = self.synced.max(done.end);
        self.drop_surplus();
        // Of a file that was compacted meanwhile, it has the index of before.
        let is_of_use = |checkpoint: &Checkpoint| {
            done.rewrites == self.rewrites && self.recovery_point.is_none_or(|before| before <= checkpoint.point)
        };
        match done.checkpoint {
            Some(checkpoint) if is_of_use(&checkpoint) => self.put_in_place(*checkpoint),
            unused => self.discard(unused.as_deref()),
        }
        self.assert_invariants();
        self.synced
    }

    /// The end below which everything outlives a loss of power.
    pub fn synced(&self) -> Offset {
        self.synced
    }

    fn current_point(&self) -> RecoveryPoint {
        let active = self.active();
        RecoveryPoint { segment: active.base, position: active.length }
    }

    /// How much a segment may grow before its part that a start goes by does: a quarter of that part, so that what is written again and again
    /// stays little beside the segment, and what a start walks, too.
    fn lag_max(&self, kept: u64) -> u64 {
        (kept / 4).max(self.config.checkpoint_bytes)
    }

    /// What the next start need not find out again, once everything below `point` is synced: the index of each of the first
    /// `segments` segments among it.
    fn checkpoint(&self, point: RecoveryPoint, segments: usize) -> Checkpoint {
        let unkept = self.segments[..segments].iter().filter(|segment| segment.indexed_length < segment.length);
        Checkpoint {
            number: self.syncs_begun,
            indexes: unkept.map(|segment| (segment.base, index_files::encode(&segment.index, segment.base))).collect(),
            epochs: self.unkept_epochs(),
            snapshots: self.unkept_snapshots().collect(),
            point,
        }
    }

    fn unkept_snapshots(&self) -> impl Iterator<Item = (Offset, Vec<u8>)> {
        self.snapshots.iter().filter_map(|snapshot| Some((snapshot.offset, snapshot.unkept.clone()?)))
    }

    /// The leader epochs, if their checkpoint has others.
    fn unkept_epochs(&self) -> Option<Epochs> {
        let is_kept = match &self.kept_epochs {
            Some(kept) => *kept == self.epochs || self.config.planted.has(Bug::StaleEpochCheckpoint),
            None => false,
        };
        (!is_kept).then(|| self.epochs.clone())
    }

    /// Gives the files of a checkpoint their names. Not worth failing for: they only save time.
    fn put_in_place(&mut self, mut checkpoint: Checkpoint) {
        let found = |segments: &[Segment<D::File>], base| segments.binary_search_by_key(&base, |segment| segment.base);
        let gone = checkpoint.take_what_is_gone(
            &self.directory,
            |base| found(&self.segments, base).is_err(),
            |offset| self.snapshots.binary_search_by_key(&offset, |snapshot| snapshot.offset).is_err(),
        );
        checkpoint.remove_temporary(&self.disk, gone);
        for (base, _) in &checkpoint.indexes {
            if let Ok(index) = found(&self.segments, *base) {
                self.segments[index].has_index_files = true;
            }
        }
        for path in checkpoint.paths(&self.directory) {
            if let Err(error) = self.disk.rename(&checkpoint.temporary(&path), &path) {
                tracing::warn!(path, %error, "the recovery point stays where it was");
                return;
            }
        }
        for (base, _) in &checkpoint.indexes {
            if let Ok(index) = found(&self.segments, *base) {
                let is_active = *base == checkpoint.point.segment;
                let segment = &mut self.segments[index];
                segment.indexed_length = if is_active { checkpoint.point.position } else { segment.length };
            }
        }
        for (offset, _) in &checkpoint.snapshots {
            if let Ok(index) = self.snapshots.binary_search_by_key(offset, |snapshot| snapshot.offset) {
                self.snapshots[index].unkept = None;
            }
        }
        if checkpoint.epochs.is_some() {
            self.kept_epochs = checkpoint.epochs;
        }
        self.recovery_point = Some(checkpoint.point);
        self.remove_passed_snapshots();
    }

    /// Takes away the files of a checkpoint that is not put in place.
    fn discard(&self, checkpoint: Option<&Checkpoint>) {
        if let Some(checkpoint) = checkpoint {
            checkpoint.remove_temporary(&self.disk, checkpoint.paths(&self.directory));
        }
    }

    /// The segments of which a loss of power could take something. A log may have thousands of which it could not: what ends where
    /// all is synced, or where the log begins.
    fn dirty(&self) -> impl Iterator<Item = &Segment<D::File>> {
        let first = self.segments.partition_point(|segment| segment.end <= self.synced);
        let is_dirty = |segment: &&Segment<D::File>| segment.synced_length < segment.length;
        let is_gone = |segment: &Segment<D::File>| segment.end <= self.start;
        debug_assert!(self.segments[..first].iter().all(|segment| !is_dirty(&segment) || is_gone(segment)));
        self.segments[first..].iter().filter(is_dirty)
    }

    fn pending(&mut self, checkpoint: Option<Checkpoint>) -> PendingSync<D> {
        self.syncs_begun += 1;
        let dirty = || self.dirty();
        PendingSync {
            disk: self.disk.clone(),
            directory: self.directory.clone(),
            files: dirty().map(|segment| (segment.path.clone(), segment.file.clone())).collect(),
            is_directory_dirty: self.directory_synced < self.directory_changes
                && !self.config.planted.has(Bug::UnsyncedDirectory),
            failure: self.failure.clone(),
            done: SyncedTo {
                end: self.end(),
                lengths: dirty().map(|segment| (segment.base, segment.length)).collect(),
                directory_changes: self.directory_changes,
                truncations: self.truncations,
                rewrites: self.rewrites,
                checkpoint: checkpoint.map(Box::new),
                is_last: false,
            },
        }
    }

    /// Cuts files to what the log has of them, once the files that follow them are safe.
    fn drop_surplus(&mut self) {
        if self.directory_synced < self.directory_changes || self.surplus_dropped == self.truncations {
            return;
        }
        self.surplus_dropped = self.truncations;
        for segment in self.segments.iter_mut().filter(|segment| segment.has_surplus) {
            // Only room on the disk: a start knows where the segment ends.
            match segment.file.set_length(segment.length) {
                Ok(()) => segment.has_surplus = false,
                Err(error) => {
                    tracing::warn!(file = segment.path, %error, "a truncated file keeps its length");
                    self.surplus_dropped = 0;
                }
            }
        }
    }
}

impl<D: Disk> PendingSync<D> {
    /// Waits for the device.
    ///
    /// # Errors
    /// `Failed`, and then the log is failed for good: nobody can know any more what is safe.
    pub async fn run(self) -> Result<SyncedTo, StorageError> {
        self.failure.check()?;
        let Some(checkpoint) = &self.done.checkpoint else {
            self.sync().await?;
            return Ok(self.done);
        };
        // Side by side, so that the device may take them together: what vouches for the log is put in place once all of it is safe.
        let (synced, kept) = join(self.sync(), checkpoint.write(&self.disk, &self.directory)).await;
        synced?;
        let mut done = self.done;
        if let Err((path, error)) = kept {
            // A full disk, say: the log itself is safe, and a start has more to check.
            tracing::warn!(path, %error, "the recovery point stays where it was");
            if let Some(checkpoint) = done.checkpoint.take() {
                checkpoint.remove_temporary(&self.disk, checkpoint.paths(&self.directory));
            }
        }
        Ok(done)
    }

    async fn sync(&self) -> Result<(), StorageError> {
        for (path, file) in &self.files {
            file.sync().await.map_err(|error| self.failure.note(path, &error))?;
        }
        if self.is_directory_dirty {
            let synced = self.disk.sync_directory(&self.directory).await;
            synced.map_err(|error| self.failure.note(&self.directory, &error))?;
        }
        Ok(())
    }
}
