//! Random changes: what an administrator does while everything runs. Most runs have none.
//!
//! A topic goes away, or is made again, only beside another one: of what was in it nothing can be said afterwards.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::pace::span;
use super::{CHANGES_FROM, CHANGES_TO};
use crate::change::{AddPartitions, AlterTopic, Change, ChangeKind, Reassign};
use crate::cluster::Topic;
use crate::scenario::Scenario;

/// Settings that a topic in good health lives with.
const SETTINGS: &[(&str, &[&str])] = &[
    ("segment.bytes", &["2048", "16384", "1048576"]),
    ("retention.bytes", &["4096", "32768", "-1"]),
    ("retention.ms", &["500", "5000", "-1"]),
    ("min.insync.replicas", &["1", "2"]),
];

pub(super) fn changes(brokers: u32, topics: &[Topic]) -> BoxedStrategy<Vec<Change>> {
    let some = vec(mild(brokers, topics), 1..=3);
    match topics {
        [_, last, ..] => {
            let one = (at(), loss(last)).prop_map(|(at, kind)| vec![Change { at, kind }]);
            prop_oneof![7 => Just(Vec::new()), 1 => some, 2 => one].boxed()
        }
        _ => prop_oneof![7 => Just(Vec::new()), 1 => some].boxed(),
    }
}

/// Do voters change? They are told by their numbers.
pub(super) fn do_voters_change(scenario: &Scenario) -> bool {
    let is_of_voters = |change: &Change| matches!(change.kind, ChangeKind::AddVoter(_) | ChangeKind::RemoveVoter(_));
    scenario.changes.iter().any(is_of_voters)
}

/// What of `others` goes with the scenario: no topic that is told something goes away, and no key to another partition.
pub(super) fn add_to(scenario: &mut Scenario, others: Vec<Change>) {
    let Scenario { changes: first, producers, .. } = &*scenario;
    let fits = |change: &Change| {
        if first.iter().any(|told| told.loses_topic() && told.topic() == change.topic()) {
            return false;
        }
        let mut of_topic = producers.iter().filter(|producer| Some(&*producer.topic) == change.topic());
        match change.kind {
            ChangeKind::AddPartitions(_) => of_topic.all(|producer| producer.keys.is_none()),
            ChangeKind::DeleteTopic(_) | ChangeKind::RemakeTopic(_) => {
                first.iter().all(|told| told.topic() != change.topic())
            }
            _ => true,
        }
    };
    let others: Vec<Change> = others.into_iter().filter(fits).collect();
    scenario.changes.extend(others);
}

fn at() -> impl Strategy<Value = crate::words::Range> {
    span(CHANGES_FROM, CHANGES_TO)
}

fn loss(topic: &Topic) -> impl Strategy<Value = ChangeKind> + use<> {
    let name = topic.name.clone();
    select(vec![
        ChangeKind::DeleteTopic(name.clone()),
        ChangeKind::RemakeTopic(name.clone()),
        ChangeKind::RemakeTopic(name),
    ])
}

/// What leaves in every topic what is in it, or tells what goes.
fn mild(brokers: u32, topics: &[Topic]) -> impl Strategy<Value = Change> + use<> {
    select(topics.to_vec()).prop_flat_map(move |Topic { name, partitions, replicas, .. }| {
        let grown = (1..=2u32).prop_map(move |more| partitions + more);
        let moved = Just((1..=brokers).collect::<Vec<u32>>()).prop_shuffle();
        let moved = moved.prop_map(move |all| all.into_iter().take(replicas as usize).collect());
        let setting = select(SETTINGS).prop_flat_map(|(name, values)| (Just(name), select(values)));
        let settings = setting.prop_map(|(name, value)| BTreeMap::from([(name.to_owned(), value.to_owned())]));
        let topic = move || name.clone();
        let kind = (grown, moved, settings, 0..8u8).prop_map(move |(to, moved, settings, which)| match which {
            0 => ChangeKind::AddPartitions(AddPartitions { topic: topic(), to }),
            1 => ChangeKind::DeleteRecords(topic()),
            2 | 3 => ChangeKind::Reassign(Reassign { topic: topic(), to: moved, throttle: None }),
            4 => ChangeKind::CancelReassignment(topic()),
            5 => ChangeKind::ElectPreferred(topic()),
            _ => ChangeKind::AlterTopic(AlterTopic { topic: topic(), settings }),
        });
        (at(), kind).prop_map(|(at, kind)| Change { at, kind })
    })
}
