//! Random losses that the claims allow: in a few runs topics would rather lose records than be without a leader.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::keeping::TOLD_AT;
use super::pace::span;
use super::{CHANGES_FROM, CHANGES_TO, told};
use crate::change::{Change, ChangeKind};
use crate::cluster::Topic;
use crate::scenario::Scenario;
use crate::words::Range;

/// How the first of the topics comes to that: by its setting, or since the operator says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Losing(Vec<Change>);

pub(super) fn losing(topics: &[Topic]) -> BoxedStrategy<Losing> {
    let setting =
        |topic: &Topic| told(&topic.name, Range::exactly(TOLD_AT), [("unclean.leader.election.enable", "true")]);
    let all: Vec<Change> = topics.iter().map(setting).collect();
    let by_setting = Just(Losing(all));
    let by_hand = (select(topics.to_vec()), span(CHANGES_FROM, CHANGES_TO))
        .prop_map(|(topic, at)| Losing(vec![Change { at, kind: ChangeKind::ElectUnclean(topic.name) }]));
    prop_oneof![33 => Just(Losing::default()), 2 => by_setting, 1 => by_hand].boxed()
}

impl Losing {
    /// Not where logs let records go: one that begins past the end of a leader who lost records stays out of sync until that has grown so
    /// far, and readers of what is compacted are told of other records than they were.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        let lets_go = |change: &Change| change.compacts_topic() || change.deletes_records();
        let is_brief =
            ["log.retention.bytes", "log.retention.ms"].iter().any(|key| scenario.cluster.config.contains_key(*key));
        if !self.0.is_empty() && !is_brief && !scenario.changes.iter().any(lets_go) {
            scenario.claims.unclean_election = Some(true);
            scenario.changes.extend(self.0);
        }
    }
}
