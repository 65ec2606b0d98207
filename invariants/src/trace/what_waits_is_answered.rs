//! What waits is answered: when nobody asks any more, no answer is owed, and at no time more than a node can hold.
//!
//! Broken if (a) more answers or fetches wait on one node than [`WAITING_MAX`]; (b) a second after a quiet phase was over, a node of
//! its core looks and says that producers still wait: their tickets leak; (c) in the end, under `flush.policy = commit` such a node
//! has a log whose end it does not sync. A node that is down or stands still is not judged, nor is a log that it wrote in an earlier life and
//! has not opened since, as what is left of a partition that is not its own any more; nor a run that did not come so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Entry, What};
use model::{Event, Time};

use super::{Frequent, NodeId, Promise, World};

/// More than all connections of a node may have under way in any scenario.
const WAITING_MAX: u32 = 100_000;

/// A node looks twice a second. Whom it hears to be gone by then it owes nothing.
const LOOKED: Duration = Duration::from_secs(1);

/// What was written this long ago has been synced.
const SYNCED: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct WhatWaitsIsAnswered {
    /// Nodes that run.
    up: BTreeSet<NodeId>,
    /// When each began its life.
    started_at: BTreeMap<NodeId, Time>,
    /// The nodes that are whole in the end, once a quiet phase began.
    core: BTreeSet<NodeId>,
    /// When it was over.
    over_at: Option<Time>,
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
                let is_over = self.over_at.is_some_and(|over_at| LOOKED <= entry.time.since(over_at));
                if is_over && self.core.contains(&node) && 0 < answers {
                    return Err(format!("in the end {} still owes {answers} answers to producers", before.name(node)));
                }
                if WAITING_MAX < answers.max(fetches) {
                    let name = before.name(node);
                    return Err(format!("{answers} answers and {fetches} fetches wait on {name}"));
                }
            }
            What::NodeStarted => {
                self.up.insert(node);
                self.started_at.insert(node, entry.time);
            }
            What::NodeResumed => _ = self.up.insert(node),
            What::NodePaused | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.up.remove(&node);
            }
            What::QuietBegan { core } => {
                self.core = core.iter().filter_map(|name| before.known_node(name)).collect();
                self.over_at = None;
            }
            What::QuietEnded => self.over_at = Some(entry.time),
            _ => {}
        }
        Ok(())
    }

    fn at_end(&self, world: &World) -> Result<(), String> {
        if self.over_at.is_none() {
            return Ok(());
        }
        for &node in self.up.intersection(&self.core).filter(|_| self.flush_on_commit) {
            let mut logs = world.partitions_of(node).filter(|(partition, _)| !world.is_removed(partition.topic));
            let started_at = self.started_at.get(&node).copied().unwrap_or(Time::ZERO);
            let unsafe_log = logs.find(|(_, replica)| {
                if replica.written_at < started_at {
                    return false;
                }
                let since = world.now.since(replica.written_at);
                !replica.is_hurt && replica.on_disk.is_some_and(|on_disk| on_disk < replica.end) && SYNCED < since
            });
            if let Some((partition, replica)) = unsafe_log {
                return Err(format!(
                    "{partition}: in the end the log of {} reaches {}, and nobody brings it to the disk",
                    world.name(node),
                    replica.end
                ));
            }
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
