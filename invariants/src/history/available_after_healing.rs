//! Available again within a bound after healing (L1 and L2 of the references: bounded claims make liveness a safety check).
//!
//! A *calm* is a stretch of world time in which no fault is going on and every node that ever bore witness of a broker is
//! up. Broken if in a calm a key goes without an acknowledgement for longer than the bound although somebody tried all
//! the while: counted from the first attempt after the last acknowledgement, or from the beginning of the calm. Attempts
//! count as one trying if less than a quarter of the bound lies between them. Where nobody tries, or no calm comes, there
//! is nothing to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::history::Kind;
use evidence::{Entry, Outcome, Table, What};
use model::Time;

use crate::Verdict;
use crate::trace::NodeId;

const NAME: &str = "available again within a bound after healing";

/// Collects from the trace when faults were going on.
#[derive(Default)]
pub(crate) struct Calm {
    changes: Vec<(Time, Change)>,
    /// By the number of a node: did it ever bear witness?
    witnesses: Vec<bool>,
    end: Time,
}

enum Change {
    Began(u32),
    Ended(u32),
    Down(NodeId),
    Up(NodeId),
}

/// A stretch of time in which somebody tried.
struct Spell {
    from: Time,
    to: Time,
}

impl Calm {
    pub(crate) fn observe(&mut self, entry: &Entry, node: NodeId) {
        self.end = self.end.max(entry.time);
        let change = match &entry.what {
            What::FaultBegan { id, .. } => Change::Began(*id),
            What::FaultEnded { id } => Change::Ended(*id),
            What::NodeCrashed | What::PowerLost | What::NodePaused | What::NodeStopped { .. } => Change::Down(node),
            What::NodeStarted | What::NodeResumed => Change::Up(node),
            What::Witnessed(_) => {
                if self.witnesses.len() <= node.number() {
                    self.witnesses.resize(node.number() + 1, false);
                }
                self.witnesses[node.number()] = true;
                return;
            }
            What::DiskHurt { .. }
            | What::DiskMended
            | What::Client { .. }
            | What::QuietBegan { .. }
            | What::QuietEnded
            | What::LogStored { .. }
            | What::LogFlawed { .. }
            | What::Note { .. } => return,
        };
        self.changes.push((entry.time, change));
    }

    /// The calms, each from its first moment to its last.
    fn windows(&self, end: Time) -> Vec<(Time, Time)> {
        let (mut faults, mut down) = (BTreeSet::new(), BTreeSet::new());
        let mut windows = Vec::new();
        let mut since = Some(Time::ZERO);
        for (time, change) in &self.changes {
            match change {
                Change::Began(id) => _ = faults.insert(*id),
                Change::Ended(id) => _ = faults.remove(id),
                Change::Down(node) if self.witnesses.get(node.number()) == Some(&true) => _ = down.insert(node),
                Change::Down(_) => {}
                Change::Up(node) => _ = down.remove(node),
            }
            let is_calm = faults.is_empty() && down.is_empty();
            match since {
                Some(from) if !is_calm => {
                    windows.push((from, *time));
                    since = None;
                }
                None if is_calm => since = Some(*time),
                _ => {}
            }
        }
        windows.extend(since.map(|from| (from, end)));
        windows
    }

    pub(crate) fn judge(&self, history: &Table, bound: Duration) -> Verdict {
        let times = history.rows().iter().flat_map(|row| [row.asked.time, row.told.and_then(|told| told.time)]);
        let windows = self.windows(times.flatten().max().unwrap_or(Time::ZERO).max(self.end));
        let mut longest: Option<(Duration, String)> = None;
        for (key, attempts) in attempts(history) {
            let key = history.keys.get(key);
            for &(from, to) in &windows {
                for spell in spells(&attempts, (from, to), bound / 4) {
                    let length = spell.to - spell.from;
                    if longest.as_ref().is_none_or(|(most, _)| *most < length) {
                        let text = format!(
                            "{key} went {:.3} s without an acknowledgement while it was asked for, from {:.3} s on (bound {:.3} s)",
                            length.as_secs_f64(),
                            seconds(spell.from),
                            bound.as_secs_f64()
                        );
                        longest = Some((length, text));
                    }
                }
            }
        }
        let (outcome, detail) = match longest {
            None => (crate::Outcome::Unknown, "nobody sent anything while no fault was going on".into()),
            Some((length, text)) if bound < length => (crate::Outcome::Broken, text),
            Some((_, text)) => (crate::Outcome::Kept, text),
        };
        Verdict { promise: NAME, outcome, detail, at: None }
    }
}

fn seconds(time: Time) -> f64 {
    (time - Time::ZERO).as_secs_f64()
}

/// One try to send a record: asked, answered, and whether it was acknowledged.
struct Attempt {
    asked: Time,
    answered: Option<Time>,
    is_acknowledged: bool,
}

/// By key.
fn attempts(history: &Table) -> BTreeMap<u32, Vec<Attempt>> {
    let mut attempts: BTreeMap<u32, Vec<Attempt>> = BTreeMap::new();
    for row in history.rows().iter().filter(|row| matches!(row.kind, Kind::Send | Kind::Txn)) {
        let Some(asked) = row.asked.time else { continue };
        let answered = row.told.and_then(|told| told.time);
        let is_acknowledged = row.outcome == Outcome::Ok;
        for sent in history.sends(row) {
            let list = attempts.entry(history.records.key(sent.record)).or_default();
            list.push(Attempt { asked, answered, is_acknowledged });
        }
    }
    attempts
}

/// The times in a calm in which attempts went on without an acknowledgement.
fn spells(all: &[Attempt], (from, to): (Time, Time), pause: Duration) -> Vec<Spell> {
    let mut attempts: Vec<Spell> = Vec::new();
    let mut acknowledged: BTreeSet<Time> = BTreeSet::new();
    for attempt in all {
        let (asked, answered) = (attempt.asked, attempt.answered.unwrap_or(to));
        if to <= asked || answered < from {
            continue;
        }
        if attempt.is_acknowledged && answered <= to {
            acknowledged.insert(answered);
        }
        attempts.push(Spell { from: asked, to: answered });
    }
    attempts.sort_by_key(|attempt| attempt.from);
    let mut attempts = attempts.into_iter().peekable();
    let mut open: Vec<Spell> = Vec::new();
    let mut spells: Vec<Spell> = Vec::new();
    let mut gap_from = from;
    for gap_to in acknowledged.into_iter().chain([to]) {
        while let Some(attempt) = attempts.next_if(|attempt| attempt.from < gap_to) {
            open.push(attempt);
        }
        let mut trying: Option<Spell> = None;
        for attempt in &open {
            let (asked, answered) = (attempt.from.max(gap_from), attempt.to.min(gap_to));
            match &mut trying {
                Some(spell) if asked <= spell.to + pause => spell.to = spell.to.max(answered),
                _ => spells.extend(trying.replace(Spell { from: asked, to: answered })),
            }
        }
        spells.extend(trying);
        open.retain(|attempt| gap_to < attempt.to);
        gap_from = gap_to;
    }
    spells
}
