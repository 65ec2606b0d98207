//! Promises over small random traces, against references that are slow and obvious: each looks at the whole trace again for every
//! event, and keeps nothing in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod tale;

use evidence::{Entry, History, NodeName, What};
use invariants::{Outcome, Watch};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId, Time};
use proptest::prelude::*;
use tale::{P, brokers, expectations, outcome};

type Trace = Vec<(i32, Event)>;

fn event() -> impl Strategy<Value = Event> {
    let partition = prop_oneof![Just(P), Just(PartitionId::METADATA)];
    let small = || 0..3i32;
    let offset = || (0..5i64).prop_map(Offset);
    prop_oneof![
        4 => (partition.clone(), small(), offset(), 1..3i64, 1..3u32).prop_map(|(partition, epoch, base, count, crc)| {
            Event::Appended { partition, epoch: LeaderEpoch(epoch), base, end: base.plus(count), crc }
        }),
        1 => (1..3u32).prop_map(|crc| Event::BatchSent { partition: P, crc }),
        1 => (small(), offset()).prop_map(|(epoch, log_end)| {
            Event::BecameLeader { partition: P, epoch: LeaderEpoch(epoch), log_end, high_watermark: Offset(0) }
        }),
        1 => (small(), 1..4i32).prop_map(|(epoch, leader)| {
            Event::BecameFollower { partition: P, epoch: LeaderEpoch(epoch), leader: BrokerId(leader), log_end: Offset(0) }
        }),
        1 => (small(), offset()).prop_map(|(epoch, log_end)| Event::QuorumLeader { epoch: LeaderEpoch(epoch), log_end }),
        2 => (partition.clone(), offset()).prop_map(|(partition, end)| Event::Synced { partition, end }),
        2 => (partition.clone(), small(), offset()).prop_map(|(partition, epoch, to)| {
            Event::HighWatermarkAdvanced { partition, epoch: LeaderEpoch(epoch), to }
        }),
        1 => (partition.clone(), offset(), offset()).prop_map(|(partition, from, to)| Event::Truncated { partition, from, to }),
        1 => (partition, offset(), offset()).prop_map(|(partition, log_start, log_end)| {
            Event::Recovered { partition, log_start, log_end, cut_bytes: 0 }
        }),
    ]
}

fn trace() -> impl Strategy<Value = Trace> {
    let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
    prop::collection::vec((1..4i32, event()), 1..14)
        .prop_map(move |events| std::iter::once((1, joined.clone())).chain(events).collect())
}

/// Who is said to lead what in which epoch.
fn led(node: i32, event: &Event) -> Option<(PartitionId, LeaderEpoch, BrokerId)> {
    match *event {
        Event::BecameLeader { partition, epoch, .. } => Some((partition, epoch, BrokerId(node))),
        Event::BecameFollower { partition, epoch, leader, .. } => Some((partition, epoch, leader)),
        Event::QuorumLeader { epoch, .. } => Some((PartitionId::METADATA, epoch, BrokerId(node))),
        _ => None,
    }
}

fn two_lead(trace: &Trace) -> bool {
    let led: Vec<_> = trace.iter().filter_map(|(node, event)| led(*node, event)).collect();
    led.iter().any(|one| led.iter().any(|other| (one.0, one.1) == (other.0, other.1) && one.2 != other.2))
}

fn something_from_nowhere(trace: &Trace) -> bool {
    (0..trace.len()).any(|at| {
        let sent: Vec<u32> = trace[..at]
            .iter()
            .filter_map(|(_, event)| match event {
                Event::BatchSent { crc, .. } => Some(*crc),
                _ => None,
            })
            .collect();
        matches!(trace[at].1, Event::Appended { partition: P, crc, .. } if !sent.is_empty() && !sent.contains(&crc))
    })
}

/// Where a node's log ends after a trace; none if it was never heard of.
fn end_of(trace: &[(i32, Event)], of: i32, log: PartitionId) -> Option<Offset> {
    let own = trace.iter().filter(|(node, _)| *node == of).map(|(_, event)| event);
    own.fold(None, |end, event| match *event {
        Event::Appended { partition, end, .. } if partition == log => Some(end),
        Event::Truncated { partition, to, .. } if partition == log => Some(to),
        Event::Recovered { partition, log_end, .. } if partition == log => Some(log_end),
        // Whoever speaks of a log has one.
        Event::Synced { partition, .. }
        | Event::HighWatermarkAdvanced { partition, .. }
        | Event::BecameLeader { partition, .. }
        | Event::BecameFollower { partition, .. }
            if partition == log =>
        {
            Some(end.unwrap_or(Offset(0)))
        }
        Event::QuorumLeader { .. } if log == PartitionId::METADATA => Some(end.unwrap_or(Offset(0))),
        _ => end,
    })
}

fn offsets_out_of_order(trace: &Trace) -> bool {
    (0..trace.len()).any(|at| {
        let (node, event) = &trace[at];
        let end = |log| end_of(&trace[..at], *node, log);
        match *event {
            Event::Appended { partition, base, .. } => end(partition).is_some_and(|end| end != base),
            Event::Synced { partition, end: synced } => end(partition).is_some_and(|end| end < synced),
            Event::HighWatermarkAdvanced { partition, to, .. } => end(partition).is_some_and(|end| end < to),
            Event::Recovered { partition, log_start, log_end, .. } => {
                let earlier = trace[..at].iter().rev().find_map(|(other, event)| match event {
                    Event::Recovered { partition: log, log_start, .. } if other == node && *log == partition => {
                        Some(*log_start)
                    }
                    _ => None,
                });
                log_end < log_start || earlier.is_some_and(|earlier| log_start < earlier)
            }
            _ => false,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_watch_says_what_the_references_say(trace in trace()) {
        let mut watch = Watch::new(expectations());
        for (index, (node, event)) in (1..).zip(&trace) {
            let node = NodeName(format!("broker-{node}").into());
            watch.observe(&Entry { index, time: Time(index * 1000), node, what: What::Witnessed(event.clone()) });
        }
        let verdicts = watch.finish(&History::default());
        let references: [(&str, bool); 3] = [
            ("one leader an epoch", two_lead(&trace)),
            ("nothing comes from nowhere", something_from_nowhere(&trace)),
            ("offsets keep their order", offsets_out_of_order(&trace)),
        ];
        for (promise, is_broken) in references {
            prop_assert_eq!(outcome(&verdicts, promise) == Outcome::Broken, is_broken, "{}", promise);
        }
    }
}
