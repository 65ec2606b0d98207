//! Random faults of clocks: a wall clock that is seconds or hours from the truth.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{Clock, ClockFault, Fault, FaultKind};
use crate::random::aim::servers;
use crate::random::pace::paced;
use crate::words::ClockOffset;

pub(super) const KINDS: &[Kind] = &[clock];

fn clock(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let seconds = prop_oneof![1..=10i64, 1..=3_600i64];
    let kind = (servers(topics), seconds).prop_map(|(of, seconds)| {
        let far = seconds * 1_000_000_000;
        let offset = Some(ClockOffset { from: -far, to: far });
        FaultKind::Clock(ClockFault::Wrong(Clock { of, offset, drift: None }))
    });
    paced(kind).boxed()
}
