//! Random faults of clocks: a wall clock that is seconds or hours from the truth, or drifts away from it.

use proptest::option;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{Clock, ClockFault, Fault, FaultKind};
use crate::random::aim::servers;
use crate::random::pace::paced;
use crate::words::{ClockDrift, ClockOffset};

pub(super) const KINDS: &[Kind] = &[clock];

fn clock(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let seconds = prop_oneof![1..=10i64, 1..=3_600i64];
    let kind = (servers(topics), seconds, option::of(10..=5_000i64)).prop_map(|(of, seconds, ppm)| {
        let far = seconds * 1_000_000_000;
        let offset = Some(ClockOffset { from: -far, to: far });
        let drift = ppm.map(|ppm| ClockDrift { from: -ppm, to: ppm });
        FaultKind::Clock(ClockFault::Wrong(Clock { of, offset, drift }))
    });
    paced(kind).boxed()
}
