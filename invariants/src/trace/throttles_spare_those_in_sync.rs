//! Throttles spare those in sync (KIP-73): producers wait for whom a leader counts on, and a move is to be in nobody's way.
//!
//! Broken if a throttle holds back a replica that is in sync by the very state of the partition that the node went by which held it back.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{BrokerId, Event, PartitionEpoch, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct ThrottlesSpareThoseInSync {
    /// Who is in sync by each state of a partition.
    in_sync: BTreeMap<(PartitionId, PartitionEpoch), Vec<BrokerId>>,
    judged: u64,
}

impl Promise for ThrottlesSpareThoseInSync {
    fn name(&self) -> &'static str {
        "throttles spare those in sync"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::PartitionChanged { partition, partition_epoch, in_sync, .. }) => {
                self.in_sync.entry((*partition, *partition_epoch)).or_insert_with(|| in_sync.clone());
                Ok(())
            }
            What::Witnessed(Event::HeldBack { partition, partition_epoch, replica }) => {
                self.judged += 1;
                let in_sync = self.in_sync.get(&(*partition, *partition_epoch));
                match in_sync.filter(|in_sync| in_sync.contains(replica)) {
                    None => Ok(()),
                    Some(_) => Err(format!(
                        "{}: {} lets a throttle hold back broker {replica}, which is in sync",
                        before.words(*partition),
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
