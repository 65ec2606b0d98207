//! Promises over small random traces, against references that are slow and obvious: each looks at the whole trace again for every
//! event, and keeps nothing in between.
//!
//! A trace is a plan that is carried out: somebody leads, others copy, sync, commit, die and come again, and now and then
//! one tells what nobody would. So every promise is broken now and then, and kept far more often.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod slow;
mod tale;

use std::collections::BTreeMap;

use evidence::{Entry, History, NodeName, StoredBatch, What};
use invariants::{Outcome, Watch};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use slow::promises::{REFERENCES, Reference, disks_differ, replicas_disagree_in_the_end};
use slow::{Batch, Told, end, leading, log};
use tale::{P, brokers, expectations};

const METADATA: PartitionId = PartitionId::METADATA;
const DISKS: &str = "disks hold what logs say";

/// One step of a plan: what happens, to whom, and two numbers to choose by; or something that nobody would do.
#[derive(Clone, Debug)]
enum Step {
    Sound(u8, i32, u8, u8),
    Odd(i32, Event),
}

fn odd() -> impl Strategy<Value = Event> {
    let partition = prop_oneof![3 => Just(P), 1 => Just(METADATA)];
    let epoch = || (0..4i32).prop_map(LeaderEpoch);
    let broker = || (1..4i32).prop_map(BrokerId);
    let members = || prop::sample::select(vec![brokers(&[1, 2]), brokers(&[1, 2, 3]), brokers(&[3]), brokers(&[2])]);
    let offset = || (0..7i64).prop_map(Offset);
    prop_oneof![
        (partition.clone(), epoch(), offset(), 1..3i64, 1..4u32).prop_map(|(partition, epoch, base, count, crc)| {
            Event::Appended { partition, epoch, base, end: base.plus(count), crc }
        }),
        (epoch(), offset()).prop_map(|(epoch, log_end)| {
            Event::BecameLeader { partition: P, epoch, log_end, high_watermark: Offset(0) }
        }),
        (epoch(), broker())
            .prop_map(|(epoch, leader)| { Event::BecameFollower { partition: P, epoch, leader, log_end: Offset(0) } }),
        (epoch(), offset()).prop_map(|(epoch, log_end)| Event::QuorumLeader { epoch, log_end }),
        (epoch(), broker()).prop_map(|(epoch, leader)| Event::QuorumFollower { epoch, leader }),
        epoch().prop_map(|epoch| Event::QuorumUnattached { epoch }),
        (epoch(), broker()).prop_map(|(epoch, candidate)| Event::VoteCast { epoch, candidate }),
        (epoch(), broker()).prop_map(|(epoch, candidate)| Event::VoteGranted { epoch, candidate }),
        epoch().prop_map(|epoch| Event::EpochKept { epoch }),
        (partition.clone(), offset()).prop_map(|(partition, end)| Event::Synced { partition, end }),
        (partition.clone(), epoch(), offset()).prop_map(|(partition, epoch, to)| Event::HighWatermarkAdvanced {
            partition,
            epoch,
            to
        }),
        (partition.clone(), offset(), offset()).prop_map(|(partition, from, to)| Event::Truncated {
            partition,
            from,
            to
        }),
        (partition, offset(), offset()).prop_map(|(partition, log_start, log_end)| {
            Event::Recovered { partition, log_start, log_end, cut_bytes: 0 }
        }),
        (epoch(), broker(), 0..4i32, members()).prop_map(|(leader_epoch, leader, state, in_sync)| {
            let (leader, partition_epoch) = (Some(leader), PartitionEpoch(state));
            Event::PartitionChanged { partition: P, leader, leader_epoch, partition_epoch, in_sync }
        }),
        (epoch(), members(), members()).prop_map(|(epoch, in_sync, at_most)| {
            Event::InSyncKnown { partition: P, epoch, partition_epoch: PartitionEpoch(0), in_sync, at_most }
        }),
        (epoch(), broker(), offset()).prop_map(|(epoch, follower, end)| Event::FollowerCounted {
            partition: P,
            epoch,
            follower,
            end
        }),
        (epoch(), epoch(), offset())
            .prop_map(|(leader_epoch, epoch, end)| { Event::LogsParted { partition: P, leader_epoch, epoch, end } }),
        (epoch(), offset(), 0..3i64, any::<bool>()).prop_map(|(epoch, base, count, all)| {
            Event::Acked { partition: P, epoch, base, end: base.plus(count), acks: if all { -1 } else { 1 } }
        }),
        (offset(), 0..2u64).prop_map(|(end, digest)| Event::MetadataApplied { end, digest }),
        (offset(), epoch(), 0..2u64, 0..2u32)
            .prop_map(|(end, epoch, digest, content)| { Event::SnapshotTaken { end, epoch, digest, content } }),
        (offset(), epoch(), 0..2u64, 0..2u32)
            .prop_map(|(end, epoch, digest, content)| { Event::SnapshotLoaded { end, epoch, digest, content } }),
        (1..4u32).prop_map(|crc| Event::BatchSent { partition: P, crc }),
    ]
}

fn plan() -> impl Strategy<Value = Vec<Step>> {
    let sound =
        (0..17u8, 1..4i32, any::<u8>(), any::<u8>()).prop_map(|(kind, node, a, b)| Step::Sound(kind, node, a, b));
    let odd = (1..4i32, odd()).prop_map(|(node, event)| Step::Odd(node, event));
    prop::collection::vec(prop_oneof![19 => sound, 1 => odd], 8..60)
}

/// The trace that comes of a plan.
fn carried_out(plan: &[Step]) -> Vec<Told> {
    let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
    let placed = Event::ReplicaPlaced { partition: P, replicas: brokers(&[1, 2, 3]), in_sync_min: 2 };
    let mut trace = vec![(1, What::Witnessed(joined))];
    trace.extend((1..4).map(|node| (node, What::Witnessed(placed.clone()))));
    for step in plan {
        match step {
            Step::Sound(kind, node, a, b) => sound(&mut trace, *kind, *node, *a, *b),
            Step::Odd(node, event) => trace.push((*node, What::Witnessed(event.clone()))),
        }
    }
    for node in 1..4 {
        let stored = stored(&trace, node, plan.len());
        trace.push((node, stored));
    }
    trace
}

/// What lies on a disk when all is over: mostly what its broker wrote.
fn stored(trace: &[Told], node: i32, chance: usize) -> What {
    let start = slow::start(trace, node, P).unwrap_or(Offset(0));
    let batches = log(trace, node, P).into_iter();
    let mut batches: Vec<StoredBatch> =
        batches.map(|Batch { base, end, epoch, crc }| StoredBatch { base, end, epoch, crc }).collect();
    let mut end = end(trace, node, P).unwrap_or(Offset(0));
    // After a loss of power nobody may know what was there.
    let is_known = !trace.contains(&(node, What::PowerLost));
    match (chance % 9, batches.last_mut()) {
        (0, _) => end = end.plus(1),
        (1, Some(last)) if is_known => last.crc += 1,
        (2, Some(last)) if is_known => last.epoch.0 += 1,
        _ => {}
    }
    What::LogStored { directory: "data/orders-0".into(), start, end, batches }
}

/// A step that a sound broker might take, if it is in a place to take it.
fn sound(trace: &mut Vec<Told>, kind: u8, node: i32, a: u8, b: u8) {
    let partition = if a.is_multiple_of(4) { METADATA } else { P };
    let at = end(trace, node, partition).unwrap_or(Offset(0));
    let other = (node + i32::from(b % 2)) % 3 + 1;
    let leads = leading(trace, node, partition);
    let newest = (1..4).filter_map(|node| leading(trace, node, partition)).max();
    let mut says = |events: &[Event]| trace.extend(events.iter().map(|event| (node, What::Witnessed(event.clone()))));
    match kind {
        0 => {
            let epoch = LeaderEpoch(newest.map_or(0, |newest| newest.0 + 1));
            let became = match partition {
                METADATA => Event::QuorumLeader { epoch, log_end: at },
                _ => Event::BecameLeader { partition, epoch, log_end: at, high_watermark: Offset(0) },
            };
            let (in_sync, at_most) = (brokers(&[node, other]), brokers(&[node, other]));
            let partition_epoch = PartitionEpoch(epoch.0);
            says(&[became, Event::InSyncKnown { partition, epoch, partition_epoch, in_sync, at_most }]);
        }
        1..=4 => {
            let Some(epoch) = leads else { return };
            let (end, crc) = (at.plus(1 + i64::from(b % 2)), u32::from(a) % 3 + 1);
            let sent = Event::BatchSent { partition, crc };
            says(&[sent, Event::Appended { partition, epoch, base: at, end, crc }, Event::Synced { partition, end }]);
        }
        5..=7 => {
            let Some((leader, epoch)) = (1..4)
                .find_map(|one| Some((one, leading(trace, one, partition).filter(|epoch| Some(*epoch) == newest)?)))
            else {
                return;
            };
            if leader == node || partition == METADATA && leads.is_some() {
                return;
            }
            let theirs = log(trace, leader, partition);
            let ours = log(trace, node, partition);
            let mut events = Vec::new();
            if partition == P && slow::following(trace, node, P) != Some(epoch) {
                events.push(Event::BecameFollower { partition, epoch, leader: BrokerId(leader), log_end: at });
            }
            let agreed = ours.iter().filter(|batch| theirs.contains(batch)).map(|batch| batch.end).max();
            let agreed = agreed.unwrap_or(Offset(0));
            if agreed < at {
                events.push(Event::Truncated { partition, from: at, to: agreed });
            }
            let next = theirs.into_iter().filter(|batch| agreed <= batch.base).take(1 + usize::from(b % 2));
            for Batch { base, end, epoch, crc } in next {
                events.extend([Event::Appended { partition, epoch, base, end, crc }, Event::Synced { partition, end }]);
            }
            let mut says =
                |events: &[Event]| trace.extend(events.iter().map(|event| (node, What::Witnessed(event.clone()))));
            says(&events);
        }
        8..=10 => {
            let Some(epoch) = leads else { return };
            let others = (1..4).filter(|one| *one != node).map(|one| slow::reached_safely(trace, one, partition));
            let to = others.max().unwrap_or(Offset(0)).min(at);
            let mut events = vec![];
            if partition == P {
                let members =
                    [node, if slow::reached_safely(trace, other, P) == to { other } else { 6 - node - other }];
                let (in_sync, at_most) = (brokers(&members), brokers(&members));
                let partition_epoch = PartitionEpoch(epoch.0);
                events.push(Event::InSyncKnown { partition, epoch, partition_epoch, in_sync, at_most });
            }
            events.push(Event::HighWatermarkAdvanced { partition, epoch, to });
            if let Some(last) = log(trace, node, partition).into_iter().rfind(|batch| batch.end <= to) {
                events.push(Event::Acked { partition, epoch, base: last.base, end: last.end, acks: -1 });
            }
            let mut says =
                |events: &[Event]| trace.extend(events.iter().map(|event| (node, What::Witnessed(event.clone()))));
            says(&events);
        }
        11 => {
            let Some(epoch) = slow::following(trace, node, P) else { return };
            let to = slow::high_watermark(trace, P).min(end(trace, node, P).unwrap_or(Offset(0)));
            trace.push((node, What::Witnessed(Event::HighWatermarkAdvanced { partition: P, epoch, to })));
        }
        12 => {
            let is_dark = a.is_multiple_of(2);
            trace.push((node, if is_dark { What::PowerLost } else { What::NodeCrashed }));
            trace.push((node, What::NodeStarted));
            for partition in [P, METADATA] {
                let at = end(trace, node, partition).unwrap_or(Offset(0));
                let synced = slow::synced(trace, node, partition).unwrap_or(Offset(0));
                let log_end = if is_dark { synced.min(at) } else { at };
                let recovered = Event::Recovered { partition, log_start: Offset(0), log_end, cut_bytes: 0 };
                trace.push((node, What::Witnessed(recovered)));
            }
            let taken = trace.iter().rev().find_map(|(by, what)| match what {
                What::Witnessed(Event::SnapshotTaken { end, epoch, digest, content }) if *by == node => {
                    Some(Event::SnapshotLoaded { end: *end, epoch: *epoch, digest: *digest, content: *content })
                }
                _ => None,
            });
            trace.extend(taken.filter(|_| !b.is_multiple_of(8)).map(|loaded| (node, What::Witnessed(loaded))));
            let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
            trace.push((node, What::Witnessed(joined)));
        }
        13 => {
            let Some((follower, epoch)) = (1..4).find_map(|one| Some((one, slow::following(trace, one, P)?))) else {
                return;
            };
            let end = slow::reached_safely(trace, follower, P);
            let counted = Event::FollowerCounted { partition: P, epoch, follower: BrokerId(follower), end };
            trace.push((node, What::Witnessed(counted)));
        }
        14 => {
            let epoch = LeaderEpoch(i32::from(b % 3));
            says(&[
                Event::VoteCast { epoch, candidate: BrokerId(other) },
                Event::VoteGranted { epoch, candidate: BrokerId(other) },
            ]);
        }
        15 => {
            let end = slow::own_high_watermark(trace, node, METADATA);
            let (digest, content) = (end.0 as u64, end.0 as u32);
            trace.push((node, What::Witnessed(Event::SnapshotTaken { end, epoch: LeaderEpoch(0), digest, content })));
        }
        _ => {
            let end = Offset(i64::from(b % 4));
            says(&[Event::MetadataApplied { end, digest: end.0 as u64 }]);
        }
    }
}

/// What the watch says, and what the references say: the promises that a trace breaks.
fn judged(trace: &[Told]) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut watch = Watch::new(expectations());
    watch.name_topic("orders", P.topic);
    for (index, (node, what)) in (1..).zip(trace) {
        let node = NodeName(format!("broker-{node}").into());
        watch.observe(&Entry { index, time: Time(index * 1000), node, what: what.clone() });
    }
    let verdicts = watch.finish(&History::default()).unwrap();
    let is_broken = |name: &str| verdicts.iter().any(|one| one.promise == name && one.outcome == Outcome::Broken);
    let all = REFERENCES.iter().map(|(name, _)| *name).chain([DISKS]);
    let broken = all.filter(|name| is_broken(name)).collect();
    let breaks = |(name, breaks): &&Reference| {
        let somewhere = (0..trace.len()).any(|at| match &trace[at] {
            (node, What::Witnessed(event)) => breaks(&trace[..at], *node, event),
            _ => false,
        });
        somewhere
            || *name == "replicas agree below the high watermark"
                && [P, METADATA].into_iter().any(|log| replicas_disagree_in_the_end(trace, log))
    };
    let disks = disks_differ(trace, P).then_some(DISKS);
    (broken, REFERENCES.iter().filter(breaks).map(|(name, _)| *name).chain(disks).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_watch_says_what_the_references_say(plan in plan()) {
        let trace = carried_out(&plan);
        let (watch, references) = judged(&trace);
        prop_assert_eq!(watch, references, "{:#?}", trace);
    }
}

#[test]
fn each_promise_is_broken_by_some_of_these_traces_and_kept_by_more() {
    const TRACES: usize = 600;
    let mut runner = TestRunner::deterministic();
    let mut broken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sound = 0;
    for _ in 0..TRACES {
        let (watch, _) = judged(&carried_out(&plan().new_tree(&mut runner).unwrap().current()));
        sound += usize::from(watch.is_empty());
        watch.into_iter().for_each(|promise| *broken.entry(promise).or_default() += 1);
    }
    for promise in REFERENCES.iter().map(|(promise, _)| *promise).chain([DISKS]) {
        let times = broken.get(promise).copied().unwrap_or(0);
        assert!((3..TRACES / 2).contains(&times), "\"{promise}\" is broken by {times} of {TRACES}: {broken:?}");
    }
    assert!(TRACES / 20 < sound, "{sound} break nothing");
}
