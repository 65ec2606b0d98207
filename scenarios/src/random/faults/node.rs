//! Random faults of nodes: crash, power loss, restart, pause.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{Fault, FaultKind, NodeFault};
use crate::random::aim::{server, servers};
use crate::random::pace::paced;

pub(super) const KINDS: &[Kind] = &[crash, power_loss, restart, pause];

fn crash(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(servers(topics).prop_map(|whom| FaultKind::Node(NodeFault::Crash(whom)))).boxed()
}

fn power_loss(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(servers(topics).prop_map(|whom| FaultKind::Node(NodeFault::PowerLoss(whom)))).boxed()
}

fn restart(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(server(topics).prop_map(|whom| FaultKind::Node(NodeFault::Restart(whom)))).boxed()
}

fn pause(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(servers(topics).prop_map(|whom| FaultKind::Node(NodeFault::Pause(whom)))).boxed()
}
