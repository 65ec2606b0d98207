//! Faults of clocks, done and undone.

use scenarios::ClockFault;

use super::{Aim, Begun};
use crate::stage::Stage;

pub(super) enum Undo {
    SetRight(Vec<usize>),
}

pub(super) fn begin(fault: &ClockFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        ClockFault::Offset(clock) => {
            let members = aim.choose(&clock.of);
            for &member in &members {
                let width = u64::try_from(clock.offset.to - clock.offset.from).unwrap_or(0);
                let offset = clock.offset.from + i64::try_from(aim.stream.between(0..width + 1)).unwrap_or(0);
                aim.stage.node(member).set_clock_offset(offset / 1_000_000);
            }
            Begun { whom: aim.names(&members), undo: super::Undo::Clock(Undo::SetRight(members)) }
        }
    }
}

impl Undo {
    pub(super) fn undo(self, stage: &Stage) {
        match self {
            Undo::SetRight(members) => members.iter().for_each(|&member| stage.node(member).set_clock_offset(0)),
        }
    }
}
