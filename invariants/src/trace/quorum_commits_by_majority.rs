//! The quorum commits by majority (KRaft's `MajorityReachedHighWatermark`; Raft, sections 5.3 and 5.4.2).
//!
//! Broken if the leader of the metadata quorum moves its high watermark (a) beyond what a majority of voters ever had on disk
//! since each last truncated, of those who vote by the last such record of its own log, committed or not (KIP-853); (b) to an offset whose last record is of an earlier epoch than its own: such a record may
//! be on a majority and yet be replaced (Raft, figure 8). What followers and observers say follows from the leader's word.

use evidence::{Entry, What};
use model::{Event, LeaderEpoch, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct QuorumCommitsByMajority {
    judged: u64,
}

impl QuorumCommitsByMajority {
    fn committed(&mut self, epoch: LeaderEpoch, to: Offset, node: NodeId, world: &World) -> Result<(), String> {
        let metadata = PartitionId::METADATA;
        let Some(replica) = world.replica(metadata, node).filter(|replica| replica.leading == Some(epoch)) else {
            return Ok(());
        };
        let voters = world.voters_by(node);
        if voters.is_empty() {
            return Ok(());
        }
        self.judged += 1;
        let name = world.name(node);
        let has_it = |voter: &&model::BrokerId| {
            world.replica_of(metadata, **voter).is_some_and(|replica| to <= replica.reached_safely)
        };
        let having = voters.iter().filter(has_it).count();
        let majority = voters.len() / 2 + 1;
        if having < majority {
            return Err(format!(
                "{name}, leader of epoch {epoch}, commits metadata up to {to}, but {having} of {} voters have it on disk",
                voters.len()
            ));
        }
        match replica.log.holding(to.plus(-1)).filter(|last| last.epoch < epoch) {
            None => Ok(()),
            Some(last) => Err(format!(
                "{name} commits metadata up to {to} as leader of epoch {epoch}, and the last of it is {last}: nothing of its own epoch"
            )),
        }
    }
}

impl Promise for QuorumCommitsByMajority {
    fn name(&self) -> &'static str {
        "the quorum commits by majority"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::HighWatermarkAdvanced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            What::Witnessed(Event::HighWatermarkAdvanced { partition: PartitionId::METADATA, epoch, to }) => {
                self.committed(epoch, to, node, before)
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
