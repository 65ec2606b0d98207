//! A partition has one owner in its group.
//!
//! `double-ownership`: two processes are assigned one key by one generation of their group and hold it at the same time; or a process
//! whose key went to another by a later generation, and who was not told, still commits for it and is answered `ok`. A process holds a
//! key from `assigned` until it is revoked or lost, until a later assignment leaves it out, or until the process ends by `crash` or
//! `info`. That a member which was not told still believes in an earlier generation is legal: it is fenced, and may only not act.

use std::collections::{BTreeMap, BTreeSet};

use evidence::Outcome;
use evidence::history::{Detail, Kind, Row};

use super::anomaly::{Anomaly, OWNER};
use super::case::Case;

/// A key in the hands of a process.
#[derive(Clone, Copy)]
struct Hold {
    generation: i64,
    since: u64,
    operation: u32,
}

/// Who holds what, by group and key.
#[derive(Default)]
struct Holds {
    owners: BTreeMap<(u32, u32), BTreeMap<u32, Hold>>,
    by_process: BTreeMap<u32, BTreeSet<(u32, u32)>>,
}

/// Something that changes who holds what, or asks for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    when: u64,
    line: u64,
    operation: u32,
}

pub(super) fn judge(case: &mut Case<'_>) {
    let table = case.table;
    let mut turns: Vec<Turn> = Vec::new();
    for (operation, row) in (0..).zip(table.rows()) {
        let Some(told) = row.told else { continue };
        if lets_go(row) || matches!(row.kind, Kind::Assigned | Kind::Commit) {
            turns.push(Turn { when: case.when(told), line: told.index, operation });
        }
    }
    if !turns.iter().any(|turn| table.row(turn.operation).kind == Kind::Assigned) {
        return;
    }
    turns.sort_unstable();
    let mut holds = Holds::default();
    for moment in turns.chunk_by(|a, b| a.when == b.when) {
        // Nobody knows which came first at one moment: whoever lets go did so before another took.
        moment.iter().for_each(|turn| holds.let_go(case, *turn));
        moment.iter().for_each(|turn| take(case, &mut holds, *turn));
        moment.iter().for_each(|turn| commit(case, &holds, *turn));
        moment.iter().for_each(|turn| holds.let_go(case, *turn));
    }
}

/// Does the process give something up with this?
fn lets_go(row: &Row) -> bool {
    row.outcome == Outcome::Info || matches!(row.kind, Kind::Revoked | Kind::Lost | Kind::Crash)
}

impl Holds {
    /// Gives up what the process took before this line.
    fn let_go(&mut self, case: &Case<'_>, turn: Turn) {
        let row = case.row(turn.operation);
        if !lets_go(row) {
            return;
        }
        let all = || self.by_process.get(&row.process).into_iter().flatten().copied().collect();
        let given: Vec<(u32, u32)> = match case.table.detail(row) {
            Some(Detail::Membership { group, keys, .. }) if row.outcome != Outcome::Info => {
                keys.iter().map(|key| (*group, *key)).collect()
            }
            _ => all(),
        };
        for place in given {
            let hold = self.owners.get(&place).and_then(|owners| owners.get(&row.process));
            if hold.is_some_and(|hold| case.row(hold.operation).last_line() < turn.line) {
                self.remove(row.process, place);
            }
        }
    }

    fn remove(&mut self, process: u32, place: (u32, u32)) {
        if let Some(owners) = self.owners.get_mut(&place) {
            owners.remove(&process);
        }
        if let Some(places) = self.by_process.get_mut(&process) {
            places.remove(&place);
        }
    }
}

fn take(case: &mut Case<'_>, holds: &mut Holds, turn: Turn) {
    let row = case.row(turn.operation);
    let (Kind::Assigned, Outcome::Ok, Some(Detail::Membership { group, generation, keys })) =
        (row.kind, row.outcome, case.table.detail(row))
    else {
        return;
    };
    let (process, group, generation) = (row.process, *group, *generation);
    let keys: BTreeSet<u32> = keys.iter().copied().collect();
    // A later assignment says all that the process holds, or what it holds besides; in doubt it holds no more.
    let held = holds.by_process.get(&process).into_iter().flatten().copied();
    let left: Vec<(u32, u32)> = held.filter(|(other, key)| *other == group && !keys.contains(key)).collect();
    for place in left {
        let hold = holds.owners.get(&place).and_then(|owners| owners.get(&process));
        if hold.is_some_and(|hold| hold.generation < generation) {
            holds.remove(process, place);
        }
    }
    case.judged(&OWNER, keys.len() as u64);
    for key in keys {
        let owners = holds.owners.entry((group, key)).or_default();
        owners.insert(process, Hold { generation, since: turn.when, operation: turn.operation });
        holds.by_process.entry(process).or_default().insert((group, key));
        let others = owners.iter().filter(|(other, hold)| **other != process && hold.generation == generation);
        for first in others.map(|(_, hold)| hold.operation) {
            both_hold(case, group, key, generation, [first, turn.operation]);
        }
    }
}

fn commit(case: &mut Case<'_>, holds: &Holds, turn: Turn) {
    let row = case.row(turn.operation);
    let (Kind::Commit, Outcome::Ok, Some(Detail::Offsets { group, offsets })) =
        (row.kind, row.outcome, case.table.detail(row))
    else {
        return;
    };
    let begun = case.when(row.asked);
    for &(key, _) in offsets {
        let Some(owners) = holds.owners.get(&(*group, key)) else { continue };
        let Some(own) = owners.get(&row.process) else { continue };
        let newer = owners.values().find(|other| own.generation < other.generation && other.since < begun);
        if let Some(&newer) = newer {
            stale_commit(case, key, *own, newer, turn.operation);
        }
    }
}

fn both_hold(case: &mut Case<'_>, group: u32, key: u32, generation: i64, [first, second]: [u32; 2]) {
    case.find(Anomaly::DoubleOwnership, key, |case| {
        let (group, key) = (case.table.groups.get(group), case.key(key));
        let [one, other] = [first, second].map(|operation| case.table.process(case.row(operation).process).to_string());
        let why = format!(
            "generation {generation} of group {group} gave {key} to process {other} while process {one} held it"
        );
        (case.lines([first, second]), why)
    });
}

fn stale_commit(case: &mut Case<'_>, key: u32, own: Hold, newer: Hold, commit: u32) {
    case.find(Anomaly::DoubleOwnership, key, |case| {
        let process = case.table.process(case.row(commit).process);
        let other = case.table.process(case.row(newer.operation).process);
        let why = format!(
            "process {process}, of generation {}, committed for {} and was answered ok, though generation {} had given it to process {other}",
            own.generation,
            case.key(key),
            newer.generation
        );
        (case.lines([own.operation, newer.operation, commit]), why)
    });
}
