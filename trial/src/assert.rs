//! For `cargo test`: a scenario file as an assertion.

use std::ops::RangeInclusive;
use std::path::Path;

use scenarios::Scenario;

use crate::{Options, run};

/// Runs a scenario file with its own seed, or with seed 1.
///
/// # Panics
/// If it cannot be read, or if a run is not as expected: with what was missed, and the command that shows it.
pub fn assert_scenario(path: impl AsRef<Path>) {
    let scenario = read(path.as_ref());
    let seed = scenario.seed.unwrap_or(1);
    assert_run(path.as_ref(), &scenario, seed);
}

/// Runs a scenario file with each of these seeds, or with its own alone if it pins one.
///
/// # Panics
/// As [`assert_scenario`].
pub fn assert_scenario_seeds(path: impl AsRef<Path>, seeds: RangeInclusive<u64>) {
    let scenario = read(path.as_ref());
    let seeds = scenario.seed.map_or(seeds, |seed| seed..=seed);
    seeds.for_each(|seed| assert_run(path.as_ref(), &scenario, seed));
}

fn read(path: &Path) -> Scenario {
    #[allow(clippy::disallowed_methods, reason = "the scenario files of the caller")]
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Scenario::parse(&path.display().to_string(), &text).unwrap_or_else(|error| match error.remedy() {
        Some(remedy) => panic!("{error}: {remedy}"),
        None => panic!("{error}"),
    })
}

fn assert_run(path: &Path, scenario: &Scenario, seed: u64) {
    let options = Options { source: path.display().to_string(), ..Options::default() };
    let finished = run(scenario, seed, &options);
    let missed = finished.run.disappointments();
    let verdicts = reports::verdicts(&finished.run);
    assert!(missed.is_empty(), "{}\n{verdicts}\nreplay: {}", missed.join("\n"), finished.run.replay);
}
