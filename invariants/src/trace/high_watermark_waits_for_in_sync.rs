//! The high watermark waits for every in-sync replica (Kafka's `MajorityReachedHighWatermark`, for the in-sync set; hachikuji's
//! `StrongIsr`).
//!
//! Broken if (a) a leader moves it past the end of a log that may be in sync, its own among them; (b) a leader moves it with
//! fewer in sync than `min.insync.replicas` (KIP-966); (c) a replica joins the in-sync set while its log ends below the true
//! high watermark, or holds other batches below it than the committed ones. Whom a leader must wait for is what it says of
//! itself; that this is enough is what `the in-sync set holds whom it should` judges. A log counts by the furthest that it
//! reached since it last truncated: a tail lost with the power was there when the leader heard of it. The metadata quorum
//! has a majority instead of a set: `the quorum commits by majority`.

use std::collections::BTreeSet;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId};

use super::world::InSyncState;
use super::{Frequent, NodeId, Promise, World};

pub(super) struct HighWatermarkWaitsForInSync {
    unclean_election: bool,
    judged: u64,
}

impl HighWatermarkWaitsForInSync {
    pub(super) fn new(unclean_election: bool) -> HighWatermarkWaitsForInSync {
        HighWatermarkWaitsForInSync { unclean_election, judged: 0 }
    }

    fn advanced(
        &mut self,
        partition: PartitionId,
        epoch: LeaderEpoch,
        to: Offset,
        node: NodeId,
        world: &World,
    ) -> Result<(), String> {
        let Some(replica) = world.replica(partition, node).filter(|replica| replica.leading == Some(epoch)) else {
            return Ok(());
        };
        let is_given_up = world.partition(partition).is_none_or(|state| state.is_given_up(epoch));
        // What a leader that has not heard of its topic's end still counts, others have given up already.
        let is_gone = world.is_removed(partition.topic);
        if is_given_up || is_gone || replica.in_sync_at_most.is_empty() {
            return Ok(());
        }
        self.judged += 1;
        let name = world.name(node);
        for &broker in &replica.in_sync_at_most {
            let reached = world.replica_of(partition, broker).map_or(Offset::ZERO, |replica| replica.reached);
            // One that metadata has let go is gone with its log before its leader hears of it.
            if world.knows_broker(broker) && reached < to && !world.has_let_go(partition, broker) {
                return Err(format!(
                    "{partition}: leader {name} moves the high watermark to {to}, but the log of in-sync broker {broker} ends at {reached}"
                ));
            }
        }
        if replica.in_sync.len() < replica.in_sync_min {
            return Err(format!(
                "{partition}: leader {name} moves the high watermark to {to} with {} in sync, where min.insync.replicas is {}",
                replica.in_sync.len(),
                replica.in_sync_min
            ));
        }
        Ok(())
    }

    /// Who joins with a newer state than anybody saw must have what is committed.
    fn joins(
        &mut self,
        partition: PartitionId,
        newest: &InSyncState,
        in_sync: &[BrokerId],
        world: &World,
    ) -> Result<(), String> {
        let Some(state) = world.partition(partition) else { return Ok(()) };
        let members: &BTreeSet<BrokerId> = &newest.members;
        for &broker in in_sync.iter().filter(|broker| !members.contains(broker)) {
            let Some(replica) = world.replica_of(partition, broker) else {
                if world.knows_broker(broker) && Offset::ZERO < state.high_watermark {
                    return Err(format!("{partition}: broker {broker} joins the in-sync set without a log"));
                }
                continue;
            };
            self.judged += 1;
            if replica.reached < state.high_watermark {
                return Err(format!(
                    "{partition}: broker {broker} joins the in-sync set with a log that ends at {}, below the high watermark {}",
                    replica.reached, state.high_watermark
                ));
            }
            if let Some((theirs, committed)) =
                replica.log.conflict(&state.canonical, Offset::ZERO, state.high_watermark)
            {
                return Err(format!(
                    "{partition}: broker {broker} joins the in-sync set with {theirs} where {committed} was committed"
                ));
            }
        }
        Ok(())
    }
}

impl Promise for HighWatermarkWaitsForInSync {
    fn name(&self) -> &'static str {
        "the high watermark waits for every in-sync replica"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::HighWatermarkAdvanced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::HighWatermarkAdvanced { partition, epoch, to }) => {
                self.advanced(*partition, *epoch, *to, node, before)
            }
            What::Witnessed(Event::PartitionChanged { partition, partition_epoch, in_sync, .. }) => {
                let newest = before.partition(*partition).and_then(|state| state.newest());
                match newest.filter(|newest| newest.partition_epoch < *partition_epoch && !self.unclean_election) {
                    Some(newest) => self.joins(*partition, newest, in_sync, before),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
