//! A log on a disk: segments of record batches, their indexes in memory, recovery, and what makes a record outlive a loss
//! of power.
//!
//! ```text
//! <directory>/00000000000000000000.log     batches, one after the other, exactly as they travel (Kafka's format)
//!             00000000000000184213.log     the next segment, named by the offset of its first record
//!             00000000000000184213.index   where its batches stand, and .timeindex: once it is full, or the log closed
//!             00000000000000184213.snapshot which producers wrote what lies before: when a segment begins, or the log closed
//!             leader-epoch-checkpoint      which epoch wrote which stretch
//!             recovery-point-checkpoint    how far the files are known to be synced: what recovery need not check
//!             log-start-offset-checkpoint  records below are gone
//!             ….anew                       where it will begin, while all that it had is given up
//!             …184213-0000000007.checkpoint what stands for those records, of the metadata log
//!             cleaner-offset-checkpoint    records below were compacted
//! ```
//! Indexes by offset and by time, and the leader epochs, come from the batch headers. Their files spare a start the walk below the
//! recovery point, and are no second truth: where they do not agree with the batches, these count. So it is with the producers.
//!
//! Fault model. A crash of the process keeps all that was written. A loss of power keeps what was synced and any subset of
//! the sectors that were not; creations, renames and removals in one directory happen in their order, up to some point.
//! Whatever a log called synced, it has after either. What it did not call synced may be gone, and is never half there: a
//! torn tail is cut at its first bad batch. Damage *below* the recovery point is not a torn tail but rot: a named error,
//! because only another replica can heal it. Bytes that the device lost after a failed sync while the page cache still shows
//! them are written again when the log is opened: no later sync would. Whatever is read is checked before it is given to
//! anybody: checksum, offset and epoch of each batch. Not told from a torn tail, and so cut: rot above the recovery point, and
//! what a device that says "synced" never wrote. Such a replica is short, and must not count as in sync.
//!
//! Three rules make that hold:
//! 1. *A position of a file is written once*, or again with the same bytes. A truncation, or an append that failed half way, begins a new segment file;
//!    bytes of two histories never mix in one file, in whatever order its sectors reach the device.
//! 2. *A segment ends where the next one begins.* A file that is longer has a truncated tail, which the next file hides; so a
//!    file is never removed while one that it bounds may still be longer on the device.
//! 3. *Nothing is overwritten in place.* Small state files are replaced whole: temporary file, sync, rename, directory sync.
//!
//! Absent from here: who leads, what is committed, clocks, and every wait except for the device.

mod anew;
mod audit;
pub mod checkpoint;
pub mod clean_shutdown;
mod compaction;
mod config;
mod epoch_checkpoint;
mod error;
mod index;
mod index_files;
pub mod inspect;
mod log;
pub mod log_snapshot;
mod log_start;
mod producer_snapshot;
mod producers;
mod recent;
mod records;
mod recovery;
mod recovery_point;
mod retention;
mod scan;
mod segment;
mod sent;
mod start;
pub mod stocktaking;
mod sync;
mod timestamps;
mod walk;

pub use anew::{AnewKept, PendingAnew, PendingSettling, Settled};
pub use compaction::{Compaction, Due, KeptCompaction, PendingSwap, RewrittenBatch, Step, Swap, fit_to_end};
pub use config::{CleanupPolicy, LogConfig};
pub use error::StorageError;
pub use log::Log;
pub use recent::RecentBatches;
pub use recovery::Recovery;
pub use sent::Records;
pub use start::{PendingStart, StartKept};
pub use sync::{PendingSync, SyncedTo};
