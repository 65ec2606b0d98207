//! Random topics that are made again while a broker is away that had the one before: what it has then belongs to nobody.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::pace::once;
use crate::change::{Change, ChangeKind};
use crate::cluster::Topic;
use crate::fault::{Fault, FaultKind, NodeFault};
use crate::scenario::Scenario;
use crate::words::{PartitionName, Range, Selector};

/// Milliseconds: when the topic is made again, how much sooner a broker goes, and how much later it is back.
const REMADE: std::ops::RangeInclusive<u64> = 5_000..=18_000;
const SOONER: std::ops::RangeInclusive<u64> = 200..=2_500;
const LATER: std::ops::RangeInclusive<u64> = 1_500..=5_000;

#[derive(Clone, Debug, Default)]
pub(super) struct Remaking(Option<(Change, Fault)>);

/// The last of several topics, since of what was in it nothing can be said afterwards.
pub(super) fn remaking(topics: &[Topic]) -> BoxedStrategy<Remaking> {
    let [_, .., last] = topics else { return Just(Remaking::default()).boxed() };
    let name = last.name.clone();
    let one = PartitionName { topic: name.clone(), index: 0 };
    let who = select(vec![Selector::RandomBroker, Selector::FollowerOf(one.clone()), Selector::LeaderOf(one)]);
    let falls = prop_oneof![2 => who.clone().prop_map(NodeFault::Crash), 1 => who.prop_map(NodeFault::PowerLoss)];
    let remade = (REMADE, SOONER, LATER, falls).prop_map(move |(at, sooner, later, fall)| {
        let millis = |millis: u64| Duration::from_millis(millis / 100 * 100);
        let change = Change { at: Range::exactly(millis(at)), kind: ChangeKind::RemakeTopic(name.clone()) };
        Remaking(Some((change, once(FaultKind::Node(fall), millis(at - sooner), millis(sooner + later)))))
    });
    prop_oneof![7 => Just(Remaking::default()), 1 => remade].boxed()
}

impl Remaking {
    /// No topic that is told something goes away, and somebody writes to it. Hardly anything else happens, or its broker would not be missed
    /// alone.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        let Some((change, fault)) = self.0 else { return };
        if scenario.changes.iter().all(|told| told.topic() != change.topic()) {
            if let (Some(producer), Some(topic)) = (scenario.producers.first_mut(), change.topic()) {
                topic.clone_into(&mut producer.topic);
            }
            scenario.changes.push(change);
            scenario.faults.truncate(1);
            scenario.faults.push(fault);
        }
    }
}
