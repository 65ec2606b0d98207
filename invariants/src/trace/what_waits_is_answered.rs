//! What waits is answered: when nobody asks any more, no answer is owed, and at no time more than a node can hold.
//!
//! Broken if (a) more answers or fetches wait on one node than [`WAITING_MAX`]; (b) when a quiet phase is over, a node of its
//! core that had time to look again says that producers still wait: their tickets leak; (c) under `flush.policy = commit` such a node
//! has a log whose end it does not sync. A node that is down or stands still is not judged, nor is a run that did not come
//! so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Entry, What};
use model::{Event, Time};

use super::{Frequent, NodeId, Promise, World};

/// More than all connections of a node may have under way in any scenario.
const WAITING_MAX: u32 = 100_000;

/// A node looks twice a second, and says what changed.
const LOOKED_AGAIN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct WhatWaitsIsAnswered {
    /// Answers that are owed, since when.
    owed: BTreeMap<NodeId, (u32, Time)>,
    /// Nodes that run.
    up: BTreeSet<NodeId>,
    /// The nodes that are whole in the end, once a quiet phase began.
    core: BTreeSet<NodeId>,
    is_over: bool,
    flush_on_commit: bool,
    judged: u64,
}

impl WhatWaitsIsAnswered {
    pub(super) fn new(flush_on_commit: bool) -> WhatWaitsIsAnswered {
        WhatWaitsIsAnswered { flush_on_commit, ..WhatWaitsIsAnswered::default() }
    }
}

impl Promise for WhatWaitsIsAnswered {
    fn name(&self) -> &'static str {
        "what waits is answered"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Burden]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            &What::Witnessed(Event::Burden { answers, fetches }) => {
                self.judged += 1;
                self.owed.insert(node, (answers, entry.time));
                if WAITING_MAX < answers.max(fetches) {
                    let name = before.name(node);
                    return Err(format!("{answers} answers and {fetches} fetches wait on {name}"));
                }
            }
            What::NodeStarted | What::NodeResumed => {
                self.owed.remove(&node);
                self.up.insert(node);
            }
            What::NodePaused | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.owed.remove(&node);
                self.up.remove(&node);
            }
            What::QuietBegan { core } => self.core = core.iter().filter_map(|name| before.known_node(name)).collect(),
            What::QuietEnded => self.is_over = true,
            _ => {}
        }
        Ok(())
    }

    fn at_end(&self, world: &World) -> Result<(), String> {
        if !self.is_over {
            return Ok(());
        }
        for &node in self.up.intersection(&self.core).filter(|_| self.flush_on_commit) {
            let mut logs = world.partitions_of(node).filter(|(partition, _)| !world.is_removed(partition.topic));
            let unsafe_log = logs.find(|(_, replica)| {
                let since = world.now.since(replica.written_at);
                !replica.is_hurt && replica.on_disk.is_some_and(|on_disk| on_disk < replica.end) && LOOKED_AGAIN < since
            });
            if let Some((partition, replica)) = unsafe_log {
                return Err(format!(
                    "{partition}: in the end the log of {} reaches {}, and nobody brings it to the disk",
                    world.name(node),
                    replica.end
                ));
            }
        }
        let owing = self
            .owed
            .iter()
            .filter(|(node, _)| self.core.contains(node))
            .find(|(_, (answers, since))| 0 < *answers && LOOKED_AGAIN < world.now.since(*since));
        match owing {
            None => Ok(()),
            Some((node, (answers, _))) => {
                Err(format!("in the end {} still owes {answers} answers to producers", world.name(*node)))
            }
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
