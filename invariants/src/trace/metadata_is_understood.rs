//! Every broker reads the metadata of its cluster (KIP-584, KIP-778).
//!
//! Broken if (a) a record is applied that only nodes of a later level read rightly than the one that is finalized where it stands: a node of
//! the release before skips it, or stops at it; (b) a level is finalized, or a broker registered, so that a registered broker does not know
//! the level. What a decision leaves is judged where it is whole: at the end of its batch.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{BrokerId, Event, MetadataVersion, MetadataVersions};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct MetadataIsUnderstood {
    by_node: BTreeMap<NodeId, Known>,
    judged: u64,
}

/// What a node has applied.
#[derive(Default)]
struct Known {
    level: MetadataVersion,
    brokers: BTreeMap<BrokerId, MetadataVersions>,
    is_changed: bool,
}

impl Promise for MetadataIsUnderstood {
    fn name(&self) -> &'static str {
        "every broker reads the metadata"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::NodeStarted => {
                self.by_node.remove(&node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match event {
            Event::LevelFinalized { level } => {
                let known = self.by_node.entry(node).or_default();
                (known.level, known.is_changed) = (*level, true);
            }
            Event::BrokerRegistered { broker, versions, .. } => {
                let known = self.by_node.entry(node).or_default();
                known.brokers.insert(*broker, *versions);
                known.is_changed = true;
            }
            Event::BrokerUnregistered { broker } => {
                self.by_node.entry(node).or_default().brokers.remove(broker);
            }
            Event::NewerRecordApplied { level } => {
                self.judged += 1;
                let finalized = self.by_node.entry(node).or_default().level;
                if finalized < *level {
                    return Err(format!(
                        "{} applies a record of metadata version {level}, and the finalized one is {finalized}: a node of the release before \
                         misreads it",
                        before.name(node)
                    ));
                }
            }
            Event::MetadataApplied { end, .. } => {
                let Some(known) = self.by_node.get_mut(&node) else { return Ok(()) };
                if !std::mem::take(&mut known.is_changed) {
                    return Ok(());
                }
                self.judged += 1;
                let level = known.level;
                if let Some((broker, versions)) = known.brokers.iter().find(|(_, versions)| !versions.contains(level)) {
                    return Err(format!(
                        "below offset {end} metadata is of version {level}, and broker {broker}, which is registered, reads {versions}"
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
