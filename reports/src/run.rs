//! A run that is over: everything that reports show.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::Entry;
use invariants::{Outcome, Verdict};
use model::TopicId;
use scenarios::{Goal, Reach, Scenario};
use serde::{Deserialize, Serialize};

/// What a run was, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub scenario: Scenario,
    /// Where the scenario came from: a path of the catalogue, a file's name.
    pub source: String,
    pub seed: u64,
    /// Of every event of the world, as the run prints it.
    pub digest: String,
    /// The command that shows this run again.
    pub replay: String,
    pub verdicts: Vec<Verdict>,
    /// The trace, in order.
    pub entries: Vec<Entry>,
    /// Names of the topics that the trace speaks of by identity.
    pub topics: BTreeMap<TopicId, String>,
    /// What was reached, asked for or not.
    pub reached: Vec<Reach>,
    /// The points in the code that the workload passed, and how often: see `model::coverage`.
    pub points: BTreeMap<&'static str, u64>,
    /// Expectations that were missed, a sentence each; besides those on `reached` and on promises, which are seen here.
    pub missed: Vec<String>,
    pub stats: Stats,
}

/// The run in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Time that passed in the simulated world.
    pub simulated: Duration,
    /// Time that passed here.
    pub wall: Duration,
    /// Everything that the digest counted.
    pub events: u64,
    /// Records that producers were told are safe.
    pub acknowledged: u64,
    /// Records that consumers got.
    pub consumed: u64,
}

impl Run {
    /// What the scenario asked for and did not get, a sentence each: broken promises, promises that should have broken, what
    /// was not reached, and what the run itself missed. Empty: the run went as expected.
    pub fn disappointments(&self) -> Vec<String> {
        let expect = &self.scenario.expect;
        let is_tolerated = |promise: &str| expect.tolerated().any(|tolerated| tolerated == promise);
        let mut found = Vec::new();
        for verdict in &self.verdicts {
            if verdict.outcome == Outcome::Broken && !is_tolerated(verdict.promise) {
                found.push(format!("a promise is broken: {}", verdict.promise));
            }
        }
        for promise in &expect.broken {
            let verdict = self.verdicts.iter().find(|verdict| verdict.promise == promise);
            if !verdict.is_some_and(|verdict| matches!(verdict.outcome, Outcome::Broken | Outcome::Allowed)) {
                found.push(format!("this tale must break a promise and did not: {promise}"));
            }
        }
        if self.verdicts.iter().all(|verdict| verdict.outcome == Outcome::Unknown) {
            found.push("the run gave no evidence for any promise".into());
        }
        found.extend(self.unreached().map(|reach| format!("never reached: {reach}")));
        found.extend(self.missed.iter().cloned());
        found
    }

    /// What the scenario must reach and this run did not.
    pub fn unreached(&self) -> impl Iterator<Item = &Goal> {
        self.scenario.expect.reach.iter().filter(|goal| match goal {
            Goal::Seen(reach) => !self.reached.contains(reach),
            Goal::Point(sentence) => !self.points.contains_key(sentence.as_str()),
        })
    }

    /// The first trace entry that a broken promise points to.
    pub fn first_bad(&self) -> Option<u64> {
        let broken = self.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Broken);
        broken.filter_map(|verdict| verdict.at).min()
    }

    /// What was claimed of this cluster, in a few words.
    pub(crate) fn claims(&self) -> Vec<String> {
        let scenario = &self.scenario;
        let mut claims = Vec::new();
        let mut add = |claim: String| {
            if !claims.contains(&claim) {
                claims.push(claim);
            }
        };
        for producer in &scenario.producers {
            add(format!("acks={}", producer.acks));
            if producer.idempotent {
                add("idempotent".into());
            }
        }
        for topic in &scenario.topics {
            add(format!("{} replicas, {} in sync", topic.replicas, topic.min_insync_replicas));
        }
        add(match scenario.cluster.flush_policy {
            scenarios::FlushPolicy::Commit => "synced before it counts".into(),
            scenarios::FlushPolicy::Os => "synced when the system likes".into(),
        });
        claims
    }
}
