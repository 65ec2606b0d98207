//! `trial fuzz`: random scenarios, each from its seed, in as many processes as asked for.
//!
//! ```text
//! seeds.rs     which seeds, in shards          state.rs    what is done, in a file that survives an interruption
//! findings.rs  what was found, by its reason   progress.rs a bar, or a line now and then
//! ```
//! The first failure of each kind is made smaller on the spot and written down; further ones are counted. Now and then a seed is run
//! a second time, in a process of its own, and must give the same digest.

mod findings;
mod progress;
mod seeds;
mod state;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use miette::miette;
use model::Bug;
use parking_lot::Mutex;
use scenarios::{Profile, random};
use trial::{Options, Reason};

use self::findings::{Failing, Findings};
use self::progress::Progress;
use self::seeds::{Seeds, Shard};
use self::state::State;
use super::shrink::{Limits, Shrinker};
use super::worker::{Answer, Job, Reply, Told, Worker};
use super::{Exit, Named, parse_bug, parse_span, points, print, twice, write_file};

/// Seeds of a fuzz that is told neither how many nor for how long.
const SEEDS_DEFAULT: u64 = 100;

/// One seed in so many is run twice.
const TWICE_EVERY: u64 = 50;

/// So many kinds of failure are made smaller; who finds more has other worries.
const SHRUNK_MAX: usize = 20;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many seeds [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "time", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// For how long, such as 10min
    #[arg(long = "for", value_name = "SPAN", value_parser = parse_span)]
    time: Option<Duration>,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    from: u64,
    /// Every Nth of the seeds, beginning with the Ith, so that several machines can share them
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// How many processes at once [default: one a core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// What goes wrong: standard, long (a minute of it), calm, nodes, network or disk
    #[arg(long, value_name = "P", default_value_t = Profile::Standard, value_parser = parse_profile)]
    profile: Profile,
    /// Where findings go, and what is done: the same arguments continue there
    #[arg(long, value_name = "DIR", default_value = "runs/fuzz")]
    out: PathBuf,
    /// Points that other runs reached, as `trial run --points` writes them: they are not listed as never reached
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// Plant a bug in every broker
    #[arg(long, value_name = "BUG", value_parser = parse_bug)]
    plant: Option<Bug>,
    /// Print one JSON object, and nothing else
    #[arg(long)]
    json: bool,
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse::<Profile>().map_err(|error| format!("{error}: {}", error.help))
}

/// What the threads share.
struct Fuzz<'a> {
    arguments: &'a Arguments,
    seeds: Mutex<Seeds>,
    deadline: Option<Instant>,
    findings: Mutex<Findings>,
    state: Mutex<State>,
    progress: Progress,
    error: Mutex<Option<miette::Report>>,
}

#[allow(clippy::disallowed_methods, reason = "a fuzz lasts in the real world")]
pub(crate) fn fuzz(arguments: &Arguments) -> miette::Result<Exit> {
    let began = Instant::now();
    let bounded = arguments.seeds.or(arguments.time.is_none().then_some(SEEDS_DEFAULT));
    let reached_elsewhere = arguments.points.as_deref().map(points::read).transpose()?.unwrap_or_default();
    let (state, mut before) = State::open(&arguments.out, arguments.profile, arguments.plant)?;
    before.findings.reached_elsewhere = reached_elsewhere;
    let seeds = Seeds::new(arguments.from, bounded, arguments.shard, before.done, before.again);
    let fuzz = Fuzz {
        arguments,
        progress: Progress::new(bounded.map(|_| seeds.left()), began),
        seeds: Mutex::new(seeds),
        deadline: arguments.time.and_then(|time| began.checked_add(time)),
        findings: Mutex::new(before.findings),
        state: Mutex::new(state),
        error: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or_else(super::cores) {
            scope.spawn(|| fuzz.work());
        }
    });
    fuzz.progress.finish();
    if let Some(error) = fuzz.error.into_inner() {
        return Err(error);
    }
    let findings = fuzz.findings.into_inner();
    if arguments.json {
        print(&format!("{}\n", findings.json(began.elapsed())));
    } else {
        print(&findings.summary(began.elapsed()));
    }
    Ok(findings.exit())
}

impl Fuzz<'_> {
    fn work(&self) {
        let mut worker = Worker::new();
        while let Some(seed) = self.next() {
            if let Err(error) = self.one(seed, &mut worker) {
                *self.error.lock() = Some(error);
            }
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a fuzz lasts in the real world")]
    fn next(&self) -> Option<u64> {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_late || self.error.lock().is_some() { None } else { self.seeds.lock().next() }
    }

    fn job(&self, seed: u64) -> Job {
        let Arguments { profile, plant, .. } = *self.arguments;
        let source = format!("fuzz-{profile}-{seed}");
        Job { seed, what: Told::Random(profile.name().into()), plant, source, report: None }
    }

    fn one(&self, seed: u64, worker: &mut Worker) -> miette::Result<()> {
        let reply = worker.ask(&self.job(seed))?;
        let difference = match &reply {
            Reply::Answered(answer) if seed.is_multiple_of(TWICE_EVERY) => self.difference(answer)?,
            _ => None,
        };
        let reason = reply.reasons().into_iter().next();
        let is_first = {
            let findings = &mut *self.findings.lock();
            let news = findings.add(seed, &reply, difference);
            self.state.lock().write(&news)?;
            self.progress.step(findings);
            news.is_first && findings.kinds() <= SHRUNK_MAX
        };
        match reason {
            Some(reason) if is_first => self.make_small(seed, &reason),
            _ => Ok(()),
        }
    }

    /// Runs a seed again, in a process that ran nothing before. What differs, if something does.
    fn difference(&self, first: &Answer) -> miette::Result<Option<String>> {
        let second = match Worker::new().ask(&self.job(first.seed))? {
            Reply::Answered(answer) if answer.digest == first.digest => return Ok(None),
            Reply::Answered(answer) => format!("digest {} and then {}", first.digest, answer.digest),
            Reply::Died { how, .. } => format!("digest {} and then {how}", first.digest),
        };
        let Arguments { profile, plant, .. } = *self.arguments;
        let scenario = random(first.seed, profile);
        let options = Options { source: "twice".into(), plant, record: true, ..Options::default() };
        let finished = trial::run(&scenario, first.seed, &options);
        let named = Named { source: "twice".into(), scenario };
        let event = twice::compare(&named, first.seed, plant, &finished)?;
        Ok(Some(event.map_or(second.clone(), |event| format!("{second}\n{event}"))))
    }

    /// Makes the first failure of a kind smaller, and writes it down.
    fn make_small(&self, seed: u64, reason: &Reason) -> miette::Result<()> {
        let Arguments { profile, plant, .. } = *self.arguments;
        let drawn = random(seed, profile);
        let folder = self.arguments.out.join(format!("{}-{seed}", slug(reason)));
        write_file(&folder.join("drawn.toml"), drawn.to_toml().as_bytes())?;
        let mut shrinker = Shrinker::new(Worker::new(), plant, Limits::default());
        let before = drawn.faults.len();
        let small = match shrinker.failure(&drawn, seed)? {
            Some(failure) => shrinker.shrink(drawn, failure)?,
            None => return Err(miette!("seed {seed} fails with others before it, and not alone: {reason}")),
        };
        let kept = shrinker.keep(&small, &folder)?;
        let failing = Failing { faults_before: before, faults: small.scenario.faults.len(), replay: kept.replay };
        let findings = &mut *self.findings.lock();
        if !self.arguments.json {
            self.progress.print(&format!("{}\n", findings::line(reason, &failing)));
        }
        self.state.lock().write_small(reason, &failing)?;
        findings.add_small(reason, failing);
        Ok(())
    }
}

/// A reason as part of a folder's name.
fn slug(reason: &Reason) -> String {
    let text = reason.promise.as_deref().unwrap_or(&reason.shape);
    let words: Vec<String> = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .take(8)
        .collect();
    if words.is_empty() { "failure".into() } else { words.join("-") }
}
