//! The world as the trace tells it: each replica's log, each partition's committed prefix, and who may count as in sync.
//!
//! The *true high watermark* of a partition is the furthest that any of its leaders moved it, and the *canonical log* is
//! what those leaders held below it. A follower's own high watermark lags and may fall after a restart or an election:
//! that is no error (KIP-207; Vanlightly, "Kafka replication protocol", 6.4). Only an unclean election that the claims
//! allow cuts the canonical log; and once its leader begins, what leaders of before it commit is no part of that: they have not heard
//! of it, and nobody who is to have their records is asked. Metadata tells of such an election: a leader from outside the in-sync set.
//!
//! ```text
//! replica     one node's copy of one partition
//! partition   what all nodes together know of it
//! told        how each entry of the trace changes the world
//! ```

mod partition;
mod replica;
mod told;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::NodeName;
use model::{BrokerId, LeaderEpoch, Offset, PartitionId, Time, TopicId};

pub(crate) use self::partition::{Cut, CutWhy, InSyncState, Partition};
pub(crate) use self::replica::Replica;
use super::shadow::Batch;

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
        let gone = self.partition(partition).into_iter().flat_map(|partition| partition.gone.iter());
        gone.map(|stretch| (stretch.start, stretch.end)).collect()
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
}

/// `broker-2` is node 2, and `controller-4` is node 4: all nodes of a cluster are numbered together (KIP-595).
fn number_of(name: &NodeName) -> Option<BrokerId> {
    let (role, number) = name.0.rsplit_once(['-', ' '])?;
    matches!(role, "broker" | "controller").then(|| number.parse().ok().map(BrokerId))?
}
