//! Smaller scenarios: what could be left out of one, or made simpler, for whoever runs them to try.
//!
//! Pure: it knows no run, only what one showed ([`Happened`]). Each candidate is a scenario that a file could hold. They are made of
//! the file's own table, so that a new kind of fault or a new key is made smaller without a word here.
//!
//! ```text
//! end.rs      a shorter run             clients.rs  fewer and simpler clients     unroll.rs  a fault that comes again and again, as
//! faults.rs   fewer faults              cluster.rs  fewer topics, brokers, keys              the ones that came
//! words.rs    rounder and shorter times, and no choice where one will do
//! ```

mod clients;
mod cluster;
mod end;
mod faults;
mod unroll;
mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use self::unroll::unroll;
use crate::scenario::Scenario;

/// A fault that came in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    /// Its place in the scenario, from 0.
    pub fault: usize,
    /// Since the workload began.
    pub at: Duration,
    /// Until it was undone; none: the run was over before.
    pub lasts: Option<Duration>,
    /// Whom it befell, by name.
    pub whom: Vec<String>,
}

/// A way to make a scenario smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    End,
    Faults,
    Clients,
    Cluster,
    Words,
}

impl Step {
    /// All of them, in the order in which they pay.
    pub const ALL: &'static [Step] = &[Step::End, Step::Faults, Step::Clients, Step::Cluster, Step::Words];

    /// Scenarios that are smaller by one step of this kind, the boldest first. `ended` is when the run broke off, if it did.
    pub fn candidates(self, scenario: &Scenario, ended: Option<Duration>) -> Vec<Scenario> {
        let Ok(table) = Table::try_from(scenario) else { return Vec::new() };
        let tables = match self {
            Step::End => end::shorter(&table, scenario.length(), ended),
            Step::Faults => faults::fewer(&table),
            Step::Clients => clients::fewer(&table),
            Step::Cluster => cluster::smaller(&table),
            Step::Words => words::simpler(&table),
        };
        let read = tables.into_iter().filter_map(read);
        read.filter(|candidate| candidate != scenario).collect()
    }
}

/// The scenario of a table, if it makes sense.
fn read(table: Table) -> Option<Scenario> {
    let scenario: Scenario = table.try_into().ok()?;
    crate::check::first_mistake(&scenario).is_none().then_some(scenario)
}

/// A table without some of the items of a list: halves of it, quarters, and so on down to one by one.
fn without_parts(table: &Table, list: &str) -> Vec<Table> {
    let count = items(table, list).len();
    let mut tables = Vec::new();
    let mut size = count;
    while size > 0 {
        for start in (0..count).step_by(size) {
            tables.push(without(table, list, |place| (start..start + size).contains(&place)));
        }
        size /= 2;
    }
    tables
}

fn items<'a>(table: &'a Table, list: &str) -> &'a [Value] {
    table.get(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A table without the items of a list at the places that are `gone`.
fn without(table: &Table, list: &str, gone: impl Fn(usize) -> bool) -> Table {
    let kept = items(table, list).iter().enumerate().filter(|(place, _)| !gone(*place));
    with(table, list, Value::Array(kept.map(|(_, item)| item.clone()).collect()))
}

/// A table with another value at a key.
fn with(table: &Table, key: &str, value: Value) -> Table {
    let mut table = table.clone();
    table.insert(key.to_owned(), value);
    table
}

/// For each item of a list, and each way to change it: the table with that item changed.
fn with_items_changed(table: &Table, list: &str, change: impl Fn(&Table) -> Vec<Table>) -> Vec<Table> {
    let mut tables = Vec::new();
    for (place, item) in items(table, list).iter().enumerate() {
        for changed in item.as_table().map(&change).unwrap_or_default() {
            let mut list_changed = items(table, list).to_vec();
            list_changed[place] = Value::Table(changed);
            tables.push(with(table, list, Value::Array(list_changed)));
        }
    }
    tables
}

/// A table without one of its keys, if it has it.
fn drop_key(table: &Table, key: &str) -> Option<Table> {
    let mut table = table.clone();
    table.remove(key).map(|_| table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Profile, random};

    #[test]
    fn every_candidate_is_another_scenario_that_a_file_can_hold() {
        for seed in 0..40 {
            let scenario = random(seed, Profile::Standard);
            for step in Step::ALL {
                for candidate in step.candidates(&scenario, Some(Duration::from_millis(7_300))) {
                    let text = candidate.to_toml();
                    assert_ne!(candidate, scenario, "{step:?}");
                    assert_eq!(Scenario::parse("smaller", &text).unwrap(), candidate, "{step:?}\n{text}");
                }
            }
        }
    }

    /// Whoever takes any candidate again and again comes to an end, and to something small.
    #[test]
    fn taking_every_candidate_ends_with_next_to_nothing() {
        for seed in 0..20 {
            let mut scenario = random(seed, Profile::Standard);
            let mut steps = 0;
            while let Some(next) = Step::ALL.iter().flat_map(|step| step.candidates(&scenario, None)).next() {
                scenario = next;
                steps += 1;
                assert!(steps < 1_000, "it never ends:\n{}", scenario.to_toml());
            }
            let clients = scenario.producers.len() + scenario.consumers.len();
            assert_eq!((scenario.faults.len(), clients, scenario.topics.len()), (0, 1, 1), "{}", scenario.to_toml());
            assert!(scenario.cluster.config.is_empty(), "{}", scenario.to_toml());
            assert!(scenario.length() <= Duration::from_secs(1));
        }
    }
}
