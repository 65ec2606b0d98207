//! Phases: when each begins and ends in this run, as its seed drew them.

use std::time::Duration;

use model::Time;
use scenarios::Scenario;
use sim::World;

use crate::faults::draw;

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) begin: Time,
    pub(crate) end: Time,
}

impl Window {
    pub(crate) fn length(&self) -> Duration {
        self.end.since(self.begin)
    }
}

/// The whole of a run's workload, and its phases by name.
pub(crate) struct Windows {
    whole: Window,
    phases: Vec<(String, Window)>,
}

impl Windows {
    /// Those of a scenario whose workload begins at `zero`: one phase after the other, each length drawn from its own stream.
    pub(crate) fn new(scenario: &Scenario, zero: Time, world: &World) -> Windows {
        let mut begin = zero;
        let phases = scenario.phases.iter().map(|phase| {
            let end = begin + draw(phase.lasts, &mut world.stream(&format!("phases/{}", phase.name)));
            let window = Window { begin, end };
            begin = end;
            (phase.name.clone(), window)
        });
        Windows { phases: phases.collect(), whole: Window { begin: zero, end: zero + scenario.length() } }
    }

    pub(crate) fn whole(&self) -> Window {
        self.whole
    }

    /// The phase of this name, or the whole run.
    pub(crate) fn of(&self, phase: Option<&str>) -> Window {
        let known = self.phases.iter().find(|(name, _)| Some(name.as_str()) == phase);
        known.map_or(self.whole, |(_, window)| *window)
    }

    /// Every phase, in order.
    pub(crate) fn phases(&self) -> impl Iterator<Item = (&str, Window)> {
        self.phases.iter().map(|(name, window)| (name.as_str(), *window))
    }
}
