//! Same binary, scenario and seed: same digest, in any process and after any other runs. Another seed: another digest.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::process::Command;

use scenarios::{Profile, catalogue, random};
use trial::Options;

/// The digest that the binary prints for a tale.
fn digest_elsewhere(tale: &str, seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_trial"))
        .args(["run", tale, "--json", "--seed", &seed.to_string()])
        .output()
        .unwrap();
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    object["digest"].as_str().unwrap().to_owned()
}

#[test]
fn every_tale_has_one_digest_in_two_processes() {
    for tale in catalogue().iter().filter(|tale| tale.name() != "laptop-asleep-for-an-hour") {
        assert_eq!(digest_elsewhere(tale.name(), 7), digest_elsewhere(tale.name(), 7), "{}", tale.path);
    }
}

#[test]
fn the_binary_itself_compares_event_by_event() {
    let output = Command::new(env!("CARGO_BIN_EXE_trial"))
        .args(["run", "leader-loses-power", "--twice", "--seed", "3"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the same digest in another process"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn fifty_runs_before_it_in_the_same_process_change_nothing() {
    let tales: Vec<_> = catalogue().iter().map(|tale| tale.scenario().unwrap()).collect();
    let digests = || -> Vec<String> {
        tales.iter().map(|scenario| trial::run(scenario, 5, &Options::default()).run.digest).collect()
    };
    let before = digests();
    for seed in 100..150 {
        trial::run(&random(seed, Profile::Standard), seed, &Options::default());
    }
    assert_eq!(digests(), before);
}

#[test]
fn runs_beside_it_on_other_threads_change_nothing() {
    let scenario = catalogue()[0].scenario().unwrap();
    let digests: BTreeSet<String> = std::thread::scope(|scope| {
        let one = || trial::run(&scenario, 5, &Options::default()).run.digest;
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(digests.len(), 1);
}

#[test]
fn another_seed_gives_another_digest() {
    let scenario = catalogue()[0].scenario().unwrap();
    let digests: BTreeSet<String> =
        (1..=5).map(|seed| trial::run(&scenario, seed, &Options::default()).run.digest).collect();
    assert_eq!(digests.len(), 5);
}
