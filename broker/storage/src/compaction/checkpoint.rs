//! Up to where a log is compacted: `cleaner-offset-checkpoint`, one line as that of the log's start.
//!
//! It may lag behind the truth, and never runs ahead of it: it is put in place after the files that were compacted, in the same
//! directory, and a truncation below it takes it away. One that is damaged counts as none: all is compacted again.

use std::io;

use host::Disk;
use model::Offset;

use super::Compaction;
use crate::{Log, StorageError, checkpoint, log_start};

pub(crate) const FILE_NAME: &str = "cleaner-offset-checkpoint";

/// A compaction that is done and written down, for [`Log::finish_compaction`].
#[derive(Debug)]
#[must_use = "the log must hear of it"]
pub struct KeptCompaction {
    end: Offset,
    truncations: u64,
}

fn path(directory: &str) -> String {
    format!("{directory}/{FILE_NAME}")
}

fn temporary(directory: &str) -> String {
    format!("{directory}/{FILE_NAME}.tmp")
}

/// Up to where the log in `directory`, which has `start..end`, is compacted. What cannot be is taken away, lest it become true.
pub(crate) fn read<D: Disk>(disk: &D, directory: &str, start: Offset, end: Offset) -> io::Result<Option<Offset>> {
    let Some(bytes) = checkpoint::read_file(disk, &path(directory))? else { return Ok(None) };
    let compacted = std::str::from_utf8(&bytes).ok().and_then(log_start::from_text);
    match compacted.filter(|&compacted| compacted <= end) {
        Some(compacted) => Ok(Some(compacted.max(start))),
        None => {
            tracing::warn!(directory, "what a log says of its compaction cannot be: all of it is compacted again");
            disk.remove(&path(directory))?;
            Ok(None)
        }
    }
}

impl<D: Disk> Compaction<D> {
    /// Writes down what was done, once every file is in its place.
    ///
    /// # Errors
    /// `Full` if there is no room: the log is compacted, and does not know. Others are final.
    pub async fn keep(self) -> Result<KeptCompaction, StorageError> {
        self.failure.check()?;
        let path = temporary(&self.directory);
        let written = checkpoint::write_temporary(&self.disk, &path, log_start::to_text(self.end).as_bytes()).await;
        written.map_err(|error| match StorageError::of(&path, &error) {
            full @ StorageError::Full { .. } => full,
            _ => self.failure.note(&path, &error),
        })?;
        Ok(KeptCompaction { end: self.end, truncations: self.truncations })
    }
}

impl<D: Disk> Log<D> {
    /// The log is compacted up to there from now on.
    ///
    /// # Errors
    /// Those of the disk, final.
    pub fn finish_compaction(&mut self, kept: KeptCompaction) -> Result<(), StorageError> {
        self.may_change()?;
        if kept.truncations != self.truncations {
            return Ok(());
        }
        let (from, to) = (temporary(&self.directory), path(&self.directory));
        self.directory_changes += 1;
        self.disk.rename(&from, &to).map_err(|error| self.failure.note(&to, &error))?;
        self.compacted = Some(kept.end);
        Ok(())
    }

    /// A truncation takes all from `end` on, what was compacted too.
    pub(crate) fn forget_compaction_from(&mut self, end: Offset) -> Result<(), StorageError> {
        if self.compacted.is_some_and(|compacted| end < compacted) {
            model::reached!("a truncation reached below what was compacted");
            self.compacted = None;
            self.remove(&path(&self.directory))?;
        }
        Ok(())
    }
}
