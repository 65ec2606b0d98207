//! Both sides of one run: what clients were told, against what brokers witnessed; and what one side saw and the other missed.
//!
//! Broken if (a) a client reads a record before any leader counted it as committed (Redpanda 14794: visible beyond the
//! majority); (b) a client is told of an offset for which no broker vouched. A broker may well vouch for what its
//! client never hears: answers get lost.

use std::collections::BTreeMap;

use evidence::{Acks, Action, History, Key, MicroOperation, Operation};
use model::{Offset, PartitionId, Time, TopicId};
use serde::Serialize;

use crate::trace::{World, is_of_the_trace};
use crate::{Outcome, Verdict};

const COMMITTED: &str = "clients read only what is committed";
const VOUCHED: &str = "clients hear only what brokers vouched for";

/// What one side saw and the other missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Broken by the brokers' own word, and no client noticed (yet: a run ends at the first bad event).
    pub latent: Vec<&'static str>,
    /// Noticed by clients, and every promise over the trace was kept: the brokers witness too little.
    pub missed: Vec<&'static str>,
}

impl Comparison {
    pub fn is_empty(&self) -> bool {
        self.latent.is_empty() && self.missed.is_empty()
    }

    /// Each in a sentence.
    pub fn sentences(&self) -> Vec<String> {
        let latent = self.latent.iter().map(|promise| format!("latent, no client has noticed: {promise}"));
        let missed = self
            .missed
            .iter()
            .map(|promise| format!("noticed by clients, and by no promise over the trace: {promise}"));
        latent.chain(missed).collect()
    }
}

/// Compares the two sides of a run's verdicts.
pub fn compare(verdicts: &[Verdict]) -> Comparison {
    let broken = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Broken).map(|verdict| verdict.promise);
    let (inside, outside): (Vec<_>, Vec<_>) = broken.partition(|promise| is_of_the_trace(promise));
    match (inside.is_empty(), outside.is_empty()) {
        (false, true) => Comparison { latent: inside, missed: Vec::new() },
        (true, false) => Comparison { latent: Vec::new(), missed: outside },
        _ => Comparison::default(),
    }
}

/// Judges what clients were told by what brokers witnessed.
pub(crate) fn judge(history: &History, world: &World, topics: &BTreeMap<String, TopicId>) -> Vec<Verdict> {
    let partition = |key: &Key| {
        let (topic, index) = key.parts();
        Some(PartitionId { topic: *topics.get(topic)?, index: index? })
    };
    let (mut committed, mut vouched) = (Judged::new(COMMITTED), Judged::new(VOUCHED));
    let answered = history.operations.iter().filter(|operation| operation.outcome == evidence::Outcome::Ok);
    for operation in answered {
        for micro in operation.action.micro_operations() {
            match micro {
                MicroOperation::Polled(records) if matches!(operation.action, Action::Poll(_)) => {
                    for (key, records) in records {
                        let last = records.iter().map(|(offset, _)| *offset).max();
                        if let (Some(id), Some(last), Some(time)) = (partition(key), last, operation.time) {
                            committed.judge(read(world, id, Offset(last), time, operation));
                        }
                    }
                }
                MicroOperation::Send { key, offset: Some(offset), .. } if history.claims.acks != Acks::None => {
                    if let Some(id) = partition(key) {
                        vouched.judge(heard(world, id, Offset(*offset), operation));
                    }
                }
                MicroOperation::Polled(_) | MicroOperation::Send { .. } | MicroOperation::Poll => {}
            }
        }
    }
    // An unclean election takes back what was committed, and the records of before are read in the meantime.
    if history.claims.unclean_election { vec![vouched.verdict()] } else { vec![committed.verdict(), vouched.verdict()] }
}

fn read(world: &World, id: PartitionId, last: Offset, time: Time, operation: &Operation) -> Option<Result<(), String>> {
    let state = world.partition(id)?;
    let high_watermark = state.high_watermark_at(time);
    Some(if last < high_watermark {
        Ok(())
    } else {
        Err(format!(
            "{id}: a client read offset {last} (line {}) when everything below {high_watermark} was committed and no more",
            operation.index
        ))
    })
}

fn heard(world: &World, id: PartitionId, offset: Offset, operation: &Operation) -> Option<Result<(), String>> {
    let state = world.partition(id)?;
    Some(match state.vouched.contains(&offset) {
        true => Ok(()),
        false => Err(format!(
            "{id}: a client was told that its record is safe at offset {offset} (line {}), and no broker said so of a batch in its log",
            operation.index
        )),
    })
}

struct Judged {
    promise: &'static str,
    judged: u64,
    wrong: u64,
    first: Option<String>,
}

impl Judged {
    fn new(promise: &'static str) -> Judged {
        Judged { promise, judged: 0, wrong: 0, first: None }
    }

    fn judge(&mut self, result: Option<Result<(), String>>) {
        match result {
            None => {}
            Some(Ok(())) => self.judged += 1,
            Some(Err(why)) => {
                self.judged += 1;
                self.wrong += 1;
                self.first.get_or_insert(why);
            }
        }
    }

    fn verdict(self) -> Verdict {
        let Judged { promise, judged, wrong, first } = self;
        let (outcome, detail) = match first {
            Some(first) if wrong == 1 => (Outcome::Broken, first),
            Some(first) => (Outcome::Broken, format!("{first}. And {} more like this", wrong - 1)),
            None if judged == 0 => (Outcome::Unknown, "nothing that clients were told can be compared".into()),
            None => (Outcome::Kept, format!("{judged} facts")),
        };
        Verdict { promise, outcome, detail, at: None }
    }
}
