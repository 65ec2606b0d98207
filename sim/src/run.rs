//! One run of a world: a fresh thread, a fresh runtime, and a watch from outside.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::Builder;
use std::time::Duration;

use evidence::Entry;
use futures_util::future::{Either, select};
use madsim::runtime::Runtime;
use model::{Planted, Time, coverage};

use crate::clock::Clock;
use crate::digest::Recording;
use crate::panics::message;
use crate::streams::Streams;
use crate::tally::Tally;
use crate::world::{Core, Nodes, World};

/// Stack of a run's thread: scenarios and brokers are deep futures, deeper without optimisation.
const STACK_LENGTH: usize = 16 << 20;

/// A run that gets less far than this while the watchdog waits is stuck.
const PROGRESS_MIN: Duration = Duration::from_millis(1);

/// Sees every entry of the trace as it is made, and may ask the run to stop: [`World::stopped`] then ends. It only looks: it must
/// not call back into the world.
pub type Observer = Box<dyn FnMut(&Entry) -> ControlFlow<()> + Send>;

/// What a run is given.
pub struct Options {
    pub seed: u64,
    /// A run that takes longer than this, in world time, fails.
    pub time_limit: Duration,
    /// The bugs planted in every node.
    pub planted: Planted,
    /// Whether brokers do, now and then, what they may do and hardly ever do: see [`host::Host::buggify`].
    pub buggify: bool,
    /// Keep every event, for [`Recording::first_difference`].
    pub record: bool,
    /// Keep the trace, for [`Outcome::entries`]. The observer sees it all the same.
    pub keep_trace: bool,
    pub observer: Observer,
    /// How long the watchdog lets a run make no progress, in real time.
    pub patience: Duration,
    /// What the watchdog does with the seed of a stuck run, whose thread cannot be ended.
    pub stuck: Box<dyn FnOnce(u64)>,
}

impl Options {
    /// No bug, no observer, a trace but no recording, an hour of world time, and a process that exits with 4 if it is stuck for 30 s.
    pub fn new(seed: u64) -> Options {
        Options {
            seed,
            time_limit: Duration::from_secs(3_600),
            planted: Planted::NONE,
            buggify: false,
            record: false,
            keep_trace: true,
            observer: Box::new(|_| ControlFlow::Continue(())),
            patience: Duration::from_secs(30),
            stuck: Box::new(|seed| {
                eprintln!("watchdog: the run of seed {seed} makes no progress: a task never waits");
                std::process::exit(4);
            }),
        }
    }
}

/// What is left of a run.
#[derive(Debug)]
pub struct Outcome<T> {
    pub seed: u64,
    /// What the scenario answered.
    pub value: T,
    pub digest: u64,
    /// Events in the digest.
    pub events: u64,
    pub world_time: Time,
    /// The trace, unless nobody asked for it.
    pub entries: Vec<Entry>,
    /// The points in the code that were passed, and how often, since the run began or [`World::count_points_anew`].
    pub points: BTreeMap<&'static str, u64>,
    pub tally: Tally,
    /// Every event, if it was asked for.
    pub recording: Option<Recording>,
}

impl Outcome<()> {
    /// What is left where nothing was.
    fn nothing(seed: u64) -> Outcome<()> {
        Outcome {
            seed,
            value: (),
            digest: 0,
            events: 0,
            world_time: Time::ZERO,
            entries: Vec::new(),
            points: BTreeMap::new(),
            tally: Tally::default(),
            recording: None,
        }
    }
}

/// Why a run did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("panicked: {0}")]
    Panicked(String),
    #[error("was not done after {0:?} of world time")]
    TimeLimit(Duration),
    #[error("made no progress for {0:?}: a task never waits")]
    Stuck(Duration),
}

/// A run that did not come to its end.
#[derive(Debug)]
pub struct Failure {
    pub reason: Reason,
    /// What is left of it; only seed and time if it was stuck.
    pub outcome: Box<Outcome<()>>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run of seed {} {}", self.outcome.seed, self.reason)
    }
}

impl std::error::Error for Failure {}

/// Lives one world until `scenario` is done. Everything in it dies with it.
///
/// # Errors
/// If it panics, takes too long, or is stuck.
pub fn run<F, W, T>(options: Options, scenario: F) -> Result<Outcome<T>, Failure>
where
    F: FnOnce(World) -> W + Send + 'static,
    W: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let Options { seed, time_limit, planted, buggify, record, keep_trace, observer, patience, stuck } = options;
    let (nodes, keep) = (Nodes { planted, buggify }, Keep { every_event: record, trace: keep_trace });
    let plan = Plan { seed, time_limit, nodes, keep, observer };
    let (sender, receiver) = channel();
    let thread = Builder::new().name(format!("seed {seed}")).stack_size(STACK_LENGTH);
    let thread = thread.spawn(move || {
        let result = live(plan, scenario, &sender);
        let _nobody_waits_if_stuck = sender.send(News::Ended(result));
    });
    let empty = |world_time| Box::new(Outcome { world_time, ..Outcome::nothing(seed) });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            let reason = Reason::Panicked(format!("no thread: {error}"));
            return Err(Failure { reason, outcome: empty(Time::ZERO) });
        }
    };
    match watch(&receiver, patience) {
        Ok(result) => {
            let _it_said_its_last_word = thread.join();
            result
        }
        Err(world_time) => {
            stuck(seed);
            Err(Failure { reason: Reason::Stuck(patience), outcome: empty(world_time) })
        }
    }
}

/// What of a run is kept for later.
#[derive(Clone, Copy)]
pub(crate) struct Keep {
    pub(crate) every_event: bool,
    pub(crate) trace: bool,
}

struct Plan {
    seed: u64,
    time_limit: Duration,
    nodes: Nodes,
    keep: Keep,
    observer: Observer,
}

enum News<T> {
    Began(Clock),
    Ended(Result<Outcome<T>, Failure>),
}

/// Waits for the end, or until no progress is made: then says how far the run came.
fn watch<T>(news: &Receiver<News<T>>, patience: Duration) -> Result<Result<Outcome<T>, Failure>, Time> {
    let mut clock: Option<Clock> = None;
    let mut reached = Time::ZERO;
    loop {
        match news.recv_timeout(patience) {
            Ok(News::Began(began)) => clock = Some(began),
            Ok(News::Ended(result)) => return Ok(result),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let now = clock.as_ref().map_or(Time::ZERO, Clock::now_elsewhere);
                if now.since(reached) < PROGRESS_MIN {
                    return Err(now);
                }
                reached = now;
            }
        }
    }
}

fn live<F, W, T>(plan: Plan, scenario: F, news: &Sender<News<T>>) -> Result<Outcome<T>, Failure>
where
    F: FnOnce(World) -> W,
    W: Future<Output = T>,
{
    let Plan { seed, time_limit, nodes, keep, observer } = plan;
    let streams = Streams::new(seed);
    let runtime = Runtime::with_seed_and_config(streams.stream("schedule").bits(), madsim::Config::default());
    let core: OnceCell<Arc<Core>> = OnceCell::new();
    coverage::begin();
    let result = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let core = core.get_or_init(|| Core::new(seed, nodes, keep, observer));
            let _somebody_waits = news.send(News::Began(core.clock.clone()));
            let limit = core.clock.sleep_until(Time::ZERO + time_limit);
            let scenario = core.tasks.clone().alone(scenario(World::new(core.clone())));
            match select(pin!(scenario), pin!(limit)).await {
                Either::Left((value, _)) => Ok(value),
                Either::Right(_) => Err(Reason::TimeLimit(time_limit)),
            }
        })
    }));
    let result = result.unwrap_or_else(|payload| Err(Reason::Panicked(message(&*payload))));
    let left = core.get().map(|core| core.take_outcome());
    if let Some(core) = core.get() {
        // Futures that are dropped late may panic as well: the run is over, and has said why.
        let _over = catch_unwind(AssertUnwindSafe(|| {
            core.end();
            runtime.block_on(async { madsim::time::sleep(Duration::from_millis(1)).await });
            core.forget_waits();
            core.tasks.clear();
        }));
    }
    let left = left.unwrap_or_else(|| Outcome::nothing(seed));
    let ghost = core.get().map(|core| core.tasks.ghost());
    drop((core, runtime));
    match result {
        Ok(value) => {
            debug_assert!(ghost.is_none_or(|ghost| ghost.strong_count() == 0), "a world that is over is still held");
            let Outcome { seed, value: (), digest, events, world_time, entries, points, tally, recording } = left;
            Ok(Outcome { seed, value, digest, events, world_time, entries, points, tally, recording })
        }
        Err(reason) => Err(Failure { reason, outcome: Box::new(left) }),
    }
}
