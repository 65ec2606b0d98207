//! Promises that speak of time, of quiet phases and of whom the controller counts on say of any trace what slow and obvious references say.
//!
//! A trace is a plan that is carried out: brokers are elected, settle on one state, fall, are cut off, owe answers and give up, and now and
//! then one tells what nobody would. So every promise is broken now and then, and kept far more often.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod slow;
mod tale;

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{Entry, History, NodeName, What};
use invariants::{Outcome, Watch};
use model::{BrokerEpoch, BrokerId, Event, LeaderEpoch, MetadataVersions, Offset, PartitionEpoch, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use slow::cluster::{REFERENCES, Trace, something_is_never_synced};
use slow::{Batch, end, log};
use tale::{P, brokers, expectations};

/// Who speaks for the run itself.
const RUN: i32 = 9;

/// One step of a plan.
#[derive(Clone, Debug)]
enum Step {
    /// So many milliseconds pass.
    Pass(u64),
    Life(i32, What),
    /// This one controls from now on, in a new epoch; those who hear of it follow.
    Elect(i32, [bool; 3]),
    /// The members have one state, one log and one word on it, but for one fact that is left out.
    Settle {
        leader: i32,
        members: Vec<i32>,
        missing: Option<usize>,
    },
    /// A leader asks for an in-sync set, and the controller grants it; one of these facts may be missing.
    Propose {
        leader: i32,
        members: Vec<i32>,
        epochs: i64,
        missing: Option<usize>,
    },
    /// So much waits on this node, of producers and of readers.
    Waits(i32, u32, u32),
    /// This one writes a batch, and syncs it or not.
    Writes(i32, bool),
    /// A throttle leaves out another one, by the newest state or one before.
    HoldsBack(i32, i32, i32),
    Quiet(Vec<i32>),
    QuietEnds,
    Odd(i32, Event),
}

fn groups() -> impl Strategy<Value = Vec<i32>> {
    prop::sample::select(vec![vec![1, 2, 3], vec![1, 2, 3], vec![1, 2], vec![2, 3], vec![1, 3], vec![2]])
}

fn odd() -> impl Strategy<Value = Event> {
    let epoch = || (0..4i32).prop_map(LeaderEpoch);
    let state = || (0..5i32).prop_map(PartitionEpoch);
    let broker = || (1..4i32).prop_map(BrokerId);
    let members = || groups().prop_map(|group| brokers(&group));
    let offset = || (0..5i64).prop_map(Offset);
    prop_oneof![
        (broker(), 0..3i64).prop_map(|(broker, epoch)| {
            let (epoch, versions) = (BrokerEpoch(epoch), MetadataVersions::default());
            Event::BrokerRegistered { broker, epoch, versions }
        }),
        broker().prop_map(|broker| Event::BrokerFenced { broker }),
        broker().prop_map(|broker| Event::BrokerUnfenced { broker }),
        (offset(), 0..2u64).prop_map(|(end, digest)| Event::MetadataApplied { end, digest }),
        (epoch(), broker(), state(), members()).prop_map(|(leader_epoch, leader, partition_epoch, in_sync)| {
            Event::PartitionChanged { partition: P, leader: Some(leader), leader_epoch, partition_epoch, in_sync }
        }),
        (state(), members(), any::<bool>()).prop_map(|(partition_epoch, replicas, moves)| {
            let adding = replicas[..usize::from(moves)].to_vec();
            Event::ReplicasChanged { partition: P, partition_epoch, replicas, adding }
        }),
        (epoch(), state(), members(), members()).prop_map(|(epoch, partition_epoch, in_sync, at_most)| {
            Event::InSyncKnown { partition: P, epoch, partition_epoch, in_sync, at_most }
        }),
        (epoch(), state()).prop_map(|(epoch, partition_epoch)| Event::InSyncInDoubt {
            partition: P,
            epoch,
            partition_epoch
        }),
        (epoch(), offset()).prop_map(|(epoch, log_end)| {
            Event::BecameLeader { partition: P, epoch, log_end, high_watermark: Offset(0) }
        }),
        (epoch(), broker())
            .prop_map(|(epoch, leader)| { Event::BecameFollower { partition: P, epoch, leader, log_end: Offset(0) } }),
        epoch().prop_map(|epoch| Event::QuorumLeader { epoch, log_end: Offset(0) }),
        epoch().prop_map(|epoch| Event::QuorumUnattached { epoch }),
        (0..3u32).prop_map(|in_sync_min| Event::ReplicaPlaced {
            partition: P,
            replicas: brokers(&[1, 2, 3]),
            in_sync_min
        }),
        offset().prop_map(|end| Event::Synced { partition: P, end }),
        any::<bool>().prop_map(|is_there| Event::LogDirectoryFailed {
            directory: "data2".into(),
            replicas: if is_there { vec![P] } else { Vec::new() },
        }),
    ]
}

fn life() -> impl Strategy<Value = What> {
    let error = Some("the disk fails".to_owned());
    prop::sample::select(vec![
        What::NodeStarted,
        What::NodeStarted,
        What::NodeStarted,
        What::NodeCrashed,
        What::PowerLost,
        What::NodeStopped { error: None },
        What::NodeStopped { error },
        What::NodePaused,
        What::NodeResumed,
        What::NodeResumed,
    ])
}

fn plan() -> impl Strategy<Value = Vec<Step>> {
    let node = || 1..4i32;
    let missing = |facts| prop_oneof![3 => Just(None), 1 => (0..facts).prop_map(Some)];
    let step = prop_oneof![
        2 => prop::sample::select(vec![50, 1_000, 2_500, 5_000, 40_000]).prop_map(Step::Pass),
        2 => (node(), life()).prop_map(|(node, what)| Step::Life(node, what)),
        2 => (node(), any::<[bool; 3]>()).prop_map(|(node, hear)| Step::Elect(node, hear)),
        4 => (node(), groups(), missing(24usize))
            .prop_map(|(leader, members, missing)| Step::Settle { leader, members, missing }),
        2 => (node(), groups(), 0..2i64, missing(4usize))
            .prop_map(|(leader, members, epochs, missing)| Step::Propose { leader, members, epochs, missing }),
        2 => (node(), prop::sample::select(vec![0, 0, 1]), prop::sample::select(vec![0, 3, 3, 100_000, 100_001]))
            .prop_map(|(node, answers, fetches)| Step::Waits(node, answers, fetches)),
        1 => (node(), any::<bool>()).prop_map(|(node, syncs)| Step::Writes(node, syncs)),
        1 => (node(), node(), 0..3i32).prop_map(|(node, other, older)| Step::HoldsBack(node, other, older)),
        2 => groups().prop_map(Step::Quiet),
        2 => Just(Step::QuietEnds),
        2 => (node(), odd()).prop_map(|(node, event)| Step::Odd(node, event)),
    ];
    prop::collection::vec(step, 2..14)
}

/// A trace as it grows.
struct Teller {
    trace: Trace,
    now: Time,
}

impl Teller {
    fn what(&mut self, node: i32, what: What) {
        self.now = self.now + Duration::from_micros(10);
        self.trace.told.push((node, what));
        self.trace.times.push(self.now);
    }

    fn says(&mut self, node: i32, event: Event) {
        self.what(node, What::Witnessed(event));
    }

    fn most<T: Ord>(&self, of: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let events = self.trace.told.iter().filter_map(|(_, what)| match what {
            What::Witnessed(event) => of(event),
            _ => None,
        });
        events.max()
    }

    fn state(&self) -> i32 {
        let state = |event: &Event| match *event {
            Event::PartitionChanged { partition_epoch, .. } | Event::ReplicasChanged { partition_epoch, .. } => {
                Some(partition_epoch.0)
            }
            _ => None,
        };
        self.most(state).unwrap_or(-1)
    }

    fn epoch(&self) -> i32 {
        let epoch = |event: &Event| match *event {
            Event::PartitionChanged { leader_epoch: epoch, .. } | Event::BecameLeader { epoch, .. } => Some(epoch.0),
            _ => None,
        };
        self.most(epoch).unwrap_or(0)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Pass(millis) => self.now = self.now + Duration::from_millis(*millis),
            Step::Life(node, what) => self.what(*node, what.clone()),
            Step::Elect(node, hear) => {
                let led = |event: &Event| match *event {
                    Event::QuorumLeader { epoch, .. } => Some(epoch.0),
                    _ => None,
                };
                let epoch = LeaderEpoch(self.most(led).unwrap_or(0) + 1);
                self.says(*node, Event::QuorumLeader { epoch, log_end: Offset(0) });
                for other in (1..4).filter(|other| other != node && hear[*other as usize - 1]) {
                    self.says(other, Event::QuorumFollower { epoch, leader: BrokerId(*node) });
                }
            }
            Step::Settle { leader, members, missing } => {
                let leader = if members.contains(leader) { *leader } else { members[0] };
                let facts = self.settled(leader, members);
                for (_, (node, event)) in facts.into_iter().enumerate().filter(|(place, _)| Some(*place) != *missing) {
                    self.says(node, event);
                }
            }
            Step::Propose { leader, members, epochs, missing } => {
                let facts = self.proposed(*leader, members, *epochs);
                for (_, event) in facts.into_iter().enumerate().filter(|(place, _)| Some(*place) != *missing) {
                    self.says(*leader, event);
                }
            }
            Step::Waits(node, answers, fetches) => {
                self.says(*node, Event::Burden { answers: *answers, fetches: *fetches });
            }
            Step::Writes(node, syncs) => {
                let (base, epoch) = (end(&self.trace.told, *node, P).unwrap_or(Offset(0)), LeaderEpoch(self.epoch()));
                let end = base.plus(1);
                self.says(*node, Event::Appended { partition: P, epoch, base, end, crc: 8 });
                if *syncs {
                    self.says(*node, Event::Synced { partition: P, end });
                }
            }
            Step::HoldsBack(node, other, older) => {
                let (partition_epoch, replica) = (PartitionEpoch(self.state() - older), BrokerId(*other));
                self.says(*node, Event::HeldBack { partition: P, partition_epoch, replica });
            }
            Step::Quiet(core) => {
                let core = core.iter().map(|node| NodeName(format!("broker-{node}").into())).collect();
                self.what(RUN, What::QuietBegan { core });
            }
            Step::QuietEnds => self.what(RUN, What::QuietEnded),
            Step::Odd(node, event) => self.says(*node, event.clone()),
        }
    }

    /// What there is to tell when all members agree on a new state.
    fn settled(&self, leader: i32, members: &[i32]) -> Vec<(i32, Event)> {
        let told = &self.trace.told;
        let (state, epoch) = (PartitionEpoch(self.state() + 1), LeaderEpoch(self.epoch() + 1));
        let in_sync = brokers(members);
        let mut facts = Vec::new();
        for &node in members {
            let replicas = brokers(&[1, 2, 3]);
            facts.push((
                node,
                Event::ReplicasChanged { partition: P, partition_epoch: state, replicas, adding: Vec::new() },
            ));
            let leader = Some(BrokerId(leader));
            let changed = Event::PartitionChanged {
                partition: P,
                leader,
                leader_epoch: epoch,
                partition_epoch: state,
                in_sync: in_sync.clone(),
            };
            facts.push((node, changed));
        }
        let log_end = end(told, leader, P).unwrap_or(Offset(0));
        facts.push((leader, Event::BecameLeader { partition: P, epoch, log_end, high_watermark: Offset(0) }));
        let at_most = in_sync.clone();
        facts.push((leader, Event::InSyncKnown { partition: P, epoch, partition_epoch: state, in_sync, at_most }));
        let added = Batch { base: log_end, end: log_end.plus(1), epoch, crc: 7 };
        let mut theirs = log(told, leader, P);
        theirs.push(added);
        for &node in members {
            if node != leader {
                let leader = BrokerId(leader);
                facts.push((node, Event::BecameFollower { partition: P, epoch, leader, log_end: Offset(0) }));
            }
            let has = end(told, node, P).unwrap_or(Offset(0));
            for Batch { base, end, epoch, crc } in theirs.iter().copied().filter(|batch| has <= batch.base) {
                facts.push((node, Event::Appended { partition: P, epoch, base, end, crc }));
            }
            facts.push((node, Event::Synced { partition: P, end: added.end }));
        }
        // Its own leader first.
        for &node in [leader].iter().chain(members.iter().filter(|node| **node != leader)) {
            facts.push((node, Event::HighWatermarkAdvanced { partition: P, epoch, to: added.end }));
        }
        facts.push((leader, Event::Acked { partition: P, epoch, base: added.base, end: added.end, acks: -1 }));
        let digest = u64::try_from(state.0).unwrap_or(0);
        facts
            .extend(members.iter().map(|&node| (node, Event::MetadataApplied { end: Offset(state.0.into()), digest })));
        facts
    }

    fn proposed(&self, leader: i32, members: &[i32], epochs: i64) -> Vec<Event> {
        let state = PartitionEpoch(self.state());
        let epoch = slow::leading(&self.trace.told, leader, P).unwrap_or(LeaderEpoch(0));
        let asked = members.iter().map(|&id| (BrokerId(id), Some(BrokerEpoch(epochs)))).collect();
        let (next, in_sync) = (PartitionEpoch(state.0 + 1), brokers(members));
        let at_most = in_sync.clone();
        vec![
            Event::InSyncProposed { partition: P, epoch, partition_epoch: state, members: asked },
            Event::InSyncInDoubt { partition: P, epoch, partition_epoch: state },
            Event::InSyncKnown { partition: P, epoch, partition_epoch: state, in_sync: in_sync.clone(), at_most },
            Event::PartitionChanged {
                partition: P,
                leader: Some(BrokerId(leader)),
                leader_epoch: epoch,
                partition_epoch: next,
                in_sync,
            },
        ]
    }
}

/// The trace that comes of a plan.
fn carried_out(plan: &[Step]) -> Trace {
    let mut teller = Teller { trace: Trace::default(), now: Time::ZERO };
    let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
    let placed = Event::ReplicaPlaced { partition: P, replicas: brokers(&[1, 2, 3]), in_sync_min: 1 };
    for node in 1..4 {
        teller.what(node, What::NodeStarted);
        teller.says(node, joined.clone());
        teller.says(node, placed.clone());
    }
    teller.step(&Step::Elect(1, [true; 3]));
    plan.iter().for_each(|step| teller.step(step));
    teller.trace
}

/// What the watch says, and what the references say: the promises that a trace breaks.
fn judged(trace: &Trace) -> (Vec<&'static str>, Vec<&'static str>) {
    let mut watch = Watch::new(expectations());
    for (index, ((node, what), time)) in (1..).zip(trace.told.iter().zip(&trace.times)) {
        let node = if *node == RUN { "trial".to_owned() } else { format!("broker-{node}") };
        watch.observe(&Entry { index, time: *time, node: NodeName(node.into()), what: what.clone() });
    }
    let verdicts = watch.finish(&History::default()).unwrap();
    let is_broken = |name: &str| verdicts.iter().any(|one| one.promise == name && one.outcome == Outcome::Broken);
    let broken = REFERENCES.iter().map(|(name, _)| *name).filter(|name| is_broken(name)).collect();
    let breaks = |(name, breaks): &&slow::cluster::Reference| {
        (0..trace.told.len()).any(|at| breaks(trace, at))
            || *name == "what waits is answered" && something_is_never_synced(trace)
    };
    (broken, REFERENCES.iter().filter(breaks).map(|(name, _)| *name).collect())
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
    let (mut sound, mut converged) = (0, 0);
    for _ in 0..TRACES {
        let trace = carried_out(&plan().new_tree(&mut runner).unwrap().current());
        let (watch, _) = judged(&trace);
        sound += usize::from(watch.is_empty());
        let is_judged = (0..trace.told.len()).any(|at| slow::cluster::is_judged_at(&trace, at));
        converged += usize::from(is_judged && !watch.contains(&"the cluster converges after healing"));
        watch.into_iter().for_each(|promise| *broken.entry(promise).or_default() += 1);
    }
    for (promise, _) in REFERENCES {
        let times = broken.get(promise).copied().unwrap_or(0);
        assert!((3..TRACES / 2).contains(&times), "\"{promise}\" is broken by {times} of {TRACES}: {broken:?}");
    }
    assert!(TRACES / 20 < sound, "{sound} break nothing");
    assert!(TRACES / 60 < converged, "{converged} converge");
}
