//! How each entry of a trace changes the world.

use std::collections::BTreeMap;

use evidence::{Entry, Harm, What};
use model::{Event, LeaderEpoch, Offset, PartitionId, TopicId};

use super::super::shadow::Batch;
use super::partition::add;
use super::{Cut, CutWhy, InSyncState, Known, NodeId, Partition, Replica, World};

/// What the directory of the metadata log is called, but for its number.
const METADATA_DIRECTORY: &str = "__cluster_metadata";

impl World {
    /// Takes in one entry, which is of `node`.
    pub(crate) fn apply(&mut self, entry: &Entry, node: NodeId) {
        self.seen_from_start[node.0].get_or_insert(matches!(entry.what, What::NodeStarted));
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
            | What::LogStored { .. }
            | What::LogFlawed { .. }
            | What::Note { .. } => {}
        }
    }

    /// The log directories of this topic are called by this name and the partition's number.
    pub(crate) fn name_topic(&mut self, name: &str, topic: TopicId) {
        self.directories.insert(name.to_owned(), topic);
        self.topic_names.insert(topic, name.to_owned());
    }

    /// The topics that have these names by now.
    pub(crate) fn topics_by_name(&self) -> &BTreeMap<String, TopicId> {
        &self.directories
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
            Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, ref in_sync } => {
                let state = self.partition_mut(partition);
                if state.newest.as_ref().is_none_or(|newest| newest.partition_epoch < partition_epoch) {
                    let before = state.newest.as_ref().zip(leader);
                    if before.is_some_and(|(before, leader)| !before.members.contains(&leader)) {
                        state.elected_uncleanly.insert(leader_epoch);
                    }
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
                // What is deleted needs no disk.
                replica.reached_safely = replica.reached_safely.max(to);
            }
            Event::LogBegunAnew { partition, to } => {
                let replica = self.replica_mut(partition, node);
                let why = CutWhy::Following(replica.following);
                let cut = Cut { at: entry.index, time: entry.time, node, from: replica.end, to: replica.start, why };
                replica.log.cut(Offset::ZERO);
                replica.begins_at(to);
                (replica.end, replica.reached, replica.reached_safely) = (to, to, to);
                (replica.synced, replica.on_disk) = (Some(to), Some(to));
                (replica.cut_unsafely, replica.is_hurt) = (None, false);
                replica.high_watermark = to;
                self.partition_mut(partition).cuts.push(cut);
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
                    add(&mut state.vouched, batch.base, batch.end);
                }
                // A producer that asks again about what is deleted by now.
                if end <= replica.start {
                    add(&mut state.vouched, base, end);
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
                    // Between one that is left and the next, all are gone.
                    let mut from = batch.base;
                    for to in kept.into_iter().chain([batch.end]) {
                        add(&mut state.gone, from, to);
                        from = to.plus(1);
                    }
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
            | Event::LogGivenUp { .. }
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
            | Event::HeldBack { .. }
            | Event::LogDamaged { .. }
            | Event::LogDirectoryFailed { .. }
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
        state.begins(epoch);
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
        let (state, replica) = self.known_mut(partition).both_mut(node);
        if state.is_given_up(epoch) {
            // What is the same in the log that counts was not lost.
            let is_lost =
                state.high_watermark < to || replica.log.conflict(&state.canonical, Offset::ZERO, to).is_some();
            if is_lost && replica.leading == Some(epoch) {
                state.loss_epoch = state.unclean_epoch;
            }
            return;
        }
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
