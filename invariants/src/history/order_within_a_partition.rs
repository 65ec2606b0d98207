//! Order within a partition: offsets tell one order, and every reader and producer sees that order.
//!
//! `inconsistent-offset`: two records at one offset, by the word of any poll, or of an acknowledgement with acks=all.
//! `int-poll-skip`, `int-nonmonotonic-poll`: inside one poll a record is passed over that somebody read, or offsets do not rise.
//! `poll-skip`, `nonmonotonic-poll`: the same between a poll and the last `ok` poll of the same process. An assign keeps the
//! positions of the keys that stay, and drops the others; joining, losing or being revoked drops them. Under a subscription a
//! skip or repetition between polls is allowed: it is at-least-once. Keys that a rebalance log names are not judged.
//! `int-nonmonotonic-send`, `nonmonotonic-send`: a producer's later record has a lower offset, inside one operation or between two.
//!
//! Offsets may have holes: only an offset at which somebody read a record, above the log's start, can be skipped.
//! Allowed: all of it under a claimed unclean election; sends in flight together without idempotence; sends after each
//! other unless acks=all.

use std::collections::BTreeMap;

use evidence::{Acks, Action, History, Key, MicroOperation, Operation, Outcome, Process};

use super::ledger::{Book, Ledger};
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "order within a partition";

pub(super) fn judge(ledger: &Ledger, history: &History, grounds: &Grounds<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    one_record_an_offset(ledger, grounds, &mut judgement);
    let mut sessions: BTreeMap<&Process, Session> = BTreeMap::new();
    for operation in &history.operations {
        let session = sessions.entry(&operation.process).or_default();
        session.observe(operation, ledger, grounds, &mut judgement);
    }
    judgement
}

fn one_record_an_offset(ledger: &Ledger, grounds: &Grounds<'_>, judgement: &mut Judgement) {
    let verdict = unless(grounds.claims.unclean_election);
    for (key, book) in &ledger.keys {
        let mut at = book.at.clone();
        // An acknowledgement proves that the record was committed there only if it waited for that.
        let sends = book.sends.iter().filter(|sent| sent.outcome == Outcome::Ok && grounds.claims.acks == Acks::All);
        for sent in sends {
            if let (Some(offset), Some(answered)) = (sent.offset, sent.answered) {
                at.entry(offset).or_default().entry(sent.value.clone()).or_insert(answered);
            }
        }
        judgement.judged += at.len() as u64;
        for (offset, values) in at.iter().filter(|(_, values)| 1 < values.len()) {
            let names: Vec<_> = values.keys().map(ToString::to_string).collect();
            let why = format!("offset {offset} of {key} holds different records: {}", names.join(" and "));
            judgement.find("inconsistent-offset", verdict, key, values.values().copied().collect(), why);
        }
    }
}

/// One client from its first line to its last.
#[derive(Default)]
struct Session {
    is_subscribed: bool,
    /// The last offset that an `ok` poll brought, and its line.
    read: BTreeMap<Key, (i64, u64)>,
    /// The last offset that a send was told, and its line.
    sent: BTreeMap<Key, (i64, u64)>,
}

impl Session {
    fn observe(&mut self, operation: &Operation, ledger: &Ledger, grounds: &Grounds<'_>, judgement: &mut Judgement) {
        if operation.outcome == Outcome::Invoke {
            return;
        }
        match &operation.action {
            Action::Assign(keys) | Action::Subscribe(keys) => {
                self.is_subscribed = matches!(operation.action, Action::Subscribe(_));
                self.read.retain(|key, _| keys.contains(key));
            }
            Action::Assigned(membership) | Action::Revoked(membership) | Action::Lost(membership) => {
                self.read.retain(|key, _| !membership.keys.contains(key));
            }
            Action::Send(_) | Action::Poll(_) | Action::Txn(_) => {
                self.polls(operation, ledger, grounds, judgement);
                self.sends(operation, grounds, judgement);
            }
            Action::Commit(_) | Action::Committed(_) | Action::End(_) | Action::Crash => {}
        }
    }

    fn polls(&mut self, operation: &Operation, ledger: &Ledger, grounds: &Grounds<'_>, judgement: &mut Judgement) {
        let inside = unless(grounds.claims.unclean_election);
        let between = unless(grounds.claims.unclean_election || self.is_subscribed);
        let mut here: BTreeMap<&Key, i64> = BTreeMap::new();
        let polled = operation.action.micro_operations().iter().filter_map(|micro| match micro {
            MicroOperation::Polled(records) => Some(records),
            MicroOperation::Send { .. } | MicroOperation::Poll => None,
        });
        for (key, list) in polled.flatten().filter(|(key, _)| !operation.rebalances(key)) {
            let Some(book) = ledger.keys.get(key) else { continue };
            for &(offset, _) in list {
                let (last, line, verdict, names) = match (here.insert(key, offset), self.read.get(key)) {
                    (Some(last), _) => (last, None, inside, ["int-poll-skip", "int-nonmonotonic-poll"]),
                    (None, Some(&(last, line))) => (last, Some(line), between, ["poll-skip", "nonmonotonic-poll"]),
                    (None, None) => continue,
                };
                judgement.judged += 1;
                let operations = line.into_iter().chain([operation.index]).collect();
                let process = &operation.process;
                if offset <= last {
                    let why = format!("process {process} read offset {offset} of {key} after offset {last}");
                    judgement.find(names[1], verdict, key, operations, why);
                } else if let Some(skipped) = skipped(book, last, offset) {
                    let why = format!(
                        "process {process} read offset {offset} of {key} right after offset {last}, and passed over offset {skipped}, which others read"
                    );
                    judgement.find(names[0], verdict, key, operations, why);
                }
            }
        }
        if operation.outcome == Outcome::Ok {
            for (key, last) in here {
                self.read.insert(key.clone(), (last, operation.index));
            }
        }
    }

    fn sends(&mut self, operation: &Operation, grounds: &Grounds<'_>, judgement: &mut Judgement) {
        if operation.outcome == Outcome::Fail {
            return;
        }
        let loose = grounds.claims.unclean_election || grounds.claims.acks != Acks::All;
        let together = unless(loose || (!grounds.claims.idempotent && grounds.producers_retry));
        let mut here: BTreeMap<&Key, i64> = BTreeMap::new();
        for micro in operation.action.micro_operations() {
            let MicroOperation::Send { key, offset: Some(offset), .. } = micro else { continue };
            let (last, line, verdict, name) = match (here.insert(key, *offset), self.sent.get(key)) {
                (Some(last), _) => (last, None, together, "int-nonmonotonic-send"),
                (None, Some(&(last, line))) => (last, Some(line), unless(loose), "nonmonotonic-send"),
                (None, None) => continue,
            };
            judgement.judged += 1;
            if *offset <= last {
                let process = &operation.process;
                let why = format!(
                    "process {process} sent to {key} and was told offset {last}, then {offset} for its next record"
                );
                judgement.find(name, verdict, key, line.into_iter().chain([operation.index]).collect(), why);
            }
        }
        for (key, last) in here {
            self.sent.insert(key.clone(), (last, operation.index));
        }
    }
}

/// An offset strictly between two where somebody read a record that nobody may miss.
fn skipped(book: &Book, last: i64, next: i64) -> Option<i64> {
    book.at.range(last + 1..next).map(|(&offset, _)| offset).find(|&offset| !book.is_gone(offset))
}

fn unless(allowed: bool) -> Gravity {
    if allowed { Gravity::Allowed } else { Gravity::Broken }
}
