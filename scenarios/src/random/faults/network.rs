//! Random faults of the network: partitions, holds, slow and lossy links.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{Clients, Cut, Direction, Fault, FaultKind, Lossy, NetworkFault, Slow};
use crate::random::aim::server;
use crate::random::pace::{paced, span};
use crate::words::{Chance, Selector};

pub(super) const KINDS: &[Kind] = &[partition, hold, slow, lossy];

fn partition(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(cut(topics).prop_map(|cut| FaultKind::Network(NetworkFault::Partition(cut)))).boxed()
}

fn hold(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(cut(topics).prop_map(|cut| FaultKind::Network(NetworkFault::Hold(cut)))).boxed()
}

fn slow(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let latency = prop_oneof![span(1, 20), span(10, 400), span(100, 2_000)];
    let kind = (links(topics), latency).prop_map(|((of, to, direction), latency)| {
        FaultKind::Network(NetworkFault::Slow(Slow { of, to, latency, direction }))
    });
    paced(kind).boxed()
}

fn lossy(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let kind = (links(topics), 1..=20u32).prop_map(|((of, to, direction), percent)| {
        FaultKind::Network(NetworkFault::Lossy(Lossy { of, to, loss: Chance::percent(percent), direction }))
    });
    paced(kind).boxed()
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![2 => Just(Direction::Both), 1 => Just(Direction::In), 1 => Just(Direction::Out)]
}

/// A cut between two sides; sometimes only one link of the many is cut.
fn cut(topics: &[Topic]) -> impl Strategy<Value = Cut> + use<> {
    let split = prop_oneof![Just(Selector::RandomMinority), Just(Selector::RandomMajority), server(topics)];
    let clients = prop_oneof![Just(Clients::ReachBoth), Just(Clients::StayWithOthers)];
    let sides = prop_oneof![
        3 => clients.prop_map(|clients| (None, clients)),
        1 => Just((Some(Selector::RandomBroker), Clients::ReachBoth)),
    ];
    (split, sides, direction()).prop_map(|(split, (from, clients), direction)| Cut { split, from, direction, clients })
}

/// Whose links, to whom, which way: those of one server, those between a leader and its followers, or all.
fn links(topics: &[Topic]) -> impl Strategy<Value = (Selector, Option<Selector>, Direction)> + use<> {
    let of = prop_oneof![4 => server(topics), 1 => Just(Selector::AllBrokers)];
    let to = prop_oneof![3 => Just(None), 1 => server(topics).prop_map(Some), 1 => Just(Some(Selector::AllBrokers))];
    (of, to, direction())
}
