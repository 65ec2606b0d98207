//! Random handovers: in some runs a leader stands still, or is cut off, until others have taken its place, and is back as they fall.
//!
//! Then nobody is left who could tell it what it missed, and its clients of before find it again.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::aim::partition;
use super::knobs;
use super::pace::once;
use crate::cluster::{ConfigValue, Topic};
use crate::fault::{Clients, Cut, Direction, Fault, FaultKind, NetworkFault, NodeFault};
use crate::scenario::Scenario;
use crate::words::{PartitionName, Selector};

/// Others take over well before a leader is back.
const PATIENCE: &[&[(&str, i64)]] = &[
    &[("broker.heartbeat.interval.ms", 100), ("broker.session.timeout.ms", 500)],
    &[("broker.heartbeat.interval.ms", 200), ("broker.session.timeout.ms", 1_500)],
];

const ROUNDS: u64 = 3;

/// Milliseconds: when the first round begins, and how long after it the next one does.
const FIRST: std::ops::RangeInclusive<u64> = 3_000..=5_000;
const ROUND: u64 = 9_000;

/// Milliseconds: for how long the leader is away (longer than its clients wait for an answer), for how long the others are, and how much
/// sooner they go than it is back.
const AWAY: std::ops::RangeInclusive<u64> = 3_500..=5_500;
const GONE: std::ops::RangeInclusive<u64> = 1_000..=3_500;
const SOONER: std::ops::RangeInclusive<u64> = 0..=500;

/// What a random handover adds to a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Handover {
    config: BTreeMap<String, ConfigValue>,
    faults: Vec<Fault>,
}

pub(super) fn handover(topics: &[Topic]) -> BoxedStrategy<Handover> {
    let faults =
        (partition(topics), FIRST, AWAY, GONE, SOONER).prop_flat_map(|(partition, first, away, gone, sooner)| {
            let (leader, others) = (Selector::LeaderOf(partition.clone()), others(partition));
            let stands_still = [FaultKind::Node(NodeFault::Pause(leader.clone())), cut_off(leader)];
            let falls = [FaultKind::Node(NodeFault::Crash(others.clone())), FaultKind::Node(NodeFault::Pause(others))];
            let kinds =
                (select(stands_still.to_vec()), prop_oneof![3 => Just(falls[0].clone()), 1 => Just(falls[1].clone())]);
            kinds.prop_map(move |(one, other)| {
                let millis = |millis: u64| Duration::from_millis(millis / 100 * 100);
                let round = |round: u64| {
                    let at = first + round * ROUND;
                    [
                        once(one.clone(), millis(at), millis(away)),
                        once(other.clone(), millis(at + away - sooner), millis(gone)),
                    ]
                };
                (0..ROUNDS).flat_map(round).collect()
            })
        });
    let handover =
        (select(PATIENCE), faults).prop_map(|(patience, faults)| Handover { config: knobs(patience), faults });
    prop_oneof![7 => Just(Handover::default()), 1 => handover].boxed()
}

/// Who took the leader's place, and who might.
fn others(partition: PartitionName) -> Selector {
    Selector::Several(vec![Selector::LeaderOf(partition.clone()), Selector::FollowersInSyncOf(partition)])
}

fn cut_off(leader: Selector) -> FaultKind {
    let cut = Cut { split: leader, from: None, direction: Direction::Both, clients: Clients::StayWithOthers };
    FaultKind::Network(NetworkFault::Partition(cut))
}

impl Handover {
    /// Nothing else gets in the way of the handovers. Producers number what they send, so that a leader of before can tell what it missed; and
    /// they forget now and then which leaders they had known.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        if self.faults.is_empty() {
            return;
        }
        scenario.cluster.config.extend(self.config);
        scenario.cluster.buggify = true;
        scenario.producers.iter_mut().for_each(|producer| (producer.idempotent, producer.retries) = (true, None));
        scenario.faults = self.faults;
    }
}
