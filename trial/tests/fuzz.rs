//! A small random fuzz: thirty simulated seconds a seed, and no promise broken.

use scenarios::{Profile, random};
use trial::Options;

fn fuzz(profile: Profile, seeds: std::ops::RangeInclusive<u64>) {
    let failures: Vec<String> = seeds
        .filter_map(|seed| {
            let finished = trial::run(&random(seed, profile), seed, &Options::default());
            let why = finished.run.disappointments().join("; ");
            let replay = format!("trial fuzz --profile {profile} --from {seed} --seeds 1");
            (!finished.is_as_expected()).then(|| format!("{replay}\n  {why}"))
        })
        .collect();
    assert!(failures.is_empty(), "not as expected:\n{}", failures.join("\n"));
}

#[test]
fn no_promise_breaks_while_nothing_goes_wrong() {
    fuzz(Profile::Calm, 1..=5);
}

#[test]
fn no_promise_breaks_while_nodes_die() {
    fuzz(Profile::Nodes, 1..=7);
}

#[test]
fn no_promise_breaks_while_the_network_fails() {
    fuzz(Profile::Network, 1..=7);
}

#[test]
fn no_promise_breaks_while_everything_goes_wrong() {
    fuzz(Profile::Standard, 1..=6);
}
