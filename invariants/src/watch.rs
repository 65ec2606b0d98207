//! The watch: all promises at once, fed by the trace as it happens and by the history when the run is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Claims, Entry, History, Key, What};
use model::{Offset, PartitionId, TopicId};

use crate::both_sides;
use crate::history::{Calm, Grounds, judge};
use crate::trace::{ConvergesAfterHealing, NodeId, Promise, World, promises, whereabouts};
use crate::{Outcome, Report, Verdict, Violation};

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
    world: World,
    promises: Vec<(Box<dyn Promise>, Option<Violation>)>,
    convergence: ConvergesAfterHealing,
    unconverged: Option<Violation>,
    calm: Calm,
    topics: BTreeMap<String, TopicId>,
    power_losses: u32,
}

impl Watch {
    pub fn new(expectations: Expectations) -> Watch {
        Watch {
            world: World::new(expectations.claims.unclean_election),
            promises: promises(&expectations).into_iter().map(|promise| (promise, None)).collect(),
            convergence: ConvergesAfterHealing::default(),
            unconverged: None,
            calm: Calm::default(),
            topics: BTreeMap::new(),
            power_losses: 0,
            expectations,
        }
    }

    /// Tells which topic a name of the history stands for, so that a loss can be traced to the replicas' logs. Needless where
    /// trace and history speak of one topic.
    pub fn name_topic(&mut self, name: &str, topic: TopicId) {
        self.world.name_topic(name, topic);
        self.topics.insert(name.to_owned(), topic);
    }

    /// Takes the next entry of the trace. A violation ends the run: what follows the first bad event is its consequence. Each
    /// promise tells of its first only.
    pub fn observe(&mut self, entry: &Entry) -> Option<Violation> {
        let node = self.world.node(&entry.node);
        let mut first = None;
        let promises = self.promises.iter_mut().map(|(promise, violation)| (promise.as_mut(), violation));
        let convergence: &mut dyn Promise = &mut self.convergence;
        for (promise, violation) in promises.chain([(convergence, &mut self.unconverged)]) {
            first = first.or_else(|| look(promise, violation, entry, node, &self.world));
        }
        if entry.what == What::PowerLost {
            self.power_losses += 1;
        }
        self.calm.observe(entry);
        self.world.apply(entry, node);
        first
    }

    /// What the core of a quiet phase has not found yet, a sentence each; but for what is excused by a proven reason.
    pub fn stalls(&self) -> Vec<String> {
        let stalls = self.convergence.stalls(&self.world);
        stalls.into_iter().filter(|stall| stall.excuse.is_none()).map(|stall| stall.what).collect()
    }

    /// The judgement on every promise: those over the trace, then those over the history.
    pub fn finish(self, history: &History) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = self
            .promises
            .iter()
            .map(|(promise, violation)| self.verdict(promise.as_ref(), violation.as_ref()))
            .collect();
        verdicts.push(self.verdict(&self.convergence, self.unconverged.as_ref()));
        verdicts.extend(self.report(history).verdicts);
        verdicts.extend(both_sides::judge(history, &self.world, &self.topics(history)));
        if let Some(bound) = self.expectations.unavailable_at_most {
            verdicts.push(self.calm.judge(history, bound));
        }
        verdicts
    }

    /// What the history shows, each finding with where the brokers say that its record went.
    pub fn report(&self, history: &History) -> Report {
        let budget = self.expectations.claims.crash_budget.unwrap_or(u32::MAX);
        let is_beyond = !self.expectations.flush_on_commit && budget < self.power_losses;
        let excused_loss = is_beyond.then(|| {
            format!(
                "{} losses of power, more than the crash budget of {budget}, without waiting for disks",
                self.power_losses
            )
        });
        let topics = self.topics(history);
        let whereabouts = |key: &Key, offset: i64| {
            let (topic, index) = key.parts();
            let partition = PartitionId { topic: *topics.get(topic)?, index: index? };
            whereabouts(&self.world, partition, Offset(offset))
        };
        let grounds = Grounds {
            claims: &self.expectations.claims,
            producers_retry: self.expectations.producers_retry,
            excused_loss,
            whereabouts: &whereabouts,
        };
        judge(history, &grounds)
    }

    fn verdict(&self, promise: &dyn Promise, violation: Option<&Violation>) -> Verdict {
        // What a broken promise cut short was never to be judged as a whole.
        let is_whole = self.promises.iter().all(|(_, violation)| violation.is_none());
        let at_end = || is_whole.then(|| promise.at_end(&self.world).err()).flatten();
        let why = violation.map(|violation| violation.why.clone()).or_else(at_end);
        let (outcome, detail) = match (why, promise.allowed()) {
            (Some(why), _) => (Outcome::Broken, why),
            (None, Some(text)) => (Outcome::Allowed, text),
            (None, None) if promise.judged() == 0 => (Outcome::Unknown, "nobody bore witness of it".into()),
            (None, None) => (Outcome::Kept, format!("{} facts", promise.judged())),
        };
        Verdict { promise: promise.name(), outcome, detail, at: violation.map(|violation| violation.at) }
    }

    /// The topics that names stand for. One name in the history and one topic in the trace belong together.
    fn topics(&self, history: &History) -> BTreeMap<String, TopicId> {
        let mut topics = self.topics.clone();
        let sent = history.operations.iter().flat_map(|operation| operation.action.micro_operations());
        let names: BTreeSet<&str> = sent
            .filter_map(|micro| match micro {
                evidence::MicroOperation::Send { key, .. } => Some(key.parts().0),
                evidence::MicroOperation::Poll | evidence::MicroOperation::Polled(_) => None,
            })
            .collect();
        let ids: BTreeSet<TopicId> = self
            .world
            .partitions()
            .map(|partition| partition.topic)
            .filter(|&topic| topic != TopicId::METADATA)
            .collect();
        if let (1, 1, Some(name), Some(&id)) = (names.len(), ids.len(), names.first(), ids.first()) {
            topics.entry((*name).to_owned()).or_insert(id);
        }
        topics
    }
}

/// Shows an entry to a promise, unless that was broken before.
fn look(
    promise: &mut dyn Promise,
    violation: &mut Option<Violation>,
    entry: &Entry,
    node: NodeId,
    before: &World,
) -> Option<Violation> {
    if violation.is_some() {
        return None;
    }
    let why = promise.observe(entry, node, before).err()?;
    *violation = Some(Violation { promise: promise.name(), why, at: entry.index });
    violation.clone()
}
