//! For `cargo test`: scenarios as assertions, for this project's tales and for anybody's own.
//!
//! The environment says how much is run, and wins over what the test says:
//!
//! | variable | means |
//! |---|---|
//! | `TRIAL_SEED=17` | this seed alone |
//! | `TRIAL_SEEDS=200` | so many seeds |
//! | `TRIAL_BUDGET=10min` | as many seeds as fit into this time, at least one |
//!
//! A failure panics with what was missed, the verdicts, and one line that replays it.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use scenarios::{Profile, Scenario, Span, random};

use crate::{Finished, Options, run};

/// Runs a scenario file with its own seed, or with seed 1, or as the environment says.
///
/// # Panics
/// If it cannot be read, or if a run is not as expected: with what was missed, and the command that shows it.
pub fn assert_scenario(path: impl AsRef<Path>) {
    assert_scenario_seeds(path, 1..=1);
}

/// Runs a scenario file with each of these seeds, or with its own alone if it pins one, or as the environment says.
///
/// # Panics
/// As [`assert_scenario`].
pub fn assert_scenario_seeds(path: impl AsRef<Path>, seeds: RangeInclusive<u64>) {
    assert_scenario_with(path, seeds, |_| Ok(()));
}

/// As [`assert_scenario_seeds`], with a promise of one's own: what `judge` says against a run fails it too.
///
/// # Panics
/// As [`assert_scenario`].
pub fn assert_scenario_with(
    path: impl AsRef<Path>,
    seeds: RangeInclusive<u64>,
    judge: impl Fn(&Finished) -> Result<(), String>,
) {
    let (path, scenario) = (path.as_ref(), read(path.as_ref()));
    Seeds::new(seeds, scenario.seed).for_each(|seed| {
        let options = Options { source: path.display().to_string(), ..Options::default() };
        let finished = run(&scenario, seed, &options);
        assert_finished(&finished, judge(&finished), &finished.run.replay);
    });
}

/// Runs random scenarios of a profile: those of each of these seeds, or as the environment says.
///
/// # Panics
/// As [`assert_scenario`].
pub fn assert_random(profile: Profile, seeds: RangeInclusive<u64>) {
    Seeds::new(seeds, None).for_each(|seed| {
        let finished = run(&random(seed, profile), seed, &Options { source: "random".into(), ..Options::default() });
        assert_finished(&finished, Ok(()), &format!("trial fuzz --profile {profile} --from {seed} --seeds 1"));
    });
}

fn assert_finished(finished: &Finished, judged: Result<(), String>, replay: &str) {
    let mut missed = finished.run.disappointments();
    missed.extend(judged.err());
    let verdicts = reports::verdicts(&finished.run);
    assert!(missed.is_empty(), "{}\n{verdicts}\nreplay: {replay}", missed.join("\n"));
}

fn read(path: &Path) -> Scenario {
    #[allow(clippy::disallowed_methods, reason = "the scenario files of the caller")]
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Scenario::parse(&path.display().to_string(), &text).unwrap_or_else(|error| match error.remedy() {
        Some(remedy) => panic!("{error}: {remedy}"),
        None => panic!("{error}"),
    })
}

/// The seeds of a test, one after the other.
struct Seeds {
    next: Option<u64>,
    last: u64,
    deadline: Option<Instant>,
}

impl Seeds {
    #[allow(clippy::disallowed_methods, reason = "a budget is of real time")]
    fn new(told: RangeInclusive<u64>, pinned: Option<u64>) -> Seeds {
        let said = |name: &str| std::env::var(name).ok();
        let wanted = Wanted::read(said).unwrap_or_else(|error| panic!("{error}"));
        let (first, last) = wanted.seeds(told, pinned);
        let deadline = wanted.budget.and_then(|budget| Instant::now().checked_add(budget));
        Seeds { next: Some(first), last, deadline }
    }
}

impl Iterator for Seeds {
    type Item = u64;

    #[allow(clippy::disallowed_methods, reason = "a budget is of real time")]
    fn next(&mut self) -> Option<u64> {
        let seed = self.next.filter(|seed| *seed <= self.last)?;
        self.next = seed.checked_add(1);
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.next = None;
        }
        Some(seed)
    }
}

/// What the environment wants.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    seed: Option<u64>,
    seeds: Option<u64>,
    budget: Option<Duration>,
}

impl Wanted {
    fn read(said: impl Fn(&str) -> Option<String>) -> Result<Wanted, String> {
        let number = |name: &str| -> Result<Option<u64>, String> {
            let wrong = |text: &str| format!("{name}={text} is not understood: write a whole number");
            said(name).map(|text| text.parse().map_err(|_| wrong(&text))).transpose()
        };
        let budget = said("TRIAL_BUDGET").map(|text| {
            let wrong = |error: scenarios::WordError| format!("TRIAL_BUDGET={text} is not understood: {}", error.help);
            text.parse::<Span>().map(|span| span.0).map_err(wrong)
        });
        let wanted = Wanted { seed: number("TRIAL_SEED")?, seeds: number("TRIAL_SEEDS")?, budget: budget.transpose()? };
        match wanted.seeds {
            Some(0) => Err("TRIAL_SEEDS=0 would try nothing: write 1 or more".into()),
            _ => Ok(wanted),
        }
    }

    /// The first and the last seed. A tale that pins its seed is about that one, whatever the number of others.
    fn seeds(&self, told: RangeInclusive<u64>, pinned: Option<u64>) -> (u64, u64) {
        let first = *told.start();
        match (self.seed.or(pinned), self.seeds, self.budget) {
            (Some(seed), _, _) => (seed, seed),
            (None, Some(seeds), _) => (first, first.saturating_add(seeds - 1)),
            (None, None, Some(_)) => (first, u64::MAX),
            (None, None, None) => (first, *told.end()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(said: &[(&str, &str)]) -> Result<(u64, u64), String> {
        let said = |name: &str| said.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
        Wanted::read(said).map(|wanted| wanted.seeds(3..=5, None))
    }

    #[test]
    fn the_environment_says_how_many_seeds() {
        assert_eq!(wanted(&[]), Ok((3, 5)));
        assert_eq!(wanted(&[("TRIAL_SEEDS", "200")]), Ok((3, 202)));
        assert_eq!(wanted(&[("TRIAL_SEED", "17"), ("TRIAL_SEEDS", "200")]), Ok((17, 17)));
        assert_eq!(wanted(&[("TRIAL_BUDGET", "10min")]), Ok((3, u64::MAX)));
        assert_eq!(wanted(&[("TRIAL_BUDGET", "10min"), ("TRIAL_SEEDS", "2")]), Ok((3, 4)));
    }

    #[test]
    fn a_pinned_seed_is_the_only_one_unless_another_is_named() {
        let wanted = |seed, seeds| Wanted { seed, seeds, budget: None }.seeds(3..=5, Some(42));
        assert_eq!((wanted(None, None), wanted(None, Some(9)), wanted(Some(17), None)), ((42, 42), (42, 42), (17, 17)));
    }

    #[test]
    fn what_the_environment_says_wrongly_is_named() {
        for (name, text) in [
            ("TRIAL_SEED", "-1"),
            ("TRIAL_SEED", "x"),
            ("TRIAL_SEEDS", "0"),
            ("TRIAL_SEEDS", ""),
            ("TRIAL_BUDGET", "ten"),
        ] {
            let error = wanted(&[(name, text)]).unwrap_err();
            assert!(error.contains(name) && error.contains("write"), "{error}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a budget is real time")]
    fn a_budget_that_is_spent_still_buys_one_seed() {
        let mut seeds = Seeds { next: Some(4), last: u64::MAX, deadline: Some(Instant::now()) };
        assert_eq!((seeds.next(), seeds.next()), (Some(4), None));
    }
}
