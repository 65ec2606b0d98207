//! Giving a log up: all that it has goes, and it begins anew, empty, before where it began (Kafka's `truncateFullyAndStartAt`).
//!
//! ```text
//!  where it will begin is safe, in a file of its own ── all else goes, and an empty segment comes ── that is safe ──
//!  the file takes the place of the checkpoint of the log's start ── that is safe, and the log takes records again
//! ```
//! While that file is there nothing else in the directory counts: a start that finds it removes what is left of the rest. So after a loss of
//! power there is the old log, as it was, or an empty one that begins where it was to.

use host::Disk;
use model::{Epochs, Offset, Producers};

use crate::error::Failure;
use crate::recovery::{self, segment_path};
use crate::segment::Segment;
use crate::{Log, StorageError, checkpoint, compaction, epoch_checkpoint, index_files};
use crate::{log_start, producer_snapshot, recovery_point};

/// What such a file is called, and holds what the checkpoint of a log's start does.
pub(crate) const FILE_NAME: &str = "log-start-offset-checkpoint.anew";

/// A log that is to be given up, and is not yet. Dropping it changes nothing.
#[must_use = "the log is as it was before this has run"]
pub struct PendingAnew<D: Disk> {
    disk: D,
    directory: String,
    to: Offset,
    failure: Failure,
}

/// For [`Log::finish_anew`]: a start that comes now finds the log given up.
#[derive(Debug)]
#[must_use = "the log must hear of it"]
pub struct AnewKept {
    to: Offset,
}

/// A log that was begun anew, and takes no records before that is safe.
#[must_use = "the log takes no records before this has run"]
pub struct PendingSettling<D: Disk> {
    disk: D,
    directory: String,
    failure: Failure,
}

/// For [`Log::settled`].
#[derive(Debug)]
#[must_use = "the log must hear of it"]
pub struct Settled(());

impl<D: Disk> Log<D> {
    /// Begins to give up all that the log has; it will begin at `to`.
    pub fn begin_anew_at(&self, to: Offset) -> PendingAnew<D> {
        PendingAnew { disk: self.disk.clone(), directory: self.directory.clone(), to, failure: self.failure.clone() }
    }

    /// The log is empty and begins where it was to; it takes records once it has [settled](Log::settled).
    ///
    /// # Errors
    /// Those of the disk, final.
    pub fn finish_anew(&mut self, AnewKept { to }: AnewKept) -> Result<PendingSettling<D>, StorageError> {
        self.may_change()?;
        model::reached!("a log was given up, and begun anew before its start");
        self.is_settled = false;
        self.truncations += 1;
        self.forget_compaction_from(Offset::ZERO)?;
        if self.recovery_point.take().is_some() {
            self.remove(&format!("{}/{}", self.directory, recovery_point::FILE_NAME))?;
        }
        let path = segment_path(&self.directory, to);
        self.directory_changes += 1;
        // A file of the old log may have the same name.
        let file = self.create_in_place_of(&path).map_err(|error| self.failure.note(&path, &error))?;
        let next = Segment::new(to, path, file, &self.config);
        for segment in std::mem::replace(&mut self.segments, vec![next]) {
            if segment.base == to {
                let removed = index_files::remove(&self.disk, &self.directory, to);
                removed.map_err(|error| self.failure.note(&segment.path, &error))?;
            } else {
                self.remove_segment(&segment)?;
            }
        }
        self.remove_snapshots_below(Offset(i64::MAX))?;
        self.producers = Producers::default();
        self.epochs = Epochs::default();
        self.is_sealed = false;
        (self.start, self.synced) = (to, to);
        self.assert_invariants();
        Ok(self.begin_settling())
    }

    /// For a log that was [found](crate::Recovery::begun_anew) begun anew.
    pub fn begin_settling(&self) -> PendingSettling<D> {
        PendingSettling { disk: self.disk.clone(), directory: self.directory.clone(), failure: self.failure.clone() }
    }

    /// The log takes records again.
    pub fn settled(&mut self, Settled(()): Settled) {
        self.is_settled = true;
    }
}

impl<D: Disk> PendingAnew<D> {
    /// Waits for the device.
    ///
    /// # Errors
    /// `Full` if there is no room for the file: the log is as it was. Others are final.
    pub async fn run(self) -> Result<AnewKept, StorageError> {
        let PendingAnew { disk, directory, to, failure } = self;
        failure.check()?;
        let path = format!("{directory}/{FILE_NAME}");
        let kept = checkpoint::replace_file(&disk, &path, log_start::to_text(to).as_bytes()).await;
        kept.map_err(|error| match StorageError::of(&path, &error) {
            full @ StorageError::Full { .. } => full,
            _ => failure.note(&path, &error),
        })?;
        Ok(AnewKept { to })
    }
}

impl<D: Disk> PendingSettling<D> {
    /// Waits for the device.
    ///
    /// # Errors
    /// Those of the disk, final.
    pub async fn run(self) -> Result<Settled, StorageError> {
        let PendingSettling { disk, directory, failure } = self;
        failure.check()?;
        let (path, place) = (format!("{directory}/{FILE_NAME}"), format!("{directory}/{}", log_start::FILE_NAME));
        let settled = async {
            disk.sync_directory(&directory).await?;
            disk.rename(&path, &place)?;
            disk.sync_directory(&directory).await
        };
        settled.await.map_err(|error| failure.note(&path, &error))?;
        Ok(Settled(()))
    }
}

/// Where the log in `directory` is to begin anew, if it was given up: then what was left of it is gone when this returns.
pub(crate) fn recover<D: Disk>(disk: &D, directory: &str) -> Result<Option<Offset>, StorageError> {
    let Some(to) = log_start::read_file(disk, directory, FILE_NAME)? else { return Ok(None) };
    model::reached!("a start found a log that was given up");
    let failed = |error| StorageError::of(directory, &error);
    for name in disk.list(directory).map_err(failed)?.iter().filter(|name| is_of_the_log(name)) {
        disk.remove(&format!("{directory}/{name}")).map_err(failed)?;
    }
    Ok(Some(to))
}

/// True of a file that tells something of records.
fn is_of_the_log(name: &str) -> bool {
    let checkpoints = [recovery_point::FILE_NAME, epoch_checkpoint::FILE_NAME, compaction::CHECKPOINT];
    let is_of_a_segment = recovery::base_of(name).is_some() || index_files::base_of(name).is_some();
    is_of_a_segment || producer_snapshot::offset_of(name).is_some() || checkpoints.contains(&name)
}
