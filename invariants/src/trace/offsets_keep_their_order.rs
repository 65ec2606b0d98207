//! Offsets keep their order: log start, high watermark, log end (Kafka's UnifiedLog), without a gap.
//!
//! Broken if (a) a log's start lies beyond its end, or falls from one life to the next; (b) a batch is appended elsewhere than
//! at the log's end; (c) a node counts as committed or as synced what lies beyond the end of its own log. The high watermark of a
//! follower lags and may fall: that is no error. Nor is it one where a log begins that a node had let go, when it is given the replica again, or
//! one that it gave up after an unclean election.

use std::collections::BTreeMap;

use evidence::{Entry, Harm, What};
use model::{Event, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct OffsetsKeepTheirOrder {
    starts: BTreeMap<(PartitionId, NodeId), Offset>,
    judged: u64,
}

impl Promise for OffsetsKeepTheirOrder {
    fn name(&self) -> &'static str {
        "offsets keep their order"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Appended, Frequent::Synced, Frequent::HighWatermarkAdvanced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::DiskHurt { harm: Harm::Wiped, .. } => {
                self.starts.retain(|(_, owner), _| *owner != node);
                return Ok(());
            }
            What::DiskHurt { harm: Harm::MovedAway, file, .. } => {
                before.partition_of(file).map(|partition| self.starts.remove(&(partition, node)));
                return Ok(());
            }
            _ => return Ok(()),
        };
        let end = |partition| before.replica(partition, node).map(|replica| replica.end);
        let name = before.name(node);
        match *event {
            Event::Recovered { partition, log_start, log_end, .. } => {
                self.judged += 1;
                let last = self.starts.insert((partition, node), log_start);
                if log_end < log_start {
                    return Err(format!("{partition}: the log of {name} begins at {log_start} and ends at {log_end}"));
                }
                match last.filter(|&last| log_start < last) {
                    None => Ok(()),
                    Some(last) => {
                        Err(format!("{partition}: the log of {name} began at {last}, and now at {log_start}"))
                    }
                }
            }
            // Whether it might is judged elsewhere.
            Event::LogBegunAnew { partition, to } => {
                self.starts.insert((partition, node), to);
                Ok(())
            }
            Event::ReplicaRemoved { partition } => {
                self.starts.remove(&(partition, node));
                Ok(())
            }
            Event::Appended { partition, base, end: batch_end, .. } => {
                self.judged += 1;
                // An empty log may begin in the middle of its first batch.
                let start = before.replica(partition, node).map_or(Offset::ZERO, |replica| replica.start);
                let is_first = |end: Offset| end == start && base < end && end < batch_end;
                match end(partition).filter(|&end| end != base && !is_first(end)) {
                    None => Ok(()),
                    Some(end) => Err(format!("{partition}: {name} appends at {base} to a log that ends at {end}")),
                }
            }
            Event::HighWatermarkAdvanced { partition, to, .. } => {
                self.judged += 1;
                match end(partition).filter(|&end| end < to) {
                    None => Ok(()),
                    Some(end) => Err(format!(
                        "{partition}: {name} moves the high watermark to {to}, past the end of its own log at {end}"
                    )),
                }
            }
            Event::Synced { partition, end: synced } => match end(partition).filter(|&end| end < synced) {
                None => Ok(()),
                Some(end) => Err(format!("{partition}: {name} has synced up to {synced} of a log that ends at {end}")),
            },
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
