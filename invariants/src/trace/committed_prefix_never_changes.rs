//! The committed prefix never changes: state machine safety (Raft), Kafka's `ConsistentCommittedData`.
//!
//! Broken if a leader moves its high watermark over a batch that is not the one that an earlier leader committed at those
//! offsets. The high watermark of a follower, and that of a leader just elected, may be lower than what was committed:
//! only what a leader newly claims is compared. An unclean election that the claims allow ends the old prefix where the
//! new leader's log ends.

use evidence::{Entry, What};
use model::{Event, Offset};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct CommittedPrefixNeverChanges {
    judged: u64,
}

impl Promise for CommittedPrefixNeverChanges {
    fn name(&self) -> &'static str {
        "the committed prefix never changes"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::HighWatermarkAdvanced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let What::Witnessed(Event::HighWatermarkAdvanced { partition, epoch, to }) = entry.what else { return Ok(()) };
        let Some(replica) = before.replica(partition, node).filter(|replica| replica.leading == Some(epoch)) else {
            return Ok(());
        };
        self.judged += 1;
        let Some(state) = before.partition(partition).filter(|state| !state.is_given_up(epoch)) else { return Ok(()) };
        let from = replica.high_watermark.min(to);
        match replica.log.conflict(&state.canonical, from.max(Offset::ZERO), to) {
            None => Ok(()),
            Some((ours, committed)) => Err(format!(
                "{}, leader of {partition} in epoch {epoch}, commits {ours}, but {committed} was committed there before",
                before.name(node)
            )),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
