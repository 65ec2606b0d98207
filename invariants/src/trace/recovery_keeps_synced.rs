//! Recovery keeps all that was synced, and after a mere crash of the process all that was written.
//!
//! Broken if a log that is opened again ends below (a) what its owner last witnessed as synced, unless it truncated
//! since; (b) where it ended, if the machine kept its power: the page cache outlives a process. A torn tail after a loss
//! of power may go. Also if (c) a log is found damaged where it was safe, and the world never hurt that node's disk. What a node never wrote, though nothing that it did went unseen, it cannot find either: that is another log.
//! Nothing is asked of a log of which the world itself destroyed a part on this node.

use std::collections::BTreeSet;

use evidence::{Entry, What};
use model::{Event, Offset};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct RecoveryKeepsSynced {
    /// Nodes whose disks the world has ever hurt.
    hurt: BTreeSet<NodeId>,
    judged: u64,
}

impl Promise for RecoveryKeepsSynced {
    fn name(&self) -> &'static str {
        "recovery keeps all that was synced"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Appended, Frequent::Synced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            // What recovery must keep; a run without restarts has still shown that it is told.
            What::Witnessed(Event::Synced { .. } | Event::Appended { .. }) => {
                self.judged += 1;
                Ok(())
            }
            What::DiskHurt { .. } => {
                self.hurt.insert(node);
                Ok(())
            }
            What::Witnessed(Event::LogDamaged { partition }) => {
                self.judged += 1;
                if self.hurt.contains(&node) {
                    return Ok(());
                }
                Err(format!("{partition}: the log of {} is damaged, and nobody hurt its disk", before.name(node)))
            }
            What::Witnessed(Event::Recovered { partition, log_end, .. }) => {
                self.judged += 1;
                let name = before.name(node);
                let Some(replica) = before.replica(partition, node) else {
                    if log_end <= Offset::ZERO || !before.is_seen_from_start(node) {
                        return Ok(());
                    }
                    return Err(format!(
                        "{partition}: {name} finds a log up to {log_end} where it never wrote a record"
                    ));
                };
                if replica.is_hurt {
                    return Ok(());
                }
                match replica.synced {
                    Some(synced) if log_end < synced => Err(format!(
                        "{partition}: the log of {name} ends at {log_end} after recovery, but all below {synced} was synced"
                    )),
                    _ if log_end < replica.end && !replica.lost_power => Err(format!(
                        "{partition}: the log of {name} ends at {log_end} after recovery, but ended at {} when the process died, and the machine kept its power",
                        replica.end
                    )),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
