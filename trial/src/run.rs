//! One run: a cluster in a world of its own, its workload, its faults, and what came of them.
//!
//! ```text
//!  form the cluster, make the topics ─▶ workload and faults ─▶ heal a core ─▶ it converges ─▶ heal all, the same ─▶ read everything ─▶ look at the disks
//!                                      │ time zero of the scenario                               consumers read to the end too
//!                                      └ the first broken promise ends the run at once
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::TopicInfo;
use evidence::{Acks, Action, Claims, Entry, History, Outcome, Recorder, Table, What};
use invariants::{Expectations, Violation, Watch};
use model::{Bug, Planted, TopicId};
use parking_lot::Mutex;
use reports::{Run, Stats};
use scenarios::{Change, ChangeKind, FaultKind, FlushPolicy, Reach, ReadFrom, Scenario, Setting};
use sim::{Confined, Reason, Recording, Tally, World};
use tokio::sync::watch;

use crate::bounds;
use crate::changes::Changes;
use crate::cluster::{bootstrap, plans};
use crate::faults::{Faults, draw};
use crate::phases::Windows;
use crate::quiet::{self, Left, Sufferings};
use crate::reach::Reached;
use crate::scene::Scene;
use crate::selection::Role;
use crate::stage::{ClientLife, Stage};
use crate::stock;
use crate::workload::consumer::{Consuming, Ends};
use crate::workload::errands::{ReadAll, make_topics, read_all};
use crate::workload::producer::Producing;
use crate::workload::{Ground, errands};

/// A cluster that has not formed by then never will.
const FORMING_MAX: Duration = Duration::from_secs(120);

/// How long reading everything may take.
const READING_MAX: Duration = Duration::from_secs(120);

/// A producer whose last record is under way is waited for this long.
const LAST_RECORD_MAX: Duration = Duration::from_secs(30);

/// When nobody writes any more, every broker has so long to look again, and to say that it owes nothing.
const AFTERMATH: Duration = Duration::from_secs(3);

/// The note of the trace at time zero of the scenario.
pub(crate) const WORKLOAD_BEGINS: &str = "the workload begins";

/// How a scenario is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the scenario came from, for reports and replay commands.
    pub source: String,
    pub plant: Option<Bug>,
    /// What was set in the scenario's file, for replay commands.
    pub settings: Vec<Setting>,
    /// Keep every event of the world, to find the first that differs from another run's.
    pub record: bool,
    /// Do without the trace, for whoever only wants to know how it ends: [`Run::entries`] stays empty, unless a bound is measured by
    /// it.
    pub without_trace: bool,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// All that reports show: digest, verdicts, what was reached, the trace.
    pub run: Run,
    pub history: History,
    /// The promise whose breach ended the run.
    pub violation: Option<Violation>,
    /// What the run was made of.
    pub tally: Tally,
    /// Every event of the world, if asked for.
    pub recording: Option<Recording>,
}

impl Finished {
    /// True if everything came as the scenario expects.
    pub fn is_as_expected(&self) -> bool {
        self.run.disappointments().is_empty()
    }
}

/// What watches a run from outside, at every entry of its trace.
struct Watching {
    promises: Watch,
    scene: Scene,
    reached: Reached,
    violation: Option<Violation>,
    /// Promises that must break: their breach does not end the run.
    tolerated: Vec<String>,
    /// Something is done to servers for which they may give up.
    may_give_up: bool,
    /// Servers that gave up though they had no reason.
    gave_up: Vec<String>,
}

impl Watching {
    fn observe(&mut self, entry: &Entry) -> ControlFlow<()> {
        let changes = self.scene.observe(entry);
        self.reached.observe(entry, &changes);
        // Nothing excuses a panic.
        if let What::NodeStopped { error: Some(error) } = &entry.what
            && (!self.may_give_up || error.starts_with(sim::PANICKED))
        {
            self.gave_up.push(format!("{} stopped by itself: {error}", entry.node));
        }
        match self.promises.observe(entry) {
            Some(violation) if !self.tolerated.iter().any(|promise| promise == violation.promise) => {
                self.violation = Some(violation);
                ControlFlow::Break(())
            }
            Some(_) | None => ControlFlow::Continue(()),
        }
    }
}

/// What the run's own conduct leaves, besides trace and history.
#[derive(Default)]
struct Conduct {
    topics: BTreeMap<String, TopicInfo>,
    missed: Vec<String>,
    /// When the workload began and ended, if it did.
    workload: Option<(model::Time, model::Time)>,
    /// The process that read everything in the end, if it did.
    last_reader: Option<u64>,
    /// The processes of each consumer that was to read everything.
    readers: Vec<Arc<Mutex<BTreeSet<u64>>>>,
}

/// Runs a scenario with one seed, on a thread of its own.
pub fn run(scenario: &Scenario, seed: u64, options: &Options) -> Finished {
    #[allow(clippy::disallowed_methods, reason = "reports say how long a run took in the real world")]
    let began = Instant::now();
    let claims = claims(scenario);
    let recorder = Recorder::new(claims.clone());
    let watching = Arc::new(Confined::new(Watching {
        promises: Watch::new(expectations(scenario, claims)),
        scene: Scene::default(),
        reached: Reached::default(),
        violation: None,
        tolerated: scenario.expect.tolerated().cloned().collect(),
        may_give_up: may_give_up(scenario),
        gave_up: Vec::new(),
    }));
    let conduct = Arc::new(Mutex::new(Conduct::default()));
    let mut world_options = sim::Options::new(seed);
    world_options.time_limit = FORMING_MAX
        + scenario.length()
        + LAST_RECORD_MAX
        + 2 * within(scenario)
        + 2 * READING_MAX
        + Duration::from_secs(60);
    world_options.planted = options.plant.map_or(Planted::NONE, |bug| Planted::NONE.with(bug));
    world_options.buggify = scenario.cluster.buggify;
    world_options.record = options.record;
    world_options.keep_trace = !options.without_trace || bounds::need_trace(&scenario.expect);
    let observing = watching.clone();
    world_options.observer = Box::new(move |entry| observing.lock().observe(entry));
    let (play, own) = (scenario.clone(), (recorder.clone(), watching.clone(), conduct.clone()));
    let result = sim::run(world_options, move |world| async move {
        let (recorder, watching, conduct) = own;
        tokio::select! {
            biased;
            () = world.stopped() => {}
            () = conduct_run(&world, &play, recorder, &watching, &conduct) => {}
        }
    });
    let mut conduct = std::mem::take(&mut *conduct.lock());
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(failure) => {
            conduct.missed.push(match &failure.reason {
                Reason::Panicked(message) => format!("the run panicked: {message}"),
                reason @ (Reason::TimeLimit(_) | Reason::Stuck(_)) => format!("the run {reason}"),
            });
            *failure.outcome
        }
    };
    let Some(Watching { promises, reached, violation, gave_up, .. }) =
        Arc::into_inner(watching).map(Confined::into_inner)
    else {
        panic!("a world that is over still watches");
    };
    conduct.missed.extend(gave_up);
    let judged = Judged { promises, reached, violation };
    let wall = began.elapsed();
    finish(scenario, options, outcome, conduct, judged, recorder.into_history(), wall)
}

struct Judged {
    promises: Watch,
    reached: Reached,
    violation: Option<Violation>,
}

fn finish(
    scenario: &Scenario,
    options: &Options,
    outcome: sim::Outcome<()>,
    mut conduct: Conduct,
    judged: Judged,
    mut history: History,
    wall: Duration,
) -> Finished {
    let Judged { mut promises, mut reached, violation } = judged;
    // What was in them is lost by decision; a name that stands for two topics says nothing of either.
    for topic in scenario.changes.iter().filter(|change| change.loses_topic()).filter_map(Change::topic) {
        history.forget_topic(topic);
    }
    for (name, info) in &conduct.topics {
        promises.name_topic(name, info.id);
    }
    // What is exported is judged alike: it claims what the run may be held to.
    history.claims = promises.claims();
    for (key, from, to) in promises.holes() {
        history.holes.entry(key).or_default().push((from, to));
    }
    let readers: Vec<BTreeSet<u64>> = conduct.readers.iter().map(|processes| processes.lock().clone()).collect();
    if outcome.points.contains_key("a producer sent a batch again") {
        reached.note(Reach::ProducerRetried);
    }
    let table = promises.table(&history).unwrap_or_else(|error| {
        conduct.missed.push(format!("what clients were told cannot be judged: {error}"));
        Table::new(history.claims.clone())
    });
    reached.judge_history(&table, conduct.last_reader, &readers);
    let settings: String = options.settings.iter().map(|setting| format!(" --set {}", quoted(setting))).collect();
    let replay = match options.plant {
        Some(bug) => format!("trial run {} --seed {}{settings} --plant {}", options.source, outcome.seed, bug.name()),
        None => format!("trial run {} --seed {}{settings}", options.source, outcome.seed),
    };
    let acknowledged = count(&history, |action| matches!(action, Action::Send(_)));
    if let Some((from, to)) = conduct.workload {
        conduct.missed.extend(bounds::missed(&scenario.expect, &outcome.entries, from, to, acknowledged));
    }
    let run = Run {
        scenario: scenario.clone(),
        source: options.source.clone(),
        seed: outcome.seed,
        digest: format!("{:016x}", outcome.digest),
        replay,
        verdicts: promises.finish_with(&history, &table),
        entries: outcome.entries,
        topics: conduct
            .topics
            .iter()
            .map(|(name, info)| (info.id, name.clone()))
            .collect::<BTreeMap<TopicId, String>>(),
        reached: reached.into_counts().into_keys().collect(),
        points: outcome.points,
        missed: conduct.missed,
        stats: Stats {
            simulated: outcome.world_time.since(model::Time::ZERO),
            wall,
            events: outcome.events,
            acknowledged,
            consumed: count(&history, |action| matches!(action, Action::Poll(_))),
        },
    };
    Finished { run, history, violation, tally: outcome.tally, recording: outcome.recording }
}

/// For a shell: in quotes, if it would read it otherwise.
fn quoted(setting: &Setting) -> String {
    let text = setting.to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-=/:+%".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Records in operations of a kind that were answered with ok.
fn count(history: &History, is_wanted: impl Fn(&Action) -> bool) -> u64 {
    let answered = history.operations.iter().filter(|line| line.outcome == Outcome::Ok && is_wanted(&line.action));
    let records = answered.flat_map(|line| line.action.micro_operations()).map(|micro| match micro {
        evidence::MicroOperation::Send { .. } => 1,
        evidence::MicroOperation::Poll => 0,
        evidence::MicroOperation::Polled(records) => records.values().map(Vec::len).sum::<usize>() as u64,
    });
    records.sum()
}

/// True if something is done to servers for which they may give up.
fn may_give_up(scenario: &Scenario) -> bool {
    let is_reason = |kind: &FaultKind| matches!(kind, FaultKind::Disk(fault) if fault.may_stop_a_node());
    scenario.faults.iter().any(|fault| is_reason(&fault.kind))
}

fn derived_claims(scenario: &Scenario) -> Claims {
    let acks = scenario.producers.iter().map(|producer| producer.acks);
    let weakest = acks.max_by_key(|acks| match acks {
        scenarios::Acks::All => 0,
        scenarios::Acks::One => 1,
        scenarios::Acks::Zero => 2,
    });
    let lowered = scenario.changes.iter().filter_map(|change| match &change.kind {
        ChangeKind::AlterTopic(alter) => alter.settings.get("min.insync.replicas")?.parse().ok(),
        _ => None,
    });
    let min_insync_replicas = scenario.topics.iter().map(|topic| topic.min_insync_replicas).chain(lowered).min();
    Claims {
        acks: told_acks(weakest.unwrap_or_default()),
        idempotent: !scenario.producers.is_empty() && scenario.producers.iter().all(|producer| producer.idempotent),
        min_insync_replicas,
        // Without a sync before the answer, a record lives in as many memories as there must be replicas in sync.
        crash_budget: match claimed_flush_policy(scenario) {
            FlushPolicy::Commit => None,
            FlushPolicy::Os => Some(min_insync_replicas.unwrap_or(1).saturating_sub(1)),
        },
        ..Claims::default()
    }
}

/// What follows from clients and topics, except where the scenario says otherwise.
fn claims(scenario: &Scenario) -> Claims {
    let (derived, said) = (derived_claims(scenario), &scenario.claims);
    Claims {
        acks: said.acks.map_or(derived.acks, told_acks),
        idempotent: said.idempotent.unwrap_or(derived.idempotent),
        isolation: said.isolation.map_or(derived.isolation, |isolation| match isolation {
            scenarios::Isolation::ReadCommitted => evidence::Isolation::ReadCommitted,
            scenarios::Isolation::ReadUncommitted => evidence::Isolation::ReadUncommitted,
        }),
        unclean_election: said.unclean_election.unwrap_or(derived.unclean_election),
        min_insync_replicas: said.min_insync_replicas.or(derived.min_insync_replicas),
        crash_budget: said.crash_budget.or(derived.crash_budget),
    }
}

fn told_acks(acks: scenarios::Acks) -> Acks {
    match acks {
        scenarios::Acks::All => Acks::All,
        scenarios::Acks::One => Acks::Leader,
        scenarios::Acks::Zero => Acks::None,
    }
}

fn claimed_flush_policy(scenario: &Scenario) -> FlushPolicy {
    scenario.claims.flush_policy.unwrap_or(scenario.cluster.flush_policy)
}

fn expectations(scenario: &Scenario, claims: Claims) -> Expectations {
    Expectations {
        claims,
        flush_on_commit: claimed_flush_policy(scenario) == FlushPolicy::Commit,
        producers_retry: scenario.producers.iter().any(|producer| producer.retries != Some(0)),
        unavailable_at_most: scenario.expect.unavailable_at_most.map(|span| span.0),
    }
}

/// The whole of a run, from the first start to the last record read.
async fn conduct_run(
    world: &World,
    scenario: &Scenario,
    recorder: Recorder,
    watching: &Confined<Watching>,
    conduct: &Mutex<Conduct>,
) {
    let plans = plans(&scenario.cluster);
    let mut stage = Stage::new(world.clone());
    plans.iter().for_each(|plan| stage.start_server(plan));
    let bootstrap = bootstrap(&plans);

    let (servers, topics) = (bootstrap.clone(), scenario.topics.clone());
    let made =
        errands::run(world, "admin", FORMING_MAX, move |host| make_topics(host, servers.clone(), topics.clone())).await;
    let Some(topics) = made else {
        let text = format!("the cluster did not form and make its topics within {} s", FORMING_MAX.as_secs());
        return conduct.lock().missed.push(text);
    };
    conduct.lock().topics = topics.clone();
    {
        let watching = &mut *watching.lock();
        for (name, info) in &topics {
            watching.scene.name_topic(name, info.id);
            watching.promises.name_topic(name, info.id);
        }
        watching.reached.begin();
        world.count_points_anew();
    }

    let zero = world.now();
    world.note(What::Note { text: WORKLOAD_BEGINS.into() });
    let changes = Changes::start(world, scenario, zero, &bootstrap);
    let grown = changes.grown.clone();
    let compacting = scenario.changes.iter().filter(|change| change.compacts_topic());
    let compacted = compacting.filter_map(|change| Some(change.topic()?.to_owned())).collect();
    let ground = Ground {
        bootstrap,
        recorder: recorder.clone(),
        topics: Arc::new(topics),
        grown,
        probes: Arc::default(),
        compacted: Arc::new(compacted),
    };
    let length = scenario.length();
    let windows = Windows::new(scenario, zero, world);
    conduct.lock().workload = Some((zero, zero + length));
    let mut faults = Faults::new(&scenario.faults, &windows, &stage, recorder.clone());
    let ends = watch::Sender::new(Ends::None);
    let readers = start_clients(&mut stage, scenario, &ground, &windows, &mut faults, &ends);
    conduct.lock().readers = readers;

    let end = zero + length;
    loop {
        faults.next(end, world).await;
        if end <= world.now() {
            break;
        }
        // A copy: what the faults do is seen by who watches.
        let scene = watching.lock().scene.clone();
        faults.step(&mut stage, &scene);
    }
    let scene = watching.lock().scene.clone();
    let sufferings = Sufferings::of(&stage);
    faults.heal(&mut stage, &scene);
    world.stop_buggify();
    for _ in 0..faults.wakings {
        watching.lock().reached.note(Reach::ConsumerSlept);
    }
    world.note(What::Note { text: "the workload is over, and the world is healed".into() });

    // Who was started again just now has opened nothing yet.
    let scene = watching.lock().scene.clone();
    let left = quiet::leave(scenario, &stage, &scene, &sufferings, &recorder);
    let mut late = changes.wait(world, LAST_RECORD_MAX).await;
    let ground = ground.without(&gone(scenario));
    let producers = |role: Role| matches!(role, Role::Producer(_));
    await_clients(&stage, producers, LAST_RECORD_MAX).await;
    end_clients(&stage, producers, &recorder);
    let stalls = || watching.lock().promises.stalls();
    // A copy, as above.
    let scene = || watching.lock().scene.clone();
    if let Left::These(left) = left {
        let missed = quiet::demand(&stage, &ground, &left, within(scenario), stalls, scene).await;
        conduct.lock().missed.extend(missed);
        quiet::heal(&mut stage, &scene());
        late = changes.wait(world, LAST_RECORD_MAX).await;
    }
    conduct.lock().missed.extend(late);
    let missed = quiet::demand(&stage, &ground, &BTreeSet::new(), within(scenario), stalls, scene).await;
    conduct.lock().missed.extend(missed);
    world.sleep(AFTERMATH).await;
    let missed = close(world, &ground, &stage, &ends, conduct).await;
    conduct.lock().missed.extend(missed);
    let topics = watching.lock().promises.topics_by_name();
    stock::take(&stage, |name| topics.get(name).copied());
}

/// The topics that are not there in the end.
fn gone(scenario: &Scenario) -> BTreeSet<&str> {
    let gone = scenario.changes.iter().filter(|change| matches!(change.kind, ChangeKind::DeleteTopic(_)));
    gone.filter_map(Change::topic).collect()
}

/// How soon a quiet phase must come to its end.
fn within(scenario: &Scenario) -> Duration {
    scenario.quiet.within.map_or(quiet::WITHIN, |span| span.0)
}

/// Reads everything. Says what was not to be had.
async fn close(
    world: &World,
    ground: &Ground,
    stage: &Stage,
    ends: &watch::Sender<Ends>,
    conduct: &Mutex<Conduct>,
) -> Vec<String> {
    let mut missed = Vec::new();
    let progress: Arc<Mutex<ReadAll>> = Arc::default();
    let (own, noted) = (ground.clone(), progress.clone());
    errands::run(world, errands::AUDITOR, READING_MAX, move |host| read_all(host, own.clone(), noted.clone())).await;
    let progress = std::mem::take(&mut *progress.lock());
    if progress.is_done {
        conduct.lock().last_reader = progress.process;
    } else {
        missed.push(format!("not everything could be read within {} s after the healing", READING_MAX.as_secs()));
        return missed;
    }

    ends.send_replace(Some(Arc::new(progress.ends)));
    let consumers = |role: Role| matches!(role, Role::Consumer(_));
    if !await_clients(stage, consumers, READING_MAX).await {
        missed.push(format!("a consumer had not read everything {} s after the healing", READING_MAX.as_secs()));
    }
    missed
}

/// Starts every client on a node of its own. Answers the processes of each consumer that is to read everything.
fn start_clients(
    stage: &mut Stage,
    scenario: &Scenario,
    ground: &Ground,
    windows: &Windows,
    faults: &mut Faults,
    ends: &watch::Sender<Ends>,
) -> Vec<Arc<Mutex<BTreeSet<u64>>>> {
    let name = |noun: &str, place: u32, copy: u32, count: u32| match count {
        1 => format!("{noun} {place}"),
        _ => format!("{noun} {place}.{copy}"),
    };
    let mut number = 0;
    for (place, plan) in (1..).zip(&scenario.producers) {
        for copy in 1..=plan.count {
            number += 1;
            let name = name("producer", place, copy, plan.count);
            let mut stream = stage.world.stream(&format!("workload/{name}"));
            let window = windows.of(plan.during.as_deref());
            let from = window.begin + plan.starts.map_or(Duration::ZERO, |starts| draw(starts, &mut stream));
            let to = plan.lasts.map_or(window.end, |lasts| from + draw(lasts, &mut stream)).min(window.end);
            let life = ClientLife::default();
            let producing = Producing {
                ground: ground.clone(),
                number,
                plan: plan.clone(),
                from,
                to,
                stream,
                counter: Arc::default(),
                life: life.clone(),
            };
            stage.start_client(Role::Producer(place), &name, life, move |host| producing.clone().run(host));
        }
    }
    let mut readers = Vec::new();
    for (place, plan) in (1..).zip(&scenario.consumers) {
        for copy in 1..=plan.count {
            let name = name("consumer", place, copy, plan.count);
            let mut stream = stage.world.stream(&format!("workload/{name}"));
            let window = windows.of(plan.during.as_deref());
            let from = window.begin + plan.starts.map_or(Duration::ZERO, |starts| draw(starts, &mut stream));
            let to = plan.lasts.map(|lasts| from + draw(lasts, &mut stream));
            let to = to.or(plan.during.is_some().then_some(window.end));
            let (life, processes) = (ClientLife::default(), Arc::default());
            let consuming = Consuming {
                ground: ground.clone(),
                plan: plan.clone(),
                from,
                to,
                ends: ends.subscribe(),
                life: life.clone(),
                processes: Arc::clone(&processes),
            };
            if to.is_none() && plan.from == ReadFrom::Earliest {
                readers.push(processes);
            }
            stage.start_client(Role::Consumer(place), &name, life, move |host| consuming.clone().run(host));
            if let Some(sleep) = plan.sleeps {
                faults.add_sleeper(stage.roles().len() - 1, sleep, from, stage);
            }
        }
    }
    readers
}

/// Waits until clients of a kind are done; false if some are not in time.
async fn await_clients(stage: &Stage, kind: impl Fn(Role) -> bool, wait_max: Duration) -> bool {
    let deadline = stage.world.now() + wait_max;
    let is_at_work = || (0..).zip(stage.roles()).any(|(member, role)| kind(*role) && stage.is_running(member));
    while is_at_work() {
        if deadline <= stage.world.now() {
            return false;
        }
        stage.world.sleep(Duration::from_millis(100)).await;
    }
    true
}

fn end_clients(stage: &Stage, kind: impl Fn(Role) -> bool, recorder: &Recorder) {
    for (member, role) in (0..).zip(stage.roles()) {
        if kind(*role) && stage.is_running(member) {
            stage.crash(member, recorder);
        }
    }
}
