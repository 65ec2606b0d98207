//! A truncation spares what is committed (KIP-101, KIP-279; the comment in Kafka's `ConsistentCommittedData`).
//!
//! Broken if a node cuts off a batch of the canonical log. Cutting at an offset below the true high watermark is legal
//! when what goes is another batch than the committed one: the tail of a deposed leader may reach below where its
//! successor has come since. A follower that cuts to its own high watermark, which always lags, is how acknowledged
//! records were once lost.

use evidence::{Entry, What};
use model::Event;

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct TruncationSparesCommitted {
    judged: u64,
}

impl Promise for TruncationSparesCommitted {
    fn name(&self) -> &'static str {
        "a truncation spares what is committed"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            // An append is what a truncation may take away: without one there is nothing to judge.
            What::Witnessed(Event::Appended { .. }) => {
                self.judged += 1;
                Ok(())
            }
            What::Witnessed(Event::Truncated { partition, from, to }) => {
                self.judged += 1;
                let (Some(replica), Some(state)) = (before.replica(partition, node), before.partition(partition))
                else {
                    return Ok(());
                };
                let gone = replica.log.overlapping(to, from.max(replica.end));
                let committed = gone
                    .filter(|batch| batch.end <= state.high_watermark)
                    .find(|batch| state.canonical.starting_at(batch.base) == Some(batch));
                match committed {
                    None => Ok(()),
                    Some(batch) => Err(format!(
                        "{partition}: {} cuts its log from {from} to {to} and loses {batch}, which is committed (high watermark {})",
                        before.name(node),
                        state.high_watermark
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
