//! The high watermark waits for every in-sync replica (Kafka's `MajorityReachedHighWatermark`, for the in-sync set).
//!
//! Broken if (a) a leader moves it past the end of a log of the in-sync set, its own among them; (b) a replica joins the
//! in-sync set while its log ends below the true high watermark; (c) a node moves its own past the end of its own log.
//! Under (a) a replica counts if it is in every set that the leader may go by (see `surely_in_sync`), and by the furthest
//! that its log reached since it last truncated: a tail lost with the power was there when the leader heard of it. The
//! metadata quorum has a majority instead of a set, so only (c) holds for it.

use evidence::{Entry, What};
use model::{Event, Offset, PartitionId};

use super::{NodeId, Promise, World};

pub(super) struct HighWatermarkWaitsForInSync {
    unclean_election: bool,
    judged: u64,
}

impl HighWatermarkWaitsForInSync {
    pub(super) fn new(unclean_election: bool) -> HighWatermarkWaitsForInSync {
        HighWatermarkWaitsForInSync { unclean_election, judged: 0 }
    }
}

impl Promise for HighWatermarkWaitsForInSync {
    fn name(&self) -> &'static str {
        "the high watermark waits for every in-sync replica"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::HighWatermarkAdvanced { partition, epoch, to }) => {
                self.judged += 1;
                let Some(replica) = before.replica(*partition, node) else { return Ok(()) };
                if replica.end < *to {
                    return Err(format!(
                        "{partition}: {} moves the high watermark to {to}, past the end of its own log at {}",
                        before.name(node),
                        replica.end
                    ));
                }
                let leads = replica.leading == Some(*epoch) && *partition != PartitionId::METADATA;
                let Some(state) = before.partition(*partition).filter(|_| leads) else { return Ok(()) };
                for broker in state.surely_in_sync(node) {
                    let reached = before.replica_of(*partition, broker).map_or(Offset::ZERO, |replica| replica.reached);
                    if before.knows_broker(broker) && reached < *to {
                        return Err(format!(
                            "{partition}: leader {} moves the high watermark to {to}, but the log of in-sync broker {broker} ends at {reached}",
                            before.name(node)
                        ));
                    }
                }
                Ok(())
            }
            What::Witnessed(Event::PartitionChanged { partition, partition_epoch, in_sync, .. }) => {
                self.judged += 1;
                let Some(state) = before.partition(*partition).filter(|_| !self.unclean_election) else {
                    return Ok(());
                };
                let Some((newest, members)) = state.newest_in_sync() else { return Ok(()) };
                if *partition_epoch <= newest {
                    return Ok(());
                }
                for broker in in_sync.iter().filter(|&broker| !members.contains(broker)) {
                    let reached =
                        before.replica_of(*partition, *broker).map_or(Offset::ZERO, |replica| replica.reached);
                    if before.knows_broker(*broker) && reached < state.high_watermark {
                        return Err(format!(
                            "{partition}: broker {broker} joins the in-sync set with a log that ends at {reached}, below the high watermark {}",
                            state.high_watermark
                        ));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
