//! Voters change one at a time (KIP-853; Ongaro, "Consensus", 4.1, and his correction of 2015).
//!
//! Broken if the leader of the metadata quorum has others vote (a) who differ from those before by more than one; (b) before it has committed
//! a record of its own epoch; (c) while its last change is not committed. Each would allow two majorities without a voter in common, and so
//! two histories. What followers have in their logs follows from the leader's.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct VotersChangeOneAtATime {
    /// Where the record of each leader's last change ends, and in which epoch it made it.
    last: BTreeMap<NodeId, (LeaderEpoch, Offset)>,
    judged: u64,
}

impl VotersChangeOneAtATime {
    fn changed(&mut self, voters: &[BrokerId], node: NodeId, world: &World) -> Result<(), String> {
        let Some(replica) = world.replica(PartitionId::METADATA, node) else { return Ok(()) };
        let Some(epoch) = replica.leading else { return Ok(()) };
        self.judged += 1;
        let name = world.name(node);
        let before = world.voters_by(node);
        let gone = before.iter().filter(|voter| !voters.contains(voter)).count();
        let new = voters.iter().filter(|voter| !before.contains(voter)).count();
        if 1 < gone + new {
            return Err(format!("{name} removes {gone} voters and adds {new} at once"));
        }
        let committed = replica.high_watermark;
        if committed <= replica.leading_from {
            return Err(format!(
                "{name}, leader of epoch {epoch}, changes the voters before anything of its own epoch is committed: that begins at {}, \
                 and metadata is committed up to {committed}",
                replica.leading_from
            ));
        }
        let last = self.last.insert(node, (epoch, replica.end));
        match last.filter(|(of, end)| *of == epoch && committed < *end) {
            None => Ok(()),
            Some((_, end)) => Err(format!(
                "{name} changes the voters again before its last change, which ends at {end}, is committed: that is up to {committed}"
            )),
        }
    }
}

impl Promise for VotersChangeOneAtATime {
    fn name(&self) -> &'static str {
        "voters change one at a time"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::VotersChanged { voters }) => self.changed(voters, node, before),
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
