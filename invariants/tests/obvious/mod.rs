//! Definitions, word by word and in whatever time they take; and the small random histories on which they are tried.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use evidence::Outcome;
use proptest::prelude::*;

const HEADER: &str = "{\"history\":1}\n";

fn line(text: &mut String, index: usize, process: &str, kind: &str, f: &str, value: &str) {
    writeln!(
        text,
        r#"{{"index":{index},"time":{index},"process":"{process}","type":"{kind}","f":"{f}","value":{value}}}"#
    )
    .unwrap();
}

// ── Sends and polls of one key ──

/// A chance for one of three clients: an idle one asks, a waiting one is told.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    client: usize,
    sends: bool,
    outcome: Outcome,
    offset: i64,
    records: Vec<(i64, i64)>,
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![6 => Just(Outcome::Ok), 1 => Just(Outcome::Fail), 1 => Just(Outcome::Info)];
    let records = prop::collection::vec((0i64..6, 0i64..5), 0..4);
    let step = (0..3usize, any::<bool>(), outcome, 0i64..6, records);
    let step =
        step.prop_map(|(client, sends, outcome, offset, records)| Step { client, sends, outcome, offset, records });
    prop::collection::vec(step, 0..24)
}

/// One operation from its question to its answer, if there was one.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    process: usize,
    asked: usize,
    told: Option<usize>,
    outcome: Outcome,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Send { value: i64, offset: i64 },
    Poll(Vec<(i64, i64)>),
}

/// What the clients of these steps go through, in the order of their questions. Values are counted from zero.
pub(crate) fn history(steps: &[Step]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut clients: [(usize, Option<usize>); 3] = [(0, None), (1, None), (2, None)];
    let (mut next_value, mut next_process) = (0, 3);
    for (index, step) in steps.iter().enumerate() {
        let (process, pending) = &mut clients[step.client];
        let Some(asked) = pending.take() else {
            *pending = Some(operations.len());
            let what = if step.sends { What::Send { value: next_value, offset: -1 } } else { What::Poll(Vec::new()) };
            next_value += i64::from(step.sends);
            let (process, outcome) = (*process, Outcome::Info);
            operations.push(Operation { process, asked: index, told: None, outcome, what });
            continue;
        };
        let operation = &mut operations[asked];
        (operation.told, operation.outcome) = (Some(index), step.outcome);
        match &mut operation.what {
            What::Send { offset, .. } if step.outcome == Outcome::Ok => *offset = step.offset,
            What::Send { .. } => {}
            What::Poll(records) => *records = step.records.clone(),
        }
        if step.outcome == Outcome::Info {
            *process = next_process;
            next_process += 1;
        }
    }
    operations
}

pub(crate) fn write(operations: &[Operation]) -> String {
    let mut lines: BTreeMap<usize, (String, &str, &str, String)> = BTreeMap::new();
    for operation in operations {
        let process = operation.process.to_string();
        let (f, asked, told) = match &operation.what {
            What::Send { value, offset: -1 } => {
                ("send", format!(r#"[["send","k",{value}]]"#), format!(r#"[["send","k",{value}]]"#))
            }
            What::Send { value, offset } => {
                ("send", format!(r#"[["send","k",{value}]]"#), format!(r#"[["send","k",[{offset},{value}]]]"#))
            }
            What::Poll(records) => {
                let records: Vec<_> = records.iter().map(|(offset, value)| format!("[{offset},{value}]")).collect();
                ("poll", r#"[["poll"]]"#.into(), format!(r#"[["poll",{{"k":[{}]}}]]"#, records.join(",")))
            }
        };
        lines.insert(operation.asked, (process.clone(), "invoke", f, asked));
        if let Some(index) = operation.told {
            lines.insert(index, (process, operation.outcome.name(), f, told));
        }
    }
    let mut text = HEADER.to_owned();
    for (index, (process, kind, f, value)) in lines {
        line(&mut text, index, &process, kind, f, &value);
    }
    text
}

/// How often each anomaly is there.
pub(crate) fn findings(operations: &[Operation]) -> BTreeMap<&'static str, usize> {
    let sends: Vec<(&Operation, i64, i64)> = operations
        .iter()
        .filter_map(|operation| match operation.what {
            What::Send { value, offset } => Some((operation, value, offset)),
            What::Poll(_) => None,
        })
        .collect();
    let mut polls: Vec<(&Operation, &[(i64, i64)])> = operations
        .iter()
        .filter_map(|operation| match &operation.what {
            What::Poll(records) => Some((operation, records.as_slice())).filter(|_| operation.told.is_some()),
            What::Send { .. } => None,
        })
        .collect();
    polls.sort_by_key(|(operation, _)| operation.told);
    let read: Vec<(i64, i64)> = polls.iter().flat_map(|(_, records)| records.iter().copied()).collect();
    let places = |value: i64| -> BTreeSet<i64> { read.iter().filter(|(_, v)| *v == value).map(|(o, _)| *o).collect() };
    let acked = || sends.iter().filter(|(operation, ..)| operation.outcome == Outcome::Ok);
    let is_refused =
        |value: i64| sends.iter().any(|(operation, v, _)| *v == value && operation.outcome == Outcome::Fail);
    let standing = |at: i64| -> BTreeSet<i64> {
        let told = acked().filter(|(_, _, offset)| *offset == at).map(|(_, value, _)| *value);
        read.iter().filter(|(offset, _)| *offset == at).map(|(_, value)| *value).chain(told).collect()
    };
    let exists = |at: i64| {
        let standing = standing(at);
        1 < standing.len() || standing.first().is_some_and(|value| !is_refused(*value))
    };
    let is_skip = |last: i64, next: i64| (last + 1..next).any(exists);
    let mut found = BTreeMap::new();
    let mut find = |name: &'static str, count: usize| {
        if 0 < count {
            *found.entry(name).or_insert(0) += count;
        }
    };
    let lost = acked()
        .filter(|(_, value, offset)| places(*value).is_empty() && read.iter().any(|(highest, _)| offset <= highest));
    find("lost-write", lost.count());
    find("inconsistent-offset", (0..6).filter(|at| 1 < standing(*at).len()).count());
    for (at, (poll, records)) in polls.iter().enumerate() {
        for pair in records.windows(2) {
            let (last, next) = (pair[0].0, pair[1].0);
            find("int-nonmonotonic-poll", usize::from(next <= last));
            find("int-poll-skip", usize::from(is_skip(last, next)));
        }
        // The last poll that was ok, and the last one thereafter that failed: the client may go on from either.
        let mut own =
            polls[..at].iter().rev().filter(|(other, records)| other.process == poll.process && !records.is_empty());
        let mut failed = None;
        let earlier = own.find_map(|(other, records)| match other.outcome {
            Outcome::Ok => records.last().map(|(last, _)| *last),
            _ => {
                failed = failed.or(records.last().map(|(last, _)| *last));
                None
            }
        });
        if let (Some(last), Some((next, _))) = (earlier, records.first()) {
            let follows = |last: i64| last < *next && !is_skip(last, *next);
            if !follows(last) && !failed.is_some_and(follows) {
                find(if *next <= last { "nonmonotonic-poll" } else { "poll-skip" }, 1);
            }
        }
    }
    let mut told: Vec<_> = acked().collect();
    told.sort_by_key(|(operation, ..)| operation.told);
    for (at, (operation, _, offset)) in told.iter().enumerate() {
        let last = told[..at].iter().rfind(|(other, ..)| other.process == operation.process);
        find("nonmonotonic-send", usize::from(last.is_some_and(|(_, _, last)| offset <= last)));
    }
    let values: BTreeSet<i64> = read.iter().map(|(_, value)| *value).collect();
    find("duplicate", values.iter().filter(|value| 1 < places(**value).len()).count());
    let elsewhere = acked().filter(|(_, value, offset)| !places(*value).is_empty() && !places(*value).contains(offset));
    find("duplicate", elsewhere.count());
    find("aborted-read", values.iter().filter(|value| is_refused(**value)).count());
    let invented = values.iter().filter(|value| {
        let first = polls.iter().find(|(_, records)| records.iter().any(|(_, read)| read == *value));
        let first = first.unwrap().0.told.unwrap();
        !sends.iter().any(|(send, sent, _)| sent == *value && send.asked < first)
    });
    find("invented-record", invented.count());

    let place = |(operation, value, offset): &(&Operation, i64, i64)| match operation.outcome {
        Outcome::Ok => Some(*offset),
        Outcome::Info if places(*value).len() == 1 => places(*value).first().copied(),
        _ => None,
    };
    let too_high = acked().filter(|(first, _, offset)| {
        sends
            .iter()
            .any(|second| place(second).is_some_and(|place| place < *offset) && first.told.unwrap() < second.0.asked)
    });
    find("realtime-order", too_high.count());
    let below_own_read = acked().filter(|(send, _, offset)| {
        let own = polls.iter().filter(|(poll, _)| poll.process == send.process && poll.told.unwrap() < send.asked);
        own.flat_map(|(_, records)| records.iter()).any(|(read, _)| offset < read)
    });
    find("realtime-order", below_own_read.count());
    found
}

// ── Appends and look-ups of one log ──

#[derive(Clone, Debug)]
pub(crate) struct Item {
    begins: usize,
    ends: usize,
    what: Register,
}

#[derive(Clone, Copy, Debug)]
enum Register {
    Append(i64),
    End(i64),
}

pub(crate) fn register() -> impl Strategy<Value = Vec<Item>> {
    let item = (any::<bool>(), 0i64..9);
    (1..7usize)
        .prop_flat_map(move |count| {
            let moments: Vec<usize> = (0..2 * count).collect();
            let offsets: Vec<i64> = (0..8).collect();
            (prop::collection::vec(item.clone(), count), Just(moments).prop_shuffle(), Just(offsets).prop_shuffle())
        })
        .prop_map(|(items, moments, offsets)| {
            let pairs = moments.chunks(2).zip(offsets);
            let items = items.into_iter().zip(pairs).map(|((appends, end), (pair, offset))| Item {
                begins: pair[0].min(pair[1]),
                ends: pair[0].max(pair[1]),
                what: if appends { Register::Append(offset) } else { Register::End(end) },
            });
            items.collect()
        })
}

pub(crate) fn write_register(items: &[Item]) -> String {
    let mut lines = BTreeMap::new();
    for (process, item) in items.iter().enumerate() {
        let (f, asked, told) = match item.what {
            Register::Append(offset) => {
                ("send", format!(r#"[["send","k",{process}]]"#), format!(r#"[["send","k",[{offset},{process}]]]"#))
            }
            Register::End(end) => ("end", "{}".to_owned(), format!(r#"{{"k":[0,{end}]}}"#)),
        };
        lines.insert(item.begins, (process, "invoke", f, asked));
        lines.insert(item.ends, (process, "ok", f, told));
    }
    let mut text = HEADER.to_owned();
    for (index, (process, kind, f, value)) in lines {
        line(&mut text, index, &process.to_string(), kind, f, &value);
    }
    text
}

/// Tries every order: each item takes effect between its question and its answer, appends go to the end of the log or beyond,
/// and a look-up names an end that nothing before it reaches.
pub(crate) fn is_linearizable(items: &[Item]) -> bool {
    fn goes_on(items: &[Item], done: &mut Vec<bool>, floor: i64) -> bool {
        if done.iter().all(|done| *done) {
            return true;
        }
        for at in 0..items.len() {
            let waits = |other: usize| !done[other] && items[other].ends < items[at].begins;
            if done[at] || (0..items.len()).any(waits) {
                continue;
            }
            let next = match items[at].what {
                Register::Append(offset) if floor <= offset => offset + 1,
                Register::End(end) if floor <= end => end,
                _ => continue,
            };
            done[at] = true;
            let goes_on = goes_on(items, done, next);
            done[at] = false;
            if goes_on {
                return true;
            }
        }
        false
    }
    goes_on(items, &mut vec![false; items.len()], 0)
}

// ── Transactions ──

/// All under way together. By key, who wrote the log's records in their order, and how far each transaction read.
#[derive(Clone, Debug)]
pub(crate) struct Transactions {
    count: usize,
    written: [Vec<usize>; 2],
    read: Vec<[usize; 2]>,
}

pub(crate) fn transactions() -> impl Strategy<Value = Transactions> {
    (2..5usize).prop_flat_map(|count| {
        let log = || prop::collection::vec(0..count, 0..5);
        let read = prop::collection::vec([0..5usize, 0..5usize], count);
        (log(), log(), read).prop_map(move |(first, second, read)| Transactions {
            count,
            written: [first, second],
            read,
        })
    })
}

pub(crate) fn write_transactions(of: &Transactions) -> String {
    let mut text = HEADER.to_owned();
    let value = |key: usize, offset: usize| 100 * key + offset;
    for is_told in [false, true] {
        for transaction in 0..of.count {
            let mut micros = Vec::new();
            let mut lists = Vec::new();
            for key in 0..2 {
                for (offset, _) in of.written[key].iter().enumerate().filter(|(_, writer)| **writer == transaction) {
                    let value = value(key, offset);
                    micros.push(if is_told {
                        format!(r#"["send","k{key}",[{offset},{value}]]"#)
                    } else {
                        format!(r#"["send","k{key}",{value}]"#)
                    });
                }
                let last = of.read[transaction][key].min(of.written[key].len());
                if 0 < last {
                    lists.push(format!(r#""k{key}":[[{},{}]]"#, last - 1, value(key, last - 1)));
                }
            }
            micros.push(if is_told { format!(r#"["poll",{{{}}}]"#, lists.join(",")) } else { r#"["poll"]"#.into() });
            let index = transaction + if is_told { of.count } else { 0 };
            let kind = if is_told { "ok" } else { "invoke" };
            line(&mut text, index, &transaction.to_string(), kind, "txn", &format!("[{}]", micros.join(",")));
        }
    }
    text
}

impl Transactions {
    fn writes(&self, transaction: usize) -> bool {
        self.written.iter().any(|written| written.contains(&transaction))
    }

    fn by_writing(&self) -> Vec<Vec<bool>> {
        let mut edges = vec![vec![false; self.count]; self.count];
        for written in &self.written {
            written.windows(2).filter(|pair| pair[0] != pair[1]).for_each(|pair| edges[pair[0]][pair[1]] = true);
        }
        edges
    }

    fn by_reading(&self) -> Vec<Vec<bool>> {
        let mut edges = vec![vec![false; self.count]; self.count];
        for reader in (0..self.count).filter(|reader| self.writes(*reader)) {
            for key in 0..2 {
                let last = self.read[reader][key].min(self.written[key].len());
                for &writer in self.written[key][..last].iter().filter(|writer| **writer != reader) {
                    edges[writer][reader] = true;
                }
            }
        }
        edges
    }
}

fn reachable(mut edges: Vec<Vec<bool>>) -> Vec<Vec<bool>> {
    for middle in 0..edges.len() {
        for from in 0..edges.len() {
            for to in 0..edges.len() {
                edges[from][to] |= edges[from][middle] && edges[middle][to];
            }
        }
    }
    edges
}

/// Is there a circle by the order of writes, and one by reading?
pub(crate) fn circles(of: &Transactions) -> (bool, bool) {
    let is_circle = |edges: Vec<Vec<bool>>| (0..of.count).any(|at| reachable(edges.clone())[at][at]);
    (is_circle(of.by_writing()), is_circle(of.by_reading()))
}

/// A circle with a reading in it, whatever else.
pub(crate) fn has_mixed_circle(of: &Transactions) -> bool {
    let (writing, reading) = (of.by_writing(), of.by_reading());
    let mut both = reading.clone();
    (0..of.count).for_each(|from| (0..of.count).for_each(|to| both[from][to] |= writing[from][to]));
    let both = reachable(both);
    (0..of.count).any(|from| (0..of.count).any(|to| reading[from][to] && both[to][from]))
}

// ── Committed offsets ──

#[derive(Clone, Debug)]
pub(crate) struct Turn {
    begins: usize,
    ends: usize,
    offset: i64,
    is_commit: bool,
    is_sure: bool,
}

pub(crate) fn commits() -> impl Strategy<Value = Vec<Turn>> {
    let turn = (any::<bool>(), -1i64..4, prop::bool::weighted(0.8));
    (1..9usize)
        .prop_flat_map(move |count| {
            let moments: Vec<usize> = (0..2 * count).collect();
            (prop::collection::vec(turn.clone(), count), Just(moments).prop_shuffle())
        })
        .prop_map(|(turns, moments)| {
            let turns = turns.into_iter().zip(moments.chunks(2));
            let turns = turns.map(|((is_commit, offset, is_sure), pair)| Turn {
                begins: pair[0].min(pair[1]),
                ends: pair[0].max(pair[1]),
                offset: if is_commit { offset.max(0) } else { offset },
                is_commit,
                is_sure,
            });
            turns.collect()
        })
}

pub(crate) fn write_commits(turns: &[Turn]) -> String {
    let mut lines = BTreeMap::new();
    for (process, turn) in turns.iter().enumerate() {
        let value = format!(r#"{{"group":"g","offsets":{{"k":{}}}}}"#, turn.offset);
        let f = if turn.is_commit { "commit" } else { "committed" };
        lines.insert(turn.begins, (process, "invoke", f, value.clone()));
        lines.insert(turn.ends, (process, if turn.is_sure { "ok" } else { "info" }, f, value));
    }
    let mut text = HEADER.to_owned();
    for (index, (process, kind, f, value)) in lines {
        line(&mut text, index, &process.to_string(), kind, f, &value);
    }
    text
}

/// Answers below a commit that was over before they were asked for, and that no other commit explains.
pub(crate) fn regressions(turns: &[Turn]) -> usize {
    let commits = || turns.iter().filter(|turn| turn.is_commit);
    let answers = turns.iter().filter(|turn| !turn.is_commit && turn.is_sure);
    answers
        .filter(|answer| {
            let mut over = commits().filter(|commit| commit.is_sure && commit.ends < answer.begins);
            over.any(|over| {
                answer.offset < over.offset
                    && !commits().any(|other| {
                        let is_before = other.is_sure && other.ends < over.begins;
                        other.offset == answer.offset && other.begins <= answer.ends && !is_before
                    })
            })
        })
        .count()
}
