//! What can go wrong with a log, and whether it is final.

use std::io;
use std::sync::{Arc, OnceLock};

use model::{BatchError, Offset};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StorageError {
    #[error("the disk is full: nothing was added to {file}; free some space and try again")]
    Full { file: String },
    /// Final for this log: every later call gives it again. What was not synced before is in doubt.
    #[error("{file} failed ({reason}): this log takes no more until it is opened again")]
    Failed { file: String, reason: String },
    #[error("{file} cannot be read at byte {position} ({reason})")]
    Unreadable { file: String, position: u64, reason: String },
    /// Bytes that were safe are damaged. Cutting them off would lose what others were promised.
    #[error("{file} is damaged at byte {position} ({reason}): move this log away and let another replica restore it")]
    Corrupt { file: String, position: u64, reason: String },
    /// Whoever wrote it could, and consumers may: the log stays as it is.
    #[error("{file} cannot be compacted: the records of the batch at byte {position} make no sense ({reason})")]
    Uncompactable { file: String, position: u64, reason: String },
    #[error("this log is closed: its broker is stopping")]
    Closed,
    #[error("the log ends at {end}, and the batch begins at {base}: appends must leave no gap and no overlap")]
    Gap { end: Offset, base: Offset },
    #[error("the batch is refused: {0}")]
    Batch(#[from] BatchError),
    #[error("offset {offset} is outside of the log, which has {start}..{end}")]
    OutOfRange { offset: Offset, start: Offset, end: Offset },
}

impl StorageError {
    /// True if no retry can mend it: the disk has failed, or does not give back what was written to it. Whoever goes on serving
    /// such a log keeps others from leading it.
    pub fn is_final(&self) -> bool {
        match self {
            StorageError::Failed { .. } | StorageError::Unreadable { .. } | StorageError::Corrupt { .. } => true,
            StorageError::Full { .. }
            | StorageError::Uncompactable { .. }
            | StorageError::Closed
            | StorageError::Gap { .. }
            | StorageError::Batch(_)
            | StorageError::OutOfRange { .. } => false,
        }
    }

    /// The error of a step that the log does not survive, unless it only was that the disk is full.
    pub fn of(file: &str, error: &io::Error) -> StorageError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageError::Full { file: file.into() },
            _ => StorageError::Failed { file: file.into(), reason: error.to_string() },
        }
    }
}

/// The first failure of a log, seen by it and by the syncs that it has begun. Once set, it stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(Arc<OnceLock<StorageError>>);

impl Failure {
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self.0.get() {
            Some(first) => Err(first.clone()),
            None => Ok(()),
        }
    }

    /// Takes note of `error`, and gives the failure that came first.
    pub(crate) fn note(&self, file: &str, error: &io::Error) -> StorageError {
        self.keep(StorageError::Failed { file: file.into(), reason: error.to_string() })
    }

    /// Makes `error` final, unless there was one before it.
    pub(crate) fn keep(&self, error: StorageError) -> StorageError {
        self.0.get_or_init(|| error).clone()
    }
}
