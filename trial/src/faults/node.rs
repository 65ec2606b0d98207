//! Faults of nodes, done and undone.

use evidence::Recorder;
use scenarios::{NodeFault, Reconfigure};

use super::atlas::{self, Verdict};
use super::{Aim, Begun};
use crate::scene::Scene;
use crate::stage::Stage;

pub(super) enum Undo {
    Revive(Vec<usize>),
    Resume(Vec<usize>),
}

pub(super) fn begin(fault: &NodeFault, mut aim: Aim<'_>) -> Begun {
    let mut members = aim.choose(fault.of());
    let (stage, recorder) = (&*aim.stage, aim.recorder);
    if let NodeFault::Pause(_) = fault {
        members.retain(|&member| stage.is_up(member));
        members.iter().for_each(|&member| stage.node(member).pause());
        return Begun { whom: aim.names(&members), undo: super::Undo::Node(Undo::Resume(members)) };
    }
    if let NodeFault::Reconfigure(Reconfigure { with, .. }) = fault {
        members.iter().for_each(|&member| stage.configure(member, with));
    }
    // What is down suffers no more, and comes back when its own fault ends, as it is configured by then.
    members.retain(|&member| stage.is_running(member));
    for &member in &members {
        match fault {
            NodeFault::PowerLoss(_) => stage.power_loss(member, recorder),
            NodeFault::Restart(_) | NodeFault::Reconfigure(_) => stop(member, stage, recorder),
            NodeFault::Crash(_) | NodeFault::Pause(_) => stage.crash(member, recorder),
        }
    }
    Begun { whom: aim.names(&members), undo: super::Undo::Node(Undo::Revive(members)) }
}

fn stop(member: usize, stage: &Stage, recorder: &Recorder) {
    stage.node(member).resume();
    stage.stop(member, recorder);
}

impl Undo {
    /// Answers what must be asked for again: a server that was told to stop and has not, or may not come back yet.
    pub(super) fn undo(self, stage: &Stage, scene: &Scene) -> Option<Undo> {
        match self {
            Undo::Revive(members) => {
                let rest: Vec<usize> = members.into_iter().filter(|&member| !revive(member, stage, scene)).collect();
                (!rest.is_empty()).then_some(Undo::Revive(rest))
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

/// Starts what is down; false if that must wait.
fn revive(member: usize, stage: &Stage, scene: &Scene) -> bool {
    if stage.is_running(member) {
        return false;
    }
    match atlas::may_start(member, stage, scene) {
        Verdict::MustWait => return false,
        Verdict::MustBeMended => stage.node(member).disk().undo_damage(),
        Verdict::MayStart => {}
    }
    stage.revive(member);
    true
}
