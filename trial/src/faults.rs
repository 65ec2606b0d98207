//! The faults of a scenario: each drawn from a stream of its own, so that taking one out moves no other.
//!
//! Time zero is when the workload begins: the cluster has formed and its topics are there. Aimed faults are obeyed, whatever
//! else is broken at that moment; what a node suffers already is not done to it twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Recorder, What};
use model::Time;
use scenarios::{Clients, Cut, Direction, Fault, FaultKind, Range, Selector, Sleep, When};
use sim::{Links, NodeIndex, Stream};

use crate::scene::Scene;
use crate::selection::select;
use crate::stage::{LinkChange, Overlay, Stage};

/// A server that was asked to stop and has not is asked about again after this.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Drives the faults of one run.
pub(crate) struct Faults {
    faults: Vec<Armed>,
    sleepers: Vec<Sleeper>,
    /// No sleep begins after this.
    end: Time,
    /// How often somebody slept, and woke.
    pub(crate) wakings: u64,
    agenda: BTreeMap<(Time, u64), Deed>,
    next_deed: u64,
    next_id: u32,
    recorder: Recorder,
}

/// A consumer that sleeps.
struct Sleeper {
    member: usize,
    sleep: Sleep,
    stream: Stream,
}

struct Armed {
    fault: Fault,
    stream: Stream,
    /// No repetition begins after this.
    until: Time,
}

enum Deed {
    Begin(usize),
    End(u32, Undo),
    /// The laptop lid of this consumer closes.
    Sleep(usize),
    Wake(usize),
}

/// What must be done to end a fault.
enum Undo {
    Nothing,
    Revive(Vec<usize>),
    Resume(Vec<usize>),
    Lift(sim::Fault),
    Remove(u32),
    SetClock(Vec<usize>),
    FreeDisk(Vec<usize>),
}

impl Faults {
    /// The faults of a scenario whose workload begins at `zero` and lasts for `length`.
    pub(crate) fn new(faults: &[Fault], zero: Time, length: Duration, stage: &Stage, recorder: Recorder) -> Faults {
        let mut driver = Faults {
            faults: Vec::new(),
            sleepers: Vec::new(),
            end: zero + length,
            wakings: 0,
            agenda: BTreeMap::new(),
            next_deed: 0,
            next_id: 1,
            recorder,
        };
        for (index, fault) in faults.iter().enumerate() {
            let mut stream = stage.world.stream(&format!("faults/{index}"));
            let (first, until) = match &fault.when {
                When::At(at) => (draw(*at, &mut stream), Duration::ZERO),
                When::Every { every, between } => {
                    let (from, to) = between.map_or((Duration::ZERO, length), |between| (between.from, between.to));
                    // The first comes within one period.
                    let period = draw(*every, &mut stream);
                    (from + stream.duration(Duration::ZERO..period), to.min(length))
                }
            };
            let is_late = matches!(fault.when, When::Every { .. }) && first > until;
            driver.faults.push(Armed { fault: fault.clone(), stream, until: zero + until });
            if !is_late {
                driver.plan(zero + first, Deed::Begin(index));
            }
        }
        driver
    }

    /// A consumer that sleeps; `from` is when it begins its work.
    pub(crate) fn add_sleeper(&mut self, member: usize, sleep: Sleep, from: Time, stage: &Stage) {
        let mut stream = stage.world.stream(&format!("sleep/{}", stage.node(member).name()));
        let first = match sleep {
            Sleep::Once { at, .. } => draw(at, &mut stream),
            Sleep::Repeated { every, .. } => draw(every, &mut stream),
        };
        self.sleepers.push(Sleeper { member, sleep, stream });
        self.plan(from + first, Deed::Sleep(self.sleepers.len() - 1));
    }

    /// When the next thing is to be done; never, if all is over.
    pub(crate) fn next(&self) -> Option<Time> {
        self.agenda.first_key_value().map(|((time, _), _)| *time)
    }

    /// Does what is due.
    pub(crate) fn step(&mut self, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Deed::Begin(index) => self.begin(index, stage, scene),
                Deed::End(id, undo) => self.end(id, undo, stage),
                Deed::Sleep(sleeper) => self.sleep(sleeper, stage),
                Deed::Wake(sleeper) => self.wake(sleeper, stage),
            }
        }
    }

    fn sleep(&mut self, sleeper: usize, stage: &Stage) {
        let now = stage.world.now();
        let Sleeper { member, sleep, stream } = &mut self.sleepers[sleeper];
        let (Sleep::Once { lasts, .. } | Sleep::Repeated { lasts, .. }) = *sleep;
        let lasts = draw(lasts, stream);
        if now <= self.end {
            stage.node(*member).pause();
            self.plan(now + lasts, Deed::Wake(sleeper));
        }
    }

    fn wake(&mut self, sleeper: usize, stage: &Stage) {
        let now = stage.world.now();
        let Sleeper { member, sleep, stream } = &mut self.sleepers[sleeper];
        if stage.node(*member).is_paused() {
            stage.node(*member).resume();
            self.wakings += 1;
        }
        if let Sleep::Repeated { every, .. } = *sleep {
            let next = now + draw(every, stream);
            self.plan(next, Deed::Sleep(sleeper));
        }
    }

    /// Ends every fault that goes on, and lets none begin.
    pub(crate) fn heal(&mut self, stage: &mut Stage) {
        let agenda = std::mem::take(&mut self.agenda);
        for deed in agenda.into_values() {
            match deed {
                Deed::End(id, undo) => {
                    // A server that is on its way down is given no more time.
                    if let Undo::Revive(members) = &undo {
                        for &member in members.iter().filter(|&&member| stage.is_running(member)) {
                            stage.crash(member, &self.recorder);
                        }
                    }
                    self.end(id, undo, stage);
                }
                Deed::Wake(sleeper) => {
                    stage.node(self.sleepers[sleeper].member).resume();
                    self.wakings += 1;
                }
                Deed::Begin(_) | Deed::Sleep(_) => {}
            }
        }
        stage.heal();
    }

    fn plan(&mut self, time: Time, deed: Deed) {
        self.agenda.insert((time, self.next_deed), deed);
        self.next_deed += 1;
    }

    fn begin(&mut self, index: usize, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        let Armed { fault, stream, until } = &mut self.faults[index];
        let lasts = fault.lasts.map(|lasts| draw(lasts, stream));
        if let When::Every { every, .. } = fault.when {
            let next = now + draw(every, stream).max(Duration::from_millis(1));
            if next <= *until {
                self.agenda.insert((next, self.next_deed), Deed::Begin(index));
                self.next_deed += 1;
            }
        }
        let kind = fault.kind.clone();
        let (whom, undo) = begin_kind(&kind, stage, scene, stream, &self.recorder);
        let id = self.next_id;
        self.next_id += 1;
        let whom = if whom.is_empty() { "nobody".to_owned() } else { whom.join(", ") };
        stage.world.note(What::FaultBegan { id, text: format!("{kind}: {whom}") });
        match lasts {
            Some(lasts) => self.plan(now + lasts, Deed::End(id, undo)),
            // Until the world is healed.
            None => self.plan(Time(u64::MAX), Deed::End(id, undo)),
        }
    }

    fn end(&mut self, id: u32, undo: Undo, stage: &mut Stage) {
        match undo {
            Undo::Nothing => {}
            Undo::Revive(members) => {
                let (slow, down): (Vec<_>, Vec<_>) = members.into_iter().partition(|&member| stage.is_running(member));
                down.iter().for_each(|&member| stage.revive(member));
                if !slow.is_empty() {
                    return self.plan(stage.world.now() + STOP_POLL, Deed::End(id, Undo::Revive(slow)));
                }
            }
            Undo::Resume(members) => members.iter().for_each(|&member| stage.node(member).resume()),
            Undo::Lift(fault) => stage.world.network().lift(fault),
            Undo::Remove(overlay) => stage.remove(overlay),
            Undo::SetClock(members) => members.iter().for_each(|&member| stage.node(member).set_clock_offset(0)),
            Undo::FreeDisk(members) => {
                for member in members {
                    stage.free_disk(member);
                    stage.revive(member);
                }
            }
        }
        stage.world.note(What::FaultEnded { id });
    }
}

/// Does it; says to whom, and how it ends.
fn begin_kind(
    kind: &FaultKind,
    stage: &mut Stage,
    scene: &Scene,
    stream: &mut Stream,
    recorder: &Recorder,
) -> (Vec<String>, Undo) {
    let mut chosen = |selector: &Selector, stage: &Stage| {
        select(selector, stage.roles(), |member| stage.is_up(member), scene, stream)
    };
    let names = |members: &[usize], stage: &Stage| -> Vec<String> {
        members.iter().map(|&member| stage.node(member).name().to_owned()).collect()
    };
    match kind {
        FaultKind::Crash(selector) | FaultKind::PowerLoss(selector) | FaultKind::Restart(selector) => {
            let mut members = chosen(selector, stage);
            // What is down suffers no more, and comes back when its own fault ends.
            members.retain(|&member| stage.is_running(member));
            for &member in &members {
                match kind {
                    FaultKind::PowerLoss(_) => stage.power_loss(member, recorder),
                    FaultKind::Restart(_) => {
                        stage.node(member).resume();
                        stage.stop(member, recorder);
                    }
                    _ => stage.crash(member, recorder),
                }
            }
            (names(&members, stage), Undo::Revive(members))
        }
        FaultKind::Pause(selector) => {
            let mut members = chosen(selector, stage);
            members.retain(|&member| stage.is_up(member));
            members.iter().for_each(|&member| stage.node(member).pause());
            (names(&members, stage), Undo::Resume(members))
        }
        FaultKind::Partition(cut) | FaultKind::Hold(cut) => {
            let split = chosen(&cut.split, stage);
            let from = cut.from.as_ref().map(|from| chosen(from, stage));
            let others = other_side(cut, &split, from, stage);
            let links = links(&stage.indexes(&split), &stage.indexes(&others), cut.direction);
            if split.is_empty() || others.is_empty() {
                return (Vec::new(), Undo::Nothing);
            }
            let network = stage.world.network();
            let is_hold = matches!(kind, FaultKind::Hold(_));
            let fault = if is_hold { network.hold(&links) } else { network.partition(&links) };
            let mut whom = names(&split, stage);
            if cut.from.is_some() {
                whom.push("from".to_owned());
                whom.extend(names(&others, stage));
            }
            (whom, Undo::Lift(fault))
        }
        FaultKind::Slow(slow) => {
            let (of, to) = (chosen(&slow.of, stage), slow.to.as_ref().map(|to| chosen(to, stage)));
            let change = LinkChange::Latency { min: slow.latency.from, max: slow.latency.to };
            overlay(stage, &of, to, slow.direction, change, &names)
        }
        FaultKind::Lossy(lossy) => {
            let (of, to) = (chosen(&lossy.of, stage), lossy.to.as_ref().map(|to| chosen(to, stage)));
            overlay(stage, &of, to, lossy.direction, LinkChange::Loss(lossy.loss.as_f64()), &names)
        }
        FaultKind::Clock(clock) => {
            let members = chosen(&clock.of, stage);
            for &member in &members {
                let width = u64::try_from(clock.offset.to - clock.offset.from).unwrap_or(0);
                let offset = clock.offset.from + i64::try_from(stream.between(0..width + 1)).unwrap_or(0);
                stage.node(member).set_clock_offset(offset / 1_000_000);
            }
            (names(&members, stage), Undo::SetClock(members))
        }
        FaultKind::FullDisk(selector) => {
            let members = chosen(selector, stage);
            members.iter().for_each(|&member| stage.fill_disk(member));
            (names(&members, stage), Undo::FreeDisk(members))
        }
    }
}

/// Who is on the far side of a cut.
fn other_side(cut: &Cut, split: &[usize], from: Option<Vec<usize>>, stage: &Stage) -> Vec<usize> {
    let inside: BTreeSet<usize> = split.iter().copied().collect();
    if let Some(from) = from {
        return from.into_iter().filter(|member| !inside.contains(member)).collect();
    }
    let with_clients = cut.clients == Clients::StayWithOthers && !cut.split.means_clients();
    let others = stage.roles().iter().enumerate().filter(|(member, _)| !inside.contains(member));
    others.filter(|(_, role)| with_clients || !role.is_client()).map(|(member, _)| member).collect()
}

/// The links between two sides, as the first sees the direction.
fn links(of: &[NodeIndex], others: &[NodeIndex], direction: Direction) -> Links {
    match direction {
        Direction::Both => Links::both_ways(of, others),
        Direction::In => Links::one_way(others, of),
        Direction::Out => Links::one_way(of, others),
    }
}

fn overlay(
    stage: &mut Stage,
    of: &[usize],
    to: Option<Vec<usize>>,
    direction: Direction,
    change: LinkChange,
    names: &dyn Fn(&[usize], &Stage) -> Vec<String>,
) -> (Vec<String>, Undo) {
    let to = to.unwrap_or_else(|| (0..stage.roles().len()).collect());
    let pairs =
        of.iter().flat_map(|&one| to.iter().map(move |&other| (one, other))).filter(|(one, other)| one != other);
    let mut changed = BTreeSet::new();
    for (one, other) in pairs {
        let (one, other) = (stage.node(one).index(), stage.node(other).index());
        if direction != Direction::In {
            changed.insert((one, other));
        }
        if direction != Direction::Out {
            changed.insert((other, one));
        }
    }
    let whom = names(of, stage);
    (whom, Undo::Remove(stage.overlay(Overlay { links: changed.into_iter().collect(), change })))
}

/// One span of a range, both ends included; one draw, whatever the range.
pub(crate) fn draw(range: Range, stream: &mut Stream) -> Duration {
    stream.duration(range.from..range.to + Duration::from_nanos(1))
}
