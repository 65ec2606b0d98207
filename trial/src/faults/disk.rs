//! Faults of disks, done and undone.

use scenarios::DiskFault;

use super::{Aim, Begun};
use crate::stage::Stage;

pub(super) enum Undo {
    Free(Vec<usize>),
}

pub(super) fn begin(fault: &DiskFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        DiskFault::Full(selector) => {
            let members = aim.choose(selector);
            members.iter().for_each(|&member| aim.stage.fill_disk(member));
            Begun { whom: aim.names(&members), undo: super::Undo::Disk(Undo::Free(members)) }
        }
    }
}

impl Undo {
    pub(super) fn undo(self, stage: &Stage) {
        match self {
            Undo::Free(members) => {
                for member in members {
                    stage.free_disk(member);
                    stage.revive(member);
                }
            }
        }
    }
}
