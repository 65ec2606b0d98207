//! The fault atlas: where harm may be done to stored bytes, so that enough good copies are left. Its rules, in the words of those
//! who write scenarios, are in `scenarios/src/fault/disk.rs`.
//!
//! It asks no list of its own but the world: which bytes are wrong, who is up, who is in sync by the newest metadata that anybody
//! has seen. A copy counts as good if its node is up and in sync and nothing is wrong with its log. Harm is done only next to a
//! good copy; and since a node with a hurt log may find that log shorter than it was, it is kept from coming back as a member
//! of the in-sync set. So each committed record is, at any time, in a log that is whole.

use scenarios::PartitionName;
use sim::Scope;

use crate::scene::{Scene, Seen};
use crate::stage::Stage;

/// What may be done with a node that is down, and whose logs are hurt (or will be).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// No copy of its own counts.
    MayStart,
    /// It is in sync, and others are too: it will soon be taken out.
    MustWait,
    /// Some log of its own is the last copy in sync.
    MustBeMended,
}

/// The logs of this member that may be hurt now.
pub(super) fn scope(member: usize, stage: &Stage, scene: &Scene) -> Scope {
    let logs = scene.partitions().filter(|(_, seen)| is_replica(member, seen, stage));
    let spare = logs.filter(|(name, seen)| {
        is_settled(member, name, stage, scene) && has_good_copy_beside(member, name, seen, stage)
    });
    Scope::Directories(spare.map(|(name, _)| stage.log_directory(member, &name)).collect())
}

/// May a member that is down start on its disk as it is?
pub(super) fn may_start(member: usize, stage: &Stage, scene: &Scene) -> Verdict {
    if !stage.is_spared(member) {
        return Verdict::MayStart;
    }
    verdict(member, |log| is_hurt(member, log, stage, scene), stage, scene)
}

/// Is anything wrong with a member's log? Its bytes, or what the node told of it: a log that was shortened for the sake of bytes that
/// have since been mended is not what it was.
pub(super) fn is_hurt(member: usize, log: &PartitionName, stage: &Stage, scene: &Scene) -> bool {
    let node = stage.node(member);
    node.disk().is_hurt(&stage.log_directory(member, log)) || scene.has_found_damaged(node.name(), log)
}

/// May it start if these logs are hurt?
pub(super) fn verdict(
    member: usize,
    is_hurt: impl Fn(&PartitionName) -> bool,
    stage: &Stage,
    scene: &Scene,
) -> Verdict {
    let logs = scene.partitions().filter(|(_, seen)| is_replica(member, seen, stage));
    let hurt = logs.filter(|(name, _)| is_hurt(name));
    let verdicts = hurt.map(|(name, seen)| {
        if !stage.broker(member).is_some_and(|id| seen.in_sync.contains(&id)) {
            Verdict::MayStart
        } else if has_good_copy_beside(member, &name, seen, stage) {
            Verdict::MustWait
        } else {
            Verdict::MustBeMended
        }
    });
    verdicts.max().unwrap_or(Verdict::MayStart)
}

/// May it start if the disk with these logs is replaced by an empty one, and others are not? Metadata knows what lay there (KIP-858), so
/// that nobody takes it for in sync by its name alone. It may therefore be in sync once all of those are given up who were, as long as
/// another of them has the records. Not before: a broker that is back is taken out where another one seems to be there, so that the one
/// with the empty disk could be the last one in sync.
pub(super) fn may_lose_a_disk(
    member: usize,
    is_lost: impl Fn(&str) -> bool,
    stage: &Stage,
    scene: &Scene,
) -> (Verdict, Vec<PartitionName>) {
    let (mut verdict, mut begun_anew) = (Verdict::MayStart, Vec::new());
    for (name, seen) in scene.partitions().filter(|(_, seen)| is_replica(member, seen, stage)) {
        let is_in_sync = stage.broker(member).is_some_and(|id| seen.in_sync.contains(&id));
        if !is_in_sync || !is_lost(&stage.log_directory(member, &name)) {
            continue;
        }
        let is_alone = !others_in_sync(member, &name, seen, stage).any(|_| true);
        if is_alone {
            verdict = verdict.max(Verdict::MustBeMended);
        } else if seen.leader.is_some() {
            verdict = verdict.max(Verdict::MustWait);
        }
        begun_anew.push(name);
    }
    (verdict, begun_anew)
}

/// Between the start of a process and the opening of a log nobody can tell any more whether that log may be a short one.
fn is_settled(member: usize, name: &PartitionName, stage: &Stage, scene: &Scene) -> bool {
    !stage.is_running(member) || scene.has_opened(stage.node(member).name(), name)
}

fn is_replica(member: usize, seen: &Seen, stage: &Stage) -> bool {
    stage.broker(member).is_some_and(|id| seen.replicas.contains(&id))
}

/// Is there another replica that is up, in sync and unhurt?
fn has_good_copy_beside(member: usize, name: &PartitionName, seen: &Seen, stage: &Stage) -> bool {
    others_in_sync(member, name, seen, stage).any(|other| stage.is_up(other))
}

/// Other replicas that are in sync and unhurt.
fn others_in_sync<'a>(
    member: usize,
    name: &'a PartitionName,
    seen: &'a Seen,
    stage: &'a Stage,
) -> impl Iterator<Item = usize> + 'a {
    let others = seen.in_sync.iter().filter_map(|&id| stage.member_of(id)).filter(move |&other| other != member);
    others.filter(move |&other| {
        let directory = stage.log_directory(other, name);
        !stage.has_begun_anew(other, name) && !stage.node(other).disk().is_hurt(&directory)
    })
}
