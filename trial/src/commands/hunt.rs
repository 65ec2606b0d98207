//! `trial hunt`: plants each known bug, and counts the random scenarios that it takes to find it. The measure of the trial itself.
//!
//! A hunt knows nothing of the catalogue's tales: it draws the standard profile's scenarios, seed after seed. Found is a bug when a
//! promise breaks that the same seed keeps without the bug. Each bug is hunted by one process at a time, so that its time is that of one core.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use miette::miette;
use model::Bug;
use parking_lot::Mutex;
use scenarios::Profile;
use serde::{Deserialize, Serialize};

use super::worker::{Job, Reply, Told, Worker};
use super::{Exit, cores, parse_bug, print, read_text, tell, write_file};

/// Seeds after which a bug is given up.
const SEEDS_DEFAULT: u64 = 500;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The bugs to hunt [default: all]
    #[arg(value_name = "BUG", value_parser = parse_bug)]
    bugs: Vec<Bug>,
    /// Seeds after which a bug is given up
    #[arg(long, value_name = "N", default_value_t = SEEDS_DEFAULT, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// How many bugs at once [default: one a core]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Print one JSON object, and nothing else
    #[arg(long)]
    json: bool,
    /// Run only the seeds that this file knows to find each bug
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "pin"])]
    known: Option<PathBuf>,
    /// Write the seeds that found each bug into a file, for --known
    #[arg(long, value_name = "FILE")]
    pin: Option<PathBuf>,
}

/// What came of a hunt for one bug.
#[derive(Clone, Debug, Serialize)]
struct Hunted {
    bug: &'static str,
    found: bool,
    /// Seeds that were run.
    seeds: u64,
    wall_ms: u64,
    /// Which promise broke.
    promise: Option<String>,
    /// The seed that shows it.
    #[serde(skip)]
    seed: Option<u64>,
}

/// The file of known seeds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    seeds: BTreeMap<String, u64>,
}

pub(crate) fn hunt(arguments: &Arguments) -> miette::Result<Exit> {
    let bugs = if arguments.bugs.is_empty() { Bug::ALL } else { &arguments.bugs };
    let known = arguments.known.as_deref().map(read_known).transpose()?;
    let mut quarries = Vec::new();
    for &bug in bugs {
        let seeds = match &known {
            None => (1, arguments.seeds),
            Some(known) => match known.seeds.get(bug.name()) {
                Some(&seed) => (seed, 1),
                None => continue,
            },
        };
        quarries.push((bug, seeds));
    }
    let next = Mutex::new(quarries.iter().enumerate());
    let found: Mutex<BTreeMap<usize, miette::Result<Hunted>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or_else(cores) {
            scope.spawn(|| {
                loop {
                    let Some((place, &(bug, (from, seeds)))) = next.lock().next() else { return };
                    let hunted = one(bug, from, seeds);
                    if let (Ok(hunted), false) = (&hunted, arguments.json) {
                        tell(&line(hunted));
                    }
                    found.lock().insert(place, hunted);
                }
            });
        }
    });
    let hunted: Vec<Hunted> = found.into_inner().into_values().collect::<miette::Result<_>>()?;
    if let Some(path) = &arguments.pin {
        pin(path, &hunted)?;
    }
    if arguments.json {
        print(&format!("{}\n", serde_json::json!({ "bugs": hunted })));
    } else {
        print(&table(&hunted));
    }
    let all = hunted.iter().all(|hunted| hunted.found);
    Ok(if all { Exit::AsExpected } else { Exit::Disappointed })
}

fn one(bug: Bug, from: u64, seeds: u64) -> miette::Result<Hunted> {
    let mut worker = Worker::new();
    let mut wall = Duration::ZERO;
    let mut hunted = Hunted { bug: bug.name(), found: false, seeds: 0, wall_ms: 0, promise: None, seed: None };
    for seed in from..from.saturating_add(seeds) {
        let what = Told::Random(Profile::Standard.name().into());
        let reply = worker.ask(&Job { seed, what, plant: Some(bug), source: "hunt".into(), report: None })?;
        hunted.seeds += 1;
        if let Reply::Answered(answer) = &reply {
            wall += answer.wall;
        }
        let Some(promise) = broken(&reply).into_iter().next() else { continue };
        // What breaks without the bug too does not show the bug.
        let what = Told::Random(Profile::Standard.name().into());
        let sound = worker.ask(&Job { seed, what, plant: None, source: "hunt".into(), report: None })?;
        if broken(&sound).is_empty() {
            (hunted.found, hunted.promise, hunted.seed) = (true, Some(promise), Some(seed));
            break;
        }
    }
    hunted.wall_ms = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
    Ok(hunted)
}

/// The promises that a run broke.
fn broken(reply: &Reply) -> Vec<String> {
    reply.reasons().into_iter().filter_map(|reason| reason.promise).collect()
}

fn read_known(path: &Path) -> miette::Result<Known> {
    let known: Known = toml::from_str(&read_text(path)?)
        .map_err(|error| miette!(help = "write one with `trial hunt --pin`", "{}: {error}", path.display()))?;
    for name in known.seeds.keys() {
        parse_bug(name).map_err(|error| miette!("{}: \"{name}\": {error}", path.display()))?;
    }
    Ok(known)
}

fn pin(path: &Path, hunted: &[Hunted]) -> miette::Result<()> {
    let seeds = hunted.iter().filter_map(|hunted| Some((hunted.bug.to_owned(), hunted.seed?))).collect();
    let text = toml::to_string(&Known { seeds }).map_err(|error| miette!("{error}"))?;
    let head =
        format!("# Seeds of the standard profile that find each planted bug: trial hunt --pin {}\n", path.display());
    write_file(path, format!("{head}{text}").as_bytes())
}

fn line(hunted: &Hunted) -> String {
    let Hunted { bug, seeds, promise, .. } = hunted;
    let wall = hunted.wall_ms as f64 / 1_000.0;
    match promise {
        Some(promise) => format!("{bug:<30} {seeds:>6} {wall:>8.1}   {promise}"),
        None => format!("{bug:<30} {seeds:>6} {wall:>8.1}   not found"),
    }
}

fn table(hunted: &[Hunted]) -> String {
    let mut text = format!("{:<30} {:>6} {:>8}   {}\n", "bug", "seeds", "seconds", "promise");
    for hunted in hunted {
        text.push_str(&line(hunted));
        text.push('\n');
    }
    let found = hunted.iter().filter(|hunted| hunted.found).count();
    text.push_str(&format!(
        "\n{found} of {} found; in the median {} seeds and {:.1} s\n",
        hunted.len(),
        median(hunted.iter().map(|hunted| hunted.seeds)),
        median(hunted.iter().map(|hunted| hunted.wall_ms)) as f64 / 1_000.0
    ));
    text
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}
