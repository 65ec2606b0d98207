//! The nouns of a replicated log: what every other room speaks of, and nothing that acts.
//!
//! Absent from here: sockets, files, clocks, tasks, wire formats other than the record batch header, and decisions.

mod batch;
mod bug;
pub mod coverage;
mod endpoint;
mod epochs;
mod event;
mod ids;
mod metadata_version;
mod producers;
mod time;

pub use batch::{
    BATCH_CHECKSUM_FROM, BATCH_HEADER_LENGTH, BatchError, BatchHeader, batch_checksum, batches, mark_control,
    patch_append_time, patch_batch, stamp_batch,
};
pub use bug::{Bug, Planted};
pub use endpoint::Endpoint;
pub use epochs::{EpochStart, Epochs};
pub use event::{Event, KeySent, LogStartReason};
pub use ids::{
    BrokerEpoch, BrokerId, ClusterId, DirectoryId, LeaderEpoch, Offset, PartitionEpoch, PartitionId, ProducerId,
    SnapshotId, TopicId,
};
pub use metadata_version::{MetadataVersion, MetadataVersions};
pub use producers::{
    Admission, PRODUCER_BATCHES_KEPT, Producer, ProducerBatch, ProducerStamp, Producers, SequenceError, sequence_after,
};
pub use time::{Time, Timestamp};
