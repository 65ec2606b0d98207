//! What stands where: every record at one offset, at every offset one record, and nothing that nobody sent.
//!
//! `inconsistent-offset`: two records at one offset, by the word of any poll, or of an acknowledgement that proves it.
//! `duplicate`: a record that is read at two offsets, or at another one than its producer was told.
//! `invented-record`: a value that nobody asked to send to its key, or not before it was read. One that arrives altered is one
//! that nobody sent. `aborted-read` (Adya's G1a): a record whose send or transaction was answered `fail`; a timeout is `info`, and
//! may surface at any time. `precommitted-read`: a transaction that reads what it is itself writing.

use std::collections::BTreeMap;

use evidence::Outcome;
use evidence::history::Kind;

use super::anomaly::{Anomaly, DUPLICATE, INVENTED, OFFSETS, ORDER, REFUSED, WHOLE};
use super::case::Case;

pub(super) fn judge(case: &mut Case<'_>) {
    let reads = case.table.read_count() as u64;
    for promise in [&INVENTED, &DUPLICATE, &REFUSED] {
        case.judged(promise, reads);
    }
    one_record_an_offset(case);
    let moved = one_offset_a_record(case);
    acknowledged_offsets(case, &moved);
    for record in 0..case.table.records.len() as u32 {
        sent_and_not_refused(case, record);
    }
    own_reads(case);
}

fn one_record_an_offset(case: &mut Case<'_>) {
    let known: usize = (0..case.table.keys.len() as u32).map(|key| case.logs.of(key).known().count()).sum();
    case.judged(&ORDER, known as u64);
    let mut contests: BTreeMap<(u32, i64), BTreeMap<u32, u32>> = BTreeMap::new();
    for &(key, offset, record, operation) in &case.logs.contests {
        contests.entry((key, offset)).or_default().entry(record).or_insert(operation);
    }
    for ((key, offset), others) in contests {
        case.find(Anomaly::InconsistentOffset, key, |case| {
            let first = case.logs.of(key).at(offset);
            let witness = first.and_then(|first| case.logs.reader(first).or(case.table.records.sender(first)));
            let names: Vec<_> =
                first.into_iter().chain(others.keys().copied()).map(|record| case.value(record)).collect();
            let operations = others.values().copied().chain(witness).map(|operation| case.row(operation).last_line());
            let key = case.key(key);
            let why = format!("offset {offset} of {key} holds different records: {}", names.join(" and "));
            (operations.collect(), why)
        });
    }
}

/// Records that were read at several offsets: where, and by whom.
type Moved = BTreeMap<u32, BTreeMap<i64, u32>>;

fn one_offset_a_record(case: &mut Case<'_>) -> Moved {
    let mut moved = Moved::new();
    for &(record, offset, operation) in &case.logs.moved {
        moved.entry(record).or_default().entry(offset).or_insert(operation);
    }
    for (&record, others) in &moved {
        let key = case.table.records.key(record);
        case.find(Anomaly::Duplicate, key, |case| {
            let places: Vec<_> =
                case.logs.place(record).into_iter().chain(others.keys().copied()).map(|at| at.to_string()).collect();
            let sent = case.table.records.sender(record).map(|sender| case.row(sender).asked.index);
            let readers = case.logs.reader(record).into_iter().chain(others.values().copied());
            let lines = sent.into_iter().chain(readers.map(|reader| case.row(reader).last_line()));
            let (value, key) = (case.value(record), case.key(key));
            let why = format!("{value} stands {} times in {key}, at offsets {}", places.len(), places.join(", "));
            (lines.collect(), why)
        });
    }
    moved
}

fn acknowledged_offsets(case: &mut Case<'_>, moved: &Moved) {
    for (operation, row) in (0..).zip(case.table.rows()) {
        if row.outcome != Outcome::Ok || !matches!(row.kind, Kind::Send | Kind::Txn) {
            continue;
        }
        for sent in case.table.sends(row) {
            let (Some(offset), Some(place)) = (sent.offset(), case.logs.place(sent.record)) else { continue };
            case.judged(&OFFSETS, 1);
            let others = moved.get(&sent.record);
            if place == offset || others.is_some_and(|others| others.contains_key(&offset)) {
                continue;
            }
            let key = case.table.records.key(sent.record);
            case.find(Anomaly::ToldElsewhere, key, |case| {
                let reader = case.logs.reader(sent.record).unwrap_or(operation);
                let (value, key) = (case.value(sent.record), case.key(key));
                let why = format!("{value} was acknowledged at offset {offset} of {key} and is read at {place}");
                (vec![row.last_line(), case.row(reader).last_line()], why)
            });
        }
    }
}

fn sent_and_not_refused(case: &mut Case<'_>, record: u32) {
    let Some(reader) = case.logs.reader(record) else { return };
    let sender = case.table.records.sender(record);
    let (sent, read) = (sender.map(|sender| case.row(sender)), case.row(reader));
    let key = case.table.records.key(record);
    let Some(sent) = sent else {
        return case.find(Anomaly::InventedRecord, key, |case| {
            let elsewhere = (0..case.table.keys.len() as u32).filter(|other| *other != key);
            let sent = elsewhere
                .filter_map(|key| case.table.records.in_key(record, key))
                .find_map(|other| Some((other, case.table.records.sender(other)?)));
            let (value, offset) = (case.value(record), case.logs.place(record).unwrap_or_default());
            let read_at = format!("{value} was read at offset {offset} of {}", case.key(key));
            match sent {
                Some((other, sender)) => {
                    let other = case.key(case.table.records.key(other));
                    (
                        vec![case.row(sender).asked.index, read.last_line()],
                        format!("{read_at}, but was sent to {other}"),
                    )
                }
                None => (vec![read.last_line()], format!("{read_at}, and nobody ever sent it")),
            }
        });
    };
    // Only times can tell which of two clients was first.
    if let Some(told) = read.told
        && case.table.is_timed()
        && case.precedes(told, sent.asked)
    {
        case.find(Anomaly::InventedRecord, key, |case| {
            let (value, offset) = (case.value(record), case.logs.place(record).unwrap_or_default());
            let why = format!("{value} was read at offset {offset} of {} before anybody sent it", case.key(key));
            (vec![sent.asked.index, read.last_line()], why)
        });
    }
    if sent.outcome == Outcome::Fail {
        case.find(Anomaly::AbortedRead { in_transaction: sent.kind == Kind::Txn }, key, |case| {
            let (value, offset) = (case.value(record), case.logs.place(record).unwrap_or_default());
            let what =
                if sent.kind == Kind::Txn { "was written by a transaction that was refused" } else { "was refused" };
            let why = format!("{value} {what}, and yet was read at offset {offset} of {}", case.key(key));
            (vec![sent.last_line(), read.last_line()], why)
        });
    }
}

fn own_reads(case: &mut Case<'_>) {
    for (record, offset) in case.logs.own_reads.clone() {
        let Some(sender) = case.table.records.sender(record) else { continue };
        if case.row(sender).kind != Kind::Txn {
            continue;
        }
        let key = case.table.records.key(record);
        case.find(Anomaly::PrecommittedRead, key, |case| {
            let (value, key) = (case.value(record), case.key(key));
            let why = format!("a transaction read {value} at offset {offset} of {key} while it was still writing it");
            (case.lines([sender]), why)
        });
    }
    let transactions = case.table.rows().iter().filter(|row| row.kind == Kind::Txn && row.told.is_some());
    let judged = transactions.filter(|row| !case.table.sends(row).is_empty()).count();
    case.judged(&WHOLE, judged as u64);
}
