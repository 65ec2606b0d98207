//! What befell a run: its faults as they came, read from its trace.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::What;
use model::Time;
use scenarios::Happened;

use crate::run::{Finished, WORKLOAD_BEGINS};

impl Finished {
    /// The faults as they came, in order, in the time of the workload.
    pub fn happened(&self) -> Vec<Happened> {
        let faults = &self.run.scenario.faults;
        let told: Vec<String> = faults.iter().map(|fault| format!("{}: ", fault.kind)).collect();
        let zero = self.zero();
        let mut happened: Vec<Happened> = Vec::new();
        let mut going_on: BTreeMap<u32, usize> = BTreeMap::new();
        for entry in &self.run.entries {
            match &entry.what {
                What::FaultBegan { id, text } => {
                    let Some(fault) = told.iter().position(|told| text.starts_with(told)) else { continue };
                    let whom = text.get(told[fault].len()..).unwrap_or("");
                    let whom = whom.split(", ").filter(|name| *name != "nobody").map(str::to_owned).collect();
                    going_on.insert(*id, happened.len());
                    happened.push(Happened { fault, at: entry.time.since(zero), lasts: None, whom });
                }
                What::FaultEnded { id } => {
                    if let Some(fault) = going_on.get(id).and_then(|place| happened.get_mut(*place)) {
                        fault.lasts = Some(entry.time.since(zero).saturating_sub(fault.at));
                    }
                }
                _ => {}
            }
        }
        // What befell nobody did nothing.
        happened.retain(|fault| !fault.whom.is_empty());
        happened
    }

    /// When a broken promise ended the run, in the time of the workload; none if none did.
    pub fn ended(&self) -> Option<Duration> {
        let at = usize::try_from(self.violation.as_ref()?.at).ok()?;
        Some(self.run.entries.get(at)?.time.since(self.zero()))
    }

    fn zero(&self) -> Time {
        let begins = |what: &What| matches!(what, What::Note { text } if text == WORKLOAD_BEGINS);
        self.run.entries.iter().find(|entry| begins(&entry.what)).map_or(Time::ZERO, |entry| entry.time)
    }
}
