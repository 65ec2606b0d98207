//! How often a fault comes, and for how long: from now and then to flickering.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::fault::{Fault, FaultKind, When};
use crate::scenario::Scenario;
use crate::words::Range;

/// Simulated time of a random run's workload.
pub(super) const LENGTH: Duration = Duration::from_secs(30);

/// When faults may begin: the first seconds show a healthy cluster, and the last ones what is left of it.
pub(super) const FAULTS_FROM: Duration = Duration::from_secs(2);
const FAULTS_TO: Duration = Duration::from_secs(24);

/// Has everything go on for twice as long.
pub(super) fn stretch(scenario: &mut Scenario) {
    let twice = |range: &mut Range| *range = Range::between(range.from * 2, range.to * 2);
    scenario.producers.iter_mut().filter_map(|producer| producer.lasts.as_mut()).for_each(twice);
    scenario.consumers.iter_mut().filter_map(|consumer| consumer.lasts.as_mut()).for_each(twice);
    scenario.changes.iter_mut().for_each(|change| twice(&mut change.at));
    for fault in &mut scenario.faults {
        match &mut fault.when {
            When::At(at) => twice(at),
            When::Every { between, .. } => between.iter_mut().for_each(twice),
        }
    }
}

/// Milliseconds from one to the next, and how long each lasts: rare and long, steady, restless, flickering.
const PACES: &[Pace] =
    &[(10_000, (1_000, 9_000)), (5_000, (200, 6_000)), (3_000, (50, 2_000)), (1_000, (10, 500)), (300, (10, 80))];

/// A range of these bounds, in milliseconds and in round numbers: people will read it.
pub(super) fn span(min_ms: u32, max_ms: u32) -> impl Strategy<Value = Range> {
    let step = if max_ms < 1_000 { 10 } else { 100 };
    let steps = 0..=(max_ms - min_ms) / step;
    (steps.clone(), steps).prop_map(move |(one, other)| {
        let span = |steps: u32| Duration::from_millis(u64::from(min_ms + step * steps));
        Range::between(span(one.min(other)), span(one.max(other)))
    })
}

/// From one to the next, and how long each lasts: bounds in milliseconds.
pub(super) type Pace = (u32, (u32, u32));

/// The fault again and again, at one of the paces; or, seldom, once.
pub(super) fn paced(kind: impl Strategy<Value = FaultKind>) -> impl Strategy<Value = Fault> {
    (kind, select(PACES)).prop_flat_map(|(kind, pace)| {
        let once = (FAULTS_FROM.as_secs()..FAULTS_TO.as_secs())
            .prop_map(|at| When::At(Range::exactly(Duration::from_secs(at))));
        fault(kind, prop_oneof![6 => often(pace), 1 => once], pace)
    })
}

/// The fault from this moment on, for so long.
pub(super) fn once(kind: FaultKind, at: Duration, lasts: Duration) -> Fault {
    let exactly = |span: Duration| Range::exactly(span);
    Fault { when: When::At(exactly(at)), moment: None, kind, lasts: Some(exactly(lasts)), during: None }
}

/// The fault again and again, at this pace.
pub(super) fn repeated(kind: impl Strategy<Value = FaultKind>, pace: Pace) -> impl Strategy<Value = Fault> {
    kind.prop_flat_map(move |kind| fault(kind, often(pace), pace))
}

fn often((period, _): Pace) -> impl Strategy<Value = When> {
    span(period / 2, period * 2)
        .prop_map(|every| When::Every { every, between: Some(Range::between(FAULTS_FROM, FAULTS_TO)) })
}

fn fault(kind: FaultKind, when: impl Strategy<Value = When>, (_, lasts): Pace) -> impl Strategy<Value = Fault> {
    (when, span(lasts.0, lasts.1)).prop_map(move |(when, lasts)| Fault {
        when,
        moment: None,
        kind: kind.clone(),
        lasts: Some(lasts),
        during: None,
    })
}
