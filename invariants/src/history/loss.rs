//! Acknowledged records survive, and transactions whole.
//!
//! `lost-write`: a record whose send was answered `ok`, or whose transaction must have been committed since somebody read another
//! record of it, was never read by anyone, although somebody read its offset or beyond in its key. `unseen`: nobody came that far,
//! but somebody should have: a look-up named an end beyond it, and the last thing that a reader heard, who stood before it and
//! asked after that answer, was that there is nothing; or a look-up after the acknowledgement named an end below it. That a poll is empty proves nothing by itself: a client may fetch ahead, and
//! give out later. Where the offset is not known, a look-up that was asked after the acknowledgement bounds it.
//! `torn-transaction`: of one transaction some records were read and others are gone.
//!
//! Legal: the record lies below a start that a look-up named, or in a known hole. Sends with `info` may be missing, and those with
//! `fail` must. A record that nobody tried to read leaves the promise unknown.

use evidence::Outcome;
use evidence::history::{Detail, Kind, Moment, Row, Sent};

use super::anomaly::{Anomaly, SURVIVE, WHOLE};
use super::case::Case;
use super::sessions::{Rest, transactional};

/// By key: what is known of its end.
#[derive(Clone, Default)]
struct Ends {
    /// A reader stood at the first offset and heard of nothing more, though the log went on to the second: look-up and poll.
    drains: Vec<Drain>,
    /// The last question for an end that readers did reach, and the look-up's answer.
    covered: Option<(Moment, u32)>,
    /// Questions for an end in their order: when, the lowest end from there on, and who was told it.
    lowest: Vec<(u64, i64, u32)>,
}

#[derive(Clone, Copy)]
struct Drain {
    from: i64,
    end: i64,
    lookup: u32,
    poll: u32,
}

/// What became of a record that nobody read.
enum Fate {
    /// Somebody read past it.
    Lost { highest: i64, reader: u32 },
    /// It lies below an end that a reader could have come to, and did not.
    Unseen { lookup: u32, reader: Option<u32>, end: i64 },
    /// The log was said to end below it.
    Cut { lookup: u32, end: i64 },
    /// It lies where nobody can expect it any more.
    Gone,
    /// Nobody looked.
    Unread,
}

pub(super) fn judge(case: &mut Case<'_>, rests: &[Rest]) {
    let ends = ends(case, rests);
    for (operation, row) in (0..).zip(case.table.rows()) {
        match (row.kind, row.outcome) {
            (Kind::Send | Kind::Txn, Outcome::Ok) => acknowledged(case, &ends, operation, row),
            (Kind::Txn, Outcome::Info) if case.terms.read_committed => in_doubt(case, &ends, operation, row),
            _ => {}
        }
    }
}

fn ends(case: &Case<'_>, rests: &[Rest]) -> Vec<Ends> {
    let table = case.table;
    let mut ends = vec![Ends::default(); table.keys.len()];
    // By key, in the order of their answers: when, end, and the highest end so far.
    let mut lookups: Vec<Vec<(u64, i64, u32)>> = vec![Vec::new(); table.keys.len()];
    for (operation, row) in (0..).zip(table.rows()) {
        let (Some(Detail::Ends(list)), Some(told), Outcome::Ok) = (table.detail(row), row.told, row.outcome) else {
            continue;
        };
        for &(key, _, end) in list {
            lookups[key as usize].push((case.when(told), end, operation));
            ends[key as usize].lowest.push((case.when(row.asked), end, operation));
            let reached = case.logs.of(key).highest.is_some_and(|(highest, _)| end - 1 <= highest);
            let covered = &mut ends[key as usize].covered;
            if 0 < end && reached && covered.is_none_or(|(asked, _)| case.precedes(asked, row.asked)) {
                *covered = Some((row.asked, operation));
            }
        }
    }
    for list in &mut lookups {
        list.sort_by_key(|&(told, ..)| told);
        let mut highest: Option<(i64, u32)> = None;
        for (_, end, operation) in list {
            if highest.is_none_or(|(most, _)| most < *end) {
                highest = Some((*end, *operation));
            }
            (*end, *operation) = highest.unwrap_or((*end, *operation));
        }
    }
    let stable = transactional(case);
    for (ends, _) in ends.iter_mut().zip(stable).filter(|(_, is_stable)| *is_stable) {
        ends.lowest.clear();
    }
    for Ends { lowest, .. } in &mut ends {
        lowest.sort_by_key(|&(asked, ..)| asked);
        let mut least: Option<(i64, u32)> = None;
        for (_, end, operation) in lowest.iter_mut().rev() {
            if least.is_none_or(|(least, _)| *end < least) {
                least = Some((*end, *operation));
            }
            (*end, *operation) = least.unwrap_or((*end, *operation));
        }
    }
    for rest in rests {
        let begun = case.when(case.row(rest.poll).asked);
        let list = &lookups[rest.key as usize];
        let before = list.partition_point(|&(told, ..)| told < begun);
        if let Some(&(_, end, lookup)) = before.checked_sub(1).and_then(|last| list.get(last))
            && rest.position < end
        {
            ends[rest.key as usize].drains.push(Drain { from: rest.position, end, lookup, poll: rest.poll });
        }
    }
    ends
}

/// What became of a record that nobody read, and that certainly was in the log at `since`.
fn fate(case: &Case<'_>, ends: &[Ends], sent: Sent, since: Option<Moment>) -> Fate {
    let key = case.table.records.key(sent.record);
    let (log, ends) = (case.logs.of(key), &ends[key as usize]);
    let Some(offset) = sent.offset() else {
        let Some(since) = since else { return Fate::Unread };
        if let Some((_, lookup)) = ends.covered.filter(|(asked, _)| case.precedes(since, *asked)) {
            let (highest, reader) = log.highest.unzip();
            return Fate::Unseen { lookup, reader, end: highest.map_or(0, |highest| highest + 1) };
        }
        let drain = ends.drains.iter().find(|drain| case.precedes(since, case.row(drain.lookup).asked));
        return match drain {
            Some(&Drain { end, lookup, poll, .. }) => Fate::Unseen { lookup, reader: Some(poll), end },
            None => Fate::Unread,
        };
    };
    if log.is_gone(offset) {
        return Fate::Gone;
    }
    if let Some((highest, reader)) = log.highest.filter(|(highest, _)| offset <= *highest) {
        return Fate::Lost { highest, reader };
    }
    if let Some(&Drain { end, lookup, poll, .. }) =
        ends.drains.iter().find(|drain| drain.from <= offset && offset < drain.end)
    {
        return Fate::Unseen { lookup, reader: Some(poll), end };
    }
    let since = since.map_or(u64::MAX, |since| case.when(since));
    let later = ends.lowest.partition_point(|&(asked, ..)| asked <= since);
    match ends.lowest.get(later) {
        Some(&(_, end, lookup)) if end <= offset => Fate::Cut { lookup, end },
        _ => Fate::Unread,
    }
}

fn acknowledged(case: &mut Case<'_>, ends: &[Ends], operation: u32, row: &Row) {
    let (mut seen, mut missing) = (None, Vec::new());
    for &sent in case.table.sends(row) {
        if case.logs.place(sent.record).is_some() {
            case.judged(&SURVIVE, 1);
            seen = seen.or(case.logs.reader(sent.record));
            continue;
        }
        let fate = fate(case, ends, sent, row.told);
        match fate {
            Fate::Gone => case.judged(&SURVIVE, 1),
            Fate::Unread => case.unjudged(&SURVIVE, 1),
            Fate::Lost { .. } | Fate::Unseen { .. } | Fate::Cut { .. } => {
                case.judged(&SURVIVE, 1);
                gone(case, operation, sent, &fate);
                missing.push(sent);
            }
        }
    }
    if let (Kind::Txn, Some(seen)) = (row.kind, seen) {
        torn(case, operation, seen, &missing);
    }
}

/// A transaction of which nobody was told that it was committed. That somebody read a record of it says so.
fn in_doubt(case: &mut Case<'_>, ends: &[Ends], operation: u32, row: &Row) {
    let Some(witness) = case.logs.witness(case.table, row) else { return };
    case.judged(&WHOLE, 1);
    let since = case.row(witness).told;
    let mut missing = Vec::new();
    for &sent in case.table.sends(row) {
        if case.logs.place(sent.record).is_none() {
            let fate = fate(case, ends, sent, since);
            if matches!(fate, Fate::Lost { .. } | Fate::Unseen { .. }) {
                missing.push(sent);
            }
            if matches!(fate, Fate::Lost { .. }) {
                gone(case, operation, sent, &fate);
            }
        }
    }
    torn(case, operation, witness, &missing);
}

fn gone(case: &mut Case<'_>, operation: u32, sent: Sent, fate: &Fate) {
    let key = case.table.records.key(sent.record);
    let anomaly = if matches!(fate, Fate::Lost { .. }) { Anomaly::LostWrite } else { Anomaly::Unseen };
    case.find(anomaly, key, |case| {
        let (value, name) = (case.value(sent.record), case.key(key));
        let place = sent.offset().map_or("an unknown offset".into(), |offset| format!("offset {offset}"));
        let (others, what) = match *fate {
            Fate::Lost { highest, reader } => {
                (vec![reader], format!("is lost: readers came as far as {highest} and never saw it"))
            }
            Fate::Unseen { lookup, reader, end } => (
                [Some(lookup), reader].into_iter().flatten().collect(),
                format!(
                    "never seen: the log was said to end at {end}, and readers who asked for all of it did not get it"
                ),
            ),
            Fate::Cut { lookup, end } => (vec![lookup], format!("never seen: later the log was said to end at {end}")),
            Fate::Gone | Fate::Unread => (Vec::new(), String::new()),
        };
        let whereabouts = sent.offset().and_then(|offset| (case.whereabouts)(&case.table.keys.key(key), offset));
        let whereabouts = whereabouts.map_or(String::new(), |text| format!("; {text}"));
        let excuse = case.terms.excuse().map_or(String::new(), |excuse| format!(" ({excuse})"));
        let said = if case.row(operation).outcome == Outcome::Ok { "acknowledged" } else { "committed" };
        let why = format!("{value} was {said} at {place} of {name} and {what}{whereabouts}{excuse}");
        let mut lines = case.lines([operation]);
        lines.extend(others.iter().map(|&other| case.row(other).last_line()));
        (lines, why)
    });
}

fn torn(case: &mut Case<'_>, operation: u32, seen: u32, missing: &[Sent]) {
    let Some(first) = missing.first() else { return };
    let key = case.table.records.key(first.record);
    case.find(Anomaly::TornTransaction, key, |case| {
        let all = case.table.sends(case.row(operation)).len();
        let names: Vec<_> = missing
            .iter()
            .map(|sent| format!("{} of {}", case.value(sent.record), case.key(case.table.records.key(sent.record))))
            .collect();
        let why = format!(
            "a transaction wrote {all} records, and readers saw some of them and never {}: it was not all or nothing",
            names.join(", ")
        );
        let mut lines = case.lines([operation]);
        lines.push(case.row(seen).last_line());
        (lines, why)
    });
}
