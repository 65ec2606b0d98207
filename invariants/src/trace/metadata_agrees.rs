//! Metadata agrees: equal offsets, equal images (Kafka's metadata log is replicated state; TLA+ `MetadataLogMatching`).
//!
//! Broken if (a) two nodes, or one node in two lives, have different images after the same metadata offset, whether by records or by a
//! snapshot; (b) one state
//! of a partition is told in two ways; (c) the applied offset of a node falls within one life. A node may lag as far as
//! it likes, and starts over when it starts again.

use std::collections::BTreeMap;
use std::fmt;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct MetadataAgrees {
    images: BTreeMap<Offset, (u64, NodeId)>,
    states: BTreeMap<(PartitionId, PartitionEpoch), State>,
    applied: BTreeMap<NodeId, Offset>,
    judged: u64,
}

#[derive(Clone)]
struct State {
    leader: Option<BrokerId>,
    leader_epoch: LeaderEpoch,
    in_sync: Vec<BrokerId>,
    teller: NodeId,
}

impl MetadataAgrees {
    fn applied(&mut self, node: NodeId, end: Offset, digest: u64, before: &World) -> Result<(), String> {
        self.judged += 1;
        if let Some(last) = self.applied.insert(node, end)
            && end < last
        {
            return Err(format!("{} had metadata up to {last} and now has it up to {end}", before.name(node)));
        }
        self.image(node, end, digest, before)
    }

    fn image(&mut self, node: NodeId, end: Offset, digest: u64, before: &World) -> Result<(), String> {
        let (first, owner) = *self.images.entry(end).or_insert((digest, node));
        if first == digest {
            return Ok(());
        }
        Err(format!(
            "at metadata offset {end} the image of {} is {digest:016x}, that of {} was {first:016x}",
            before.name(node),
            before.name(owner)
        ))
    }

    fn state(
        &mut self,
        partition: PartitionId,
        epoch: PartitionEpoch,
        told: State,
        before: &World,
    ) -> Result<(), String> {
        self.judged += 1;
        let teller = told.teller;
        let first = self.states.entry((partition, epoch)).or_insert_with(|| told.clone());
        if first.is_told_by(&told) {
            return Ok(());
        }
        Err(format!(
            "state {epoch} of {partition} is \"{told}\" to {} and was \"{first}\" to {}",
            before.name(teller),
            before.name(first.teller)
        ))
    }
}

impl State {
    /// Whoever tells it.
    fn is_told_by(&self, other: &State) -> bool {
        (self.leader, self.leader_epoch) == (other.leader, other.leader_epoch) && self.in_sync == other.in_sync
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leader = self.leader.map_or("none".into(), |leader| leader.to_string());
        let members: Vec<_> = self.in_sync.iter().map(ToString::to_string).collect();
        write!(f, "leader {leader}, epoch {}, in sync {}", self.leader_epoch, members.join(" "))
    }
}

impl Promise for MetadataAgrees {
    fn name(&self) -> &'static str {
        "metadata agrees"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::NodeStarted | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.applied.remove(&node);
                Ok(())
            }
            What::Witnessed(Event::MetadataApplied { end, digest }) => self.applied(node, *end, *digest, before),
            What::Witnessed(Event::SnapshotTaken { end, digest, .. } | Event::SnapshotLoaded { end, digest, .. }) => {
                self.image(node, *end, *digest, before)
            }
            What::Witnessed(Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync }) => {
                let mut in_sync = in_sync.clone();
                in_sync.sort_unstable();
                let told = State { leader: *leader, leader_epoch: *leader_epoch, in_sync, teller: node };
                self.state(*partition, *partition_epoch, told, before)
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
