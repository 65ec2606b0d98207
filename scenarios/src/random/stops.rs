//! Random stops: in a few runs every broker stops in order once, and from then on they die, again and again, on slow disks.
//!
//! What the orderly stop said of a disk must not be believed of any life after the next.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::knobs;
use super::pace::{once, repeated};
use crate::fault::{DiskFault, Fault, FaultKind, NodeFault, SlowDisk};
use crate::scenario::Scenario;
use crate::words::Selector;

const PATIENCE: &[(&str, i64)] =
    &[("controller.quorum.election.timeout.ms", 300), ("controller.quorum.fetch.timeout.ms", 700)];

const STOPPED_AT: Duration = Duration::from_secs(1);
const STOPPED_FOR: Duration = Duration::from_millis(100);

/// How many times longer a sync takes, from when on, and for how long: many a process dies in the middle of one.
const SLOWER: std::ops::RangeInclusive<u32> = 50..=200;
const SLOW_FROM: Duration = Duration::from_secs(4);
const SLOW_FOR: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, Default)]
pub(super) struct Stops(Vec<Fault>);

pub(super) fn stops() -> BoxedStrategy<Stops> {
    let slow = SLOWER.prop_map(|times| {
        let slow = DiskFault::Slow(SlowDisk { of: Selector::AllBrokers, times });
        once(FaultKind::Disk(slow), SLOW_FROM, SLOW_FOR)
    });
    let again = |fault: NodeFault, every| repeated(Just(FaultKind::Node(fault)), (every, (10, 50)));
    let dies = (
        again(NodeFault::Crash(Selector::RandomBroker), 200),
        again(NodeFault::PowerLoss(Selector::RandomBroker), 300),
    );
    let stopped = (slow, dies).prop_map(|(slow, (crash, power))| {
        let stop = FaultKind::Node(NodeFault::Restart(Selector::AllBrokers));
        Stops(vec![once(stop, STOPPED_AT, STOPPED_FOR), slow, crash, power])
    });
    prop_oneof![18 => Just(Stops::default()), 1 => stopped].boxed()
}

impl Stops {
    /// Nothing else gets in the way.
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        if !self.0.is_empty() {
            scenario.cluster.config.extend(knobs(PATIENCE));
            scenario.faults = self.0;
        }
    }
}
