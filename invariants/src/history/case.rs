//! The case: a history with all that promises look up in it, and what they have found so far.

use std::collections::BTreeMap;

use evidence::Key;
use evidence::history::{Moment, Row, Table};
use serde::Serialize;

use super::anomaly::{Anomaly, Gravity, PROMISES, Promise, Terms};
use super::logs::Logs;
use crate::{Outcome, Verdict};

/// Findings of one name that are told each; those beyond are counted.
const TOLD_MAX: u64 = 1_000;

/// Of these so many are told in the detail of a verdict.
const DETAIL_MAX: usize = 3;

/// One anomaly of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, Jepsen's where there is one.
    pub anomaly: &'static str,
    pub verdict: Gravity,
    pub key: String,
    /// Indexes of the lines that show it.
    pub operations: Vec<u64>,
    /// One sentence.
    pub why: String,
    /// The promise that it speaks of.
    #[serde(skip)]
    pub promise: &'static str,
}

/// All that a history shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// How many more there are than `findings` lists, by name.
    pub more: BTreeMap<&'static str, u64>,
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// The gravest of all verdicts. A promise that the history holds nothing for counts for nothing: unknown if that is all of them.
    pub fn outcome(&self) -> Outcome {
        self.verdicts.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::Unknown)
    }
}

/// Where a record went, by the replicas' own word.
pub(crate) type Whereabouts<'a> = &'a dyn Fn(&Key, i64) -> Option<String>;

pub(crate) struct Case<'a> {
    pub(crate) table: &'a Table,
    pub(crate) logs: Logs,
    pub(crate) terms: Terms,
    pub(crate) whereabouts: Whereabouts<'a>,
    findings: Vec<Finding>,
    counts: BTreeMap<(&'static str, Gravity), u64>,
    tallies: BTreeMap<&'static str, Tally>,
}

/// What was looked at for a promise.
#[derive(Default)]
struct Tally {
    judged: u64,
    /// Facts that nobody looked at: with one of them the promise is not kept but unknown.
    unjudged: u64,
    /// Findings by gravity.
    found: BTreeMap<Gravity, u64>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(table: &'a Table, whereabouts: Whereabouts<'a>) -> Case<'a> {
        let terms = Terms::of(&table.claims);
        Case {
            table,
            logs: Logs::new(table, terms),
            terms,
            whereabouts,
            findings: Vec::new(),
            counts: BTreeMap::new(),
            tallies: BTreeMap::new(),
        }
    }

    pub(crate) fn judged(&mut self, promise: &Promise, count: u64) {
        self.tallies.entry(promise.name).or_default().judged += count;
    }

    pub(crate) fn unjudged(&mut self, promise: &Promise, count: u64) {
        self.tallies.entry(promise.name).or_default().unjudged += count;
    }

    /// Notes an anomaly; `tell` gives the lines that show it and the sentence.
    pub(crate) fn find(&mut self, anomaly: Anomaly, key: u32, tell: impl FnOnce(&Self) -> (Vec<u64>, String)) {
        let (name, promise, verdict) = (anomaly.name(), anomaly.promise().name, self.terms.gravity(anomaly));
        *self.tallies.entry(promise).or_default().found.entry(verdict).or_default() += 1;
        let count = self.counts.entry((name, verdict)).or_default();
        *count += 1;
        if TOLD_MAX < *count {
            return;
        }
        let (mut operations, why) = tell(self);
        operations.sort_unstable();
        operations.dedup();
        let key = self.table.keys.get(key).to_owned();
        self.findings.push(Finding { anomaly: name, verdict, key, operations, why, promise });
    }

    /// Was the one line written before the other, for certain? By their times where every line has one, else by their order.
    pub(crate) fn precedes(&self, first: Moment, second: Moment) -> bool {
        match (first.time, second.time) {
            (Some(first), Some(second)) if self.table.is_timed() => first < second,
            _ => first.index < second.index,
        }
    }

    /// Where a line stands among all, in the sense of [`Case::precedes`].
    pub(crate) fn when(&self, moment: Moment) -> u64 {
        match moment.time {
            Some(time) if self.table.is_timed() => time.0,
            _ => moment.index,
        }
    }

    pub(crate) fn key(&self, key: u32) -> &'a str {
        self.table.keys.get(key)
    }

    pub(crate) fn value(&self, record: u32) -> String {
        self.table.records.told(record).to_string()
    }

    pub(crate) fn row(&self, operation: u32) -> &'a Row {
        self.table.row(operation)
    }

    /// The lines of these operations.
    pub(crate) fn lines(&self, operations: impl IntoIterator<Item = u32>) -> Vec<u64> {
        operations.into_iter().flat_map(|operation| self.row(operation).operations()).collect()
    }

    pub(crate) fn into_report(self) -> Report {
        let Case { mut findings, counts, tallies, .. } = self;
        // The gravest first; within it the order in which promises are reported, and in which they were found.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.verdict));
        let mut more = BTreeMap::new();
        for ((name, _), count) in &counts {
            if TOLD_MAX < *count {
                *more.entry(*name).or_default() += count - TOLD_MAX;
            }
        }
        let nothing = Tally::default();
        let verdicts = PROMISES.iter().map(|promise| {
            let tally = tallies.get(promise.name).unwrap_or(&nothing);
            let told = findings.iter().filter(|finding| finding.promise == promise.name);
            verdict(promise, tally, &told.collect::<Vec<_>>())
        });
        Report { verdicts: verdicts.collect(), findings, more }
    }
}

fn verdict(promise: &Promise, tally: &Tally, findings: &[&Finding]) -> Verdict {
    let Tally { judged, unjudged, found } = tally;
    let gravest = found.last_key_value().map(|(gravity, count)| (*gravity, *count));
    let outcome = match gravest {
        Some((Gravity::Broken, _)) => Outcome::Broken,
        _ if *judged == 0 || 0 < *unjudged => Outcome::Unknown,
        Some((Gravity::Allowed, _)) => Outcome::Allowed,
        Some((Gravity::Informational, _)) | None => Outcome::Kept,
    };
    let mut told = Vec::new();
    if let Some((gravity, count)) = gravest.filter(|(gravity, _)| *gravity != Gravity::Informational) {
        let grave = findings.iter().filter(|finding| finding.verdict == gravity).take(DETAIL_MAX);
        told.extend(grave.map(|finding| finding.why.clone()));
        let more = count - told.len() as u64;
        if 0 < more {
            told.push(format!("And {more} more like these"));
        }
    } else if *judged == 0 && *unjudged == 0 {
        told.push("the history holds nothing to judge it by".into());
    } else {
        told.push(format!("{judged} {}", promise.evidence));
        if 0 < *unjudged {
            told.push(format!("{unjudged} that nobody tried to read afterwards"));
        }
    }
    Verdict { promise: promise.name, outcome, detail: told.join(". "), at: None }
}
