//! The watch: all promises at once, fed by the trace as it happens and by the history when the run is over.

use std::time::Duration;

use evidence::{Claims, Entry, History};
use model::TopicId;

use crate::{Verdict, Violation};

/// What a scenario expects of its cluster, beyond and including what its history claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    pub claims: Claims,
    /// Every replica syncs a batch before it counts as replicated (`flush.policy = commit`).
    pub flush_on_commit: bool,
    /// Producers send again what they got no answer for.
    pub producers_retry: bool,
    /// With no fault going on, every partition takes records again within this time. None: nobody asked.
    pub unavailable_at_most: Option<Duration>,
}

/// All promises of one run.
pub struct Watch {
    expectations: Expectations,
    topics: std::collections::BTreeMap<String, TopicId>,
}

impl Watch {
    pub fn new(expectations: Expectations) -> Watch {
        Watch { expectations, topics: std::collections::BTreeMap::new() }
    }

    /// Tells which topic a name of the history stands for, so that a loss can be traced to the replicas' logs.
    pub fn name_topic(&mut self, name: &str, topic: TopicId) {
        self.topics.insert(name.to_owned(), topic);
    }

    /// Takes the next entry of the trace. A violation ends the run: what follows the first bad event is its consequence.
    pub fn observe(&mut self, _entry: &Entry) -> Option<Violation> {
        None
    }

    /// The judgement on every promise.
    pub fn finish(self, history: &History) -> Vec<Verdict> {
        let _ = (self.expectations, history);
        Vec::new()
    }
}
