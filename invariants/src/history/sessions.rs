//! Each client from its first line to its last: every reader and every producer sees the one order of the log.
//!
//! `int-poll-skip`, `int-nonmonotonic-poll`: inside one operation a record that exists is passed over, or offsets do not rise.
//! `poll-skip`, `nonmonotonic-poll`: the same between an operation and the last `ok` one of the same process: an aborted transaction
//! seeks back to where it began. An assign keeps the positions of the keys that stay and drops the others; being assigned, revoked
//! or lost drops them. Under a subscription of which no assignment is told, a rebalance may lie between any two polls, and both are
//! allowed. Keys that a rebalance log names are not judged.
//! `int-nonmonotonic-send`, `nonmonotonic-send`: a producer's later record has a lower offset, inside one operation or between two.
//! `int-send-skip`: others wrote between two records of one operation, which is no fault. `realtime-order`: who has read a record
//! writes to the same key below it. `stale-read`: who was told, has read or was acknowledged an offset hears of an end that is not
//! beyond it, or of a start before one that was named earlier. `committed-too-far`: a reader's group commits past records that it
//! has not read yet.

use std::collections::BTreeMap;

use evidence::Outcome;
use evidence::history::{Detail, Kind, NONE, Row};

use super::anomaly::{Anomaly, ENDS, ORDER};
use super::case::Case;

/// A reader that heard last that there is nothing more: where it stood, and with which poll.
pub(super) struct Rest {
    pub(super) key: u32,
    pub(super) position: i64,
    pub(super) poll: u32,
}

/// What the sessions leave for other promises.
pub(super) struct Told {
    pub(super) rests: Vec<Rest>,
    /// Look-ups that their own session already shows to be stale, by operation and key.
    pub(super) stale: std::collections::BTreeSet<(u32, u32)>,
}

/// One process.
#[derive(Clone, Default)]
struct Session {
    is_subscribed: bool,
    /// It tells of its assignments, so that none is missed.
    tells_assignments: bool,
    keys: BTreeMap<u32, Place>,
    /// The last poll, if it brought nothing at all.
    empty: Option<u32>,
}

/// What a process knows of a key.
#[derive(Clone, Copy)]
struct Place {
    /// The last offset that an `ok` operation read, with it; none if the client may now stand anywhere.
    read: Option<(i64, u32)>,
    /// The last offset of a poll that failed thereafter: perhaps the client went on from there.
    perhaps: Option<i64>,
    /// The last offset that a send was told.
    sent: Option<(i64, u32)>,
    /// The highest offset ever read.
    highest: Option<(i64, u32)>,
    /// The last start and end that a look-up named.
    told: Option<(i64, i64, u32)>,
}

const NOWHERE: Place = Place { read: None, perhaps: None, sent: None, highest: None, told: None };

/// What happened to a key so far in the operation at hand.
#[derive(Clone, Copy)]
struct Here {
    operation: u32,
    offset: i64,
}

pub(super) fn judge(case: &mut Case<'_>) -> Told {
    let table = case.table;
    let mut told = Told { rests: Vec::new(), stale: Default::default() };
    let mut sessions = vec![Session::default(); table.process_count()];
    let mut here = vec![Here { operation: NONE, offset: 0 }; table.keys.len()];
    let transactional = transactional(case);
    for &operation in table.answered() {
        let row = table.row(operation);
        let session = &mut sessions[row.process as usize];
        match (row.kind, table.detail(row)) {
            (Kind::Assign | Kind::Subscribe, Some(Detail::Keys(keys))) if row.outcome != Outcome::Fail => {
                session.is_subscribed = row.kind == Kind::Subscribe;
                session.tells_assignments = false;
                let stays = |key: &u32| keys.contains(key);
                session.keys.iter_mut().filter(|(key, _)| !stays(key)).for_each(|(_, place)| place.leave());
            }
            (Kind::Assigned | Kind::Revoked | Kind::Lost, Some(Detail::Membership { keys, .. })) => {
                session.tells_assignments = true;
                for key in keys {
                    if let Some(place) = session.keys.get_mut(key) {
                        place.leave();
                    }
                }
            }
            (Kind::Send | Kind::Poll | Kind::Txn, _) => {
                polls(case, session, &mut here, operation, row);
                sends(case, session, &mut here, operation, row);
            }
            (Kind::End, Some(Detail::Ends(ends))) if row.outcome == Outcome::Ok => {
                for &(key, start, end) in ends {
                    let place = session.keys.entry(key).or_insert(NOWHERE);
                    let judge = LookUp { operation, key, start, end, is_stable: transactional[key as usize] };
                    if judge.against(case, place) {
                        told.stale.insert((operation, key));
                    }
                    place.told = Some((start, end, operation));
                }
            }
            (Kind::Commit, Some(Detail::Offsets { offsets, .. })) if row.outcome == Outcome::Ok => {
                for &(key, offset) in offsets {
                    committed(case, session.keys.get(&key), operation, key, offset);
                }
            }
            _ => {}
        }
    }
    for session in sessions {
        let (Some(poll), false) = (session.empty, session.is_subscribed && !session.tells_assignments) else {
            continue;
        };
        let places = session.keys.iter().filter_map(|(key, place)| Some((*key, place.read?.0)));
        let rests = places.map(|(key, last)| Rest { key, position: last.saturating_add(1), poll });
        told.rests.extend(rests);
    }
    told
}

/// Keys that transactions write to. What consumers see as their end is that of the last decided transaction, and a transaction's
/// answer may come before it is visible: there an acknowledgement bounds no look-up.
pub(super) fn transactional(case: &Case<'_>) -> Vec<bool> {
    let mut keys = vec![false; case.table.keys.len()];
    let transactions = case.table.rows().iter().filter(|row| row.kind == Kind::Txn && case.terms.read_committed);
    for sent in transactions.flat_map(|row| case.table.sends(row)) {
        keys[case.table.records.key(sent.record) as usize] = true;
    }
    keys
}

impl Place {
    /// The client may stand anywhere in the key now.
    fn leave(&mut self) {
        (self.read, self.perhaps) = (None, None);
    }
}

fn polls(case: &mut Case<'_>, session: &mut Session, here: &mut [Here], operation: u32, row: &Row) {
    let table = case.table;
    let in_group = session.is_subscribed && !session.tells_assignments;
    let mut steps = 0;
    for (key, reads) in table.lists(row) {
        let (Some(first), Some(last)) = (reads.first(), reads.last()) else { continue };
        let place = session.keys.entry(key).or_insert(NOWHERE);
        if table.rebalances(operation, key) {
            place.leave();
            continue;
        }
        let mut before = None;
        if here[key as usize].operation == operation {
            before = Some(here[key as usize].offset);
        } else if let Some((last, since)) = place.read {
            steps += 1;
            let follows = |last: i64| last < first.offset && case.skipped(key, last, first.offset).is_none();
            if !follows(last) && !place.perhaps.is_some_and(follows) {
                between(case, row, key, (last, since), (first.offset, operation), in_group);
            }
        }
        for read in reads {
            if let Some(last) = before {
                steps += 1;
                if read.offset <= last {
                    backwards(case, Anomaly::IntNonmonotonicPoll, row, key, last, (read.offset, operation));
                } else if let Some(skipped) = case.skipped(key, last, read.offset) {
                    passed_over(case, Anomaly::IntPollSkip, row, key, skipped, (last, None), (read.offset, operation));
                }
            }
            before = Some(read.offset);
        }
        here[key as usize] = Here { operation, offset: last.offset };
        let most = reads.iter().map(|read| read.offset).max().unwrap_or(last.offset);
        if place.highest.is_none_or(|(highest, _)| highest < most) {
            place.highest = Some((most, operation));
        }
    }
    case.judged(&ORDER, steps);
    // Only now: a key may come in several polls of one operation.
    let mut is_empty = true;
    for (key, reads) in table.lists(row) {
        let Some(last) = reads.last() else { continue };
        is_empty = false;
        if table.rebalances(operation, key) {
            continue;
        }
        let place = session.keys.entry(key).or_insert(NOWHERE);
        match (row.outcome, row.kind) {
            (Outcome::Ok, _) => (place.read, place.perhaps) = (Some((last.offset, operation)), None),
            (_, Kind::Poll) => place.perhaps = Some(last.offset),
            (_, _) => {}
        }
    }
    if row.kind == Kind::Poll {
        session.empty = Some(operation).filter(|_| is_empty && row.outcome == Outcome::Ok);
    }
}

/// What is wrong between the last read of one operation and the first of a later one.
fn between(case: &mut Case<'_>, row: &Row, key: u32, last: (i64, u32), next: (i64, u32), in_group: bool) {
    if next.0 <= last.0 {
        let anomaly = Anomaly::NonmonotonicPoll { in_group };
        case.find(anomaly, key, |case| {
            let process = case.table.process(row.process);
            let (last, since) = last;
            let why = format!(
                "process {process} read offset {} of {} in a poll after it had come to offset {last}",
                next.0,
                case.key(key)
            );
            (vec![case.row(since).last_line(), row.last_line()], why)
        });
    } else if let Some(skipped) = case.skipped(key, last.0, next.0) {
        passed_over(case, Anomaly::PollSkip { in_group }, row, key, skipped, (last.0, Some(last.1)), next);
    }
}

fn backwards(case: &mut Case<'_>, anomaly: Anomaly, row: &Row, key: u32, last: i64, next: (i64, u32)) {
    case.find(anomaly, key, |case| {
        let process = case.table.process(row.process);
        let why = format!("process {process} read offset {} of {} right after offset {last}", next.0, case.key(key));
        (vec![row.last_line()], why)
    });
}

fn passed_over(
    case: &mut Case<'_>,
    anomaly: Anomaly,
    row: &Row,
    key: u32,
    skipped: i64,
    last: (i64, Option<u32>),
    next: (i64, u32),
) {
    case.find(anomaly, key, |case| {
        let process = case.table.process(row.process);
        let stands = case.logs.of(key).at(skipped);
        let value = stands.map_or(String::new(), |record| format!(", where {} stands", case.value(record)));
        let why = format!(
            "process {process} read offset {} of {} right after offset {}, and passed over offset {skipped}{value}",
            next.0,
            case.key(key),
            last.0
        );
        let witness = stands.and_then(|record| case.logs.reader(record).or(case.table.records.sender(record)));
        let lines = last.1.into_iter().chain(witness).map(|operation| case.row(operation).last_line());
        (lines.chain([row.last_line()]).collect(), why)
    });
}

fn sends(case: &mut Case<'_>, session: &mut Session, here: &mut [Here], operation: u32, row: &Row) {
    if row.outcome != Outcome::Ok {
        return;
    }
    let table = case.table;
    let mut steps = 0;
    // What was read in this operation is told apart from what is sent in it.
    let apart = |offset: i64| Here { operation, offset: !offset };
    for sent in table.sends(row) {
        let Some(offset) = sent.offset() else { continue };
        let key = table.records.key(sent.record);
        let place = session.keys.entry(key).or_insert(NOWHERE);
        let Here { operation: at, offset: last } = here[key as usize];
        if at == operation && last < 0 {
            let last = !last;
            steps += 1;
            if offset <= last {
                sent_backwards(case, Anomaly::IntNonmonotonicSend, row, key, (last, None), offset);
            } else if case.skipped(key, last, offset).is_some() {
                case.find(Anomaly::IntSendSkip, key, |case| {
                    let process = case.table.process(row.process);
                    let why = format!(
                        "others wrote to {} between offsets {last} and {offset}, which process {process} sent together",
                        case.key(key)
                    );
                    (vec![row.last_line()], why)
                });
            }
        } else {
            if let Some((last, since)) = place.sent {
                steps += 1;
                if offset <= last {
                    sent_backwards(case, Anomaly::NonmonotonicSend, row, key, (last, Some(since)), offset);
                }
            }
            let read = place.highest.filter(|(highest, reader)| offset < *highest && *reader != operation);
            if let Some((highest, reader)) = read {
                case.find(Anomaly::RealtimeOrder, key, |case| {
                    let process = case.table.process(row.process);
                    let (value, key) = (case.value(sent.record), case.key(key));
                    let why = format!(
                        "process {process} had read offset {highest} of {key} before it sent {value}, which stands below, at offset {offset}"
                    );
                    (vec![case.row(reader).last_line(), row.asked.index, row.last_line()], why)
                });
            }
        }
        here[key as usize] = apart(offset);
    }
    case.judged(&ORDER, steps);
    for sent in table.sends(row) {
        let Some(offset) = sent.offset() else { continue };
        let place = session.keys.entry(table.records.key(sent.record)).or_insert(NOWHERE);
        place.sent = Some((offset, operation));
    }
}

fn sent_backwards(
    case: &mut Case<'_>,
    anomaly: Anomaly,
    row: &Row,
    key: u32,
    (last, since): (i64, Option<u32>),
    offset: i64,
) {
    case.find(anomaly, key, |case| {
        let process = case.table.process(row.process);
        let key = case.key(key);
        let why =
            format!("process {process} sent to {key} and was told offset {last}, then {offset} for its next record");
        let since = since.map(|since| case.row(since).last_line());
        (since.into_iter().chain([row.last_line()]).collect(), why)
    });
}

/// An answer that names the end of a key, held against what the same process knew before.
struct LookUp {
    operation: u32,
    key: u32,
    start: i64,
    end: i64,
    /// The end is that of decided transactions.
    is_stable: bool,
}

impl LookUp {
    /// True if it is stale.
    fn against(&self, case: &mut Case<'_>, place: &Place) -> bool {
        let sent = place.sent.filter(|_| !self.is_stable);
        let known = [
            (place.highest.map(|(offset, by)| (offset.saturating_add(1), by)), "had read", false),
            (place.told.map(|(_, end, by)| (end, by)), "had been told of", false),
            (sent.map(|(offset, by)| (offset.saturating_add(1), by)), "had been acknowledged", true),
        ];
        case.judged(&ENDS, u64::from(known.iter().any(|(known, ..)| known.is_some())));
        let stale = known.into_iter().find_map(|(known, how, acknowledged)| {
            known.filter(|(end, _)| self.end < *end).map(|known| (known, how, acknowledged))
        });
        if let Some(((end, by), how, by_acknowledgement)) = stale {
            self.find(case, by, by_acknowledgement, |process, key| {
                let LookUp { end: told, .. } = self;
                format!("process {process} {how} {key} up to offset {end}, and then was told that it ends at {told}")
            });
            return true;
        }
        if let Some((start, _, by)) = place.told.filter(|(start, ..)| self.start < *start) {
            self.find(case, by, false, |process, key| {
                let LookUp { start: told, .. } = self;
                format!("process {process} was told that {key} begins at {start}, and then that it begins at {told}")
            });
            return true;
        }
        false
    }

    fn find(&self, case: &mut Case<'_>, by: u32, by_acknowledgement: bool, why: impl FnOnce(String, &str) -> String) {
        case.find(Anomaly::StaleRead { by_acknowledgement }, self.key, |case| {
            let row = case.row(self.operation);
            let process = case.table.process(row.process).to_string();
            (vec![case.row(by).last_line(), row.asked.index, row.last_line()], why(process, case.key(self.key)))
        });
    }
}

/// A commit of the process's own, held against how far it has read.
fn committed(case: &mut Case<'_>, place: Option<&Place>, operation: u32, key: u32, offset: i64) {
    let Some((last, since)) = place.and_then(|place| place.read) else { return };
    let last = last.max(place.and_then(|place| place.perhaps).unwrap_or(last));
    if let Some(skipped) = case.skipped(key, last, offset) {
        case.find(Anomaly::CommittedTooFar, key, |case| {
            let row = case.row(operation);
            let (process, key) = (case.table.process(row.process), case.key(key));
            let why = format!(
                "process {process} committed offset {offset} of {key} having read up to {last}: were it to die now, offset {skipped} would never be processed"
            );
            (vec![case.row(since).last_line(), row.last_line()], why)
        });
    }
}

impl Case<'_> {
    /// An offset strictly between two at which a record is known to exist.
    fn skipped(&self, key: u32, last: i64, next: i64) -> Option<i64> {
        self.logs.of(key).first_existing(last.saturating_add(1), next)
    }
}
