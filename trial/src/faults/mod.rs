//! The faults of a scenario: each drawn from a stream of its own, so that taking one out moves no other.
//!
//! Time zero is when the workload begins: the cluster has formed and its topics are there. Aimed faults are obeyed, whatever
//! else is broken at that moment; what a node suffers already is not done to it twice.
//!
//! This file is the agenda: what is done when. What a fault does, and how it is undone, is in the file of its family.

mod atlas;
mod clock;
mod disk;
mod network;
mod node;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

pub(crate) use disk::attend;
use evidence::{Recorder, What};
use model::Time;
use scenarios::{Fault, FaultKind, Moment, Range, Selector, Sleep, When};
use sim::{DiskState, Stream, Streams, World};

use crate::phases::Windows;
use crate::scene::Scene;
use crate::selection::select;
use crate::stage::Stage;

/// A server that was asked to stop and has not, or that may not come back yet, is asked about again after this.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How long a fault waits for its moment.
const WRITES_MAX: Duration = Duration::from_secs(2);
const ELECTION_MAX: Duration = Duration::from_secs(5);

/// How long after a write it strikes: before its sync begins, or while that runs. If it was over by then, the next write is awaited.
const WRITES_LOOK: std::ops::Range<Duration> = Duration::ZERO..Duration::from_micros(500);

/// How often it looks for a new leader. Drawn, so that one is met before its first record or a few records later.
const ELECTION_POLL: std::ops::Range<Duration> = Duration::from_millis(1)..Duration::from_millis(150);

/// Drives the faults of one run.
pub(crate) struct Faults {
    faults: Vec<Armed>,
    sleepers: Vec<Sleeper>,
    /// No sleep begins after this.
    end: Time,
    /// How often somebody slept, and woke.
    pub(crate) wakings: u64,
    agenda: BTreeMap<(Time, u64), Deed>,
    /// Faults that strike after the next write.
    waiting: Vec<Await>,
    /// What goes on: by its identity the fault's place in the scenario, and how it ends.
    going: BTreeMap<u32, (usize, Undo)>,
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
    /// Without a length of its own it ends then, with its phase; none: with the run.
    ends: Option<Time>,
}

enum Deed {
    /// A note for the trace.
    Tell(String),
    Begin(usize),
    /// Something was written: the fault that awaited it looks whether it is still unsynced.
    LookForWrites(Await),
    /// A fault waits for a leader of later than `since`.
    AwaitElection {
        fault: usize,
        since: Time,
    },
    /// The next step of a fault that goes on.
    Step(u32),
    End(u32),
    /// The laptop lid of this consumer closes.
    Sleep(usize),
    Wake(usize),
}

/// A fault whose victims are drawn waits for their writes.
struct Await {
    fault: usize,
    members: Vec<usize>,
    until: Time,
    /// The disks of the victims, and how much had happened to each when it last looked.
    disks: Vec<(DiskState, u64)>,
}

/// Whom a fault befell, and how it ends.
struct Begun {
    /// By name.
    whom: Vec<String>,
    undo: Undo,
}

/// What must be done to end a fault.
enum Undo {
    Nothing,
    Node(node::Undo),
    Network(network::Undo),
    Disk(disk::Undo),
    Clock(clock::Undo),
}

/// What a fault is begun with.
struct Aim<'a> {
    stage: &'a mut Stage,
    scene: &'a Scene,
    /// The fault's own.
    stream: &'a mut Stream,
    recorder: &'a Recorder,
    /// Whom it waited for.
    chosen: Option<Vec<usize>>,
}

impl Aim<'_> {
    /// Whom a selector means now.
    fn choose(&mut self, selector: &Selector) -> Vec<usize> {
        if let Some(chosen) = self.chosen.take() {
            return chosen;
        }
        let stage = &*self.stage;
        select(selector, stage.roles(), &|member| stage.is_up(member), self.scene, self.stream)
    }

    /// For what is drawn while the fault lasts.
    fn own_stream(&mut self, member: usize) -> Stream {
        Streams::new(self.stream.bits()).stream(self.stage.node(member).name())
    }

    fn names(&self, members: &[usize]) -> Vec<String> {
        members.iter().map(|&member| self.stage.node(member).name().to_owned()).collect()
    }
}

impl Faults {
    /// The faults of a scenario whose workload takes place in `windows`.
    pub(crate) fn new(faults: &[Fault], windows: &Windows, stage: &Stage, recorder: Recorder) -> Faults {
        let mut driver = Faults {
            faults: Vec::new(),
            sleepers: Vec::new(),
            end: windows.whole().end,
            wakings: 0,
            agenda: BTreeMap::new(),
            waiting: Vec::new(),
            going: BTreeMap::new(),
            next_deed: 0,
            next_id: 1,
            recorder,
        };
        for (name, window) in windows.phases() {
            driver.plan(window.begin, Deed::Tell(format!("the phase \"{name}\" begins")));
        }
        for (index, fault) in faults.iter().enumerate() {
            let mut stream = stage.world.stream(&label(faults, index));
            let window = windows.of(fault.during.as_deref());
            let (zero, length) = (window.begin, window.length());
            let ends = fault.during.is_some().then_some(window.end);
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
            driver.faults.push(Armed { fault: fault.clone(), stream, until: zero + until, ends });
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

    /// Waits until the next thing is to be done, or `end`.
    pub(crate) async fn next(&mut self, end: Time, world: &World) {
        while let Some(met) = self.next_write_before(self.next_time().min(end), world).await {
            let waiting = self.waiting.swap_remove(met);
            let look = world.now() + self.faults[waiting.fault].stream.duration(WRITES_LOOK);
            self.plan(look.min(waiting.until), Deed::LookForWrites(waiting));
        }
    }

    fn next_time(&self) -> Time {
        let planned = self.agenda.first_key_value().map(|((time, _), _)| *time);
        let given_up = self.waiting.iter().map(|waiting| waiting.until);
        planned.into_iter().chain(given_up).min().unwrap_or(Time(u64::MAX))
    }

    /// Which of those that wait for writes is met by one; none if it is `time` before.
    async fn next_write_before(&self, time: Time, world: &World) -> Option<usize> {
        let is_written = |waiting: &Await, context: &mut Context<'_>| {
            waiting.disks.iter().any(|(disk, changes)| disk.poll_written(*changes, context).is_ready())
        };
        let write = poll_fn(|context| match self.waiting.iter().position(|waiting| is_written(waiting, context)) {
            Some(met) => Poll::Ready(met),
            None => Poll::Pending,
        });
        tokio::select! {
            biased;
            met = write => Some(met),
            () = world.sleep_until(time) => None,
        }
    }

    /// Does what is due.
    pub(crate) fn step(&mut self, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        while let Some(late) = self.waiting.iter().position(|waiting| waiting.until <= now) {
            let Await { fault, members, .. } = self.waiting.remove(late);
            self.strike(fault, Some(members), stage, scene);
        }
        while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                Deed::Tell(text) => stage.world.note(What::Note { text }),
                Deed::Begin(fault) => self.begin(fault, stage, scene),
                Deed::LookForWrites(waiting) => self.look_for_writes(waiting, stage, scene),
                Deed::AwaitElection { fault, since } => self.await_election(fault, since, stage, scene),
                Deed::Step(id) => self.go_on(id, stage),
                Deed::End(id) => self.end(id, stage, scene),
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
    pub(crate) fn heal(&mut self, stage: &mut Stage, scene: &Scene) {
        stage.mend_disks();
        self.waiting.clear();
        let agenda = std::mem::take(&mut self.agenda);
        for deed in agenda.into_values() {
            match deed {
                Deed::End(id) => {
                    match self.going.get_mut(&id) {
                        // A server that is on its way down is given no more time.
                        Some((_, Undo::Node(undo))) => undo.hurry(stage, &self.recorder),
                        Some((_, Undo::Network(undo))) => undo.hurry(stage),
                        _ => {}
                    }
                    self.end(id, stage, scene);
                }
                Deed::Wake(sleeper) => {
                    stage.node(self.sleepers[sleeper].member).resume();
                    self.wakings += 1;
                }
                Deed::Tell(_)
                | Deed::Begin(_)
                | Deed::LookForWrites(_)
                | Deed::AwaitElection { .. }
                | Deed::Step(_)
                | Deed::Sleep(_) => {}
            }
        }
        // What could not be undone at once.
        for deed in std::mem::take(&mut self.agenda).into_values() {
            if let Deed::End(id) = deed {
                stage.world.note(What::FaultEnded { id });
            }
        }
        stage.restart_those_that_lost_a_directory(scene);
        stage.heal();
    }

    fn plan(&mut self, time: Time, deed: Deed) {
        self.agenda.insert((time, self.next_deed), deed);
        self.next_deed += 1;
    }

    fn begin(&mut self, index: usize, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        let Armed { fault, stream, until, .. } = &mut self.faults[index];
        if let When::Every { every, .. } = fault.when {
            let next = now + draw(every, stream).max(Duration::from_millis(1));
            if next <= *until {
                self.agenda.insert((next, self.next_deed), Deed::Begin(index));
                self.next_deed += 1;
            }
        }
        match fault.moment {
            None => return self.strike(index, None, stage, scene),
            Some(Moment::LeaderIsNew) => return self.await_election(index, now, stage, scene),
            Some(Moment::WritesInFlight) => {}
        }
        let selectors = fault.kind.selectors();
        let of = selectors.first().map(|(_, of)| (*of).clone());
        let members = of.map_or_else(Vec::new, |of| {
            Aim { stage, scene, stream, recorder: &self.recorder, chosen: None }.choose(&of)
        });
        let waiting = Await { fault: index, members, until: now + WRITES_MAX, disks: Vec::new() };
        self.look_for_writes(waiting, stage, scene);
    }

    /// Strikes if the moment has come, or will not.
    fn look_for_writes(&mut self, mut waiting: Await, stage: &mut Stage, scene: &Scene) {
        let disk_of = |&member: &usize| stage.node(member).disk().clone();
        let mut up = waiting.members.iter().filter(|&&member| stage.is_up(member)).map(disk_of).peekable();
        if up.peek().is_none() || up.any(|disk| disk.has_unsynced_writes()) {
            return self.strike(waiting.fault, Some(waiting.members), stage, scene);
        }
        waiting.disks = waiting.members.iter().map(disk_of).map(|disk| (disk.clone(), disk.changes())).collect();
        self.waiting.push(waiting);
    }

    /// Strikes if there is a new leader, or will not be; whom it strikes is found then.
    fn await_election(&mut self, fault: usize, since: Time, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        let Armed { fault: awaiting, stream, .. } = &mut self.faults[fault];
        let led = awaiting.kind.selectors().into_iter().find_map(|(_, selector)| selector.partition());
        if since + ELECTION_MAX <= now || scene.has_elected(led, since) {
            return self.strike(fault, None, stage, scene);
        }
        let next = now + stream.duration(ELECTION_POLL);
        self.plan(next, Deed::AwaitElection { fault, since });
    }

    fn strike(&mut self, index: usize, chosen: Option<Vec<usize>>, stage: &mut Stage, scene: &Scene) {
        let now = stage.world.now();
        let Armed { fault, stream, ends, .. } = &mut self.faults[index];
        let lasts = fault.lasts.map(|lasts| draw(lasts, stream));
        let kind = fault.kind.clone();
        let aim = Aim { stage, scene, stream, recorder: &self.recorder, chosen };
        let Begun { whom, undo } = match &kind {
            FaultKind::Node(fault) => node::begin(fault, aim),
            FaultKind::Network(fault) => network::begin(fault, aim),
            FaultKind::Disk(fault) => disk::begin(fault, aim),
            FaultKind::Clock(fault) => clock::begin(fault, aim),
        };
        let id = self.next_id;
        self.next_id += 1;
        let whom = if whom.is_empty() { "nobody".to_owned() } else { whom.join(", ") };
        stage.world.note(What::FaultBegan { id, text: format!("{kind}: {whom}") });
        let end = match lasts {
            _ if kind.is_instant() => now,
            Some(lasts) => now + lasts,
            // Until the world is healed.
            None => ends.unwrap_or(Time(u64::MAX)),
        };
        let next = if let Undo::Network(undo) = &undo { undo.first_step(stream) } else { None };
        self.going.insert(id, (index, undo));
        if let Some(next) = next {
            self.plan(now + next, Deed::Step(id));
        }
        self.plan(end, Deed::End(id));
    }

    fn go_on(&mut self, id: u32, stage: &Stage) {
        if let Some((index, Undo::Network(undo))) = self.going.get_mut(&id)
            && let Some(next) = undo.step(stage, &mut self.faults[*index].stream)
        {
            self.plan(stage.world.now() + next, Deed::Step(id));
        }
    }

    fn end(&mut self, id: u32, stage: &mut Stage, scene: &Scene) {
        let Some((index, undo)) = self.going.remove(&id) else { return };
        // What is left to undo, and after how long.
        let rest = match undo {
            Undo::Nothing => None,
            Undo::Node(undo) => undo.undo(stage, scene).map(|rest| (STOP_POLL, Undo::Node(rest))),
            Undo::Network(undo) => {
                let rest = undo.undo(stage, &mut self.faults[index].stream);
                rest.map(|(wait, rest)| (wait, Undo::Network(rest)))
            }
            Undo::Disk(undo) => undo.undo(stage, scene).map(|rest| (STOP_POLL, Undo::Disk(rest))),
            Undo::Clock(undo) => {
                undo.undo(stage);
                None
            }
        };
        if let Some((wait, rest)) = rest {
            self.going.insert(id, (index, rest));
            return self.plan(stage.world.now() + wait, Deed::End(id));
        }
        stage.world.note(What::FaultEnded { id });
    }
}

/// Where the chance of a fault comes from: what it is, not its place in the file, so that it keeps its draws when others go.
fn label(faults: &[Fault], index: usize) -> String {
    let kind = faults[index].kind.to_string();
    let twins = faults[..index].iter().filter(|other| other.kind.to_string() == kind).count();
    format!("faults/{kind}/{twins}")
}

/// One span of a range, both ends included; one draw, whatever the range.
pub(crate) fn draw(range: Range, stream: &mut Stream) -> Duration {
    stream.duration(range.from..range.to + Duration::from_nanos(1))
}
