//! The promises over the history find in small random histories exactly what a slow and obvious reading of their definitions finds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Action, Claims, History, Key, MicroOperation, Operation, Outcome, Process, Value};
use invariants::check;
use model::Time;
use proptest::prelude::*;

fn key() -> Key {
    Key::new("orders", 0)
}

/// A chance for one of three clients: an idle one asks, a waiting one is told.
#[derive(Clone, Debug)]
struct Step {
    client: usize,
    sends: bool,
    outcome: Outcome,
    offset: i64,
    records: Vec<(i64, i64)>,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![6 => Just(Outcome::Ok), 1 => Just(Outcome::Fail), 1 => Just(Outcome::Info)];
    let records = prop::collection::vec((0i64..6, 0i64..5), 0..4);
    (0..3usize, any::<bool>(), outcome, 0i64..6, records).prop_map(|(client, sends, outcome, offset, records)| Step {
        client,
        sends,
        outcome,
        offset,
        records,
    })
}

/// What the clients of these steps write down. Values are counted from zero.
fn history(steps: &[Step]) -> History {
    let mut history = History::new(Claims::default());
    let mut clients: [(u64, Option<Option<i64>>); 3] = [(0, None), (1, None), (2, None)];
    let (mut next_value, mut next_process) = (0, 3);
    for step in steps {
        let (process, pending) = &mut clients[step.client];
        let (outcome, action) = match pending.take() {
            None if step.sends => {
                *pending = Some(Some(next_value));
                next_value += 1;
                (Outcome::Invoke, Action::Send(vec![MicroOperation::send(&key(), next_value - 1)]))
            }
            None => {
                *pending = Some(None);
                (Outcome::Invoke, Action::Poll(vec![MicroOperation::Poll]))
            }
            Some(Some(value)) if step.outcome == Outcome::Ok => {
                (Outcome::Ok, Action::Send(vec![MicroOperation::sent(&key(), step.offset, value)]))
            }
            Some(Some(value)) => (step.outcome, Action::Send(vec![MicroOperation::send(&key(), value)])),
            Some(None) => {
                let records = step.records.iter().map(|&(offset, value)| (offset, Value::from(value))).collect();
                (step.outcome, Action::Poll(vec![MicroOperation::Polled(BTreeMap::from([(key(), records)]))]))
            }
        };
        let index = history.operations.len() as u64;
        let time = Some(Time(index));
        let process =
            Process::Number(std::mem::replace(process, if outcome == Outcome::Info { next_process } else { *process }));
        next_process += u64::from(outcome == Outcome::Info);
        history.operations.push(Operation { index, time, process, outcome, action, error: None, rebalance_log: None });
    }
    history
}

/// One send as the history tells it.
struct Send<'a> {
    value: &'a Value,
    asked: u64,
    answered: Option<u64>,
    outcome: Outcome,
    offset: Option<i64>,
}

fn sends(history: &History) -> Vec<Send<'_>> {
    let asked = history.operations.iter().filter(|operation| operation.outcome == Outcome::Invoke);
    let send = |operation: &Operation| match operation.action.micro_operations() {
        [MicroOperation::Send { value, offset, .. }] => Some((value.clone(), *offset)),
        _ => None,
    };
    let mut sends = Vec::new();
    for operation in asked {
        let [MicroOperation::Send { value, .. }] = operation.action.micro_operations() else { continue };
        let answer = history.operations.iter().find(|answer| {
            answer.outcome != Outcome::Invoke && send(answer).is_some_and(|(answered, _)| answered == *value)
        });
        sends.push(Send {
            value,
            asked: operation.index,
            answered: answer.map(|answer| answer.index),
            outcome: answer.map_or(Outcome::Info, |answer| answer.outcome),
            offset: answer.and_then(|answer| send(answer)?.1),
        });
    }
    sends
}

/// One poll that was answered: who, when asked and answered, and what came.
struct Poll<'a> {
    process: &'a Process,
    asked: u64,
    outcome: Outcome,
    records: &'a [(i64, Value)],
}

fn polls(history: &History) -> Vec<Poll<'_>> {
    let mut polls = Vec::new();
    for (at, operation) in history.operations.iter().enumerate() {
        let [MicroOperation::Polled(records)] = operation.action.micro_operations() else { continue };
        let asked = history.operations[..at].iter().rfind(|asked| asked.process == operation.process).unwrap();
        polls.push(Poll {
            process: &operation.process,
            asked: asked.index,
            outcome: operation.outcome,
            records: &records[&key()],
        });
    }
    polls
}

/// How often each anomaly is there, word by word from its definition.
fn obvious(history: &History) -> BTreeMap<(&'static str, &'static str), usize> {
    let (sends, polls) = (sends(history), polls(history));
    let read: Vec<&(i64, Value)> = polls.iter().flat_map(|poll| poll.records).collect();
    let places =
        |value: &Value| -> BTreeSet<i64> { read.iter().filter(|(_, v)| v == value).map(|(o, _)| *o).collect() };
    let mut found = BTreeMap::new();
    let mut find = |promise, anomaly, count: usize| {
        if 0 < count {
            *found.entry((promise, anomaly)).or_insert(0) += count;
        }
    };
    let acked = || sends.iter().filter(|send| send.outcome == Outcome::Ok);

    let missing: Vec<_> = acked().filter(|send| places(send.value).is_empty()).collect();
    let (lost, rest): (Vec<&Send<'_>>, Vec<&Send<'_>>) =
        missing.into_iter().partition(|send| read.iter().any(|(offset, _)| send.offset.unwrap() <= *offset));
    find("acknowledged records survive", "lost-write", lost.len());
    // Broken if somebody looked later, else nobody knows; both are told.
    find("acknowledged records survive", "unseen", rest.len());

    for offset in 0..6 {
        let mut values: BTreeSet<&Value> =
            read.iter().filter(|(at, _)| *at == offset).map(|(_, value)| value).collect();
        values.extend(acked().filter(|send| send.offset == Some(offset)).map(|send| send.value));
        find("order within a partition", "inconsistent-offset", usize::from(1 < values.len()));
    }
    let somebody_read_between = |from: i64, to: i64| read.iter().any(|(offset, _)| from < *offset && *offset < to);
    for (at, poll) in polls.iter().enumerate() {
        for pair in poll.records.windows(2) {
            let (last, next) = (pair[0].0, pair[1].0);
            find("order within a partition", "int-nonmonotonic-poll", usize::from(next <= last));
            find("order within a partition", "int-poll-skip", usize::from(somebody_read_between(last, next)));
        }
        let earlier = polls[..at].iter().rfind(|earlier| {
            earlier.process == poll.process && earlier.outcome == Outcome::Ok && !earlier.records.is_empty()
        });
        if let (Some(earlier), Some((next, _))) = (earlier, poll.records.first()) {
            let last = earlier.records.last().unwrap().0;
            find("order within a partition", "nonmonotonic-poll", usize::from(*next <= last));
            find("order within a partition", "poll-skip", usize::from(somebody_read_between(last, *next)));
        }
    }
    let told: Vec<_> = history
        .operations
        .iter()
        .filter_map(|operation| match operation.action.micro_operations() {
            [MicroOperation::Send { offset: Some(offset), .. }] => Some((&operation.process, *offset)),
            _ => None,
        })
        .collect();
    for (at, (process, offset)) in told.iter().enumerate() {
        let last = told[..at].iter().rfind(|(other, _)| other == process);
        find(
            "order within a partition",
            "nonmonotonic-send",
            usize::from(last.is_some_and(|(_, last)| offset <= last)),
        );
    }

    let values: BTreeSet<&Value> = read.iter().map(|(_, value)| value).collect();
    let twice = values.iter().filter(|value| 1 < places(value).len()).count();
    find("no duplicate when nothing was retried", "duplicate", twice);
    let elsewhere = acked().filter(|send| {
        let places = places(send.value);
        !places.is_empty() && !places.contains(&send.offset.unwrap())
    });
    find("acknowledged offsets are true", "duplicate", elsewhere.count());
    let refused = sends.iter().filter(|send| send.outcome == Outcome::Fail && !places(send.value).is_empty());
    find("refused records stay away", "aborted-read", refused.count());
    let invented = values.iter().filter(|value| {
        let first_read = history.operations.iter().position(|operation| match operation.action.micro_operations() {
            [MicroOperation::Polled(records)] => records[&key()].iter().any(|(_, read)| read == **value),
            _ => false,
        });
        let first_read = first_read.unwrap() as u64;
        !sends.iter().any(|send| send.value == **value && send.asked < first_read)
    });
    find("no invented or altered record", "invented-record", invented.count());

    let standing = |send: &Send<'_>| match send.outcome {
        Outcome::Ok => send.offset,
        Outcome::Info if places(send.value).len() == 1 => places(send.value).first().copied(),
        _ => None,
    };
    let too_high = acked().filter(|first| {
        sends.iter().any(|second| {
            standing(second).is_some_and(|offset| offset < first.offset.unwrap())
                && first.answered.unwrap() < second.asked
        })
    });
    find("appends keep real-time order", "realtime-order", too_high.count());
    found
}

/// What nobody looked for after its answer is told, and is not held against anybody.
fn unread(history: &History) -> usize {
    let (sends, polls) = (sends(history), polls(history));
    let read: Vec<&(i64, Value)> = polls.iter().flat_map(|poll| poll.records).collect();
    let last_asked = polls.iter().filter(|poll| poll.outcome == Outcome::Ok).map(|poll| poll.asked).max();
    let acked = sends.iter().filter(|send| send.outcome == Outcome::Ok);
    acked
        .filter(|send| !read.iter().any(|(offset, value)| value == send.value || send.offset.unwrap() <= *offset))
        .filter(|send| last_asked.is_none_or(|asked| asked <= send.answered.unwrap()))
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_fast_promises_find_what_the_obvious_ones_find(steps in prop::collection::vec(step(), 0..24)) {
        let history = history(&steps);
        let report = check(&history);
        let mut found = BTreeMap::new();
        for finding in &report.findings {
            *found.entry((finding.promise, finding.anomaly)).or_insert(0usize) += 1;
        }
        prop_assert_eq!(found, obvious(&history));
        let informational = report.findings.iter().filter(|finding| finding.verdict == invariants::Gravity::Informational);
        prop_assert_eq!(informational.count(), unread(&history));
    }
}
