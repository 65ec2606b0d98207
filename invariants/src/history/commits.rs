//! Committed offsets stay committed.
//!
//! `commit-regression`: whoever asks for a group's committed offset after a commit was answered hears of a lower one, or of none,
//! and no other commit can explain it: none of that value was under way or came later. For each group and key this is a register
//! whose values go up and down; a commit with `info` may happen at any time, one with `fail` never does. An offset that nobody asked
//! to commit is no fault by itself, since clients commit on their own; a key that an answer leaves out was perhaps not asked for.

use std::collections::BTreeMap;

use evidence::Outcome;
use evidence::history::{Detail, Kind};

use super::anomaly::{Anomaly, COMMITS};
use super::case::Case;

#[derive(Default)]
struct Register {
    commits: Vec<Commit>,
    answers: Vec<Answer>,
}

struct Commit {
    offset: i64,
    begins: u64,
    /// `u64::MAX`: never answered.
    ends: u64,
    operation: u32,
}

struct Answer {
    offset: i64,
    begins: u64,
    ends: u64,
    operation: u32,
}

pub(super) fn judge(case: &mut Case<'_>) {
    for ((group, key), register) in registers(case) {
        check(case, group, key, register);
    }
}

fn registers(case: &Case<'_>) -> BTreeMap<(u32, u32), Register> {
    let table = case.table;
    let mut registers: BTreeMap<(u32, u32), Register> = BTreeMap::new();
    for (operation, row) in (0..).zip(table.rows()) {
        let Some(Detail::Offsets { group, offsets }) = table.detail(row) else { continue };
        let begins = case.when(row.asked);
        let told = row.told.map(|told| case.when(told));
        for &(key, offset) in offsets {
            let register = registers.entry((*group, key)).or_default();
            match (row.kind, row.outcome, told) {
                (Kind::Commit, Outcome::Ok, Some(ends)) => {
                    register.commits.push(Commit { offset, begins, ends, operation })
                }
                (Kind::Commit, Outcome::Info | Outcome::Invoke, _) => {
                    register.commits.push(Commit { offset, begins, ends: u64::MAX, operation });
                }
                (Kind::Committed, Outcome::Ok, Some(ends)) => {
                    register.answers.push(Answer { offset, begins, ends, operation });
                }
                _ => {}
            }
        }
    }
    registers
}

fn check(case: &mut Case<'_>, group: u32, key: u32, register: Register) {
    let Register { mut commits, mut answers } = register;
    // By value: when each commit of it begins, and until when the last of those that begin no later may have happened.
    let mut by_offset: BTreeMap<i64, Vec<(u64, u64)>> = BTreeMap::new();
    commits.sort_by_key(|commit| commit.begins);
    for commit in &commits {
        let list = by_offset.entry(commit.offset).or_default();
        let until = list.last().map_or(0, |&(_, until)| until).max(commit.ends);
        list.push((commit.begins, until));
    }
    let mut offsets: Vec<i64> = by_offset.keys().copied().collect();
    offsets.dedup();
    let mut latest = Latest { tree: vec![None; offsets.len() + 1] };
    answers.sort_by_key(|answer| answer.begins);
    commits.sort_by_key(|commit| commit.ends);
    let mut commits = commits.iter().peekable();
    for answer in &answers {
        while let Some(commit) = commits.next_if(|commit| commit.ends < answer.begins) {
            let rank = offsets.partition_point(|offset| *offset < commit.offset);
            latest.add(offsets.len() - rank, (commit.begins, commit.operation, commit.offset));
        }
        let higher = offsets.len() - offsets.partition_point(|offset| *offset <= answer.offset);
        let any = latest.most(offsets.len());
        case.judged(&COMMITS, u64::from(any.is_some()));
        let Some((begins, by, offset)) = latest.most(higher) else { continue };
        // The commits of what was told that may be what it tells of.
        let until = by_offset.get(&answer.offset).and_then(|list| {
            let begun = list.partition_point(|&(begins, _)| begins <= answer.ends);
            begun.checked_sub(1).map(|last| list[last].1)
        });
        if until.is_some_and(|until| begins <= until) {
            continue;
        }
        case.find(Anomaly::CommitRegression, key, |case| {
            let (group, key) = (case.table.groups.get(group), case.key(key));
            let told = if answer.offset < 0 { "none".to_owned() } else { answer.offset.to_string() };
            let why = format!("group {group} had committed offset {offset} of {key}, and later was told {told}");
            (case.lines([by, answer.operation]), why)
        });
    }
}

/// Of the commits that are over, with their offsets numbered from the highest: the latest beginning among the first so many
/// (a Fenwick tree of maxima).
struct Latest {
    tree: Vec<Option<(u64, u32, i64)>>,
}

impl Latest {
    fn add(&mut self, mut at: usize, commit: (u64, u32, i64)) {
        while at < self.tree.len() {
            self.tree[at] = self.tree[at].max(Some(commit));
            at += at & at.wrapping_neg();
        }
    }

    fn most(&self, mut count: usize) -> Option<(u64, u32, i64)> {
        let mut most = None;
        while 0 < count {
            most = most.max(self.tree[count]);
            count &= count - 1;
        }
        most
    }
}
