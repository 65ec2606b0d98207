//! Random quorums that are replaced whole: in a few runs all who vote go, and others take their place, as when nodes move to other machines.
//!
//! Everything is asked for at once, while links are slow and controllers fall, so that who hears of a change first is not always the same.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::changes::do_voters_change;
use super::knobs;
use super::pace::{FAULTS_FROM, once, repeated, span};
use crate::change::{Change, ChangeKind};
use crate::fault::{Direction, Fault, FaultKind, NetworkFault, NodeFault, Slow};
use crate::scenario::Scenario;
use crate::words::{Range, Selector};

/// So many vote first, and so many instead of them.
const VOTERS: u32 = 3;

const PATIENCE: &[(&str, i64)] = &[
    ("broker.heartbeat.interval.ms", 300),
    ("broker.session.timeout.ms", 1_500),
    ("controller.quorum.election.timeout.ms", 500),
    ("controller.quorum.fetch.timeout.ms", 1_000),
];

/// Milliseconds: when the new ones are to vote, and how much later the old ones are not to any more.
const COME: std::ops::RangeInclusive<u64> = 2_500..=6_000;
const GO: std::ops::RangeInclusive<u64> = 0..=4_000;

const SLOW_FOR: Duration = Duration::from_secs(12);

#[derive(Clone, Debug, Default)]
pub(super) struct Voters(Option<(u64, u64, Vec<Fault>)>);

pub(super) fn voters() -> BoxedStrategy<Voters> {
    let fall = prop_oneof![
        1 => Just(FaultKind::Node(NodeFault::PowerLoss(Selector::Controller))),
        1 => Just(FaultKind::Node(NodeFault::Crash(Selector::Controller))),
    ];
    let slow = span(5, 200).prop_map(|latency| {
        let slow = Slow { of: Selector::AllNodes, to: None, latency, direction: Direction::Both };
        once(FaultKind::Network(NetworkFault::Slow(slow)), FAULTS_FROM, SLOW_FOR)
    });
    let replaced = (COME, GO, slow, repeated(fall, (5_000, (500, 3_000))))
        .prop_map(|(come, go, slow, fall)| Voters(Some((come, come + go, vec![slow, fall]))));
    prop_oneof![18 => Just(Voters::default()), 1 => replaced].boxed()
}

impl Voters {
    /// Not where voters change already: nodes would have other numbers.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        let Some((come, go, faults)) = self.0 else { return };
        if do_voters_change(scenario) {
            return;
        }
        scenario.cluster.config.extend(knobs(PATIENCE));
        scenario.cluster.controllers = 2 * VOTERS;
        scenario.cluster.voters = Some(VOTERS);
        scenario.faults.truncate(1);
        scenario.faults.extend(faults);
        let nodes: Vec<u32> = scenario.cluster.controllers_by_number().collect();
        let (old, new) = nodes.split_at(VOTERS as usize);
        let at = |millis: u64| Range::exactly(Duration::from_millis(millis / 100 * 100));
        scenario.changes.extend(new.iter().map(|&node| Change { at: at(come), kind: ChangeKind::AddVoter(node) }));
        scenario.changes.extend(old.iter().map(|&node| Change { at: at(go), kind: ChangeKind::RemoveVoter(node) }));
    }
}
