//! One leader an epoch: election safety (Raft, KIP-595; for partitions, the controller's epoch numbers).
//!
//! Broken if two brokers lead the same partition, or the metadata quorum, in the same epoch, by their own word or by that
//! of metadata and followers. Two leaders at the same time in *different* epochs are legal: the older one is a zombie
//! that has not heard yet. The same broker may become leader of one epoch twice, before and after a restart.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct OneLeaderAnEpoch {
    leaders: BTreeMap<(PartitionId, LeaderEpoch), BrokerId>,
    judged: u64,
}

impl OneLeaderAnEpoch {
    fn leads(&mut self, partition: PartitionId, epoch: LeaderEpoch, broker: BrokerId) -> Result<(), String> {
        self.judged += 1;
        let known = *self.leaders.entry((partition, epoch)).or_insert(broker);
        if known == broker {
            return Ok(());
        }
        let what = if partition == PartitionId::METADATA {
            "the metadata quorum".into()
        } else {
            format!("partition {partition}")
        };
        Err(format!("broker {known} and broker {broker} both lead {what} in epoch {epoch}"))
    }
}

impl Promise for OneLeaderAnEpoch {
    fn name(&self) -> &'static str {
        "one leader an epoch"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let What::Witnessed(event) = &entry.what else { return Ok(()) };
        match *event {
            Event::QuorumLeader { epoch, .. } => match before.broker(node) {
                Some(broker) => self.leads(PartitionId::METADATA, epoch, broker),
                None => Ok(()),
            },
            Event::BecameLeader { partition, epoch, .. } => match before.broker(node) {
                Some(broker) => self.leads(partition, epoch, broker),
                None => Ok(()),
            },
            Event::QuorumFollower { epoch, leader } => self.leads(PartitionId::METADATA, epoch, leader),
            Event::BecameFollower { partition, epoch, leader, .. }
            | Event::PartitionChanged { partition, leader: Some(leader), leader_epoch: epoch, .. } => {
                self.leads(partition, epoch, leader)
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
