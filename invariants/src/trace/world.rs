//! The world as the trace tells it: each replica's log, each partition's committed prefix, and who may count as in sync.
//!
//! The *true high watermark* of a partition is the furthest that any of its leaders moved it, and the *canonical log* is
//! what those leaders held below it. A follower's own high watermark lags and may fall after a restart or an election:
//! that is no error (KIP-207; Vanlightly, "Kafka replication protocol", 6.4). Only an unclean election that the claims
//! allow cuts the canonical log.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::{Entry, Harm, NodeName, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time, TopicId};

use super::shadow::{Batch, Shadow};

/// What the directory of the metadata log is called, but for its number.
const METADATA_DIRECTORY: &str = "__cluster_metadata";

/// A node of the trace, numbered in order of appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(usize);

impl NodeId {
    pub(crate) fn number(self) -> usize {
        self.0
    }
}

#[derive(Debug, Default)]
pub(crate) struct World {
    unclean_election: bool,
    nodes: BTreeMap<NodeName, NodeId>,
    names: Vec<NodeName>,
    /// Of each node, whether its first entry was its start: then nothing of it went unseen; none before its first entry.
    seen_from_start: Vec<Option<bool>>,
    brokers: BTreeMap<BrokerId, NodeId>,
    /// Where each partition stands in `known`.
    places: BTreeMap<PartitionId, usize>,
    known: Vec<Known>,
    /// The place of the last partition that was asked for: nearly always of the next one too.
    recent: Cell<usize>,
    /// By the directory of their logs: of a name that several topics had, the last one.
    directories: BTreeMap<String, TopicId>,
    /// Of every topic that was ever told of.
    topic_names: BTreeMap<TopicId, String>,
    /// Topics that are no more.
    removed: BTreeSet<TopicId>,
    /// Who votes in the metadata quorum, as the last node told that took part in it.
    joined: BTreeSet<BrokerId>,
    /// Who votes by each node's metadata log.
    voters: BTreeMap<NodeId, BTreeSet<BrokerId>>,
    /// Whoever led the quorum last.
    controller: Option<NodeId>,
    /// When the last entry was written.
    pub(crate) now: Time,
}

/// One partition, and each node's copy of it, by the node's number.
#[derive(Debug)]
struct Known {
    id: PartitionId,
    partition: Partition,
    replicas: Vec<Option<Replica>>,
}

/// One node's copy of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) log: Shadow,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// The furthest end since the last truncation. A recovery that lost a tail does not lower it: what a leader was told before
    /// the loss may still be on its way.
    pub(crate) reached: Offset,
    /// When a batch was last written.
    pub(crate) written_at: Time,
    /// Its own word that all below survives a loss of power; a truncation lowers it.
    pub(crate) synced: Option<Offset>,
    /// `synced`, and what a recovery found.
    pub(crate) on_disk: Option<Offset>,
    /// The furthest that it was ever safe since the last truncation, whatever a loss of power took.
    pub(crate) reached_safely: Offset,
    /// Since this life of the node began.
    pub(crate) high_watermark: Offset,
    pub(crate) leading: Option<LeaderEpoch>,
    /// Where its log ended when it began to lead.
    pub(crate) leading_from: Offset,
    pub(crate) following: Option<LeaderEpoch>,
    /// What it goes by as leader.
    pub(crate) in_sync: BTreeSet<BrokerId>,
    /// How many must be in sync for it to commit as leader.
    pub(crate) in_sync_min: usize,
    /// Whom it waits for as leader: everybody who may be in sync.
    pub(crate) in_sync_at_most: BTreeSet<BrokerId>,
    /// The machine went dark, and the log was not opened since.
    pub(crate) lost_power: bool,
    /// Where it was cut since its last sync: after a loss of power what was cut may be back in the place of what came after.
    cut_unsafely: Option<Offset>,
    /// What stands in the file that compaction is writing: each batch, and the records that are left in it.
    compacting: Vec<(Batch, Vec<Offset>)>,
    /// The world destroyed some of what is stored of it: what it held may be gone, and what it said of its disk is void.
    pub(crate) is_hurt: bool,
}

/// What all nodes together know of one partition.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// Who held a replica and let it go since metadata wanted it no more.
    let_go: BTreeSet<NodeId>,
    pub(crate) canonical: Shadow,
    /// What producers were told is safe: the batches that stood there in the log of whoever told them.
    pub(crate) acknowledged: Shadow,
    /// Every offset of which that was ever said; one may be given to a second record, where the first was answered with acks=1.
    pub(crate) vouched: BTreeSet<Offset>,
    pub(crate) high_watermark: Offset,
    /// When it got where.
    advances: Vec<(Time, Offset)>,
    /// How far the leader of each epoch moved the high watermark.
    committed_by: BTreeMap<LeaderEpoch, Offset>,
    /// The epoch of the last unclean election that cut the canonical log: what older epochs still do is lost with it.
    unclean_epoch: Option<LeaderEpoch>,
    /// The newest state that anybody saw.
    newest: Option<InSyncState>,
    /// Tails that went away, oldest first.
    pub(crate) cuts: Vec<Cut>,
    /// Checksums of batches of which compaction took a part.
    compacted: BTreeSet<u32>,
    /// Offsets of records that compaction took from some replica.
    gone: BTreeSet<Offset>,
}

/// The in-sync set that metadata names.
#[derive(Clone, Debug)]
pub(crate) struct InSyncState {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) members: BTreeSet<BrokerId>,
}

/// A log's tail went away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: u64,
    pub(crate) time: Time,
    pub(crate) node: NodeId,
    pub(crate) from: Offset,
    pub(crate) to: Offset,
    pub(crate) why: CutWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutWhy {
    /// A start found less than the log had before.
    Recovery,
    /// To follow the leader of this epoch, if it followed one.
    Following(Option<LeaderEpoch>),
}

impl World {
    pub(crate) fn new(unclean_election: bool) -> World {
        World { unclean_election, ..World::default() }
    }

    /// The number of a node; a new one if it was not heard of.
    pub(crate) fn node(&mut self, name: &NodeName) -> NodeId {
        // Nearly always the very name that its first entry had.
        if let Some(known) = self.names.iter().position(|known| Arc::ptr_eq(&known.0, &name.0)) {
            return NodeId(known);
        }
        if let Some(&id) = self.nodes.get(name) {
            return id;
        }
        let id = NodeId(self.names.len());
        self.nodes.insert(name.clone(), id);
        self.names.push(name.clone());
        self.seen_from_start.push(None);
        if let Some(broker) = number_of(name) {
            self.brokers.insert(broker, id);
        }
        id
    }

    /// True if this topic was deleted: a node that was down then drops its log at its next start, and says no word.
    pub(crate) fn is_removed(&self, topic: TopicId) -> bool {
        self.removed.contains(&topic)
    }

    /// True if all that this node ever did is in the trace.
    pub(crate) fn is_seen_from_start(&self, node: NodeId) -> bool {
        self.seen_from_start[node.0] == Some(true)
    }

    pub(crate) fn name(&self, node: NodeId) -> &NodeName {
        &self.names[node.0]
    }

    /// The identity that a node's name tells.
    pub(crate) fn broker(&self, node: NodeId) -> Option<BrokerId> {
        number_of(self.name(node))
    }

    pub(crate) fn node_of(&self, broker: BrokerId) -> Option<NodeId> {
        self.brokers.get(&broker).copied()
    }

    pub(crate) fn known_node(&self, name: &NodeName) -> Option<NodeId> {
        self.nodes.get(name).copied()
    }

    /// Who votes in the metadata quorum, by the log of whoever led it last; if nobody told, controllers of their own if there are some, else
    /// every broker.
    pub(crate) fn voters(&self) -> Vec<NodeId> {
        let told = self.controller.and_then(|controller| self.voters.get(&controller));
        if let Some(told) = told {
            return told.iter().filter_map(|voter| self.node_of(*voter)).collect();
        }
        let has_controllers = self.nodes.keys().any(|name| name.0.starts_with("controller"));
        let role = if has_controllers { "controller" } else { "broker" };
        self.nodes.iter().filter(|(name, _)| name.0.starts_with(role)).map(|(_, &node)| node).collect()
    }

    /// Who votes in the metadata quorum by the log of `node`.
    pub(crate) fn voters_by(&self, node: NodeId) -> &BTreeSet<BrokerId> {
        self.voters.get(&node).unwrap_or(&self.joined)
    }

    /// A partition as scenarios call it, if its topic's name was told.
    pub(crate) fn words(&self, partition: PartitionId) -> String {
        match self.topic_names.get(&partition.topic) {
            Some(name) => format!("{name}/{}", partition.index),
            None => partition.to_string(),
        }
    }

    /// The same partition of every topic that ever had the name of this one.
    pub(crate) fn namesakes(&self, partition: PartitionId) -> impl Iterator<Item = PartitionId> {
        let name = self.topic_names.get(&partition.topic);
        let others = self.topic_names.iter().filter(move |(_, other)| Some(*other) == name);
        others.map(move |(&topic, _)| PartitionId { topic, index: partition.index })
    }

    pub(crate) fn replica(&self, partition: PartitionId, node: NodeId) -> Option<&Replica> {
        self.known[self.place(partition)?].replicas.get(node.0)?.as_ref()
    }

    pub(crate) fn replica_of(&self, partition: PartitionId, broker: BrokerId) -> Option<&Replica> {
        self.replica(partition, *self.brokers.get(&broker)?)
    }

    /// True if this broker held a replica and let it go since metadata wanted it no more.
    pub(crate) fn has_let_go(&self, partition: PartitionId, broker: BrokerId) -> bool {
        let node = self.brokers.get(&broker);
        node.is_some_and(|node| self.partition(partition).is_some_and(|state| state.let_go.contains(node)))
    }

    /// The log of whoever leads this epoch, if somebody does as far as is known.
    pub(crate) fn leader_of(&self, partition: PartitionId, epoch: LeaderEpoch) -> Option<(NodeId, &Replica)> {
        self.replicas(partition).find(|(_, replica)| replica.leading == Some(epoch))
    }

    pub(crate) fn partitions_of(&self, node: NodeId) -> impl Iterator<Item = (PartitionId, &Replica)> {
        self.places
            .iter()
            .filter_map(move |(&id, &place)| Some((id, self.known[place].replicas.get(node.0)?.as_ref()?)))
    }

    pub(crate) fn knows_broker(&self, broker: BrokerId) -> bool {
        self.brokers.contains_key(&broker)
    }

    pub(crate) fn replicas(&self, partition: PartitionId) -> impl Iterator<Item = (NodeId, &Replica)> {
        let replicas = self.place(partition).map_or(&[][..], |place| &self.known[place].replicas);
        (0..).map(NodeId).zip(replicas).filter_map(|(node, replica)| Some((node, replica.as_ref()?)))
    }

    /// Where the replica begins that begins last: records below may be gone from what clients read.
    pub(crate) fn furthest_start(&self, partition: PartitionId) -> Offset {
        self.replicas(partition).map(|(_, replica)| replica.start).max().unwrap_or(Offset::ZERO)
    }

    /// Stretches of records that compaction took from some replica: clients may miss them.
    pub(crate) fn compacted_away(&self, partition: PartitionId) -> Vec<(Offset, Offset)> {
        let mut stretches: Vec<(Offset, Offset)> = Vec::new();
        for &offset in self.partition(partition).iter().flat_map(|partition| &partition.gone) {
            match stretches.last_mut() {
                Some((_, end)) if *end == offset => *end = offset.plus(1),
                _ => stretches.push((offset, offset.plus(1))),
            }
        }
        stretches
    }

    /// A batch that was appended: as it was sent, or as compaction left it.
    pub(crate) fn batch(
        &self,
        partition: PartitionId,
        base: Offset,
        end: Offset,
        epoch: LeaderEpoch,
        crc: u32,
    ) -> Batch {
        let is_compacted = self.partition(partition).is_some_and(|partition| partition.compacted.contains(&crc));
        if is_compacted { Batch::compacted(base, end, epoch) } else { Batch { base, end, epoch, crc } }
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        Some(&self.known[self.place(partition)?].partition)
    }

    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.places.keys().copied()
    }

    fn place(&self, partition: PartitionId) -> Option<usize> {
        let recent = self.recent.get();
        if self.known.get(recent).is_some_and(|known| known.id == partition) {
            return Some(recent);
        }
        let place = *self.places.get(&partition)?;
        self.recent.set(place);
        Some(place)
    }

    /// The true high watermark.
    pub(crate) fn high_watermark(&self, partition: PartitionId) -> Offset {
        self.partition(partition).map_or(Offset::ZERO, |partition| partition.high_watermark)
    }

    /// Takes in one entry, which is of `node`.
    pub(crate) fn apply(&mut self, entry: &Entry, node: NodeId) {
        self.seen_from_start[node.0].get_or_insert(entry.what == What::NodeStarted);
        self.now = entry.time;
        match &entry.what {
            What::Witnessed(event) => self.witnessed(entry, node, event),
            What::NodeStarted | What::NodeCrashed | What::NodeStopped { .. } => self.life_ended(node),
            What::PowerLost => {
                self.life_ended(node);
                self.replicas_of(node).for_each(|replica| replica.lost_power = true);
            }
            What::DiskHurt { harm: Harm::Wiped, .. } => self.replicas_of(node).for_each(Replica::forget_disk),
            What::DiskHurt { harm, file, .. } => self.hurt(node, *harm, file),
            What::DiskMended => self.replicas_of(node).for_each(|replica| replica.is_hurt = false),
            What::NodePaused
            | What::NodeResumed
            | What::FaultBegan { .. }
            | What::FaultEnded { .. }
            | What::Client { .. }
            | What::QuietBegan { .. }
            | What::QuietEnded
            | What::Note { .. } => {}
        }
    }

    /// The log directories of this topic are called by this name and the partition's number.
    pub(crate) fn name_topic(&mut self, name: &str, topic: TopicId) {
        self.directories.insert(name.to_owned(), topic);
        self.topic_names.insert(topic, name.to_owned());
    }

    fn hurt(&mut self, node: NodeId, harm: Harm, file: &str) {
        let Some(partition) = self.partition_of(file) else { return };
        let replica = self.replica_mut(partition, node);
        match harm {
            Harm::Rotted | Harm::Lost | Harm::Misdirected => {
                replica.is_hurt = true;
                replica.on_disk = None;
            }
            Harm::MovedAway | Harm::Wiped => replica.forget_disk(),
            // Whoever cannot read a log does not take it for a shorter one.
            Harm::Unreadable => {}
        }
    }

    /// Whose log a file belongs to: `data/orders-0/00000000000000000000.log`.
    pub(crate) fn partition_of(&self, file: &str) -> Option<PartitionId> {
        let directory = file.rsplit('/').nth(1)?;
        let (name, index) = directory.rsplit_once('-')?;
        let topic = if name == METADATA_DIRECTORY { TopicId::METADATA } else { *self.directories.get(name)? };
        Some(PartitionId { topic, index: index.parse().ok()? })
    }

    fn replicas_of(&mut self, node: NodeId) -> impl Iterator<Item = &mut Replica> {
        self.known.iter_mut().filter_map(move |known| known.replicas.get_mut(node.0)?.as_mut())
    }

    fn life_ended(&mut self, node: NodeId) {
        for replica in self.replicas_of(node) {
            replica.leads_no_more();
            replica.following = None;
            replica.high_watermark = Offset::ZERO;
            replica.compacting.clear();
        }
    }

    fn witnessed(&mut self, entry: &Entry, node: NodeId, event: &Event) {
        match *event {
            Event::QuorumJoined { ref voters, .. } => {
                self.joined = voters.iter().copied().collect();
                self.voters.insert(node, self.joined.clone());
            }
            Event::VotersChanged { ref voters } => _ = self.voters.insert(node, voters.iter().copied().collect()),
            Event::QuorumLeader { epoch, log_end } => {
                self.controller = Some(node);
                self.became_leader(node, PartitionId::METADATA, epoch, log_end);
            }
            Event::QuorumFollower { .. } | Event::QuorumUnattached { .. } => {
                self.replica_mut(PartitionId::METADATA, node).leads_no_more();
            }
            Event::PartitionChanged { partition, leader_epoch, partition_epoch, ref in_sync, .. } => {
                let state = self.partition_mut(partition);
                if state.newest.as_ref().is_none_or(|newest| newest.partition_epoch < partition_epoch) {
                    let members = in_sync.iter().copied().collect();
                    state.newest = Some(InSyncState { leader_epoch, partition_epoch, members });
                }
            }
            Event::ReplicaPlaced { partition, in_sync_min, .. } => {
                self.replica_mut(partition, node).in_sync_min = in_sync_min as usize;
            }
            // Whoever starts again hears of all that ever were.
            Event::TopicMade { topic, ref name } if !self.removed.contains(&topic) => self.name_topic(name, topic),
            Event::TopicRemoved { topic } => {
                self.removed.insert(topic);
            }
            Event::ReplicaRemoved { partition } => {
                let known = self.known_mut(partition);
                known.partition.let_go.insert(node);
                if let Some(replica) = known.replicas.get_mut(node.0) {
                    *replica = None;
                }
            }
            Event::InSyncKnown { partition, ref in_sync, ref at_most, .. } => {
                let replica = self.replica_mut(partition, node);
                replica.in_sync = in_sync.iter().copied().collect();
                replica.in_sync_at_most = at_most.iter().copied().collect();
            }
            Event::BecameLeader { partition, epoch, log_end, .. } => {
                self.became_leader(node, partition, epoch, log_end)
            }
            Event::BecameFollower { partition, epoch, .. } => {
                let replica = self.replica_mut(partition, node);
                replica.leads_no_more();
                replica.following = Some(epoch);
            }
            Event::Recovered { partition, log_start, log_end, .. } => {
                self.partition_mut(partition).let_go.remove(&node);
                self.replica_mut(partition, node).begins_at(log_start);
                self.recovered(entry, node, partition, log_end);
            }
            Event::Appended { partition, epoch, base, end, crc } => {
                let batch = self.batch(partition, base, end, epoch, crc);
                let replica = self.replica_mut(partition, node);
                replica.log.append(batch);
                replica.end = end;
                replica.reached = replica.reached.max(end);
                replica.written_at = entry.time;
            }
            Event::Truncated { partition, from, to } => {
                let replica = self.replica_mut(partition, node);
                replica.log.cut(to);
                replica.end = to;
                replica.reached = to;
                replica.reached_safely = replica.reached_safely.min(to);
                replica.high_watermark = replica.high_watermark.min(to);
                replica.synced = replica.synced.map(|synced| synced.min(to));
                replica.on_disk = replica.on_disk.map(|on_disk| on_disk.min(to));
                replica.cut_unsafely = Some(replica.cut_unsafely.map_or(to, |cut| cut.min(to)));
                let why = CutWhy::Following(replica.following);
                let cut = Cut { at: entry.index, time: entry.time, node, from, to, why };
                self.partition_mut(partition).cuts.push(cut);
            }
            Event::LogStartAdvanced { partition, to, .. } => {
                let replica = self.replica_mut(partition, node);
                replica.begins_at(replica.start.max(to));
                if replica.end < to {
                    // It had less than its leader's log begins with, and goes on there.
                    replica.log.cut(Offset::ZERO);
                    (replica.end, replica.reached, replica.reached_safely) = (to, to, to);
                    (replica.synced, replica.on_disk) = (Some(to), Some(to));
                    // What was hurt went with the rest.
                    replica.is_hurt = false;
                }
            }
            Event::SnapshotInstalled { end, .. } => {
                let replica = self.replica_mut(PartitionId::METADATA, node);
                replica.log.cut(Offset::ZERO);
                replica.begins_at(end);
                (replica.end, replica.reached, replica.reached_safely) = (end, end, end);
                (replica.synced, replica.on_disk) = (Some(end), Some(end));
                (replica.cut_unsafely, replica.is_hurt) = (None, false);
            }
            Event::Synced { partition, end } => {
                let replica = self.replica_mut(partition, node);
                replica.synced = replica.synced.max(Some(end));
                replica.cut_unsafely = None;
                if !replica.is_hurt {
                    replica.on_disk = replica.on_disk.max(Some(end));
                }
                replica.reached_safely = replica.reached_safely.max(end);
            }
            Event::HighWatermarkAdvanced { partition, epoch, to } => self.advanced(entry, node, partition, epoch, to),
            Event::Acked { partition, base, end, .. } => {
                let Known { partition: state, replicas, .. } = self.known_mut(partition);
                let Some(Some(replica)) = replicas.get(node.0) else { return };
                for batch in replica.log.overlapping(base, end) {
                    state.acknowledged.put(*batch);
                    state.vouched.extend((batch.base.0..batch.end.0).map(Offset));
                }
                // A producer that asks again about what is deleted by now.
                if end <= replica.start {
                    state.vouched.extend((base.0..end.0).map(Offset));
                }
            }
            Event::BatchCompacted { partition, epoch, base, end, crc, ref kept } => {
                let known = self.known_mut(partition);
                known.partition.compacted.insert(crc);
                known.both_mut(node).1.compacting.push((Batch::compacted(base, end, epoch), kept.clone()));
            }
            Event::Compacted { partition, from, to, .. } => {
                let (state, replica) = self.known_mut(partition).both_mut(node);
                for (batch, kept) in std::mem::take(&mut replica.compacting) {
                    if batch.base < from || to < batch.end {
                        continue;
                    }
                    replica.log.compact(batch);
                    let gone = (batch.base.0..batch.end.0).map(Offset).filter(|offset| !kept.contains(offset));
                    state.gone.extend(gone);
                }
            }
            Event::KeysWritten { .. }
            | Event::VoteCast { .. }
            | Event::VoteGranted { .. }
            | Event::EpochKept { .. }
            | Event::TopicMade { .. }
            | Event::MetadataApplied { .. }
            | Event::SnapshotTaken { .. }
            | Event::SnapshotLoaded { .. }
            | Event::LevelFinalized { .. }
            | Event::NewerRecordApplied { .. }
            | Event::BrokerRegistered { .. }
            | Event::BrokerUnregistered { .. }
            | Event::BrokerFenced { .. }
            | Event::BrokerUnfenced { .. }
            | Event::InSyncProposed { .. }
            | Event::InSyncInDoubt { .. }
            | Event::FollowerCounted { .. }
            | Event::ReplicasChanged { .. }
            | Event::LogsParted { .. }
            | Event::DeletionAsked { .. }
            | Event::IndexesCompared { .. }
            | Event::ProducerAppended { .. }
            | Event::ProducersKnown { .. }
            | Event::ProducerForgotten { .. }
            | Event::SequenceQuestioned { .. }
            | Event::SequenceRefused { .. }
            | Event::BatchSent { .. }
            | Event::BatchRecompressed { .. }
            | Event::Burden { .. }
            | Event::LogDamaged { .. }
            | Event::StorageFailed { .. } => {}
        }
    }

    /// The partition, heard of from now on.
    fn known_mut(&mut self, partition: PartitionId) -> &mut Known {
        let place = self.place(partition).unwrap_or_else(|| {
            self.places.insert(partition, self.known.len());
            self.known.push(Known { id: partition, partition: Partition::default(), replicas: Vec::new() });
            self.known.len() - 1
        });
        &mut self.known[place]
    }

    fn partition_mut(&mut self, partition: PartitionId) -> &mut Partition {
        &mut self.known_mut(partition).partition
    }

    fn replica_mut(&mut self, partition: PartitionId, node: NodeId) -> &mut Replica {
        self.known_mut(partition).both_mut(node).1
    }

    fn became_leader(&mut self, node: NodeId, partition: PartitionId, epoch: LeaderEpoch, log_end: Offset) {
        let is_unclean_allowed = self.unclean_election;
        let known = self.known_mut(partition);
        let (state, replica) = known.both_mut(node);
        replica.leading = Some(epoch);
        replica.leading_from = log_end;
        replica.following = None;
        if !is_unclean_allowed {
            return;
        }
        let required = state.committed_before(epoch);
        let agreed =
            replica.log.conflict(&state.canonical, Offset::ZERO, required).map_or(log_end, |(ours, _)| ours.base);
        if agreed.min(log_end) < required {
            let end = agreed.min(log_end);
            state.lose_from(end, epoch);
            for replica in known.replicas.iter_mut().flatten() {
                replica.high_watermark = replica.high_watermark.min(end);
            }
        }
    }

    fn recovered(&mut self, entry: &Entry, node: NodeId, partition: PartitionId, log_end: Offset) {
        let replica = self.replica_mut(partition, node);
        let from = replica.end;
        let uncertain_from = replica.lost_power.then(|| replica.cut_unsafely.take()).flatten();
        replica.log.cut(uncertain_from.map_or(log_end, |cut| cut.min(log_end)));
        replica.end = log_end;
        replica.reached = replica.reached.max(log_end);
        replica.synced = replica.synced.map(|synced| synced.min(log_end));
        // A start ends with a sync of what it found.
        replica.on_disk = Some(log_end).filter(|_| !replica.is_hurt);
        replica.reached_safely = replica.reached_safely.max(log_end);
        replica.lost_power = false;
        if log_end < from {
            let why = CutWhy::Recovery;
            let cut = Cut { at: entry.index, time: entry.time, node, from, to: log_end, why };
            self.partition_mut(partition).cuts.push(cut);
        }
    }

    fn advanced(&mut self, entry: &Entry, node: NodeId, partition: PartitionId, epoch: LeaderEpoch, to: Offset) {
        let known = self.known_mut(partition);
        if known.partition.is_given_up(epoch) {
            return;
        }
        let (state, replica) = known.both_mut(node);
        replica.high_watermark = replica.high_watermark.max(to);
        if replica.leading != Some(epoch) {
            return;
        }
        let from = state.canonical.end();
        for batch in replica.log.overlapping(from, to).filter(|batch| from <= batch.base && batch.end <= to) {
            state.canonical.append(*batch);
        }
        if state.high_watermark < to {
            state.high_watermark = to;
            state.advances.push((entry.time, to));
        }
        let committed = state.committed_by.entry(epoch).or_default();
        *committed = (*committed).max(to);
    }
}

impl Known {
    fn both_mut(&mut self, node: NodeId) -> (&mut Partition, &mut Replica) {
        if self.replicas.len() <= node.0 {
            self.replicas.resize_with(node.0 + 1, || None);
        }
        (&mut self.partition, self.replicas[node.0].get_or_insert_default())
    }
}

impl Replica {
    /// What lies below is nobody's to read any more.
    fn begins_at(&mut self, start: Offset) {
        self.start = start;
        self.log.forget(start);
    }

    /// Its node got an empty disk: nothing that was said of the old one holds, and nothing is wrong with the new one.
    fn forget_disk(&mut self) {
        (self.synced, self.on_disk) = (None, None);
        self.start = Offset::ZERO;
        self.lost_power = true;
        self.is_hurt = false;
    }
}

impl Partition {
    /// What leaders before `epoch` committed: the least that the leader of `epoch` must have. One that learns late of its
    /// election need not have what later epochs wrote.
    pub(crate) fn committed_before(&self, epoch: LeaderEpoch) -> Offset {
        self.committed_by.range(..epoch).map(|(_, &end)| end).max().unwrap_or(Offset::ZERO)
    }

    /// Where the true high watermark was at a moment.
    pub(crate) fn high_watermark_at(&self, time: Time) -> Offset {
        let after = self.advances.partition_point(|(at, _)| *at <= time);
        after.checked_sub(1).map_or(Offset::ZERO, |index| self.advances[index].1)
    }

    /// An allowed unclean election: the canonical log ends at `offset` from now on.
    fn lose_from(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.unclean_epoch = self.unclean_epoch.max(Some(epoch));
        self.canonical.cut(offset);
        self.high_watermark = self.high_watermark.min(offset);
        self.committed_by.values_mut().for_each(|end| *end = (*end).min(offset));
    }

    /// An allowed unclean election gave up this epoch. Whoever has not heard of it may go on for a while, and all that is lost.
    pub(crate) fn is_given_up(&self, epoch: LeaderEpoch) -> bool {
        Some(epoch) < self.unclean_epoch
    }

    /// An allowed unclean election gave up what an epoch had committed.
    pub(crate) fn has_given_up(&self) -> bool {
        self.unclean_epoch.is_some()
    }

    /// The newest state of the in-sync set that anybody saw.
    pub(crate) fn newest(&self) -> Option<&InSyncState> {
        self.newest.as_ref()
    }
}

impl Replica {
    fn leads_no_more(&mut self) {
        self.leading = None;
        self.in_sync.clear();
        self.in_sync_at_most.clear();
    }
}

/// `broker-2` is node 2, and `controller-4` is node 4: all nodes of a cluster are numbered together (KIP-595).
fn number_of(name: &NodeName) -> Option<BrokerId> {
    let (role, number) = name.0.rsplit_once(['-', ' '])?;
    matches!(role, "broker" | "controller").then(|| number.parse().ok().map(BrokerId))?
}
