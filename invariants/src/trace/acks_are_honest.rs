//! Acks are honest: a producer hears of success only once its records are as safe as it asked for.
//!
//! Broken if (a) acks=all is answered for records that the true high watermark has not passed, or that are not in the
//! canonical log; (b) acks=1 for records that are not in the answering node's log, be it a zombie's; (c) an answer names
//! an offset where no batch of that log begins; (d) under `flush.policy = commit` an answer comes before the disks have
//! the records: for acks=1 the leader's, for acks=all those of every replica that may be in sync; (e) acks=all is answered
//! with fewer in sync than `min.insync.replicas` (KIP-966). A replica that never witnessed a sync is not judged under (d),
//! nor is an offset under (a) to (c) in a stretch of the log that nobody witnessed.

use evidence::{Entry, What};
use model::{Event, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

pub(super) struct AcksAreHonest {
    flush_on_commit: bool,
    judged: u64,
}

impl AcksAreHonest {
    pub(super) fn new(flush_on_commit: bool) -> AcksAreHonest {
        AcksAreHonest { flush_on_commit, judged: 0 }
    }

    /// Acks=all: committed, everywhere it must be.
    fn all(
        &self,
        partition: PartitionId,
        base: Offset,
        end: Offset,
        node: NodeId,
        world: &World,
    ) -> Result<(), String> {
        let high_watermark = world.high_watermark(partition);
        if high_watermark < end {
            return Err(format!(
                "{partition}: {} says that {base}..{end} is on every in-sync replica, but the high watermark is {high_watermark}",
                world.name(node)
            ));
        }
        let (Some(state), Some(replica)) = (world.partition(partition), world.replica(partition, node)) else {
            return Ok(());
        };
        if let Some((ours, committed)) = replica.log.conflict(&state.canonical, base, end) {
            return Err(format!(
                "{partition}: {} acknowledges {ours}, but {committed} was committed there",
                world.name(node)
            ));
        }
        if !replica.in_sync.is_empty() && replica.in_sync.len() < replica.in_sync_min {
            return Err(format!(
                "{partition}: {} acknowledges {base}..{end} with {} in sync, where min.insync.replicas is {}",
                world.name(node),
                replica.in_sync.len(),
                replica.in_sync_min
            ));
        }
        if !self.flush_on_commit {
            return Ok(());
        }
        for &broker in &replica.in_sync_at_most {
            let on_disk = world.replica_of(partition, broker).and_then(|replica| replica.on_disk);
            if let Some(on_disk) = on_disk.filter(|&on_disk| on_disk < end) {
                return Err(format!(
                    "{partition}: {base}..{end} is acknowledged, but in-sync broker {broker} has only what is below {on_disk} on its disk"
                ));
            }
        }
        Ok(())
    }

    /// Acks=1: in the log of whoever answers.
    fn leader(&self, partition: PartitionId, end: Offset, node: NodeId, world: &World) -> Result<(), String> {
        let Some(replica) = world.replica(partition, node) else { return Ok(()) };
        if replica.end < end {
            return Err(format!(
                "{partition}: {} acknowledges records up to {end}, but its log ends at {}",
                world.name(node),
                replica.end
            ));
        }
        match replica.on_disk.filter(|&on_disk| self.flush_on_commit && on_disk < end) {
            None => Ok(()),
            Some(on_disk) => Err(format!(
                "{partition}: {} acknowledges records up to {end}, but has only what is below {on_disk} on its disk",
                world.name(node)
            )),
        }
    }
}

impl Promise for AcksAreHonest {
    fn name(&self) -> &'static str {
        "acks are honest"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Acked]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let What::Witnessed(Event::Acked { partition, epoch, base, end, acks }) = entry.what else { return Ok(()) };
        self.judged += 1;
        if before.partition(partition).is_some_and(|state| state.is_given_up(epoch)) {
            return Ok(());
        }
        if acks == -1 {
            self.all(partition, base, end, node, before)?;
        } else {
            self.leader(partition, end, node, before)?;
        }
        let Some(replica) = before.replica(partition, node) else { return Ok(()) };
        let there = replica.log.holding(base);
        let witnessed = base == end || there.is_some_and(|batch| !batch.is_compacted());
        if witnessed && replica.log.starting_at(base).is_none() {
            return Err(format!(
                "{partition}: {} acknowledges {base}..{end}, but no batch of its log begins at {base}",
                before.name(node)
            ));
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
