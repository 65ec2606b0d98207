//! Faults of clocks, done and undone.

use scenarios::{Clock, ClockFault};
use sim::Stream;

use super::{Aim, Begun};
use crate::stage::Stage;

pub(super) enum Undo {
    SetRight(Vec<usize>),
}

pub(super) fn begin(fault: &ClockFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        ClockFault::Wrong(Clock { of, offset, drift }) => {
            let members = aim.choose(of);
            for &member in &members {
                if let Some(offset) = offset {
                    let offset = between(offset.from, offset.to, aim.stream);
                    aim.stage.node(member).set_clock_offset(offset / 1_000_000);
                }
                if let Some(drift) = drift {
                    let drift = between(drift.from, drift.to, aim.stream);
                    aim.stage.node(member).set_clock_drift(drift);
                }
            }
            Begun { whom: aim.names(&members), undo: super::Undo::Clock(Undo::SetRight(members)) }
        }
    }
}

/// A number between two bounds, both included.
fn between(from: i64, to: i64, stream: &mut Stream) -> i64 {
    from.saturating_add_unsigned(stream.between(0..to.abs_diff(from) + 1))
}

impl Undo {
    pub(super) fn undo(self, stage: &Stage) {
        match self {
            Undo::SetRight(members) => members.iter().for_each(|&member| stage.set_clock_right(member)),
        }
    }
}
