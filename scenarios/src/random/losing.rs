//! Random losses that the claims allow: in a few runs topics would rather lose records than be without a leader.
//!
//! In some of them nobody is left, in the end, but a broker that fell behind long ago, and lacks what the others have deleted by then.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::changes::do_voters_change;
use super::keeping::TOLD_AT;
use super::pace::{once, span};
use super::{CHANGES_FROM, CHANGES_TO, knobs, told};
use crate::change::{Change, ChangeKind};
use crate::cluster::Topic;
use crate::fault::{FaultKind, NodeFault};
use crate::scenario::Scenario;
use crate::words::{Range, Selector};

/// Whoever is gone is given up before others are.
const PATIENCE: &[(&str, i64)] =
    &[("broker.heartbeat.interval.ms", 300), ("broker.session.timeout.ms", 1_500), ("replica.lag.time.max.ms", 1_500)];

/// On nodes of their own: they outlive the brokers.
const CONTROLLERS: u32 = 3;

/// Milliseconds: when one broker goes, and how much later the records are deleted, the others fall, it is back and leads, and so are they.
const GOES: std::ops::RangeInclusive<u64> = 2_000..=3_500;
const DELETED: std::ops::RangeInclusive<u64> = 4_000..=6_000;
const OTHERS_FALL: std::ops::RangeInclusive<u64> = 500..=4_000;
const BACK: u64 = 1_500;
const LEADS: std::ops::RangeInclusive<u64> = 2_500..=4_500;
const ALL_BACK: std::ops::RangeInclusive<u64> = 500..=3_000;

/// How it comes to that.
#[derive(Clone, Debug, Default)]
pub(super) enum Losing {
    #[default]
    Nothing,
    /// By a topic's setting, or since the operator says so.
    Allowed(Vec<Change>),
    FarBehind(Box<FarBehind>),
}

/// One broker is away, and leads when it is back, since the others are not there.
#[derive(Clone, Debug)]
pub(super) struct FarBehind {
    broker: u32,
    goes: u64,
    deleted: u64,
    others_fall: u64,
    leads: u64,
    all_back: u64,
    topic: String,
}

pub(super) fn losing(topics: &[Topic]) -> BoxedStrategy<Losing> {
    let setting =
        |topic: &Topic| told(&topic.name, Range::exactly(TOLD_AT), [("unclean.leader.election.enable", "true")]);
    let all: Vec<Change> = topics.iter().map(setting).collect();
    let by_setting = Just(Losing::Allowed(all));
    let by_hand = (select(topics.to_vec()), span(CHANGES_FROM, CHANGES_TO))
        .prop_map(|(topic, at)| Losing::Allowed(vec![Change { at, kind: ChangeKind::ElectUnclean(topic.name) }]));
    let name = topics[0].name.clone();
    let far_behind = ((1..=3u32), GOES, DELETED, OTHERS_FALL, LEADS, ALL_BACK).prop_map(
        move |(broker, goes, deleted, others_fall, leads, all_back)| {
            let deleted = goes + deleted;
            let others_fall = deleted + others_fall;
            let leads = others_fall + leads;
            let all_back = leads + all_back;
            let topic = name.clone();
            Losing::FarBehind(Box::new(FarBehind { broker, goes, deleted, others_fall, leads, all_back, topic }))
        },
    );
    prop_oneof![31 => Just(Losing::default()), 2 => by_setting, 1 => by_hand, 2 => far_behind].boxed()
}

impl Losing {
    /// Not where logs are compacted: readers would be told of other records than they were.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        if scenario.changes.iter().any(Change::compacts_topic) {
            return;
        }
        match self {
            Losing::Nothing => return,
            Losing::Allowed(changes) => scenario.changes.extend(changes),
            Losing::FarBehind(far_behind) => far_behind.add_to(scenario),
        }
        scenario.claims.unclean_election = Some(true);
    }
}

impl FarBehind {
    /// Hardly anything else happens, or it would not be missed alone. Not where voters change: others would have their numbers.
    fn add_to(self, scenario: &mut Scenario) {
        if do_voters_change(scenario) {
            return;
        }
        scenario.cluster.config.extend(knobs(PATIENCE));
        scenario.cluster.controllers = CONTROLLERS;
        let millis = |millis: u64| Duration::from_millis(millis / 100 * 100);
        let falls = |broker: u32, from: u64, to: u64| {
            once(FaultKind::Node(NodeFault::Crash(Selector::Broker(broker))), millis(from), millis(to - from))
        };
        let others = (1..=scenario.cluster.brokers).filter(|other| *other != self.broker);
        scenario.faults.truncate(1);
        scenario.faults.push(falls(self.broker, self.goes, self.others_fall + BACK));
        scenario.faults.extend(others.map(|other| falls(other, self.others_fall, self.all_back)));
        let change = |at: u64, kind| Change { at: Range::exactly(millis(at)), kind };
        scenario.changes.push(change(self.deleted, ChangeKind::DeleteRecords(self.topic.clone())));
        scenario.changes.push(change(self.leads, ChangeKind::ElectUnclean(self.topic)));
    }
}
