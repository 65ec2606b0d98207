//! A run's history, exported and judged by `trial check` as any other, comes out as it did in the run.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use invariants::Outcome;
use trial::Options;

/// Runs a tale, writes its history down, and has the command judge it.
#[track_caller]
fn comes_out_alike(tale: &str, seed: u64) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(tale);
    #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = scenarios::Scenario::parse(tale, &text).unwrap();
    let finished = trial::run(&scenario, seed, &Options { source: tale.into(), ..Options::default() });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.jsonl");
    let mut lines = Vec::new();
    finished.history.write(&mut lines).unwrap();
    #[allow(clippy::disallowed_methods, reason = "a test writes the history that it exports")]
    std::fs::write(&path, lines).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trial")).arg("check").arg(&path).arg("--json").output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let exported: BTreeMap<&str, &str> = told["promises"]
        .as_array()
        .unwrap()
        .iter()
        .map(|promise| (promise["name"].as_str().unwrap(), promise["verdict"].as_str().unwrap()))
        .collect();
    let own: BTreeMap<&str, &str> = finished
        .run
        .verdicts
        .iter()
        .filter(|verdict| exported.contains_key(verdict.promise))
        .map(|verdict| (verdict.promise, verdict.outcome.name()))
        .collect();
    assert_eq!(own, exported, "{tale}, seed {seed}");
    assert!(own.values().any(|verdict| *verdict == Outcome::Kept.name()), "{tale}, seed {seed}: {own:?}");
}

#[test]
fn a_kept_run_and_one_that_loses_come_out_alike() {
    comes_out_alike("replication/leader-loses-power.toml", 1);
    comes_out_alike("replication/acks-one-loses.toml", 1);
    comes_out_alike("storage/every-broker-loses-power-at-once.toml", 2);
}

#[test]
fn the_answers_of_the_command_are_those_of_its_contract() {
    let check = |side: &str, name: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../invariants/tests/histories");
        let file = root.join(side).join(format!("{name}.jsonl"));
        let output = Command::new(env!("CARGO_BIN_EXE_trial")).arg("check").arg(file).arg("--json").output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), told)
    };
    let (code, told) = check("illegal", "lost-write");
    assert_eq!((code, &told["verdict"]), (1, &"broken".into()));
    let lost = told["findings"].as_array().unwrap().iter().find(|finding| finding["anomaly"] == "lost-write").unwrap();
    assert_eq!((&lost["verdict"], &lost["key"]), (&"broken".into(), &"a/0".into()));
    assert_eq!(lost["operations"], serde_json::json!([2, 3, 9]));
    assert!(lost["why"].as_str().unwrap().starts_with("11 was acknowledged at offset 1 of a/0 and is lost"));
    let (code, told) = check("legal", "lost-write.acks-one");
    assert_eq!((code, &told["verdict"]), (0, &"allowed".into()));
    let (code, told) = check("legal", "lost-write");
    assert_eq!((code, &told["verdict"], &told["findings"]), (0, &"kept".into(), &serde_json::json!([])));
}

#[test]
fn a_history_with_nothing_to_judge_is_unknown_and_standard_input_is_one_too() {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_trial"))
        .args(["check", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let text = concat!(
        "{\"history\":1}\n",
        "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"assign\",\"value\":[\"a/0\"]}\n",
        "{\"index\":1,\"process\":1,\"type\":\"ok\",\"f\":\"assign\",\"value\":[\"a/0\"]}\n",
    );
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("verdict   unknown"));
}
