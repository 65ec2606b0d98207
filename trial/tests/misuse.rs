//! Bad input is one clear error and exit code 2.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::path::Path;
use std::process::{Command, Output};

fn trial(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trial")).args(arguments).output().unwrap()
}

fn refused(arguments: &[&str], because: &str) {
    let output = trial(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(error.contains(because), "{arguments:?}: {error}");
    assert!(!error.contains("panicked"), "{arguments:?}: {error}");
}

#[allow(clippy::disallowed_methods, reason = "a test writes the files that it misuses")]
fn write(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn a_file_that_is_not_there() {
    refused(&["run", "no-such.toml"], "no-such.toml");
    refused(&["run", "leader-loses-powr"], "leader-loses-power");
    refused(&["run", "no-such-folder/*.toml"], "no file matches");
    refused(&["check", "no-such.jsonl"], "no-such.jsonl");
}

#[test]
fn an_error_that_nobody_hears_is_still_the_same_error() {
    #[allow(clippy::disallowed_methods, reason = "a device that takes no byte stands for a reader who has gone")]
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_trial")).args(["run", "no-such.toml"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_file_that_is_no_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let garbage: Vec<u8> = (0..=255).cycle().take(4_000).collect();
    refused(&["run", &write(folder.path(), "garbage.toml", &garbage)], "is not text");
    refused(&["run", &write(folder.path(), "words.toml", b"once upon a time")], "words.toml");
    refused(&["run", &write(folder.path(), "empty.toml", b"")], "title");
    let wrong = b"title = \"t\"\nteaches = \"t\"\n[cluster]\nbrokrs = 3\n";
    refused(&["run", &write(folder.path(), "wrong.toml", wrong)], "brokers");
    refused(&["check", &write(folder.path(), "garbage.jsonl", &garbage)], "is no history");
    // Of a line that nobody can read the place is told, and no more.
    let deep = write(folder.path(), "deep.toml", format!("title = \"t\"\nx = {}\n", "[".repeat(100_000)).as_bytes());
    refused(&["run", &deep], "deep.toml:2:");
    assert!(trial(&["run", &deep]).stderr.len() < 2_000);
}

#[test]
fn arguments_that_make_no_sense() {
    refused(&["run"], "FILE");
    refused(&["run", "leader-loses-power", "--seeds", "-3"], "-3");
    refused(&["run", "leader-loses-power", "--seeds", "0"], "0");
    refused(&["run", "leader-loses-power", "--seed", "minus one"], "minus one");
    refused(&["run", "leader-loses-power", "--plant", "no-such-bug"], "ack-before-replication");
    refused(&["fuzz", "--for", "a while"], "span");
    refused(&["fuzz", "--for", "0s"], "nothing is done");
    refused(&["fuzz", "--profile", "stormy"], "standard");
    refused(&["hurry"], "hurry");
}

#[test]
fn seeds_and_shards_that_cannot_be() {
    refused(&["fuzz", "--seeds", "0"], "0");
    refused(&["fuzz", "--seeds", "many"], "many");
    refused(&["fuzz", "--seeds", "99999999999999999999999"], "99999999999999999999999");
    refused(&["fuzz", "--from", "-1"], "-1");
    refused(&["fuzz", "--jobs", "0"], "0");
    refused(&["fuzz", "--shard", "3/2"], "there is no shard 3 of 2");
    refused(&["fuzz", "--shard", "x"], "write I/N");
    refused(&["fuzz", "--shard", "0/2"], "there is no shard 0 of 2");
    refused(&["fuzz", "--seeds", "1", "--for", "1s"], "cannot be used with");
    refused(&["fuzz", "--plant", "ack-before-replicatoin"], "did you mean ack-before-replication?");
    refused(&["hunt", "zombie-leadr"], "did you mean zombie-leader?");
    refused(&["hunt", "--seeds", "0"], "0");
    refused(&["shrink", "leader-loses-powr"], "leader-loses-power");
    refused(&["shrink"], "FILE");
}

#[test]
fn places_where_nothing_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "file", b"in the way");
    refused(&["fuzz", "--seeds", "1", "--out", &file], "cannot write");
    write(folder.path(), "fuzz.jsonl", b"\xff\x00 not what a fuzz leaves");
    refused(&["fuzz", "--seeds", "1", "--out", &folder.path().display().to_string()], "fuzz.jsonl");
    write(folder.path(), "fuzz.jsonl", b"once upon a time\n");
    refused(&["fuzz", "--seeds", "1", "--out", &folder.path().display().to_string()], "is not what a fuzz leaves");
    refused(&["hunt", "--known", "no-such.toml"], "no-such.toml");
    refused(&["report", "no-such.jsonl"], "no-such.jsonl");
    refused(&["report", &write(folder.path(), "run.jsonl", b"{\"run\":1}\n")], "is no run");
    refused(&["report", "leader-loses-powr"], "leader-loses-power");
    refused(&["hunt", "--known", &write(folder.path(), "a.toml", b"seeds = 3")], "trial hunt --pin");
    refused(&["hunt", "--known", &write(folder.path(), "b.toml", b"[seeds]\nno-bug = 3")], "no-bug");
}

#[test]
fn a_setting_that_fits_nowhere() {
    let set = |setting: &str, because: &str| refused(&["run", "leader-loses-power", "--set", setting], because);
    set("cluster.brokers", "sets nothing");
    set("=5", "is no key");
    set("cluster.brokrs=5", "did you mean `brokers`?");
    set("cluster.brokers=five", "does not fit here");
    set("cluster.brokers=500", "write brokers = 1 to 15");
    set("producers.7.rate=1/s", "there is no item 7");
    set("producers.first.rate=1/s", "write a number, from 0");
    set("producers.0.rate=fast", "is not a rate");
    set("cluster=3", "cluster is a table");
    set("format=2", "format 2 is not known here");
    refused(&["run", "leader-loses-power", "--set"], "--set");
}

#[test]
fn patterns_that_match_nothing_or_something_else() {
    refused(&["run", "leader-*", "no-such-pattern-*.toml"], "no file matches");
    refused(&["run", "."], "cannot read .");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "good.toml", catalogue_text("acks-one-loses").as_bytes());
    write(folder.path(), "bad.toml", b"title = 3");
    // Nothing is run before everything is read.
    refused(&["run", &folder.path().join("*.toml").display().to_string()], "bad.toml");
}

fn catalogue_text(name: &str) -> &'static str {
    scenarios::catalogue().iter().find(|tale| tale.name() == name).unwrap().text
}

#[test]
fn a_scenario_that_contradicts_itself() {
    let folder = tempfile::tempdir().unwrap();
    let spoil = |from: &str, to: &str, because: &str| {
        let text = catalogue_text("leader-loses-power").replacen(from, to, 1);
        refused(&["run", &write(folder.path(), "spoilt.toml", text.as_bytes())], because);
    };
    spoil("replicas = 3", "replicas = 9", "wants 9 replicas");
    spoil("[expect]", "[expect]\nallowed = [\"metadata agrees\"]\nbroken = [\"metadata agrees\"]", "both must break");
    let huge = "#".repeat(2 << 20);
    refused(&["run", &write(folder.path(), "huge.toml", huge.as_bytes())], "check that this is a scenario file");
}

#[test]
fn what_was_set_is_in_the_replay_line() {
    let settings = [
        "--set",
        "cluster.duration=3s",
        "--set",
        "faults.0.at=1s",
        "--set",
        "expect.reach=[]",
        "--set",
        "producers.0.for=3s",
    ];
    let output = trial(&[&["run", "leader-loses-power", "--json"], &settings[..]].concat());
    let run: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let replay = run["replay"].as_str().unwrap();
    assert!(replay.contains("--set cluster.duration=3s --set faults.0.at=1s --set 'expect.reach=[]'"), "{replay}");
}

#[test]
fn the_schema_is_json() {
    let output = trial(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["title"], "Scenario");
}
