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
fn a_file_that_is_no_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let garbage: Vec<u8> = (0..=255).cycle().take(4_000).collect();
    refused(&["run", &write(folder.path(), "garbage.toml", &garbage)], "is not text");
    refused(&["run", &write(folder.path(), "words.toml", b"once upon a time")], "words.toml");
    refused(&["run", &write(folder.path(), "empty.toml", b"")], "title");
    let wrong = b"title = \"t\"\nteaches = \"t\"\n[cluster]\nbrokrs = 3\n";
    refused(&["run", &write(folder.path(), "wrong.toml", wrong)], "brokers");
    refused(&["check", &write(folder.path(), "garbage.jsonl", &garbage)], "is no history");
}

#[test]
fn arguments_that_make_no_sense() {
    refused(&["run"], "FILE");
    refused(&["run", "leader-loses-power", "--seeds", "-3"], "-3");
    refused(&["run", "leader-loses-power", "--seeds", "0"], "0");
    refused(&["run", "leader-loses-power", "--seed", "minus one"], "minus one");
    refused(&["run", "leader-loses-power", "--plant", "no-such-bug"], "ack-before-replication");
    refused(&["fuzz", "--for", "a while"], "span");
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
fn the_schema_is_json() {
    let output = trial(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(schema["title"], "Scenario");
}
