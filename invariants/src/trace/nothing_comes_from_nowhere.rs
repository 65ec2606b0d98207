//! Nothing comes from nowhere (TigerBeetle's state checker: whatever is committed, some client has asked for).
//!
//! Broken if a log takes a batch whose checksum, which covers its records, is not that of a batch that a client sent to this
//! partition: somebody altered it, made it up, or put it elsewhere. One batch may be written more than once: a client that
//! heard no answer asks again. And one that writes by name, as all do before version 13 of Produce (KIP-516), may reach a topic that
//! was made again under the name that it means. What a leader packs by its topic's codec has another checksum from then on, and must have been
//! sent before; whether the records in it are the same, clients tell. The metadata log holds decisions, not requests. A trace in which no client ever spoke leaves
//! the promise unknown.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use foldhash::fast::FixedState;
use indexmap::IndexSet;
use model::{Event, PartitionId};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct NothingComesFromNowhere {
    sent: BTreeMap<PartitionId, IndexSet<u32, FixedState>>,
    judged: u64,
}

impl NothingComesFromNowhere {
    /// Did a client send a batch with this checksum to the partition, or to one of the same name?
    fn was_sent(&self, world: &World, partition: PartitionId, crc: u32) -> bool {
        let was_sent_to = |to| self.sent.get(&to).is_some_and(|sent| sent.contains(&crc));
        was_sent_to(partition) || world.namesakes(partition).any(was_sent_to)
    }
}

impl Promise for NothingComesFromNowhere {
    fn name(&self) -> &'static str {
        "nothing comes from nowhere"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::BatchSent, Frequent::Appended]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            What::Witnessed(Event::BatchSent { partition, crc }) => {
                self.sent.entry(partition).or_default().insert(crc);
                Ok(())
            }
            What::Witnessed(Event::BatchRecompressed { partition, sent, crc }) => {
                if !self.was_sent(before, partition, sent) {
                    let node = before.name(node);
                    return Err(format!("{partition}: {node} packs a batch (crc {sent:08x}) that no client has sent"));
                }
                self.sent.entry(partition).or_default().insert(crc);
                Ok(())
            }
            What::Witnessed(Event::Appended { partition, epoch, base, end, crc })
                if partition != PartitionId::METADATA && !self.sent.is_empty() =>
            {
                self.judged += 1;
                // What compaction made of what was sent is judged where it is made.
                let is_compacted = before.batch(partition, base, end, epoch, crc).is_compacted();
                if is_compacted || self.was_sent(before, partition, crc) {
                    return Ok(());
                }
                Err(format!(
                    "{partition}: {} appends {base}..{end} of epoch {epoch} (crc {crc:08x}), which no client has sent",
                    before.name(node)
                ))
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
