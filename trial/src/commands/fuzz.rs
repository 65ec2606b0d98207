//! `trial fuzz`: random scenarios, each from its seed, on as many threads as asked for.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use invariants::Outcome;
use miette::miette;
use model::Bug;
use parking_lot::Mutex;
use scenarios::{Profile, Span, random};
use trial::{Finished, Options};

use super::{Exit, parse_bug, print, write_file, write_report};

/// Seeds of a fuzz that is told neither how many nor for how long.
const SEEDS_DEFAULT: u64 = 100;

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
    /// How many runs at once [default: one a core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// What goes wrong: standard, calm, nodes or network
    #[arg(long, value_name = "P", default_value_t = Profile::Standard, value_parser = parse_profile)]
    profile: Profile,
    /// Where scenarios and reports of failures go
    #[arg(long, value_name = "DIR", default_value = "runs")]
    out: PathBuf,
    /// Plant a bug in every broker
    #[arg(long, value_name = "BUG", value_parser = parse_bug)]
    plant: Option<Bug>,
}

fn parse_span(text: &str) -> Result<Duration, String> {
    // A minute is `min` in scenarios; on a command line `m` is what people write.
    let text = text.strip_suffix('m').map_or_else(|| text.to_owned(), |minutes| format!("{minutes}min"));
    text.parse::<Span>().map(|span| span.0).map_err(|error| format!("{error}: {}", error.help))
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    text.parse::<Profile>().map_err(|error| format!("{error}: {}", error.help))
}

/// What the threads share.
struct Fuzz<'a> {
    arguments: &'a Arguments,
    next: AtomicU64,
    end: u64,
    deadline: Option<Instant>,
    failures: AtomicU64,
    broken: AtomicBool,
    bar: ProgressBar,
    error: Mutex<Option<miette::Report>>,
}

#[allow(clippy::disallowed_methods, reason = "a fuzz lasts in the real world")]
pub(crate) fn fuzz(arguments: &Arguments) -> miette::Result<Exit> {
    let began = Instant::now();
    let seeds = arguments.seeds.unwrap_or(if arguments.time.is_some() { u64::MAX } else { SEEDS_DEFAULT });
    let end = arguments.from.saturating_add(seeds);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let fuzz = Fuzz {
        arguments,
        next: AtomicU64::new(arguments.from),
        end,
        deadline: arguments.time.and_then(|time| began.checked_add(time)),
        failures: AtomicU64::new(0),
        broken: AtomicBool::new(false),
        bar: bar(arguments.seeds.or(arguments.time.is_none().then_some(SEEDS_DEFAULT))),
        error: Mutex::new(None),
    };
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores) {
            scope.spawn(|| fuzz.work());
        }
    });
    fuzz.bar.finish_and_clear();
    if let Some(error) = fuzz.error.into_inner() {
        return Err(error);
    }
    let failures = fuzz.failures.into_inner();
    let runs = fuzz.bar.position();
    print(&format!("{runs} seeds, {failures} not as expected, in {:.1} s\n", began.elapsed().as_secs_f64()));
    Ok(if failures == 0 { Exit::AsExpected } else { Exit::Disappointed })
}

fn bar(seeds: Option<u64>) -> ProgressBar {
    let bar = seeds.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let is_seen = std::io::stderr().is_terminal();
    bar.set_draw_target(if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} seeds, {per_sec}, {msg}") {
        bar.set_style(style);
    }
    bar
}

impl Fuzz<'_> {
    #[allow(clippy::disallowed_methods, reason = "a fuzz lasts in the real world")]
    fn work(&self) {
        loop {
            let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
            if is_late || self.broken.load(Ordering::Relaxed) {
                return;
            }
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if self.end <= seed {
                return;
            }
            if let Err(error) = self.one(seed) {
                self.broken.store(true, Ordering::Relaxed);
                *self.error.lock() = Some(error);
            }
            self.bar.inc(1);
        }
    }

    fn one(&self, seed: u64) -> miette::Result<()> {
        let scenario = random(seed, self.arguments.profile);
        let folder = self.arguments.out.join(format!("fuzz-{}-{seed}", self.arguments.profile));
        let file = folder.join("scenario.toml");
        let source = file.display().to_string();
        let options = Options { source, plant: self.arguments.plant, ..Options::default() };
        let finished = trial::run(&scenario, seed, &options);
        let why = why(&finished);
        if why.is_empty() {
            return Ok(());
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_message(format!("{failures} not as expected"));
        self.bar.suspend(|| print(&line(&finished, &why)));
        keep(&folder, &file, &finished)
    }
}

/// What speaks against a run. A random one must give evidence for every promise: what it never tried, it did not keep.
fn why(finished: &Finished) -> Vec<String> {
    let unknown = finished.run.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Unknown);
    let unknown = unknown.map(|verdict| format!("no evidence for a promise: {}", verdict.promise));
    finished.run.disappointments().into_iter().chain(unknown).collect()
}

/// One line a failure: what came, and how to see it again.
fn line(finished: &Finished, why: &[String]) -> String {
    let why = why.join("; ");
    format!("seed {:<8} {why}\n              {}\n", finished.run.seed, finished.run.replay)
}

fn keep(folder: &Path, file: &Path, finished: &Finished) -> miette::Result<()> {
    write_file(file, finished.run.scenario.to_toml().as_bytes())?;
    write_report(folder, finished).map(|_page| ()).map_err(|error| miette!("{error}"))
}
