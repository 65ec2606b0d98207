//! Random faults that meet: the leaders of one partition fall one after the other while a replica of it is held back.
//!
//! Faults that are strewn seldom meet, and one blow at a time is what replication is made for. What it forgets shows when the next
//! one comes before the last has healed: a leader of a moment ago with a tail that nobody has, a follower that hears of two
//! elections at once, an answer or a proposal that arrives in another epoch than the one it left in.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use crate::cluster::Topic;
use crate::fault::{
    Clients, Cut, Direction, DiskFault, Fault, FaultKind, Moment, NetworkFault, NodeFault, Slow, SlowDisk,
};
use crate::random::aim::partition;
use crate::random::pace::{Pace, repeated, span};
use crate::words::{PartitionName, Selector};

/// Milliseconds from one fall to the next, and how long each lasts: within a session, about as long, longer.
const FALLS: &[Pace] = &[(800, (10, 300)), (1_500, (50, 1_500)), (3_000, (500, 3_000))];

/// The same of what holds a replica back: it outlasts a fall, and lets go.
const HOLDS: &[Pace] = &[(1_500, (300, 1_200)), (4_000, (1_000, 4_000))];

pub(super) fn meeting(topics: &[Topic]) -> BoxedStrategy<Vec<Fault>> {
    partition(topics)
        .prop_flat_map(|partition| (falls(&partition), held_back(&partition)).prop_map(|(one, other)| vec![one, other]))
        .boxed()
}

/// Leaders fall: mostly with something in their hands.
fn falls(partition: &PartitionName) -> impl Strategy<Value = Fault> + use<> {
    let leader = Selector::LeaderOf(partition.clone());
    let kind = prop_oneof![
        3 => Just(FaultKind::Node(NodeFault::Crash(leader.clone()))),
        2 => Just(FaultKind::Node(NodeFault::PowerLoss(leader.clone()))),
        1 => Just(FaultKind::Node(NodeFault::Restart(leader.clone()))),
        1 => Just(FaultKind::Node(NodeFault::Pause(leader.clone()))),
        1 => cut(partition, leader).prop_map(|cut| FaultKind::Network(NetworkFault::Partition(cut))),
    ];
    let moment = prop_oneof![
        2 => Just(Some(Moment::WritesInFlight)),
        2 => Just(Some(Moment::LeaderIsNew)),
        1 => Just(None),
    ];
    (select(FALLS), moment).prop_flat_map(move |(pace, moment)| {
        repeated(kind.clone(), pace).prop_map(move |fault| {
            let strikes_a_disk = !matches!(fault.kind, FaultKind::Network(_));
            Fault { moment: moment.filter(|moment| strikes_a_disk || *moment == Moment::LeaderIsNew), ..fault }
        })
    })
}

fn held_back(partition: &PartitionName) -> impl Strategy<Value = Fault> + use<> {
    let one = || Selector::FollowerOf(partition.clone());
    let whom = select(vec![one(), one(), Selector::LeaderOf(partition.clone())]);
    let partition = partition.clone();
    let kind = whom.prop_flat_map(move |of| {
        let latency = prop_oneof![span(10, 400), span(100, 2_000)];
        let slow = (latency, others(&partition), direction()).prop_map({
            let of = of.clone();
            move |(latency, to, direction)| {
                FaultKind::Network(NetworkFault::Slow(Slow { of: of.clone(), to, latency, direction }))
            }
        });
        prop_oneof![
            3 => slow,
            2 => cut(&partition, of.clone()).prop_map(|cut| FaultKind::Network(NetworkFault::Partition(cut))),
            2 => cut(&partition, of.clone()).prop_map(|cut| FaultKind::Network(NetworkFault::Hold(cut))),
            1 => Just(FaultKind::Node(NodeFault::Pause(of.clone()))),
            1 => Just(FaultKind::Disk(DiskFault::Slow(SlowDisk { of: of.clone(), times: 100 }))),
            1 => Just(FaultKind::Disk(DiskFault::Stalled(of))),
        ]
    });
    select(HOLDS).prop_flat_map(move |pace| repeated(kind.clone(), pace))
}

/// Everybody, one other, or the followers: a replica that hears its leader and not its next one.
fn others(partition: &PartitionName) -> impl Strategy<Value = Option<Selector>> + Clone + use<> {
    select(vec![None, Some(Selector::RandomBroker), Some(Selector::FollowersOf(partition.clone()))])
}

fn cut(partition: &PartitionName, split: Selector) -> impl Strategy<Value = Cut> + Clone + use<> {
    (others(partition), direction()).prop_map(move |(from, direction)| Cut {
        split: split.clone(),
        from,
        direction,
        clients: Clients::ReachBoth,
    })
}

fn direction() -> impl Strategy<Value = Direction> + Clone {
    select(&[Direction::Both, Direction::In, Direction::Out][..])
}
