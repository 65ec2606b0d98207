//! `trial shrink`: the smallest scenario that still breaks the same promise in the same way.
//!
//! Steps are tried as long as one of them helps. Where a step changes what everybody meets (another cluster, fewer clients), a few
//! further seeds are tried before it is given up: a bug that one order of events shows, another one may show too.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use miette::miette;
use model::Bug;
use scenarios::{Happened, Scenario, Step, unroll};
use trial::Reason;

use super::worker::{Answer, Job, Reply, Told, Worker};
use super::{Exit, parse_bug, parse_span, print, read_scenario, write_file};

/// Runs that a shrink makes at most.
pub(crate) const RUNS_MAX: u32 = 600;

/// And for how long.
const TIME_MAX: Duration = Duration::from_secs(120);

/// Faults that came one after the other, at most, to be told one by one.
const UNROLLED_MAX: usize = 120;

/// A tale of so many single faults is as short as one of fewer that come again and again.
const FAULTS_FEW: usize = 4;

/// Further seeds that are tried where a step changes what everybody meets.
const OTHER_SEEDS: u64 = 2;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A scenario file, or a name of the catalogue
    #[arg(value_name = "FILE")]
    file: String,
    /// The seed that shows it [default: the scenario's own]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Plant a bug in every broker
    #[arg(long, value_name = "BUG", value_parser = parse_bug)]
    plant: Option<Bug>,
    /// Where the small scenario and its report go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// How many runs at most
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX)]
    runs: u32,
    /// For how long at most, such as 2min
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span, default_value = "2min")]
    time: Duration,
}

pub(crate) fn shrink(arguments: &Arguments) -> miette::Result<Exit> {
    let named = read_scenario(&arguments.file)?;
    let seed = arguments.seed.or(named.scenario.seed).unwrap_or(super::run::SEED_DEFAULT);
    let mut scenario = named.scenario;
    // What a file says must break is what is looked for.
    scenario.expect = scenarios::Expect::default();
    let limits = Limits { runs: arguments.runs, time: arguments.time };
    let mut shrinker = Shrinker::new(Worker::new(), arguments.plant, limits);
    let Some(failure) = shrinker.failure(&scenario, seed)? else {
        return Err(miette!(
            help = "name a seed that shows it with --seed, or find one with --seeds in `trial run`",
            "seed {seed} of {} goes as expected: there is nothing to make smaller",
            arguments.file
        ));
    };
    let before = scenario.faults.len();
    let small = shrinker.shrink(scenario, failure)?;
    let stem =
        std::path::Path::new(&arguments.file).file_stem().map_or_else(String::new, |stem| stem.display().to_string());
    let folder = arguments.out.join(format!("{stem}-small"));
    let kept = shrinker.keep(&small, &folder)?;
    print(&format!(
        "{}\nfaults    {before} before, {} after {} runs\n\n{}\nreplay    {}\n",
        small.reason,
        small.scenario.faults.len(),
        shrinker.runs,
        small.scenario.to_toml(),
        kept.replay
    ));
    Ok(Exit::Disappointed)
}

/// When a shrink is given up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) runs: u32,
    pub(crate) time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { runs: RUNS_MAX, time: TIME_MAX }
    }
}

/// A failing run: what speaks against it, and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) reason: Reason,
    detail: String,
    happened: Vec<Happened>,
    ended: Option<Duration>,
}

/// A scenario that is as small as it got.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub(crate) scenario: Scenario,
    pub(crate) reason: Reason,
}

/// Makes scenarios smaller by running them.
pub(crate) struct Shrinker {
    worker: Worker,
    plant: Option<Bug>,
    limits: Limits,
    began: Instant,
    pub(crate) runs: u32,
    /// Scenarios that were tried in vain, with their seeds.
    rejected: BTreeSet<String>,
}

impl Shrinker {
    #[allow(clippy::disallowed_methods, reason = "a shrink has its time in the real world")]
    pub(crate) fn new(worker: Worker, plant: Option<Bug>, limits: Limits) -> Shrinker {
        Shrinker { worker, plant, limits, began: Instant::now(), runs: 0, rejected: BTreeSet::new() }
    }

    /// What speaks first against a run; none if it goes as expected.
    pub(crate) fn failure(&mut self, scenario: &Scenario, seed: u64) -> miette::Result<Option<Failure>> {
        self.runs += 1;
        let reply = self.run(scenario, seed, None)?;
        let Some(reason) = reply.reasons().into_iter().next() else { return Ok(None) };
        Ok(Some(failure(seed, reason, reply)))
    }

    /// Tries everything that makes the scenario smaller, until nothing does or the limits are met.
    pub(crate) fn shrink(&mut self, scenario: Scenario, failure: Failure) -> miette::Result<Small> {
        let (rolled, failure) = self.fixpoint(scenario, failure)?;
        let (mut best, mut found) = (rolled, failure);
        // The faults as they came, one by one: often one or two of many were enough.
        if let Some(once) = unroll(&best, &found.happened, UNROLLED_MAX)
            && let Some(failure) = self.still(&once, &found, 0)?
        {
            let (once, failure) = self.fixpoint(once, failure)?;
            if once.faults.len() <= best.faults.len().max(FAULTS_FEW) {
                (best, found) = (once, failure);
            }
        }
        best.seed = Some(found.seed);
        best.title = match &found.reason.promise {
            Some(promise) => format!("A promise is broken: {promise}"),
            None => format!("Not as expected: {}", found.reason.shape),
        };
        best.teaches = if found.detail.is_empty() { found.reason.shape.clone() } else { found.detail };
        Ok(Small { scenario: best, reason: found.reason })
    }

    fn fixpoint(&mut self, mut scenario: Scenario, mut failure: Failure) -> miette::Result<(Scenario, Failure)> {
        loop {
            let before = scenario.clone();
            for step in Step::ALL {
                while let Some((smaller, found)) = self.step(*step, &scenario, &failure)? {
                    (scenario, failure) = (smaller, found);
                }
            }
            if scenario == before || self.is_over() {
                return Ok((scenario, failure));
            }
        }
    }

    /// The first candidate of a step that fails in the same way.
    fn step(
        &mut self,
        step: Step,
        scenario: &Scenario,
        failure: &Failure,
    ) -> miette::Result<Option<(Scenario, Failure)>> {
        let other_seeds = if matches!(step, Step::Clients | Step::Cluster) { OTHER_SEEDS } else { 0 };
        for candidate in step.candidates(scenario, failure.ended) {
            if let Some(found) = self.still(&candidate, failure, other_seeds)? {
                return Ok(Some((candidate, found)));
            }
        }
        Ok(None)
    }

    /// The failure of a scenario, if it is the same as before with its seed or one of some further ones.
    fn still(&mut self, scenario: &Scenario, failure: &Failure, other_seeds: u64) -> miette::Result<Option<Failure>> {
        if self.rejected.contains(&scenario.to_toml()) {
            return Ok(None);
        }
        for seed in (0..=other_seeds).map(|further| failure.seed.wrapping_add(further)) {
            if self.is_over() {
                return Ok(None);
            }
            self.runs += 1;
            let reply = self.run(scenario, seed, None)?;
            if let Some(reason) = reply.reasons().into_iter().find(|reason| reason.is_same(&failure.reason)) {
                return Ok(Some(self::failure(seed, reason, reply)));
            }
        }
        self.rejected.insert(scenario.to_toml());
        Ok(None)
    }

    /// Writes a small scenario and its report. A promise that breaks is expected to, so that the file tells what it shows; what
    /// breaks in consequence is named too.
    pub(crate) fn keep(&mut self, small: &Small, folder: &std::path::Path) -> miette::Result<Kept> {
        let file = folder.join("scenario.toml");
        let mut scenario = small.scenario.clone();
        let seed = scenario.seed.unwrap_or_default();
        let mut next = small.reason.promise.clone();
        while let Some(promise) = next.take().filter(|promise| !scenario.expect.broken.contains(promise)) {
            scenario.expect.broken.push(promise);
            next = self.run(&scenario, seed, None)?.reasons().into_iter().find_map(|reason| reason.promise);
        }
        write_file(&file, scenario.to_toml().as_bytes())?;
        let source = file.display().to_string();
        let job =
            Job { seed, what: Told::File(scenario.to_toml()), plant: self.plant, source, report: Some(folder.into()) };
        let plant = self.plant.map(|bug| format!(" --plant {}", bug.name())).unwrap_or_default();
        let replay = format!("trial run {} --seed {seed}{plant}", job.source);
        // A run that kills its process leaves no report; its scenario is there all the same.
        let _reply = self.worker.ask(&job)?;
        Ok(Kept { replay })
    }

    fn run(&mut self, scenario: &Scenario, seed: u64, report: Option<PathBuf>) -> miette::Result<Reply> {
        let what = Told::File(scenario.to_toml());
        self.worker.ask(&Job { seed, what, plant: self.plant, source: "shrunk".into(), report })
    }

    fn is_over(&self) -> bool {
        self.limits.runs <= self.runs || self.limits.time <= self.began.elapsed()
    }
}

fn failure(seed: u64, reason: Reason, reply: Reply) -> Failure {
    match reply {
        Reply::Answered(answer) => {
            let Answer { happened, ended, reasons, .. } = *answer;
            let detail = reasons.into_iter().find(|(one, _)| *one == reason).map(|(_, detail)| detail);
            Failure { seed, reason, detail: detail.unwrap_or_default(), happened, ended }
        }
        Reply::Died { .. } => Failure { seed, reason, detail: String::new(), happened: Vec::new(), ended: None },
    }
}

/// What was written of a small scenario.
pub(crate) struct Kept {
    pub(crate) replay: String,
}
