//! The quiet phase: the faults are over, some nodes stay broken, and the rest must find itself.
//!
//! Who is left broken is drawn from a stream of its own. Whatever a node suffers already goes on; one that is whole goes down,
//! stands still or is cut off; or one of its log directories dies, where it has several, and it stays in the core with the others. The rest, the *core*, always keeps what it cannot do without: a majority of voters, and of each
//! partition as many replicas as must be in sync. Mostly, but not always, one of them was in the last in-sync set; where none
//! is, that partition may stay out of service, and the promise says why.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evidence::{NodeName, Recorder, What};
use model::BrokerId;
use parking_lot::Mutex;
use scenarios::{Change, ChangeKind, PartitionName, Scenario, Selector, Topic};
use sim::{Links, Stream};

use crate::faults::attend;
use crate::scene::Scene;
use crate::selection::{Role, select};
use crate::stage::Stage;
use crate::workload::Ground;
use crate::workload::errands::{self, Probed, probe};

/// How soon the core must have found itself, where the scenario does not say.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// The fault that those who are left broken suffer; faults of scenarios are numbered from 1.
const FAULT: u32 = 0;

/// What a node suffered when the faults ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suffering {
    Nothing,
    Down,
    Dark,
    Paused,
}

/// What every node suffered when the faults ended.
pub(crate) struct Sufferings(Vec<Suffering>);

impl Sufferings {
    pub(crate) fn of(stage: &Stage) -> Sufferings {
        let of = |member| match stage.node(member) {
            node if !node.has_power() => Suffering::Dark,
            node if !node.is_running() => Suffering::Down,
            node if node.is_paused() => Suffering::Paused,
            _ => Suffering::Nothing,
        };
        Sufferings((0..stage.roles().len()).map(of).collect())
    }
}

/// Who is left broken.
pub(crate) enum Left {
    Nobody,
    /// The core goes without these; if without any, somebody in it has lost a log directory.
    These(BTreeSet<usize>),
}

/// Breaks who is to be left broken, in a world that is healed.
pub(crate) fn leave(
    scenario: &Scenario,
    stage: &Stage,
    scene: &Scene,
    sufferings: &Sufferings,
    recorder: &Recorder,
) -> Left {
    let mut stream = stage.world.stream("quiet");
    let mut left = choose(scenario, stage, scene, sufferings, &mut stream);
    if left.is_empty() {
        return Left::Nobody;
    }
    let mut told = Vec::new();
    for member in left.clone() {
        if sufferings.0[member] == Suffering::Nothing
            && let Some(directory) = some_directory(member, stage, scene, &mut stream)
        {
            stage.node(member).disk().die(&directory);
            told.push(format!("{} is without {directory}", stage.node(member).name()));
            left.remove(&member);
        }
    }
    for &member in &left {
        let how = break_one(member, stage, sufferings.0[member], recorder, &left, &mut stream);
        told.push(format!("{} {how}", stage.node(member).name()));
    }
    stage.world.note(What::FaultBegan { id: FAULT, text: format!("left broken: {}", told.join(", ")) });
    Left::These(left)
}

/// One time in two: a log directory of a broker that has several, but not the first, which has the metadata. Its logs are open, so that it
/// can say what it loses.
fn some_directory(member: usize, stage: &Stage, scene: &Scene, stream: &mut Stream) -> Option<String> {
    let directories = stage.log_dirs(member);
    let others = directories.get(1..).filter(|others| !others.is_empty())?;
    let id = stage.broker(member)?;
    let mut logs = scene.partitions().filter(|(_, seen)| seen.replicas.contains(&id));
    let are_open = logs.all(|(name, _)| scene.has_opened(stage.node(member).name(), &name));
    if are_open && stream.chance(0.5) { stream.pick(others).cloned() } else { None }
}

/// Makes whole who was left broken.
pub(crate) fn heal(stage: &mut Stage, scene: &Scene) {
    stage.bring_disks_back();
    stage.restart_those_that_lost_a_directory(scene);
    stage.heal();
    stage.world.note(What::FaultEnded { id: FAULT });
}

fn break_one(
    member: usize,
    stage: &Stage,
    suffered: Suffering,
    recorder: &Recorder,
    left: &BTreeSet<usize>,
    stream: &mut Stream,
) -> &'static str {
    let drawn = stream.below(6);
    match (suffered, drawn) {
        (Suffering::Down, _) | (Suffering::Nothing, 0) => {
            stage.crash(member, recorder);
            "is down"
        }
        (Suffering::Dark, _) | (Suffering::Nothing, 1) => {
            stage.power_loss(member, recorder);
            "has no power"
        }
        (Suffering::Paused, _) | (Suffering::Nothing, 2) => {
            stage.node(member).pause();
            "stands still"
        }
        (Suffering::Nothing, way) => {
            // Those who are cut off may still hear each other, and clients that come later are cut off from them too.
            let own = stage.node(member).index();
            let others = (0..stage.roles().len()).filter(|other| !left.contains(other));
            let mut others: Vec<_> = others.map(|other| stage.node(other).index()).collect();
            others.extend(errands::NODES.map(|name| stage.world.node(name).index()));
            let (links, words) = match way {
                3 => (Links::both_ways(&[own], &others), "is cut off"),
                4 => (Links::one_way(&[own], &others), "is not heard"),
                _ => (Links::one_way(&others, &[own]), "hears nobody"),
            };
            // Lifted with everything else when the rest is healed.
            let _lasts = stage.world.network().partition(&links);
            words
        }
    }
}

fn choose(
    scenario: &Scenario,
    stage: &Stage,
    scene: &Scene,
    sufferings: &Sufferings,
    stream: &mut Stream,
) -> BTreeSet<usize> {
    let roles = stage.roles();
    let suffers = |member: usize| sufferings.0[member] != Suffering::Nothing;
    let draw = |selector: &Selector, stream: &mut Stream| select(selector, roles, &suffers, scene, stream);
    let mut left: BTreeSet<usize> = BTreeSet::new();
    for selector in &scenario.quiet.leave {
        left.extend(draw(selector, stream));
    }
    let is_eligible_needed = stream.chance(0.75);
    let voters: BTreeSet<usize> =
        (0..roles.len()).filter(|&member| is_voter(roles[member], scenario.cluster.controllers)).collect();
    // Where voters change, who of them must be there in the end is not known: all are kept.
    let changes = |change: &Change| matches!(change.kind, ChangeKind::AddVoter(_) | ChangeKind::RemoveVoter(_));
    let do_change = scenario.cluster.voters.is_some() || scenario.changes.iter().any(changes);
    let least = if do_change { voters.len() } else { voters.len() / 2 + 1 };
    give_back(&mut left, &voters, least, stream);
    for topic in &scenario.topics {
        let seen = |index| scene.partition(&PartitionName { topic: topic.name.clone(), index });
        // It may have more than the scenario gave it.
        for seen in (0..).map_while(seen) {
            let members = |ids: &BTreeSet<BrokerId>| -> BTreeSet<usize> {
                let holds = |role: &Role| matches!(role, Role::Broker(id) if ids.contains(id));
                (0..roles.len()).filter(|&member| holds(&roles[member])).collect()
            };
            let least = usize::try_from(in_sync_min(scenario, topic)).unwrap_or(1);
            let before: BTreeSet<BrokerId> =
                seen.replicas.iter().copied().filter(|id| !seen.adding.contains(id)).collect();
            give_back(&mut left, &members(&before), least.min(before.len()), stream);
            if !seen.adding.is_empty() {
                // The move may still come to its end.
                let after: BTreeSet<BrokerId> = seen.replicas.iter().copied().take(topic.replicas as usize).collect();
                give_back(&mut left, &members(&after), least.min(after.len()), stream);
            }
            if is_eligible_needed {
                give_back(&mut left, &members(&seen.in_sync), 1, stream);
            }
        }
    }
    left
}

/// The most that a topic ever wants in sync.
fn in_sync_min(scenario: &Scenario, topic: &Topic) -> u32 {
    let altered = scenario.changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::AlterTopic(alter) if alter.topic == topic.name => {
            alter.settings.get("min.insync.replicas")?.parse().ok()
        }
        _ => None,
    });
    altered.fold(topic.min_insync_replicas, u32::max)
}

fn is_voter(role: Role, controllers: u32) -> bool {
    match role {
        Role::Broker(_) => controllers == 0,
        Role::Controller(_) => true,
        Role::Producer(_) | Role::Consumer(_) => false,
    }
}

/// Takes members out of `left` until `least` of `group` are not in it.
fn give_back(left: &mut BTreeSet<usize>, group: &BTreeSet<usize>, least: usize, stream: &mut Stream) {
    let mut missed: Vec<usize> = group.intersection(left).copied().collect();
    stream.shuffle(&mut missed);
    let whole = group.len() - missed.len();
    for member in missed.into_iter().take(least.saturating_sub(whole)) {
        left.remove(&member);
    }
}

/// Demands that all but `left` find themselves: every partition that can takes a record and gives it back, and `stalls` says what is
/// missing yet. A node of theirs that gives up is attended to as ever. Answers what was not to be had, besides what the promise will tell
/// of.
pub(crate) async fn demand(
    stage: &Stage,
    ground: &Ground,
    left: &BTreeSet<usize>,
    within: Duration,
    stalls: impl Fn() -> Vec<String>,
    scene: impl Fn() -> Scene,
) -> Option<String> {
    let world = &stage.world;
    let is_core = |member: &usize| !stage.roles()[*member].is_client() && !left.contains(member);
    let core: Vec<usize> = (0..stage.roles().len()).filter(is_core).collect();
    let names = core.iter().map(|&member| NodeName(stage.node(member).name().into()));
    world.note(What::QuietBegan { core: names.collect() });
    let progress: Arc<Mutex<BTreeMap<_, Probed>>> = Arc::default();
    let (own, noted) = (ground.clone(), progress.clone());
    let prober = errands::start(world, errands::PROBE, move |host| probe(host, own.clone(), noted.clone()));
    let unread = || {
        let progress = progress.lock();
        progress.iter().find(|(_, probed)| **probed == Probed::Written).map(|(partition, _)| partition.to_string())
    };
    let deadline = world.now() + within;
    loop {
        let scene = scene();
        let waiting = core.iter().filter(|&&member| !attend(member, stage, &scene)).count();
        if deadline <= world.now() || waiting == 0 && stalls().is_empty() && unread().is_none() {
            break;
        }
        world.sleep(LOOK).await;
    }
    prober.crash();
    world.note(What::QuietEnded);
    let seconds = within.as_secs();
    unread().map(|partition| {
        format!("{partition} took a record and did not give it back within {seconds} s after the healing")
    })
}
