//! Random faults of the network: cuts of every shape, links and cards that are slow or lossy, connections that die or do not come.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{
    Bandwidth, Clients, Connections, Cut, Direction, Fault, FaultKind, Flap, Lossy, NetworkFault, Requests, Slow,
    Swizzle,
};
use crate::random::aim::server;
use crate::random::pace::{paced, span};
use crate::words::{Chance, Selector, Throughput};

pub(super) const KINDS: &[Kind] = &[partition, hold, slow, lossy];

/// Those of which each shows less: they share one weight.
pub(super) const SELDOM: &[Kind] = &[bridge, swizzle, flap, bandwidth, refuse, ignore, reset, half_open, strand];

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

fn bridge(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(server(topics).prop_map(|over| FaultKind::Network(NetworkFault::Bridge(over)))).boxed()
}

fn swizzle(_: &[Topic]) -> BoxedStrategy<Fault> {
    let of = prop_oneof![Just(Selector::AnyBrokers(2)), Just(Selector::RandomMajority), Just(Selector::AllBrokers)];
    let kind = (of, prop_oneof![span(10, 200), span(100, 2_000)])
        .prop_map(|(of, step)| FaultKind::Network(NetworkFault::Swizzle(Swizzle { of, step })));
    paced(kind).boxed()
}

fn flap(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let times = (prop_oneof![span(10, 300), span(100, 2_000)], prop_oneof![span(10, 300), span(100, 4_000)]);
    let kind = (links(topics), times).prop_map(|((of, to, direction), (up, down))| {
        FaultKind::Network(NetworkFault::Flap(Flap { of, to, up, down, direction }))
    });
    paced(kind).boxed()
}

fn bandwidth(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let rate = prop_oneof![Just(8_000), Just(50_000), Just(400_000)].prop_map(Throughput);
    let kind = (links(topics), rate)
        .prop_map(|((of, to, _), rate)| FaultKind::Network(NetworkFault::Bandwidth(Bandwidth { of, to, rate })));
    paced(kind).boxed()
}

fn refuse(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(requests(topics).prop_map(|asked| FaultKind::Network(NetworkFault::Refuse(asked)))).boxed()
}

fn ignore(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(requests(topics).prop_map(|asked| FaultKind::Network(NetworkFault::Ignore(asked)))).boxed()
}

fn reset(topics: &[Topic]) -> BoxedStrategy<Fault> {
    instant(connections(topics).prop_map(|lost| FaultKind::Network(NetworkFault::Reset(lost))))
}

fn half_open(topics: &[Topic]) -> BoxedStrategy<Fault> {
    instant(connections(topics).prop_map(|lost| FaultKind::Network(NetworkFault::HalfOpen(lost))))
}

fn strand(topics: &[Topic]) -> BoxedStrategy<Fault> {
    instant(connections(topics).prop_map(|lost| FaultKind::Network(NetworkFault::Strand(lost))))
}

/// What is over as soon as it is done has no length.
fn instant(kind: impl Strategy<Value = FaultKind> + 'static) -> BoxedStrategy<Fault> {
    paced(kind).prop_map(|fault| Fault { lasts: None, ..fault }).boxed()
}

fn connections(topics: &[Topic]) -> impl Strategy<Value = Connections> + use<> {
    links(topics).prop_map(|(of, to, _)| Connections { of, to })
}

fn requests(topics: &[Topic]) -> impl Strategy<Value = Requests> + use<> {
    let from =
        prop_oneof![2 => Just(None), 1 => Just(Some(Selector::AllClients)), 1 => Just(Some(Selector::AllBrokers))];
    (server(topics), from).prop_map(|(of, from)| Requests { of, from })
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
