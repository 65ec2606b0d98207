//! Making a log safe: begun and finished under its owner's lock, waited for outside of it.

use host::{Disk, File};
use model::{Bug, Offset};

use crate::checkpoint;
use crate::error::Failure;
use crate::recovery_point::{self, RecoveryPoint};
use crate::{Log, StorageError};

/// Bytes that may be synced before the recovery point follows, within one segment. A start checks at most about so much.
const RECOVERY_POINT_INTERVAL_BYTES: u64 = 16 << 20;

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
    /// A recovery point, and the temporary file that holds it.
    point: Option<(RecoveryPoint, String)>,
}

impl<D: Disk> Log<D> {
    /// Begins to make everything appended so far outlive a loss of power. None if it does already.
    pub fn begin_sync(&mut self) -> Option<PendingSync<D>> {
        let is_dirty = self.segments.iter().any(|segment| segment.synced_length < segment.length)
            || self.directory_synced < self.directory_changes;
        is_dirty.then(|| {
            let point = self.current_point();
            let before = self.recovery_point.unwrap_or(RecoveryPoint { segment: self.start(), position: 0 });
            let is_due =
                before.segment != point.segment || before.position + RECOVERY_POINT_INTERVAL_BYTES <= point.position;
            self.pending(is_due.then_some(point))
        })
    }

    /// Begins the last sync of an orderly stop: afterwards a start checks nothing.
    pub fn begin_close(&mut self) -> PendingSync<D> {
        let point = self.current_point();
        self.pending((self.recovery_point != Some(point)).then_some(point))
    }

    /// Takes note that a sync has ended, and gives the end below which everything is safe. A truncation that happened
    /// meanwhile leaves nothing certain: the next sync settles it.
    pub fn finish_sync(&mut self, done: SyncedTo) -> Offset {
        self.directory_synced = self.directory_synced.max(done.directory_changes);
        if done.truncations != self.truncations {
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
        if let Some((point, temporary)) = done.point
            && self.recovery_point.is_none_or(|before| before < point)
        {
            let path = format!("{}/{}", self.directory, recovery_point::FILE_NAME);
            // Not worth failing for: the point only saves time.
            match self.disk.rename(&temporary, &path) {
                Ok(()) => self.recovery_point = Some(point),
                Err(error) => tracing::warn!(path, %error, "the recovery point stays where it was"),
            }
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

    fn pending(&mut self, point: Option<RecoveryPoint>) -> PendingSync<D> {
        self.syncs_begun += 1;
        let dirty = || self.segments.iter().filter(|segment| segment.synced_length < segment.length);
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
                point: point.map(|point| {
                    let name = recovery_point::FILE_NAME;
                    (point, format!("{}/{name}.{}.tmp", self.directory, self.syncs_begun))
                }),
            },
        }
    }

    /// Cuts files to what the log has of them, once the files that follow them are safe.
    fn drop_surplus(&mut self) {
        if self.directory_synced < self.directory_changes {
            return;
        }
        for segment in self.segments.iter_mut().filter(|segment| segment.has_surplus) {
            // Only room on the disk: a start knows where the segment ends.
            match segment.file.set_length(segment.length) {
                Ok(()) => segment.has_surplus = false,
                Err(error) => tracing::warn!(file = segment.path, %error, "a truncated file keeps its length"),
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
        for (path, file) in &self.files {
            file.sync().await.map_err(|error| self.failure.note(path, &error))?;
        }
        if self.is_directory_dirty {
            let synced = self.disk.sync_directory(&self.directory).await;
            synced.map_err(|error| self.failure.note(&self.directory, &error))?;
        }
        let mut done = self.done;
        if let Some((point, temporary)) = &done.point {
            let written = checkpoint::write_temporary(&self.disk, temporary, point.to_text().as_bytes()).await;
            if let Err(error) = written {
                // A full disk, say: the log itself is safe, and a start has more to check.
                tracing::warn!(path = temporary, %error, "the recovery point stays where it was");
                done.point = None;
            }
        }
        Ok(done)
    }
}
