//! Epochs never fall, on any one node.
//!
//! In the metadata quorum: within one life of a node its epoch never falls, and after a restart it is at least that of
//! the last vote on its disk (which may lag behind the epoch in which it already is); the epoch on its disk never falls; a
//! node votes for one candidate in an epoch, restarts or not, and tells nobody of a vote that is not on its disk (Raft,
//! figure 2: respond only after updating stable storage). Of partitions: within one life neither the leader epoch nor the state of a partition falls.
//! A node that starts again reads its metadata from its log or snapshot, and so passes through older epochs once more:
//! that is legal, and that the content is the same is what `metadata agrees` judges. A node that got an empty disk cannot know
//! how it voted; the two leaders that may come of it are judged by `one leader an epoch`.

use std::collections::BTreeMap;

use evidence::{Entry, Harm, What};
use model::{BrokerId, Event, LeaderEpoch, PartitionEpoch, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct EpochsNeverFall {
    /// On each node's disk.
    votes: BTreeMap<NodeId, (LeaderEpoch, BrokerId)>,
    kept: BTreeMap<NodeId, LeaderEpoch>,
    /// In this life of the node.
    quorum: BTreeMap<NodeId, LeaderEpoch>,
    roles: BTreeMap<(NodeId, PartitionId), LeaderEpoch>,
    states: BTreeMap<(NodeId, PartitionId), (LeaderEpoch, PartitionEpoch)>,
    judged: u64,
}

impl EpochsNeverFall {
    fn quorum_epoch(&mut self, node: NodeId, epoch: LeaderEpoch, before: &World) -> Result<(), String> {
        self.judged += 1;
        if let Some(&(voted, candidate)) = self.votes.get(&node)
            && epoch < voted
        {
            return Err(format!(
                "{} is in epoch {epoch} of the quorum after it voted for broker {candidate} in epoch {voted}",
                before.name(node)
            ));
        }
        match self.quorum.insert(node, epoch) {
            Some(last) if epoch < last => {
                Err(format!("{} fell from epoch {last} of the quorum to {epoch}", before.name(node)))
            }
            _ => Ok(()),
        }
    }

    fn vote(&mut self, node: NodeId, epoch: LeaderEpoch, candidate: BrokerId, before: &World) -> Result<(), String> {
        self.judged += 1;
        match self.votes.insert(node, (epoch, candidate)) {
            Some((last, other)) if epoch < last => Err(format!(
                "{} voted for broker {candidate} in epoch {epoch} after it voted for broker {other} in epoch {last}",
                before.name(node)
            )),
            Some((last, other)) if last == epoch && other != candidate => Err(format!(
                "{} voted for broker {other} and for broker {candidate}, both in epoch {epoch}",
                before.name(node)
            )),
            _ => Ok(()),
        }
    }

    /// What a candidate is told must be on the voter's disk, or an epoch beyond it, in which the vote means nothing any more.
    fn granted(&self, node: NodeId, epoch: LeaderEpoch, candidate: BrokerId, before: &World) -> Result<(), String> {
        let is_over = self.kept.get(&node).is_some_and(|&kept| epoch < kept);
        match self.votes.get(&node) {
            _ if is_over => Ok(()),
            Some(&vote) if vote == (epoch, candidate) => Ok(()),
            _ => Err(format!(
                "{} tells broker {candidate} of a vote in epoch {epoch} that is not on its disk",
                before.name(node)
            )),
        }
    }

    fn kept(&mut self, node: NodeId, epoch: LeaderEpoch, before: &World) -> Result<(), String> {
        self.judged += 1;
        match self.kept.insert(node, epoch) {
            Some(last) if epoch < last => Err(format!(
                "{} has epoch {epoch} of the quorum on its disk, where epoch {last} was before",
                before.name(node)
            )),
            _ => Ok(()),
        }
    }

    fn role(&mut self, node: NodeId, partition: PartitionId, epoch: LeaderEpoch, before: &World) -> Result<(), String> {
        self.judged += 1;
        match self.roles.insert((node, partition), epoch) {
            Some(last) if epoch < last => Err(format!(
                "{} took a role in epoch {epoch} of {partition} after one in epoch {last}",
                before.name(node)
            )),
            _ => Ok(()),
        }
    }

    fn life_ended(&mut self, node: NodeId) {
        self.quorum.remove(&node);
        self.roles.retain(|(owner, _), _| *owner != node);
        self.states.retain(|(owner, _), _| *owner != node);
    }
}

impl Promise for EpochsNeverFall {
    fn name(&self) -> &'static str {
        "epochs never fall"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::DiskHurt { harm: Harm::Wiped, .. } => {
                self.votes.remove(&node);
                self.kept.remove(&node);
                return Ok(());
            }
            What::NodeStarted | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.life_ended(node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match *event {
            Event::VoteCast { epoch, candidate } => self.vote(node, epoch, candidate, before),
            Event::VoteGranted { epoch, candidate } => self.granted(node, epoch, candidate, before),
            Event::EpochKept { epoch } => self.kept(node, epoch, before),
            Event::QuorumLeader { epoch, .. }
            | Event::QuorumFollower { epoch, .. }
            | Event::QuorumUnattached { epoch } => self.quorum_epoch(node, epoch, before),
            Event::BecameLeader { partition, epoch, .. } | Event::BecameFollower { partition, epoch, .. } => {
                self.role(node, partition, epoch, before)
            }
            Event::PartitionChanged { partition, leader_epoch, partition_epoch, .. } => {
                self.judged += 1;
                let now = (leader_epoch, partition_epoch);
                match self.states.insert((node, partition), now) {
                    Some(last) if now.0 < last.0 || now.1 < last.1 => Err(format!(
                        "metadata of {} about {partition} fell from leader epoch {}, state {} to leader epoch {}, state {}",
                        before.name(node),
                        last.0,
                        last.1,
                        now.0,
                        now.1
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
