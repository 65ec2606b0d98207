//! A truncation spares what is committed (KIP-101, KIP-279; the comment in Kafka's `ConsistentCommittedData`).
//!
//! Broken if a node cuts off, or gives up with all that it has, (a) a batch of the canonical log; (b) anything while it leads; (c) something by the word of a
//! leadership that it does not follow: an answer that came late speaks of another log (KAFKA-18991). Cutting at an offset below the true high watermark is legal
//! when what goes is another batch than the committed one: the tail of a deposed leader may reach below where its
//! successor has come since. A follower that cuts to its own high watermark, which always lags, is how acknowledged
//! records were once lost. Of a log that the world hurt on this node (a) is not asked: a rotten epoch parts it from its leader.

use evidence::{Entry, What};
use model::{Event, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct TruncationSparesCommitted {
    judged: u64,
}

impl TruncationSparesCommitted {
    fn cut(
        &mut self,
        partition: PartitionId,
        from: Offset,
        to: Offset,
        node: NodeId,
        before: &World,
    ) -> Result<(), String> {
        self.judged += 1;
        let (Some(replica), Some(state)) = (before.replica(partition, node), before.partition(partition)) else {
            return Ok(());
        };
        if let Some(epoch) = replica.leading {
            return Err(format!(
                "{partition}: {} cuts its log from {from} to {to} while it leads epoch {epoch}",
                before.name(node)
            ));
        }
        let gone = replica.log.overlapping(to, from.max(replica.end));
        let committed = gone
            .filter(|batch| batch.end <= state.high_watermark)
            .find(|batch| state.canonical.starting_at(batch.base) == Some(batch));
        match committed.filter(|_| !replica.is_hurt) {
            None => Ok(()),
            Some(batch) => Err(format!(
                "{partition}: {} cuts its log from {from} to {to} and loses {batch}, which is committed (high watermark {})",
                before.name(node),
                state.high_watermark
            )),
        }
    }
}

impl Promise for TruncationSparesCommitted {
    fn name(&self) -> &'static str {
        "a truncation spares what is committed"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Appended]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            // An append is what a truncation may take away: without one there is nothing to judge.
            What::Witnessed(Event::Appended { .. }) => {
                self.judged += 1;
                Ok(())
            }
            What::Witnessed(Event::Truncated { partition, from, to }) => self.cut(partition, from, to, node, before),
            What::Witnessed(Event::LogBegunAnew { partition, .. }) => {
                let Some(replica) = before.replica(partition, node) else { return Ok(()) };
                self.cut(partition, replica.end, replica.start, node, before)
            }
            What::Witnessed(Event::LogsParted { partition, leader_epoch, .. }) => {
                self.judged += 1;
                let following = before.replica(partition, node).and_then(|replica| replica.following);
                match following.filter(|&following| following != leader_epoch) {
                    None => Ok(()),
                    Some(following) => Err(format!(
                        "{partition}: {} follows epoch {following} and takes the word of epoch {leader_epoch} that the logs part",
                        before.name(node)
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
