//! Random releases: in some runs nodes are replaced by those of the next release, one at a time, and the metadata is brought to what these
//! know: too early, in time, or down and up again.
//!
//! A topic without copies has nobody to lead it whenever its broker is replaced, which the newer release would note.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::changes::do_voters_change;
use super::pace::{once, span};
use super::quorum::falls;
use crate::change::{Change, ChangeKind};
use crate::cluster::{ConfigValue, Topic};
use crate::fault::{Fault, FaultKind, NodeFault, Reconfigure};
use crate::scenario::Scenario;
use crate::words::{Range, Selector};

const RELEASE: &str = "release";

/// What nodes of the release before know of the metadata, and those of this one.
const BEFORE: u16 = 1;
const NEWEST: u16 = 2;

/// Milliseconds: when nodes are replaced, for how long each is away, and when somebody asks for the next level.
const REPLACED: std::ops::RangeInclusive<u64> = 2_500..=18_000;
const AWAY: std::ops::RangeInclusive<u64> = 200..=2_000;
const ASKED: (u32, u32) = (1_000, 20_000);

/// Milliseconds: when the level is lowered, where it was the newest from the beginning.
const LOWERED: (u32, u32) = (2_000, 8_000);

/// No random cluster has more brokers.
const BROKERS_MAX: usize = 5;

const TOPIC: &str = "notes";

#[derive(Clone, Debug, Default)]
pub(super) struct Releases(Option<Drawn>);

#[derive(Clone, Debug)]
struct Drawn {
    /// All begin with the newest release, whose level is lowered; or else with the one before, and are replaced.
    lowered: Option<Range>,
    asked: Range,
    /// When each broker is replaced, and for how long it is away; the last one is of controllers on nodes of their own.
    replaced: Vec<(u64, u64)>,
    /// Controllers fall meanwhile.
    falls: Vec<Fault>,
}

pub(super) fn releases() -> BoxedStrategy<Releases> {
    let replaced = proptest::collection::vec((REPLACED, AWAY), BROKERS_MAX + 1);
    let lowered = option::weighted(0.2, span(LOWERED.0, LOWERED.1));
    let falls = prop_oneof![1 => Just(Vec::new()), 1 => falls()];
    let drawn = (lowered, span(ASKED.0, ASKED.1), replaced, falls)
        .prop_map(|(lowered, asked, replaced, falls)| Releases(Some(Drawn { lowered, asked, replaced, falls })));
    prop_oneof![7 => Just(Releases::default()), 1 => drawn].boxed()
}

impl Releases {
    /// Comes last, since it replaces every node that there is. Where voters changed, no level is lowered that cannot tell it.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        let Some(Drawn { lowered, asked, replaced, falls }) = self.0 else { return };
        let level = |at: Range, level| Change { at, kind: ChangeKind::UpdateFeatures(level) };
        match lowered.filter(|_| !do_voters_change(scenario)) {
            Some(at) => scenario.changes.push(level(at, BEFORE)),
            None => {
                scenario.cluster.config.insert(RELEASE.into(), ConfigValue::Number(BEFORE.into()));
                scenario.faults.truncate(2);
                let brokers = (1..=scenario.cluster.brokers).map(Selector::Broker);
                let controllers = (0 < scenario.cluster.controllers).then_some(Selector::AllNodes);
                let nodes = brokers.zip(&replaced).chain(controllers.into_iter().zip(replaced.last()));
                scenario.faults.extend(nodes.map(|(of, &(at, away))| replace(of, at, away)));
            }
        }
        scenario.changes.push(level(asked, NEWEST));
        scenario.faults.extend(falls);
        scenario.topics.push(Topic { name: TOPIC.into(), partitions: 1, replicas: 1, min_insync_replicas: 1 });
    }
}

/// A node ends in order, and is back with the newest release.
fn replace(of: Selector, at: u64, away: u64) -> Fault {
    let millis = |millis: u64| Duration::from_millis(millis / 100 * 100);
    let with = [(RELEASE.to_owned(), ConfigValue::Number(NEWEST.into()))].into();
    once(FaultKind::Node(NodeFault::Reconfigure(Reconfigure { of, with })), millis(at), millis(away))
}
