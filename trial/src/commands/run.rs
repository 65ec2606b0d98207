//! `trial run`: scenario files, seeds, verdicts.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;

use clap::Args;
use miette::miette;
use model::Bug;
use reports::View;
use scenarios::{Setting, WordError};
use trial::{Finished, Options};

use super::{
    Exit, Named, parse_bug, points, print, read_scenario_with, report_folder, tell, twice, write_file, write_report,
};

/// The seed of a run whose scenario pins none and whose caller names none.
pub(crate) const SEED_DEFAULT: u64 = 1;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Scenario files, patterns such as scenarios/*/*.toml, or names of the catalogue (see `trial lessons`)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// The first seed [default: the scenario's own, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How many seeds, one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// Put a value into the scenario before it is read, such as cluster.brokers=5 or producers.0.rate=50/s
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_setting)]
    settings: Vec<Setting>,
    /// Run each seed again in another process, and compare every event
    #[arg(long)]
    twice: bool,
    /// Write a report of each run into a folder in DIR
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Add the points that were reached to a file, for `trial fuzz --points`
    #[arg(long, value_name = "FILE")]
    points: Option<PathBuf>,
    /// Print one JSON object a run, and nothing else
    #[arg(long)]
    json: bool,
    /// Plant a bug in every broker
    #[arg(long, value_name = "BUG", value_parser = parse_bug)]
    plant: Option<Bug>,
    /// Print the trace of each run, one line an event: roles, epochs, lives, faults
    #[arg(long, conflicts_with = "json")]
    trace: bool,
    /// Write every event of the world into a file, for the process that compares
    #[arg(long, hide = true, value_name = "FILE")]
    record: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> miette::Result<Exit> {
    let scenarios: Vec<Named> = expand(&arguments.files)?
        .iter()
        .map(|file| read_scenario_with(file, &arguments.settings))
        .collect::<miette::Result<_>>()?;
    let (mut exit, mut reached) = (Exit::AsExpected, BTreeSet::new());
    let many = scenarios.len() > 1 || arguments.seeds > 1;
    for named in &scenarios {
        let first = arguments.seed.or(named.scenario.seed).unwrap_or(SEED_DEFAULT);
        for seed in (0..arguments.seeds).map(|further| first.wrapping_add(further)) {
            let (ended, passed) = one(named, seed, arguments, many)?;
            exit = exit.max(ended);
            reached.extend(passed);
        }
    }
    if let Some(path) = &arguments.points {
        points::add(path, reached)?;
    }
    Ok(exit)
}

fn parse_setting(text: &str) -> Result<Setting, String> {
    text.parse().map_err(|WordError { message, help }| format!("{message}; {help}"))
}

/// How a run ended, and the points that it reached.
fn one(named: &Named, seed: u64, arguments: &Arguments, many: bool) -> miette::Result<(Exit, BTreeSet<String>)> {
    let record = arguments.twice || arguments.record.is_some();
    let settings = arguments.settings.clone();
    let options =
        Options { source: named.source.clone(), plant: arguments.plant, settings, record, ..Options::default() };
    let finished = trial::run(&named.scenario, seed, &options);
    if let (Some(path), Some(recording)) = (&arguments.record, &finished.recording) {
        write_file(path, &recording.to_bytes())?;
    }
    if arguments.json {
        print(&format!("{}\n", reports::json(&finished.run)));
    } else if many && finished.is_as_expected() {
        print(&summary(&finished));
    } else {
        print(&in_full(&finished, arguments.trace));
    }
    if let Some(folder) = &arguments.report {
        let page = write_report(&report_folder(folder, &named.source, seed), &finished.run, &finished.history)?;
        if !arguments.json {
            print(&format!("report    {}\n", page.display()));
        }
    }
    let mut exit = if finished.is_as_expected() { Exit::AsExpected } else { Exit::Disappointed };
    if arguments.twice {
        match twice::compare(named, seed, arguments.plant, &finished)? {
            None if arguments.json => {}
            None => print("twice     the same digest in another process\n"),
            Some(difference) => {
                tell(&format!(
                    "nondeterminism: seed {seed} of {} differs in another process\n{difference}",
                    named.source
                ));
                exit = Exit::Nondeterministic;
            }
        }
    }
    let seen = finished.run.reached.iter().map(ToString::to_string);
    let passed = seen.chain(finished.run.points.keys().map(ToString::to_string)).collect();
    Ok((exit, passed))
}

/// One line of a run that went as expected.
fn summary(finished: &Finished) -> String {
    let run = &finished.run;
    format!(
        "as expected  {:<60} seed {:<6} digest {}  {:>8.1} s simulated in {:>6.2} s\n",
        run.source,
        run.seed,
        run.digest,
        run.stats.simulated.as_secs_f64(),
        run.stats.wall.as_secs_f64(),
    )
}

fn in_full(finished: &Finished, trace: bool) -> String {
    let run = &finished.run;
    let mut text = String::new();
    if trace {
        text.push_str(&reports::terminal(run, View::Transitions));
    } else {
        text.push_str(&format!("{}\n{}\n\n", run.scenario.title, run.source));
        text.push_str(&reports::verdicts(run));
    }
    text.push_str(&format!("seed      {}\n", run.seed));
    text
}

/// Patterns in place of which the files come that they match: `*` is any text without a slash.
fn expand(patterns: &[String]) -> miette::Result<Vec<String>> {
    let mut files = Vec::new();
    for pattern in patterns {
        if !pattern.contains('*') {
            files.push(pattern.clone());
            continue;
        }
        let found = matches(pattern);
        if found.is_empty() {
            return Err(miette!("no file matches {pattern}"));
        }
        files.extend(found);
    }
    Ok(files)
}

fn matches(pattern: &str) -> Vec<String> {
    let start = if pattern.starts_with('/') { "/" } else { "" };
    let mut parts: VecDeque<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    let mut found = vec![start.to_owned()];
    while let Some(part) = parts.pop_front() {
        let mut next = Vec::new();
        for folder in &found {
            let join = |name: &str| match folder.as_str() {
                "" | "/" => format!("{folder}{name}"),
                _ => format!("{folder}/{name}"),
            };
            if !part.contains('*') {
                next.push(join(part));
                continue;
            }
            let listed = std::fs::read_dir(if folder.is_empty() { "." } else { folder }).into_iter().flatten();
            let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            next.extend(names.filter(|name| is_match(part, name)).map(|name| join(&name)));
        }
        next.sort();
        found = next;
    }
    found.retain(|path| std::path::Path::new(path).is_file());
    found
}

fn is_match(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') {
        return false;
    }
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|at| rest.is_char_boundary(*at)).any(|at| {
                rest.get(at..).is_some_and(|rest| if tail.is_empty() { rest.is_empty() } else { ends_like(tail, rest) })
            })
        }),
    }
}

fn ends_like(pattern: &str, name: &str) -> bool {
    if pattern.contains('*') { is_match(pattern, name) } else { pattern == name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name, is_one) in [
            ("*.toml", "leader.toml", true),
            ("*.toml", "leader.txt", false),
            ("l*r.t*l", "leader.toml", true),
            ("*", "x", true),
            ("*", ".hidden", false),
            ("a*", "b", false),
        ] {
            assert_eq!(is_match(pattern, name), is_one, "{pattern} {name}");
        }
    }
}
