//! The watch: all promises at once, fed by the trace as it happens and by the history when the run is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Claims, Entry, History, HistoryError, Key, Table, What};
use model::{Offset, PartitionId, TopicId};

use crate::both_sides;
use crate::history::{Calm, judge};
use crate::trace::{
    COMPACTION, ConvergesAfterHealing, Frequent, NodeId, Promise, RETENTION, World, promises, whereabouts,
};
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
    promises: Vec<Watched<dyn Promise>>,
    /// Which of them see a kind of [`Frequent`] facts, by its number; and last all, which see whatever else there is.
    audiences: Vec<Vec<usize>>,
    convergence: Watched<ConvergesAfterHealing>,
    calm: Calm,
    topics: BTreeMap<String, TopicId>,
    power_losses: u32,
}

/// A promise, and how it was first broken.
struct Watched<P: Promise + ?Sized> {
    promise: Box<P>,
    violation: Option<Violation>,
}

impl<P: Promise + ?Sized> Watched<P> {
    fn new(promise: Box<P>) -> Watched<P> {
        Watched { promise, violation: None }
    }

    /// Shows an entry to the promise, unless that was broken before. True if it is broken now.
    fn look(&mut self, entry: &Entry, node: NodeId, before: &World) -> bool {
        if self.violation.is_some() {
            return false;
        }
        let Err(why) = self.promise.observe(entry, node, before) else { return false };
        self.violation = Some(Violation { promise: self.promise.name(), why, at: entry.index });
        true
    }
}

impl Watch {
    pub fn new(expectations: Expectations) -> Watch {
        let promises: Vec<Watched<dyn Promise>> = promises(&expectations).into_iter().map(Watched::new).collect();
        let who = |wants: &dyn Fn(&dyn Promise) -> bool| {
            (0..promises.len()).filter(|&number| wants(promises[number].promise.as_ref())).collect()
        };
        let audience = |kind| who(&|promise| promise.frequent().contains(kind));
        Watch {
            world: World::new(expectations.claims.unclean_election),
            audiences: Frequent::ALL.iter().map(audience).chain([who(&|_| true)]).collect(),
            promises,
            convergence: Watched::new(Box::default()),
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

    /// The topics that have these names by now: one that was made again has the name of the one before.
    pub fn topics_by_name(&self) -> BTreeMap<String, TopicId> {
        self.world.topics_by_name().clone()
    }

    /// Takes the next entry of the trace. A violation ends the run: what follows the first bad event is its consequence. Each
    /// promise tells of its first only.
    pub fn observe(&mut self, entry: &Entry) -> Option<Violation> {
        let node = self.world.node(&entry.node);
        let kind = Frequent::of(&entry.what);
        // Every promise sees every entry that it judges by, whichever breaks first.
        let mut first = None;
        for &number in &self.audiences[kind.map_or(Frequent::ALL.len(), |kind| kind as usize)] {
            let is_broken = self.promises[number].look(entry, node, &self.world);
            first = first.or(is_broken.then_some(number));
        }
        let mut first = first.and_then(|number| self.promises[number].violation.clone());
        let is_convergence_shown = kind.is_none_or(|kind| self.convergence.promise.frequent().contains(&kind));
        if is_convergence_shown && self.convergence.look(entry, node, &self.world) {
            first = first.or_else(|| self.convergence.violation.clone());
        }
        if matches!(entry.what, What::PowerLost) {
            self.power_losses += 1;
        }
        self.calm.observe(entry, node);
        self.world.apply(entry, node);
        first
    }

    /// What the core of a quiet phase has not found yet, a sentence each; but for what is excused by a proven reason.
    pub fn stalls(&self) -> Vec<String> {
        let stalls = self.convergence.promise.stalls(&self.world);
        stalls.into_iter().filter(|stall| stall.excuse.is_none()).map(|stall| stall.what).collect()
    }

    /// The judgement on every promise: those over the trace, then those over the history.
    ///
    /// # Errors
    /// As [`Watch::table`].
    pub fn finish(self, history: &History) -> Result<Vec<Verdict>, HistoryError> {
        let table = self.table(history)?;
        Ok(self.finish_with(history, &table))
    }

    /// The same for whoever has the [`Watch::table`] of the history already.
    pub fn finish_with(self, history: &History, table: &Table) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = self
            .promises
            .iter()
            .map(|watched| self.verdict(watched.promise.as_ref(), watched.violation.as_ref()))
            .collect();
        verdicts.push(self.verdict(self.convergence.promise.as_ref(), self.convergence.violation.as_ref()));
        verdicts.extend(self.judge(table).verdicts);
        verdicts.extend(both_sides::judge(history, &self.world, &self.topics(table)));
        if let Some(bound) = self.expectations.unavailable_at_most {
            verdicts.push(self.calm.judge(table, bound));
        }
        verdicts
    }

    /// Offsets at which clients may miss a record: those below where a log begins by now, and those that compaction took, of each
    /// partition whose topic's name was told. None of a kind if something was taken that may not be.
    pub fn holes(&self) -> Vec<(Key, i64, i64)> {
        let is_kept = |name| !self.promises.iter().any(|one| one.violation.is_some() && one.promise.name() == name);
        let (retention, compaction) = (is_kept(RETENTION), is_kept(COMPACTION));
        let mut holes = Vec::new();
        for (name, topic) in &self.topics {
            for partition in self.world.partitions().filter(|partition| partition.topic == *topic) {
                let key = || Key::new(name, partition.index);
                let start = self.world.furthest_start(partition).0;
                if retention && 0 < start {
                    holes.push((key(), 0, start));
                }
                if compaction {
                    let stretches = self.world.compacted_away(partition);
                    holes.extend(stretches.into_iter().map(|(from, to)| (key(), from.0, to.0)));
                }
            }
        }
        holes
    }

    /// What the history shows, each finding with where the brokers say that its record went.
    ///
    /// # Errors
    /// As [`Watch::table`].
    pub fn report(&self, history: &History) -> Result<Report, HistoryError> {
        Ok(self.judge(&self.table(history)?))
    }

    /// What the history of this run claims: nothing that was not tried counts against it. Producers that never send again leave
    /// one record each. Where disks are not waited for, what outlives so many losses of power is held by one replica more, and
    /// as many crashed as lost power.
    pub fn claims(&self) -> Claims {
        let Expectations { claims, flush_on_commit, producers_retry, .. } = &self.expectations;
        let mut claims = Claims { idempotent: claims.idempotent || !producers_retry, ..claims.clone() };
        match claims.crash_budget.filter(|_| !flush_on_commit) {
            None => claims.crash_budget = None,
            Some(outlived) => {
                claims.min_insync_replicas = Some(outlived.saturating_add(1));
                claims.crash_budget = Some(self.power_losses);
            }
        }
        claims
    }

    /// The history in columns, with what it may be held to.
    ///
    /// # Errors
    /// If the history is not of the contract.
    pub fn table(&self, history: &History) -> Result<Table, HistoryError> {
        let mut table = Table::of(history)?;
        table.claims = self.claims();
        Ok(table)
    }

    fn judge(&self, table: &Table) -> Report {
        let topics = self.topics(table);
        let whereabouts = |key: &Key, offset: i64| {
            let (topic, index) = key.parts();
            let partition = PartitionId { topic: *topics.get(topic)?, index: index? };
            whereabouts(&self.world, partition, Offset(offset))
        };
        judge(table, &whereabouts)
    }

    fn verdict(&self, promise: &dyn Promise, violation: Option<&Violation>) -> Verdict {
        let at_end = || promise.at_end(&self.world).err();
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
    fn topics(&self, history: &Table) -> BTreeMap<String, TopicId> {
        let mut topics = self.topics.clone();
        let sent = history.rows().iter().flat_map(|row| history.sends(row));
        let keys: BTreeSet<u32> = sent.map(|sent| history.records.key(sent.record)).collect();
        let keys: Vec<Key> = keys.into_iter().map(|key| history.keys.key(key)).collect();
        let names: BTreeSet<&str> = keys.iter().map(|key| key.parts().0).collect();
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
