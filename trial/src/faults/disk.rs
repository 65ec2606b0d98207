//! Faults of disks, done and undone.

use evidence::Harm;
use scenarios::{Atlas, DeadDisk, DiskError, DiskFault, Lies, LogDir, Operation, Sectors, SlowDisk, Wiped};
use sim::{DiskState, Scope};

use super::atlas::{self, Verdict};
use super::{Aim, Begun};
use crate::scene::Scene;
use crate::stage::Stage;

pub(super) enum Undo {
    Free(Vec<usize>),
    StopFailing(sim::Operation, Vec<usize>),
    GoOn(Vec<usize>),
    Hasten(Vec<usize>),
    /// What is hurt stays so, but an operator takes care of the nodes that gave up.
    Attend(Vec<usize>),
    TellTheTruth(Vec<usize>),
    /// They are dark, and shall come back with empty disks.
    ReplaceDisk(Atlas, Option<LogDir>, Vec<usize>),
    ComeBack(Vec<usize>),
    /// Their disk is in its place again, and they shall be started with it.
    Restart(Vec<usize>),
}

pub(super) fn begin(fault: &DiskFault, mut aim: Aim<'_>) -> Begun {
    let mut members = aim.choose(fault.of());
    let disk = |member: usize, aim: &Aim<'_>| aim.stage.node(member).disk().clone();
    let undo = match fault {
        DiskFault::Full(_) => {
            members.iter().for_each(|&member| aim.stage.fill_disk(member));
            Undo::Free(members.clone())
        }
        DiskFault::Error(DiskError { on, chance, log_dir, .. }) => {
            let operation = match on {
                Operation::Read => sim::Operation::Read,
                Operation::Write => sim::Operation::Write,
                Operation::Sync => sim::Operation::Sync,
            };
            for &member in &members {
                if let Some(log_dir) = log_dir {
                    let scope = Scope::Directories(vec![aim.stage.log_dir(member, log_dir)]);
                    disk(member, &aim).fail_only_in(operation, scope);
                }
                match chance {
                    None => disk(member, &aim).fail_next(operation, 1),
                    Some(chance) => {
                        let stream = aim.own_stream(member);
                        disk(member, &aim).fail_by_chance(operation, chance.as_f64(), stream);
                    }
                }
            }
            Undo::StopFailing(operation, members.clone())
        }
        DiskFault::Dead(DeadDisk { log_dir, .. }) => {
            for &member in &members {
                let all = || aim.stage.log_dirs(member);
                let dying = log_dir.as_ref().map_or_else(all, |one| vec![aim.stage.log_dir(member, one)]);
                dying.iter().for_each(|directory| disk(member, &aim).die(directory));
            }
            Undo::ComeBack(members.clone())
        }
        DiskFault::Stalled(_) => {
            members.iter().for_each(|&member| disk(member, &aim).stall());
            Undo::GoOn(members.clone())
        }
        DiskFault::Slow(SlowDisk { times, .. }) => {
            members.iter().for_each(|&member| disk(member, &aim).set_slowness(*times));
            Undo::Hasten(members.clone())
        }
        DiskFault::Rot(Sectors { sectors, atlas, .. }) => {
            for &member in &members {
                let scope = scope(*atlas, member, &mut aim);
                disk(member, &aim).rot(&scope, *sectors, aim.stream);
            }
            Undo::Attend(members.clone())
        }
        DiskFault::Unreadable(Sectors { sectors, atlas, .. }) => {
            for &member in &members {
                let scope = scope(*atlas, member, &mut aim);
                disk(member, &aim).make_unreadable(&scope, *sectors, aim.stream);
            }
            Undo::Attend(members.clone())
        }
        DiskFault::LostWrites(lies) => {
            tell_lies(lies, Harm::Lost, &members, &mut aim);
            Undo::TellTheTruth(members.clone())
        }
        DiskFault::MisdirectedWrites(lies) => {
            tell_lies(lies, Harm::Misdirected, &members, &mut aim);
            Undo::TellTheTruth(members.clone())
        }
        DiskFault::Wiped(Wiped { atlas, log_dir, .. }) => {
            // A voter's word is on its disk alone, in the first of its directories.
            members.retain(|&member| match log_dir {
                Some(log_dir) => aim.stage.log_dirs(member).first() != Some(&aim.stage.log_dir(member, log_dir)),
                None => *atlas == Atlas::Off || !aim.stage.votes(member),
            });
            for &member in &members {
                aim.stage.power_loss(member, aim.recorder);
            }
            Undo::ReplaceDisk(*atlas, log_dir.clone(), members.clone())
        }
    };
    Begun { whom: aim.names(&members), undo: super::Undo::Disk(undo) }
}

fn tell_lies(lies: &Lies, harm: Harm, members: &[usize], aim: &mut Aim<'_>) {
    for &member in members {
        let scope = scope(lies.atlas, member, aim);
        let stream = aim.own_stream(member);
        aim.stage.node(member).disk().lie(scope, harm, lies.chance.as_f64(), stream);
    }
}

fn scope(atlas: Atlas, member: usize, aim: &mut Aim<'_>) -> Scope {
    match atlas {
        Atlas::On => atlas::scope(member, aim.stage, aim.scene),
        Atlas::Off => {
            aim.stage.spare_no_more(member);
            Scope::Everything
        }
    }
}

impl Undo {
    /// Answers what must be asked for again: a node that may not come back yet.
    pub(super) fn undo(self, stage: &Stage, scene: &Scene) -> Option<Undo> {
        let each = |members: &[usize], mend: &dyn Fn(&DiskState)| {
            members.iter().for_each(|&member| mend(stage.node(member).disk()));
        };
        let members = match self {
            Undo::Free(members) => {
                members.iter().for_each(|&member| stage.free_disk(member));
                members
            }
            Undo::StopFailing(operation, members) => {
                each(&members, &|disk| disk.fail_no_more(operation));
                members
            }
            Undo::GoOn(members) => {
                each(&members, &DiskState::go_on);
                members
            }
            Undo::Hasten(members) => {
                each(&members, &|disk| disk.set_slowness(1));
                members
            }
            Undo::TellTheTruth(members) => {
                each(&members, &DiskState::tell_the_truth);
                each(&members, &DiskState::forget_cache);
                members
            }
            Undo::ComeBack(members) => {
                each(&members, &DiskState::come_back);
                return Undo::Restart(members).undo(stage, scene);
            }
            Undo::Restart(members) => {
                let rest = without(members, |member| restart(member, stage, scene));
                return (!rest.is_empty()).then_some(Undo::Restart(rest));
            }
            Undo::Attend(members) => members,
            Undo::ReplaceDisk(atlas, log_dir, members) => {
                let rest = without(members, |member| replace_disk(atlas, log_dir.as_ref(), member, stage, scene));
                return (!rest.is_empty()).then_some(Undo::ReplaceDisk(atlas, log_dir, rest));
            }
        };
        let rest = without(members, |member| attend(member, stage, scene));
        (!rest.is_empty()).then_some(Undo::Attend(rest))
    }
}

fn without(members: Vec<usize>, is_done: impl Fn(usize) -> bool) -> Vec<usize> {
    members.into_iter().filter(|&member| !is_done(member)).collect()
}

/// An operator does with a node that gave up what its error says: moves damaged logs away, and starts it. False if that must
/// wait.
pub(crate) fn attend(member: usize, stage: &Stage, scene: &Scene) -> bool {
    if !scene.gave_up(stage.node(member).name()) {
        return true;
    }
    let disk = stage.node(member).disk();
    match atlas::may_start(member, stage, scene) {
        Verdict::MustWait => return false,
        Verdict::MustBeMended => disk.undo_damage(),
        Verdict::MayStart => {
            let logs = scene.partitions().map(|(name, _)| name);
            let hurt = logs.filter(|log| atlas::is_hurt(member, log, stage, scene));
            hurt.for_each(|log| disk.remove_directory(&stage.log_directory(member, &log)));
        }
    }
    stage.revive(member);
    true
}

/// The disk is in its place again, and the broker is started with it. False if that must wait: another of its logs may be hurt.
fn restart(member: usize, stage: &Stage, scene: &Scene) -> bool {
    if !scene.has_lost_directory(stage.node(member).name()) {
        return attend(member, stage, scene);
    }
    match atlas::may_start(member, stage, scene) {
        Verdict::MustWait => return false,
        Verdict::MustBeMended => stage.node(member).disk().undo_damage(),
        Verdict::MayStart => {}
    }
    stage.node(member).crash();
    stage.revive(member);
    true
}

fn replace_disk(atlas: Atlas, log_dir: Option<&LogDir>, member: usize, stage: &Stage, scene: &Scene) -> bool {
    if stage.is_running(member) {
        return true;
    }
    let disk = stage.node(member).disk();
    let replaced = log_dir.map(|log_dir| stage.log_dir(member, log_dir));
    let (verdict, begun_anew) = match (atlas, &replaced) {
        (Atlas::On, None) => (atlas::verdict(member, |_| true, stage, scene), Vec::new()),
        (Atlas::On, Some(replaced)) => {
            let is_lost = |log: &str| log.rsplit_once('/').is_some_and(|(root, _)| root == replaced);
            let (verdict, begun_anew) = atlas::may_lose_a_disk(member, is_lost, stage, scene);
            (verdict.max(atlas::may_start(member, stage, scene)), begun_anew)
        }
        (Atlas::Off, _) => (Verdict::MayStart, Vec::new()),
    };
    match (verdict, &replaced) {
        (Verdict::MustWait, _) => return false,
        // It has a last copy: it keeps its disk, and whatever harm was done to it before is undone.
        (Verdict::MustBeMended, _) => disk.undo_damage(),
        (Verdict::MayStart, None) => disk.wipe(),
        (Verdict::MayStart, Some(directory)) => {
            disk.wipe_directory(directory);
            begun_anew.into_iter().for_each(|partition| stage.begin_anew(member, partition));
        }
    }
    stage.revive(member);
    true
}
