//! Fuzz, shrink and hunt as commands: what they find, what they keep, and that an interruption loses nothing.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use scenarios::Scenario;
use serde_json::Value;

/// A bug that every run shows, and soon.
const BUG: &str = "ack-before-replication";
const PROMISE: &str = "acks are honest";

fn trial(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trial")).args(arguments).output().unwrap()
}

fn json(arguments: &[&str], exit: i32) -> Value {
    let output = trial(arguments);
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {told}{error}");
    serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}{error}"))
}

#[allow(clippy::disallowed_methods, reason = "a test reads what a command wrote")]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_bug_is_one_line_and_its_replay_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let found = json(&["fuzz", "--seeds", "4", "--plant", BUG, "--out", &out, "--json"], 1);
    assert_eq!((found["seeds"].as_u64(), found["failed"].as_u64()), (Some(4), Some(4)));
    let failures = found["failures"].as_array().unwrap();
    let honest = failures.iter().find(|failure| failure["promise"] == PROMISE).unwrap();
    assert!(honest["small"]["faults"].as_u64() <= Some(1), "{honest}");
    assert!(found["unreached"].as_array().unwrap().len() > 3, "what a few short runs miss is listed: {found}");

    // The replay line is a command: it comes as the file says that it must, and without the bug it does not.
    let replay = honest["small"]["replay"].as_str().unwrap();
    let words: Vec<&str> = replay.split(' ').collect();
    assert_eq!(words[0], "trial");
    let run = json(&[&words[1..], &["--json"]].concat(), 0);
    let broken = run["promises"].as_array().unwrap().iter().find(|promise| promise["verdict"] == "broken").unwrap();
    assert_eq!(broken["name"], PROMISE);
    let sound: Vec<&str> = words[1..].iter().copied().take_while(|word| *word != "--plant").collect();
    json(&[&sound[..], &["--json"]].concat(), 1);

    let small = Scenario::parse("small", &read(Path::new(words[2]))).unwrap();
    assert_eq!(small.expect.broken, [PROMISE]);
    assert!(small.seed.is_some() && small.producers.len() + small.consumers.len() == 1, "{}", small.to_toml());
    assert!(Path::new(words[2]).with_file_name("report.html").exists());
}

#[test]
fn a_fuzz_that_is_over_is_not_run_again_and_one_of_another_kind_is_not_mixed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let first = json(&["fuzz", "--profile", "calm", "--seeds", "2", "--out", &out, "--json"], 0);
    let lines = read(&folder.path().join("fuzz.jsonl")).lines().count();
    let second = json(&["fuzz", "--profile", "calm", "--seeds", "2", "--out", &out, "--json"], 0);
    assert_eq!((&first["seeds"], &first["reached"]), (&second["seeds"], &second["reached"]));
    let third = json(&["fuzz", "--profile", "calm", "--seeds", "3", "--out", &out, "--json"], 0);
    assert_eq!(third["seeds"].as_u64(), Some(3));
    let text = read(&folder.path().join("fuzz.jsonl"));
    assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), lines + 1, "{text}");

    let other = trial(&["fuzz", "--profile", "nodes", "--seeds", "2", "--out", &out]);
    let error = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(2), "{error}");
    assert!(error.contains("belongs to a fuzz of the calm profile") && error.contains("--out"), "{error}");
}

#[test]
fn an_interrupted_fuzz_keeps_what_it_found() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let state = folder.path().join("fuzz.jsonl");
    let arguments = ["fuzz", "--seeds", "100000", "--jobs", "1", "--profile", "calm", "--out", &out];
    let mut child = Command::new(env!("CARGO_BIN_EXE_trial")).args(arguments).stderr(Stdio::null()).spawn().unwrap();
    #[allow(clippy::disallowed_methods, reason = "another process works meanwhile")]
    let began = Instant::now();
    let done = || if state.exists() { read(&state).matches("\"seed\":").count() } else { 0 };
    while done() < 3 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is done");
        #[allow(clippy::disallowed_methods, reason = "another process works meanwhile")]
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = done() as u64;
    let after = json(&["fuzz", "--seeds", &before.to_string(), "--profile", "calm", "--out", &out, "--json"], 0);
    assert_eq!(after["seeds"].as_u64(), Some(before));
    assert_eq!(done() as u64, before, "all of them were done");
}

#[test]
fn shards_share_the_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let seeds = |shard: &str| {
        let out = folder.path().join(shard.replace('/', "-"));
        let arguments = ["fuzz", "--profile", "calm", "--seeds", "3", "--shard", shard, "--out", out.to_str().unwrap()];
        assert_eq!(trial(&arguments).status.code(), Some(0));
        let text = read(&out.join("fuzz.jsonl"));
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["seed"].as_u64()).collect::<Vec<_>>()
    };
    let mut all = [seeds("1/2"), seeds("2/2")].concat();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
}

#[test]
fn a_small_scenario_has_what_it_takes_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let output = trial(&["shrink", "leader-loses-power", "--seed", "1", "--plant", "ack-wrong-offset", "--out", &out]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let small = Scenario::parse("small", &read(&folder.path().join("leader-loses-power-small/scenario.toml"))).unwrap();
    assert_eq!((small.seed.is_some(), small.topics.len(), small.producers.len()), (true, 1, 1));
    assert!(small.faults.is_empty() && small.consumers.is_empty(), "{}", small.to_toml());

    let sound = trial(&["shrink", "leader-loses-power", "--seed", "1", "--out", &out]);
    let error = String::from_utf8_lossy(&sound.stderr);
    assert_eq!(sound.status.code(), Some(2), "{error}");
    assert!(error.contains("goes as expected"), "{error}");
}

#[test]
fn a_hunt_finds_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("hunt.toml").display().to_string();
    let hunted = json(&["hunt", BUG, "--seeds", "5", "--json", "--pin", &known], 0);
    let bug = &hunted["bugs"][0];
    assert_eq!((&bug["bug"], &bug["found"], &bug["promise"]), (&BUG.into(), &true.into(), &PROMISE.into()));
    assert!(bug["seeds"].as_u64() <= Some(5) && bug["wall_ms"].is_u64());
    let again = json(&["hunt", "--known", &known, "--json"], 0);
    assert_eq!(again["bugs"].as_array().unwrap().len(), 1);
    assert_eq!(again["bugs"][0]["seeds"].as_u64(), Some(1));
}

#[test]
fn a_run_that_left_its_file_is_shown_again_to_the_letter() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    assert_eq!(trial(&["run", "leader-loses-power", "--report", &out]).status.code(), Some(0));
    let run = folder.path().join("leader-loses-power-1");
    let page = read(&run.join("report.html"));
    let history = read(&run.join("history.jsonl"));
    let again = folder.path().join("again");
    let shown = trial(&["report", run.to_str().unwrap(), "--out", again.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(read(&again.join("report.html")) == page, "another page");
    assert!(read(&again.join("history.jsonl")) == history, "another history");
    let trace: Value = serde_json::from_str(&read(&again.join("perfetto.json"))).unwrap();
    assert!(trace["traceEvents"].as_array().unwrap().len() > 100);
}
