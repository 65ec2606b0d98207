//! What a broker witnesses: the facts that promises are judged by, that metrics count and that logs tell.
//!
//! Emitted through the Host at the moment a fact becomes true on one node. A new fact is a new variant; `Copy` keeps them free.

use serde::{Deserialize, Serialize};

use crate::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionEpoch, PartitionId};

/// One fact, true from now on, on the node that witnessed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    // The metadata quorum.
    /// A voter's vote is on disk.
    VoteCast {
        epoch: LeaderEpoch,
        candidate: BrokerId,
    },
    /// This node believes that it leads the metadata quorum in this epoch.
    QuorumLeader {
        epoch: LeaderEpoch,
        log_end: Offset,
    },
    /// This node follows a leader in this epoch of the quorum.
    QuorumFollower {
        epoch: LeaderEpoch,
        leader: BrokerId,
    },
    /// This node gave up its part in an epoch of the quorum: it stands, or waits for a leader.
    QuorumUnattached {
        epoch: LeaderEpoch,
    },
    /// Metadata up to here (exclusive) is committed and applied on this node; `digest` is of the image's content.
    MetadataApplied {
        end: Offset,
        digest: u64,
    },

    // Brokers as the active controller sees them.
    BrokerRegistered {
        broker: BrokerId,
        epoch: BrokerEpoch,
    },
    BrokerFenced {
        broker: BrokerId,
    },
    BrokerUnfenced {
        broker: BrokerId,
    },

    // The partition as this node's metadata says.
    /// Metadata names a leader (none: the partition is offline) and an in-sync set.
    PartitionChanged {
        partition: PartitionId,
        leader: Option<BrokerId>,
        leader_epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        in_sync: Vec<BrokerId>,
    },

    // The replica on this node.
    BecameLeader {
        partition: PartitionId,
        epoch: LeaderEpoch,
        log_end: Offset,
        high_watermark: Offset,
    },
    BecameFollower {
        partition: PartitionId,
        epoch: LeaderEpoch,
        leader: BrokerId,
        log_end: Offset,
    },
    /// A log was opened after a start: what recovery left of it.
    Recovered {
        partition: PartitionId,
        log_start: Offset,
        log_end: Offset,
        cut_bytes: u64,
    },
    /// A batch is in this node's log (not yet synced). `epoch` is the batch's own, of the leader that wrote it. `crc` is the batch's own checksum, which covers its records.
    Appended {
        partition: PartitionId,
        epoch: LeaderEpoch,
        base: Offset,
        end: Offset,
        crc: u32,
    },
    /// The log's tail from `to` on is gone; it ended at `from`.
    Truncated {
        partition: PartitionId,
        from: Offset,
        to: Offset,
    },
    /// Everything below `end` survives a loss of power.
    Synced {
        partition: PartitionId,
        end: Offset,
    },
    HighWatermarkAdvanced {
        partition: PartitionId,
        epoch: LeaderEpoch,
        to: Offset,
    },
    /// A producer is being told that its records up to `end` are safe by the `acks` it asked for (-1 is all).
    Acked {
        partition: PartitionId,
        epoch: LeaderEpoch,
        base: Offset,
        end: Offset,
        acks: i16,
    },
    /// A log directory or a log gave an error that it may not survive.
    StorageFailed {
        partition: PartitionId,
    },
}
