//! Appends keep real-time order, and the end of a log is never stale, between any two clients. Needs times.
//!
//! `realtime-order`: a send begins after another was answered, or after a look-up was, and stands below it. `stale-read`: a look-up
//! begins after a send was answered, a record read or another end named, and names an end that is not beyond it.
//!
//! Exact for logs, in n log n, since the order is known: an append at offset o stands at 2o+1, a look-up of end e at 2e. A
//! linearization exists unless something is answered before something that stands below it begins (interval order), so one
//! sweep upwards that remembers the latest beginning below finds all. A send with `info` that somebody read at one offset only
//! takes part as if it were never answered, and so does one with acks=0. With acks other than all an acknowledgement proves no place
//! in the log: only records that were read where they were acknowledged take part.

use std::collections::BTreeSet;

use evidence::history::{Detail, Kind, Row, Sent};
use evidence::{Acks, Outcome};

use super::anomaly::{Anomaly, ENDS, REAL_TIME};
use super::case::Case;
use super::sessions::{Told, transactional};

/// Something that has its place in a log.
#[derive(Clone, Copy)]
struct Item {
    place: u64,
    what: What,
    begins: u64,
    /// `u64::MAX`: never answered.
    ends: u64,
    operation: u32,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    /// By record.
    Append(u32),
    LookUp,
    /// It stands where its last record does, and may have begun at any time.
    Read,
}

pub(super) fn judge(case: &mut Case<'_>, told: &Told) {
    let moved: BTreeSet<u32> = case.logs.moved.iter().map(|&(record, ..)| record).collect();
    let read_there: BTreeSet<(u32, i64)> =
        case.logs.moved.iter().map(|&(record, offset, _)| (record, offset)).collect();
    let stable = transactional(case);
    for (key, mut items) in (0..).zip(items(case, &moved, &read_there)) {
        if items.iter().all(|item| item.what == What::Read) {
            continue;
        }
        items.sort_unstable_by_key(|item| (item.place, item.begins, item.operation));
        sweep(case, key, &items, stable[key as usize], told);
    }
}

fn items(case: &Case<'_>, moved: &BTreeSet<u32>, read_there: &BTreeSet<(u32, i64)>) -> Vec<Vec<Item>> {
    let table = case.table;
    let mut counts = vec![0; table.keys.len()];
    for sent in table.rows().iter().flat_map(|row| table.sends(row)) {
        counts[table.records.key(sent.record) as usize] += 1;
    }
    let mut items: Vec<Vec<Item>> = counts.into_iter().map(Vec::with_capacity).collect();
    let mut is_looked_up = vec![false; table.keys.len()];
    for (operation, row) in (0..).zip(table.rows()) {
        let Some(begins) = row.asked.time else { continue };
        let ends = row.told.and_then(|told| told.time).filter(|_| row.outcome == Outcome::Ok);
        match (row.kind, table.detail(row), ends) {
            (Kind::Send | Kind::Txn, ..) => {
                for sent in table.sends(row) {
                    if let Some(offset) = place(case, row, *sent, moved, read_there) {
                        // With acks=0 the answer is the client's own, and says nothing of the log.
                        let ends = ends.filter(|_| case.terms.acks != Acks::None).map_or(u64::MAX, |ends| ends.0);
                        let what = What::Append(sent.record);
                        let place = 2 * offset as u64 + 1;
                        let item = Item { place, what, begins: begins.0, ends, operation };
                        items[table.records.key(sent.record) as usize].push(item);
                    }
                }
            }
            (Kind::End, Some(Detail::Ends(list)), Some(ends)) => {
                for &(key, _, end) in list {
                    let (place, what) = (2 * end as u64, What::LookUp);
                    items[key as usize].push(Item { place, what, begins: begins.0, ends: ends.0, operation });
                    is_looked_up[key as usize] = true;
                }
            }
            _ => {}
        }
    }
    if is_looked_up.contains(&true) {
        for (operation, row) in (0..).zip(table.rows()) {
            let Some(ends) = row.told.and_then(|told| told.time) else { continue };
            for (key, reads) in table.lists(row).filter(|(key, _)| is_looked_up[*key as usize]) {
                if let Some(last) = reads.iter().map(|read| read.offset).max() {
                    let (place, what) = (2 * last as u64 + 1, What::Read);
                    items[key as usize].push(Item { place, what, begins: 0, ends: ends.0, operation });
                }
            }
        }
    }
    items
}

/// Where the record certainly stands.
fn place(
    case: &Case<'_>,
    row: &Row,
    sent: Sent,
    moved: &BTreeSet<u32>,
    read_there: &BTreeSet<(u32, i64)>,
) -> Option<i64> {
    let read = case.logs.place(sent.record);
    match (row.outcome, sent.offset()) {
        (Outcome::Ok, Some(offset)) => {
            let is_read_there = || read == Some(offset) || read_there.contains(&(sent.record, offset));
            Some(offset).filter(|_| case.terms.acks_all || is_read_there())
        }
        (Outcome::Ok, None) | (Outcome::Info, _) => read.filter(|_| !moved.contains(&sent.record)),
        (Outcome::Fail | Outcome::Invoke, _) => None,
    }
}

/// The latest beginnings among strictly lower places.
#[derive(Clone, Copy, Default)]
struct Latest {
    append: Option<Item>,
    lookup: Option<Item>,
}

impl Latest {
    fn add(&mut self, item: Item) {
        let latest = match item.what {
            What::Append(_) => &mut self.append,
            What::LookUp => &mut self.lookup,
            What::Read => return,
        };
        if latest.is_none_or(|known| known.begins < item.begins) {
            *latest = Some(item);
        }
    }
}

fn sweep(case: &mut Case<'_>, key: u32, items: &[Item], is_stable: bool, told: &Told) {
    let mut latest = Latest::default();
    let (mut appends, mut lookups) = (0, 0);
    for group in items.chunk_by(|a, b| a.place == b.place) {
        for item in group {
            match item.what {
                What::Append(_) => appends += 1,
                What::LookUp => lookups += 1,
                What::Read => {}
            }
            if let Some(later) = latest.append.filter(|later| item.ends < later.begins && item.what != What::Read) {
                out_of_order(case, key, *item, later);
            }
            let bounds = |later: &Item| item.ends < later.begins && !told.stale.contains(&(later.operation, key));
            let is_append = matches!(item.what, What::Append(_));
            if let Some(later) = latest.lookup.filter(|later| bounds(later) && !(is_append && is_stable)) {
                stale(case, key, *item, later);
            }
        }
        group.iter().for_each(|item| latest.add(*item));
    }
    case.judged(&REAL_TIME, u64::saturating_sub(appends, 1));
    if items.len() as u64 > lookups || 1 < lookups {
        case.judged(&ENDS, lookups);
    }
}

/// `item` was answered before `later`, an append that stands below it, began.
fn out_of_order(case: &mut Case<'_>, key: u32, item: Item, later: Item) {
    let What::Append(record) = later.what else { return };
    case.find(Anomaly::RealtimeOrder, key, |case| {
        let (name, below, offset) = (case.key(key), case.value(record), later.place / 2);
        let why = match item.what {
            What::Append(first) => format!(
                "{} was acknowledged at offset {} of {name} before {below} was sent, which stands below it, at offset {offset}",
                case.value(first),
                item.place / 2
            ),
            What::LookUp | What::Read => format!(
                "{name} was said to end at {} before {below} was sent, which stands below that, at offset {offset}",
                item.place / 2
            ),
        };
        (case.lines([item.operation, later.operation]), why)
    });
}

/// `item` was known before `later`, a look-up of an end that is not beyond it, began.
fn stale(case: &mut Case<'_>, key: u32, item: Item, later: Item) {
    let by_acknowledgement = matches!(item.what, What::Append(_));
    case.find(Anomaly::StaleRead { by_acknowledgement }, key, |case| {
        let (name, end, place) = (case.key(key), later.place / 2, item.place / 2);
        let known = match item.what {
            What::Append(record) => format!("{} had been acknowledged at offset {place}", case.value(record)),
            What::LookUp => format!("an end of {place} had been told"),
            What::Read => format!("offset {place} had been read"),
        };
        let why = format!("{name} was said to end at {end} although {known} before anybody asked");
        (case.lines([item.operation, later.operation]), why)
    });
}
