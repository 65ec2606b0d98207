//! What a broker knows of producers is what its log tells (Kafka's producer state; KIP-98).
//!
//! Broken if what a replica says it knows, when its log was cut or it begins to lead, is not what all the batches of that log tell,
//! read one after the other; but for producers that it forgot after a long silence. With more, it takes a batch that is gone for
//! one that is there, and with less, one that is there for a new one. What it remembers of batches below its log's start is not
//! asked for, nor anything of a log of which the world itself destroyed a part on this node.

use std::collections::BTreeMap;

use evidence::{Entry, Harm, What};
use model::{Event, Offset, PartitionId, ProducerId, ProducerStamp, Producers, Timestamp};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct ProducerStateIsItsRebuild {
    logs: BTreeMap<(PartitionId, NodeId), Log>,
    judged: u64,
}

#[derive(Default)]
struct Log {
    /// The batches of producers, and where each begins and ends.
    batches: Vec<(ProducerStamp, Offset, Offset)>,
    has_forgotten: bool,
    /// Some of it was written before the trace began; or a producer that was forgotten may be known again, since its batches were
    /// read again, and nobody witnessed which were.
    is_in_doubt: bool,
}

impl Log {
    fn rebuild(&self, start: Offset) -> Producers {
        let mut producers = Producers::default();
        for (stamp, base, end) in self.batches.iter().filter(|(_, _, end)| start < *end) {
            producers.note(stamp, *base, *end);
        }
        producers
    }

    fn ends_at(&mut self, end: Offset) {
        self.batches.retain(|(_, _, last)| *last <= end);
        self.is_in_doubt |= self.has_forgotten;
    }

    fn forgets(&mut self, producer: ProducerId) {
        self.batches.retain(|(stamp, _, _)| stamp.id != producer);
        self.has_forgotten = true;
    }
}

impl ProducerStateIsItsRebuild {
    fn log(&mut self, partition: PartitionId, node: NodeId) -> &mut Log {
        self.logs.entry((partition, node)).or_default()
    }
}

impl Promise for ProducerStateIsItsRebuild {
    fn name(&self) -> &'static str {
        "producer state equals its rebuild"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::ProducerAppended]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::DiskHurt { harm: Harm::Wiped, .. } => {
                self.logs.retain(|(_, owner), _| *owner != node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match *event {
            Event::ProducerAppended {
                partition,
                producer: id,
                producer_epoch: epoch,
                first_sequence,
                last_sequence,
                base,
                end,
            } => {
                // No admission goes by time.
                let stamp = ProducerStamp { id, epoch, first_sequence, last_sequence, timestamp: Timestamp::default() };
                self.log(partition, node).batches.push((stamp, base, end));
            }
            Event::ProducerForgotten { partition, producer } => self.log(partition, node).forgets(producer),
            Event::Truncated { partition, to, .. } => self.log(partition, node).ends_at(to),
            Event::Recovered { partition, log_end, .. } => {
                let is_new = !self.logs.contains_key(&(partition, node));
                let log = self.log(partition, node);
                log.ends_at(log_end);
                log.is_in_doubt |= is_new && Offset::ZERO < log_end && !before.is_seen_from_start(node);
            }
            Event::LogStartAdvanced { partition, to, .. } => {
                self.log(partition, node).batches.retain(|(_, _, end)| to < *end);
            }
            Event::ProducersKnown { partition, start, end, digest } => {
                let is_hurt = before.replica(partition, node).is_some_and(|replica| replica.is_hurt);
                let log = self.log(partition, node);
                if is_hurt || log.is_in_doubt {
                    return Ok(());
                }
                let is_same = log.rebuild(start).digest() == digest;
                self.judged += 1;
                if !is_same {
                    let name = before.name(node);
                    return Err(format!(
                        "{partition}: {name} knows other producers than its log, which has {start}..{end}, tells of"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
