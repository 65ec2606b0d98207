//! What a broker witnesses: the facts that promises are judged by, that metrics count and that logs tell.
//!
//! Emitted through the Host at the moment a fact becomes true on one node. A new fact is a new variant; `Copy` keeps them free.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::{
    BrokerEpoch, BrokerId, LeaderEpoch, MetadataVersion, MetadataVersions, Offset, PartitionEpoch, PartitionId,
    ProducerId, Timestamp, TopicId,
};

/// Why a log begins later than it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStartReason {
    /// The latest record that goes is older than `retention.ms` by this node's wall clock.
    Age { latest: Timestamp, now: Timestamp, retention_ms: i64 },
    /// The log is larger than `retention.bytes`, and still is without what goes, or just as large.
    Size { kept_bytes: u64, retention_bytes: u64 },
    /// A client asked for it (DeleteRecords).
    Asked,
    /// The leader's log begins there.
    Leader,
    /// The leader's log begins there, and all that this one had lay below: it is empty now.
    BehindLeader,
    /// A snapshot stands for all of the metadata that goes.
    Snapshot,
}

/// The key of one record, for whoever compares what compaction left: hashed, since only equality matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeySent {
    pub key: u64,
    /// The record deletes its key.
    pub is_tombstone: bool,
}

impl KeySent {
    pub fn new(key: &[u8], is_tombstone: bool) -> KeySent {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        KeySent { key: hasher.finish(), is_tombstone }
    }
}

/// One fact, true from now on, on the node that witnessed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    // The metadata quorum.
    /// This node takes part in the quorum of these voters. A leader that no majority fetches from for one and a half times
    /// `fetch_timeout_ms` gives up.
    QuorumJoined {
        voters: Vec<BrokerId>,
        fetch_timeout_ms: u64,
    },
    /// Others vote from now on, by this node's metadata log; what says so need not be committed.
    VotersChanged {
        voters: Vec<BrokerId>,
    },
    /// This epoch of the quorum is on disk: the node will never act in an earlier one.
    EpochKept {
        epoch: LeaderEpoch,
    },
    /// A candidate is being told that it has this node's vote.
    VoteGranted {
        epoch: LeaderEpoch,
        candidate: BrokerId,
    },
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
    /// A snapshot of the metadata below `end`, the last record of which is of `epoch`, is on this node's disk for good. `digest` is that
    /// of the image, `content` the checksum of the bytes: the same for the same image, on any node.
    SnapshotTaken {
        end: Offset,
        epoch: LeaderEpoch,
        digest: u64,
        content: u32,
    },
    /// The snapshot of another node is on this one's disk for good, in the place of all that its metadata log had.
    SnapshotInstalled {
        end: Offset,
        epoch: LeaderEpoch,
        content: u32,
    },
    /// Metadata is on this node as a snapshot on its disk says; `digest` is of the image that it makes.
    SnapshotLoaded {
        end: Offset,
        epoch: LeaderEpoch,
        digest: u64,
        content: u32,
    },

    /// Metadata is at this level from here on.
    LevelFinalized {
        level: MetadataVersion,
    },
    /// A record was applied on this node that only nodes of this level read rightly.
    NewerRecordApplied {
        level: MetadataVersion,
    },

    // Brokers as the active controller sees them.
    /// A process of a broker made itself known, which reads metadata of these versions.
    BrokerRegistered {
        broker: BrokerId,
        epoch: BrokerEpoch,
        versions: MetadataVersions,
    },
    /// A broker is gone for good.
    BrokerUnregistered {
        broker: BrokerId,
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

    /// Metadata names who holds a partition, and who of them is still on its way there by a reassignment.
    ReplicasChanged {
        partition: PartitionId,
        partition_epoch: PartitionEpoch,
        replicas: Vec<BrokerId>,
        adding: Vec<BrokerId>,
    },

    /// Metadata has a topic of this id and name; one of before may have had the same name.
    TopicMade {
        topic: TopicId,
        name: String,
    },
    /// Metadata has no topic of this id any more.
    TopicRemoved {
        topic: TopicId,
    },

    // The replica on this node.
    /// This node holds a replica: who else does, and how many must be in sync for a record to be committed.
    ReplicaPlaced {
        partition: PartitionId,
        replicas: Vec<BrokerId>,
        in_sync_min: u32,
    },
    /// This node gave its replica up: its topic is gone, or it lives elsewhere now.
    ReplicaRemoved {
        partition: PartitionId,
    },
    /// What a leader goes by: the in-sync set of its metadata, and everybody who may be in sync by what it asked for since.
    InSyncKnown {
        partition: PartitionId,
        epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        in_sync: Vec<BrokerId>,
        at_most: Vec<BrokerId>,
    },
    /// A leader asks for another in-sync set than that of state `partition_epoch`; each member with the registration under which
    /// it fetched, where it is known (KIP-903).
    InSyncProposed {
        partition: PartitionId,
        epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
        members: Vec<(BrokerId, Option<BrokerEpoch>)>,
    },
    /// A leader cannot know what became of what it asked for on this state: it may hold.
    InSyncInDoubt {
        partition: PartitionId,
        epoch: LeaderEpoch,
        partition_epoch: PartitionEpoch,
    },
    /// A leader counts a follower as having everything below `end` from now on.
    FollowerCounted {
        partition: PartitionId,
        epoch: LeaderEpoch,
        follower: BrokerId,
        end: Offset,
    },
    /// A follower takes a leader's word, asked for in `leader_epoch`, that their logs part: it ends `epoch` at `end`.
    LogsParted {
        partition: PartitionId,
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
    },
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
    /// A batch is in this node's log (not yet synced). `epoch` is the batch's own, of the leader that wrote it. `crc` is the batch's own checksum, which covers its records; 0 of a batch
    /// that has none, because compaction took them.
    Appended {
        partition: PartitionId,
        epoch: LeaderEpoch,
        base: Offset,
        end: Offset,
        crc: u32,
    },
    /// The batch at `base` that was just appended is of an idempotent producer.
    ProducerAppended {
        partition: PartitionId,
        producer: ProducerId,
        producer_epoch: i16,
        first_sequence: i32,
        last_sequence: i32,
        base: Offset,
        end: Offset,
    },
    /// What this node knows of the producers of its log, which has `start..end`: `digest` is of all that it tells.
    ProducersKnown {
        partition: PartitionId,
        start: Offset,
        end: Offset,
        digest: u64,
    },
    /// A producer's batch does not follow on what this leader's log has of it: `expected` would come next. Before the producer hears of
    /// it, the leader makes sure that it leads; `question` tells this one from its others.
    SequenceQuestioned {
        partition: PartitionId,
        producer: ProducerId,
        producer_epoch: i16,
        expected: i32,
        question: u64,
    },
    /// It does, and the producer is told.
    SequenceRefused {
        partition: PartitionId,
        question: u64,
    },
    /// A producer was silent for `producer.id.expiration.ms`, and nothing is known of it any more.
    ProducerForgotten {
        partition: PartitionId,
        producer: ProducerId,
    },
    /// The log's tail from `to` on is gone; it ended at `from`.
    Truncated {
        partition: PartitionId,
        from: Offset,
        to: Offset,
    },
    /// The log begins at `to` from now on, whatever happens; it began at `from`.
    LogStartAdvanced {
        partition: PartitionId,
        from: Offset,
        to: Offset,
        reason: LogStartReason,
    },
    /// A follower sets about giving up its log, which has `start..end`: nothing of it is in the log of its leader of `leader_epoch`, which
    /// ends, or parts from it, before. It will begin at `to`, where the leader's does.
    LogGivenUp {
        partition: PartitionId,
        leader_epoch: LeaderEpoch,
        start: Offset,
        end: Offset,
        to: Offset,
    },
    /// The log that was given up is empty and begins at `to` from now on, whatever happens.
    LogBegunAnew {
        partition: PartitionId,
        to: Offset,
    },
    /// A client asked that everything below `below` be deleted, and the leader set about it.
    DeletionAsked {
        partition: PartitionId,
        below: Offset,
    },
    /// A leader of a compacted log has written records from `base` on; these are their keys, in order.
    KeysWritten {
        partition: PartitionId,
        epoch: LeaderEpoch,
        base: Offset,
        keys: Vec<KeySent>,
    },
    /// Compaction wrote a batch into a new file: of the records at its offsets, those at `kept` are left. `crc` as in `Appended`.
    BatchCompacted {
        partition: PartitionId,
        epoch: LeaderEpoch,
        base: Offset,
        end: Offset,
        crc: u32,
        kept: Vec<Offset>,
    },
    /// That file has taken the place of all that the log had there. `now` is wall-clock time.
    Compacted {
        partition: PartitionId,
        from: Offset,
        to: Offset,
        now: Timestamp,
        delete_retention_ms: i64,
    },
    /// After a start, the indexes and leader epochs of a log were compared with its batches.
    IndexesCompared {
        partition: PartitionId,
        are_equal: bool,
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
    /// What waits on this node: producers for their answers, fetches for more to read.
    Burden {
        answers: u32,
        fetches: u32,
    },
    /// A throttle has let pass all that it may for now, and this replica is left out: by its leader, or by itself. This node goes by this
    /// state of the partition.
    HeldBack {
        partition: PartitionId,
        partition_epoch: PartitionEpoch,
        replica: BrokerId,
    },
    /// A client sends this batch, whose checksum covers its records, for the first time or again.
    BatchSent {
        partition: PartitionId,
        crc: u32,
    },
    /// A log does not hold what was written to it and was safe.
    LogDamaged {
        partition: PartitionId,
    },
    /// A log directory or a log gave an error that it may not survive.
    StorageFailed {
        partition: PartitionId,
    },
    /// A broker gives up a log directory with these replicas, and goes on with the others.
    LogDirectoryFailed {
        directory: String,
        replicas: Vec<PartitionId>,
    },
    /// A leader packs the batch that a client sent with the checksum `sent` by the codec of its topic; it has `crc` from now on.
    BatchRecompressed {
        partition: PartitionId,
        sent: u32,
        crc: u32,
    },
}
