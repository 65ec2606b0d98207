//! What waits is answered: when nobody asks any more, no answer is owed, and at no time more than a node can hold.
//!
//! Broken if (a) more answers or fetches wait on one node than [`WAITING_MAX`]; (b) a node that is up in the end, and had time to
//! look again, says that producers still wait: their tickets leak. A node that is down or stands still is not judged, nor is a run that
//! a broken promise ended.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{Entry, What};
use model::{Event, Time};

use super::{NodeId, Promise, World};

/// More than all connections of a node may have under way in any scenario.
const WAITING_MAX: u32 = 100_000;

/// A node looks twice a second, and says what changed.
const LOOKED_AGAIN: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct WhatWaitsIsAnswered {
    /// Answers that are owed, since when.
    owed: BTreeMap<NodeId, (u32, Time)>,
    now: Time,
    judged: u64,
}

impl Promise for WhatWaitsIsAnswered {
    fn name(&self) -> &'static str {
        "what waits is answered"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        self.now = entry.time;
        match entry.what {
            What::Witnessed(Event::Burden { answers, fetches }) => {
                self.judged += 1;
                self.owed.insert(node, (answers, entry.time));
                if WAITING_MAX < answers.max(fetches) {
                    let name = before.name(node);
                    return Err(format!("{answers} answers and {fetches} fetches wait on {name}"));
                }
            }
            What::NodePaused | What::NodeStarted | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.owed.remove(&node);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_end(&self, world: &World) -> Result<(), String> {
        let owing =
            self.owed.iter().find(|(_, (answers, since))| 0 < *answers && LOOKED_AGAIN < self.now.since(*since));
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
