//! The world as the trace has told it so far: which node lives, who leads what, how far each log goes.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{Event, Offset, PartitionEpoch, PartitionId};

use crate::names::Names;
use crate::telling::{Telling, Weight, tell};

/// A node's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Up,
    Paused,
    Down,
}

/// What a replica believes of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Nobody,
    Leader,
    Follower,
}

/// One replica, or one voter of the quorum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    pub(crate) role: Role,
    pub(crate) epoch: i32,
    pub(crate) log_end: Option<Offset>,
    pub(crate) high_watermark: Option<Offset>,
}

/// All nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    lives: BTreeMap<String, Life>,
    replicas: BTreeMap<(String, PartitionId), Replica>,
    /// The newest epoch of each partition that anybody learned of.
    learned: BTreeMap<PartitionId, PartitionEpoch>,
}

impl World {
    /// Takes an entry, and tells it. What every broker learns is news only once.
    pub(crate) fn tell(&mut self, entry: &Entry, names: &Names) -> Telling {
        let mut telling = tell(entry, names);
        self.apply(entry, &telling);
        if let What::Witnessed(Event::PartitionChanged { partition, partition_epoch, .. }) = &entry.what {
            if self.learned.get(partition).is_some_and(|newest| partition_epoch <= newest) {
                telling.weight = Weight::Flow;
            } else {
                self.learned.insert(*partition, *partition_epoch);
            }
        }
        telling
    }

    pub(crate) fn life(&self, node: &str) -> Life {
        self.lives.get(node).copied().unwrap_or(Life::Down)
    }

    pub(crate) fn replica(&self, node: &str, partition: PartitionId) -> Option<&Replica> {
        self.replicas.get(&(node.to_string(), partition))
    }

    fn apply(&mut self, entry: &Entry, telling: &Telling) {
        let node = &entry.node.0;
        match &entry.what {
            What::NodeStarted | What::NodeResumed => self.live(node, Life::Up),
            What::NodePaused => self.live(node, Life::Paused),
            What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.live(node, Life::Down);
                self.replicas.retain(|(owner, _), _| **owner != **node);
            }
            What::Witnessed(event) => self.witness(node, event, telling),
            What::DiskHurt { .. }
            | What::DiskMended
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

    fn live(&mut self, node: &str, life: Life) {
        self.lives.insert(node.to_string(), life);
    }

    fn witness(&mut self, node: &str, event: &Event, telling: &Telling) {
        let role = match event {
            Event::QuorumLeader { .. } | Event::BecameLeader { .. } => Some(Role::Leader),
            Event::QuorumFollower { .. } | Event::BecameFollower { .. } => Some(Role::Follower),
            Event::QuorumUnattached { .. } => Some(Role::Nobody),
            // What metadata says of a partition is not what this node's replica does.
            Event::PartitionChanged { .. } | Event::VoteCast { .. } => return,
            _ => None,
        };
        let Some(partition) = telling.partition else { return };
        let unknown = Replica { role: Role::Nobody, epoch: -1, log_end: None, high_watermark: None };
        let replica = self.replicas.entry((node.to_string(), partition)).or_insert(unknown);
        replica.role = role.unwrap_or(replica.role);
        replica.epoch = telling.epoch.unwrap_or(replica.epoch);
        replica.log_end = telling.log_end.or(replica.log_end);
        replica.high_watermark = telling.high_watermark.or(replica.high_watermark);
    }
}
