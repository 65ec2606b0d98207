//! Faults of nodes, done and undone.

use evidence::Recorder;
use scenarios::NodeFault;

use super::{Aim, Begun};
use crate::stage::Stage;

pub(super) enum Undo {
    Revive(Vec<usize>),
    Resume(Vec<usize>),
}

pub(super) fn begin(fault: &NodeFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        NodeFault::Crash(selector) | NodeFault::PowerLoss(selector) | NodeFault::Restart(selector) => {
            let mut members = aim.choose(selector);
            let (stage, recorder) = (&*aim.stage, aim.recorder);
            // What is down suffers no more, and comes back when its own fault ends.
            members.retain(|&member| stage.is_running(member));
            for &member in &members {
                match fault {
                    NodeFault::PowerLoss(_) => stage.power_loss(member, recorder),
                    NodeFault::Restart(_) => {
                        stage.node(member).resume();
                        stage.stop(member, recorder);
                    }
                    NodeFault::Crash(_) | NodeFault::Pause(_) => stage.crash(member, recorder),
                }
            }
            Begun { whom: aim.names(&members), undo: super::Undo::Node(Undo::Revive(members)) }
        }
        NodeFault::Pause(selector) => {
            let mut members = aim.choose(selector);
            members.retain(|&member| aim.stage.is_up(member));
            members.iter().for_each(|&member| aim.stage.node(member).pause());
            Begun { whom: aim.names(&members), undo: super::Undo::Node(Undo::Resume(members)) }
        }
    }
}

impl Undo {
    /// Answers what must be asked for again: a server that was told to stop and has not.
    pub(super) fn undo(self, stage: &Stage) -> Option<Undo> {
        match self {
            Undo::Revive(members) => {
                let (slow, down): (Vec<_>, Vec<_>) = members.into_iter().partition(|&member| stage.is_running(member));
                down.iter().for_each(|&member| stage.revive(member));
                (!slow.is_empty()).then_some(Undo::Revive(slow))
            }
            Undo::Resume(members) => {
                members.iter().for_each(|&member| stage.node(member).resume());
                None
            }
        }
    }

    /// Gives a server that is on its way down no more time.
    pub(super) fn hurry(&self, stage: &Stage, recorder: &Recorder) {
        if let Undo::Revive(members) = self {
            for &member in members.iter().filter(|&&member| stage.is_running(member)) {
                stage.crash(member, recorder);
            }
        }
    }
}
