//! What a fuzz found: failures by their reason, what was reached, and what was not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use trial::Reason;

use crate::commands::Exit;
use crate::commands::points;
use crate::commands::worker::Reply;

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) runs: u64,
    pub(crate) simulated: Duration,
    pub(crate) reached: BTreeSet<String>,
    /// What other commands reached.
    pub(crate) reached_elsewhere: BTreeSet<String>,
    /// Promises that no run gave evidence for; none: no run yet.
    unknown: Option<BTreeSet<String>>,
    kinds: BTreeMap<Reason, Kind>,
    different: Vec<(u64, String)>,
    stuck: bool,
}

/// Failures for one reason: in all likelihood one bug.
#[derive(Clone, Debug, Default)]
struct Kind {
    seeds: Vec<u64>,
    small: Option<Failing>,
}

/// The first failure of a kind, made small.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failing {
    pub(crate) faults_before: usize,
    pub(crate) faults: usize,
    pub(crate) replay: String,
}

/// What one run adds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct News {
    pub(crate) seed: u64,
    simulated: Duration,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    /// Points that no run reached before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reached: Vec<String>,
    /// Promises without evidence in this run and all before, if this run changed that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unknown: Option<BTreeSet<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    different: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    stuck: bool,
    /// Nothing failed for this reason before.
    #[serde(skip)]
    pub(crate) is_first: bool,
}

impl Findings {
    /// Takes what a run found.
    pub(crate) fn add(&mut self, seed: u64, reply: &Reply, different: Option<String>) -> News {
        let mut news = News { seed, reason: reply.reasons().into_iter().next(), different, ..News::default() };
        match reply {
            Reply::Answered(answer) => {
                news.simulated = answer.simulated;
                let is_new = |point: &&String| !self.reached.contains(*point);
                news.reached = answer.reached.iter().filter(is_new).cloned().collect();
                let unknown: BTreeSet<String> = match &self.unknown {
                    None => answer.unknown.iter().cloned().collect(),
                    Some(unknown) => answer.unknown.iter().filter(|one| unknown.contains(*one)).cloned().collect(),
                };
                news.unknown = (self.unknown.as_ref() != Some(&unknown)).then_some(unknown);
            }
            Reply::Died { is_stuck, .. } => news.stuck = *is_stuck,
        }
        news.is_first = news.reason.as_ref().is_some_and(|reason| !self.kinds.contains_key(reason));
        self.take(news.clone());
        news
    }

    /// Takes what a run found, as it was written down.
    pub(crate) fn take(&mut self, news: News) {
        self.runs += 1;
        self.simulated += news.simulated;
        self.reached.extend(news.reached);
        self.unknown = news.unknown.or(self.unknown.take());
        if let Some(reason) = news.reason {
            self.kinds.entry(reason).or_default().seeds.push(news.seed);
        }
        self.different.extend(news.different.map(|difference| (news.seed, difference)));
        self.stuck |= news.stuck;
    }

    pub(crate) fn add_small(&mut self, reason: &Reason, failing: Failing) {
        self.kinds.entry(reason.clone()).or_default().small = Some(failing);
    }

    pub(crate) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// Runs that failed.
    pub(crate) fn failures(&self) -> usize {
        self.kinds.values().map(|kind| kind.seeds.len()).sum()
    }

    pub(crate) fn failed_seeds(&self) -> BTreeSet<u64> {
        self.kinds.values().flat_map(|kind| kind.seeds.iter().copied()).collect()
    }

    fn unreached(&self) -> Vec<String> {
        points::all()
            .into_iter()
            .filter(|point| !self.reached.contains(point) && !self.reached_elsewhere.contains(point))
            .collect()
    }

    pub(crate) fn exit(&self) -> Exit {
        match (self.stuck, self.different.is_empty(), self.kinds.is_empty()) {
            (true, _, _) => Exit::Stuck,
            (_, false, _) => Exit::Nondeterministic,
            (_, _, false) => Exit::Disappointed,
            (_, _, true) => Exit::AsExpected,
        }
    }

    /// One line a kind of failure, then what was covered.
    pub(crate) fn summary(&self, wall: Duration) -> String {
        let mut text = String::new();
        for (reason, kind) in &self.kinds {
            let seeds = kind.seeds.len();
            let first = kind.seeds.first().copied().unwrap_or_default();
            text.push_str(&format!("{seeds:>6} x {reason}, first at seed {first}\n"));
            match &kind.small {
                Some(small) => text.push_str(&format!("         {}\n", small.replay)),
                None => text.push_str(&format!("         {}\n", reason.shape)),
            }
        }
        for (seed, difference) in &self.different {
            text.push_str(&format!("nondeterminism: seed {seed} differs in another process: {difference}\n"));
        }
        let (all, unreached) = (points::all().len(), self.unreached());
        text.push_str(&format!("reached   {} of {all} points\n", all - unreached.len()));
        for point in &unreached {
            text.push_str(&format!("          never: {point}\n"));
        }
        for promise in self.unknown.iter().flatten() {
            text.push_str(&format!("no evidence for a promise: {promise}\n"));
        }
        text.push_str(&format!(
            "{} seeds, {} not as expected, {} simulated in {:.1} s\n",
            self.runs,
            self.failures(),
            hours(self.simulated),
            wall.as_secs_f64()
        ));
        text
    }

    pub(crate) fn json(&self, wall: Duration) -> serde_json::Value {
        let milliseconds = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let failures = self.kinds.iter().map(|(reason, kind)| {
            let Reason { promise, shape, event } = reason;
            json!({ "promise": promise, "why": shape, "event": event, "seeds": kind.seeds, "small": kind.small })
        });
        let failures: Vec<_> = failures.collect();
        let different: Vec<_> =
            self.different.iter().map(|(seed, difference)| json!({ "seed": seed, "difference": difference })).collect();
        json!({
            "seeds": self.runs,
            "failed": self.failures(),
            "failures": failures,
            "nondeterministic": different,
            "reached": self.reached,
            "unreached": self.unreached(),
            "unknown": self.unknown.clone().unwrap_or_default(),
            "simulated_ms": milliseconds(self.simulated),
            "wall_ms": milliseconds(wall),
        })
    }
}

/// One line for a new kind of failure.
pub(crate) fn line(reason: &Reason, failing: &Failing) -> String {
    let Failing { faults_before, faults, replay } = failing;
    format!("{reason}: {faults} of {faults_before} faults left\n  {replay}")
}

/// Simulated time in a unit that fits.
pub(crate) fn hours(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 7_200.0 { format!("{seconds:.0} s") } else { format!("{:.1} h", seconds / 3_600.0) }
}
