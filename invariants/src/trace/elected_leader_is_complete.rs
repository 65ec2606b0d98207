//! An elected leader has every committed record (leader completeness: Raft; for partitions, election from the in-sync set).
//!
//! Broken if a leader of epoch e begins with a log that ends before, or differs from, what leaders of epochs *before* e
//! committed. A broker that learns late that it was elected may lack what later epochs committed: it is a zombie already,
//! and legal. Where the claims allow an unclean election the loss is counted instead.

use evidence::{Entry, What};
use model::{Event, LeaderEpoch, Offset, PartitionId};

use super::{NodeId, Promise, World};

pub(super) struct ElectedLeaderIsComplete {
    unclean_election: bool,
    judged: u64,
    unclean: u64,
    lost: i64,
}

impl ElectedLeaderIsComplete {
    pub(super) fn new(unclean_election: bool) -> ElectedLeaderIsComplete {
        ElectedLeaderIsComplete { unclean_election, judged: 0, unclean: 0, lost: 0 }
    }

    fn elected(
        &mut self,
        partition: PartitionId,
        epoch: LeaderEpoch,
        log_end: Offset,
        node: NodeId,
        world: &World,
    ) -> Result<(), String> {
        self.judged += 1;
        let Some(state) = world.partition(partition) else { return Ok(()) };
        let required = state.committed_before(epoch);
        let conflict = world
            .replica(partition, node)
            .and_then(|replica| replica.log.conflict(&state.canonical, Offset::ZERO, required.min(log_end)));
        if required <= log_end && conflict.is_none() {
            return Ok(());
        }
        if self.unclean_election && partition != PartitionId::METADATA {
            self.unclean += 1;
            self.lost += required.0 - conflict.map_or(log_end, |(ours, _)| ours.base).0;
            return Ok(());
        }
        Err(match conflict {
            Some((ours, committed)) => format!(
                "{} leads {partition} in epoch {epoch} with {ours} where {committed} was committed",
                world.name(node)
            ),
            None => format!(
                "{} leads {partition} in epoch {epoch} with a log that ends at {log_end}, but everything below {required} was committed",
                world.name(node)
            ),
        })
    }
}

impl Promise for ElectedLeaderIsComplete {
    fn name(&self) -> &'static str {
        "an elected leader has every committed record"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            What::Witnessed(Event::BecameLeader { partition, epoch, log_end, .. }) => {
                self.elected(partition, epoch, log_end, node, before)
            }
            What::Witnessed(Event::QuorumLeader { epoch, log_end }) => {
                self.elected(PartitionId::METADATA, epoch, log_end, node, before)
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }

    fn allowed(&self) -> Option<String> {
        let (unclean, lost) = (self.unclean, self.lost);
        (0 < unclean).then(|| format!("{unclean} unclean elections gave up {lost} committed offsets"))
    }
}
