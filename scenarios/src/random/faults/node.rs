//! Random faults of nodes: crash, power loss, restart, another configuration, pause.
//!
//! Mostly while writes are in flight, when there is most to lose, or when a leader is new, and nothing has settled yet.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::{ConfigValue, Topic};
use crate::fault::{Fault, FaultKind, Moment, NodeFault, Reconfigure};
use crate::random::aim::{server, servers};
use crate::random::pace::paced;

pub(super) const KINDS: &[Kind] = &[crash, power_loss, restart, reconfigure, pause];

/// Keys that one broker may have another value of than its neighbours.
const SETTINGS: &[(&str, &[i64])] = &[
    ("replica.lag.time.max.ms", &[500, 1_500, 10_000]),
    ("replica.fetch.wait.max.ms", &[20, 200]),
    ("controller.quorum.fetch.timeout.ms", &[700, 2_000]),
    ("log.segment.bytes", &[16_384, 1_048_576]),
];

fn crash(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_node(servers(topics).prop_map(NodeFault::Crash))
}

fn power_loss(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_node(servers(topics).prop_map(NodeFault::PowerLoss))
}

fn restart(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_node(server(topics).prop_map(NodeFault::Restart))
}

fn reconfigure(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let setting = select(SETTINGS).prop_flat_map(|(key, values)| (Just(key), select(values)));
    let fault = (server(topics), setting).prop_map(|(of, (key, value))| {
        let with = BTreeMap::from([(key.to_owned(), ConfigValue::Number(value))]);
        NodeFault::Reconfigure(Reconfigure { of, with })
    });
    of_node(fault)
}

fn pause(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_node(servers(topics).prop_map(NodeFault::Pause))
}

fn of_node(fault: impl Strategy<Value = NodeFault> + 'static) -> BoxedStrategy<Fault> {
    let moment = prop_oneof![
        5 => Just(Some(Moment::WritesInFlight)),
        2 => Just(Some(Moment::LeaderIsNew)),
        3 => Just(None),
    ];
    (paced(fault.prop_map(FaultKind::Node)), moment).prop_map(|(fault, moment)| Fault { moment, ..fault }).boxed()
}
