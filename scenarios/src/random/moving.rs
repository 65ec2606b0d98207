//! Random moves that are held back: in some runs a topic moves under a throttle, which is lifted in the end.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::changes::do_voters_change;
use super::pace::span;
use crate::change::{Change, ChangeKind, Reassign};
use crate::cluster::{Cluster, Topic};
use crate::scenario::Scenario;
use crate::words::Throughput;

/// Bytes a second: less than what is written, about as much, more.
const RATES: &[u64] = &[20_000, 100_000, 400_000, 2_000_000];

/// Milliseconds: when a move begins, and when it is held back no more.
const BEGINS: (u32, u32) = (3_000, 14_000);
const LIFTED: (u32, u32) = (15_000, 24_000);

/// There is somewhere to move to.
const BROKERS_MIN: u32 = 4;

#[derive(Clone, Debug, Default)]
pub(super) struct Moving(Vec<Change>);

pub(super) fn moving(cluster: &Cluster, topics: &[Topic]) -> BoxedStrategy<Moving> {
    let brokers: Vec<u32> = (1..=cluster.brokers.max(BROKERS_MIN)).collect();
    let drawn = (select(topics.to_vec()), Just(brokers).prop_shuffle(), select(RATES));
    let times = (span(BEGINS.0, BEGINS.1), span(LIFTED.0, LIFTED.1));
    let moving = (drawn, times).prop_map(|((topic, mut to, rate), (begins, lifted))| {
        to.truncate(topic.replicas as usize);
        let reassign = Reassign { topic: topic.name.clone(), to, throttle: Some(Throughput(rate)) };
        let lift = Change { at: lifted, kind: ChangeKind::LiftThrottle(topic.name) };
        Moving(vec![Change { at: begins, kind: ChangeKind::Reassign(reassign) }, lift])
    });
    prop_oneof![11 => Just(Moving::default()), 1 => moving].boxed()
}

impl Moving {
    /// Not where voters change: another broker would give them other numbers.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        if !self.0.is_empty() && !do_voters_change(scenario) {
            scenario.cluster.brokers = scenario.cluster.brokers.max(BROKERS_MIN);
            scenario.changes.extend(self.0);
        }
    }
}
