//! Looking into the files that a node left.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::fs;

use serde_json::Value;
use support::{printed, refused, run, run_with, single};

/// The directory of a partition that was written to and closed in order.
fn partition() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_owned();
    let (node, address) = single(&data);
    printed(run(&["topic", "create", "orders", "--partitions", "1", "--bootstrap", &address]));
    let arguments = ["produce", "orders", "--key-separator", "=", "--bootstrap", &address];
    assert!(run_with(&arguments, "a=one\nb=two\n").status.success());
    node.stop();
    (directory, format!("{data}/orders-0"))
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn every_file_of_a_partition_is_shown_for_people_and_for_programs() {
    let (_directory, orders) = partition();
    let shown = printed(run(&["log", "dump", &orders, "--records"]));
    for part in [
        "/00000000000000000000.log: segment from offset 0",
        "none  producer 0 epoch 0 sequences 0..=1",
        "key \"a\"  value \"one\"",
        "leader epoch 0  from offset 0",
        ".snapshot: producers of what lies before offset 2",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let printed = printed(run(&["log", "dump", &orders, "--records", "--json"]));
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(of_kind(&lines, "batch").len(), 1);
    let batch = of_kind(&lines, "batch")[0];
    assert_eq!((&batch["crc_valid"], &batch["last_offset"], &batch["position"]), (&true.into(), &1.into(), &0.into()));
    let values: Vec<&Value> = of_kind(&lines, "record").iter().map(|record| &record["value"]).collect();
    assert_eq!(values, ["one", "two"]);
    assert_eq!(of_kind(&lines, "producer")[0]["last_sequence"], 1);
    for kind in ["offset_index", "time_index", "leader_epoch", "recovery_point"] {
        assert_eq!(of_kind(&lines, kind).len(), 1, "{kind}");
    }
}

#[test]
fn a_torn_or_damaged_file_is_shown_as_far_as_it_goes_and_named() {
    let (_directory, orders) = partition();
    let segment = format!("{orders}/00000000000000000000.log");
    let whole = fs::read(&segment).unwrap();
    let dump = || run(&["log", "dump", &segment, "--records"]);
    fs::write(&segment, [&whole[..], &whole[..40]].concat()).unwrap();
    let output = dump();
    assert!(String::from_utf8_lossy(&output.stdout).contains("value \"two\""));
    let said = refused(output, 1);
    let place = format!("error: {segment}: it is damaged at byte {}: the batch is cut short", whole.len());
    assert!(said.starts_with(&place) && said.lines().count() == 1, "{said}");

    let mut flipped = whole.clone();
    flipped[70] ^= 1;
    fs::write(&segment, flipped).unwrap();
    let output = dump();
    assert!(String::from_utf8_lossy(&output.stdout).contains("CHECKSUM WRONG"));
    assert!(refused(output, 1).contains("damaged at byte 0: the batch's checksum does not fit"));

    fs::write(&segment, [0xff; 500]).unwrap();
    assert!(refused(dump(), 1).contains("damaged at byte 0"));
    fs::write(format!("{orders}/recovery-point-checkpoint"), b"1 0 0 00000000\n").unwrap();
    let said = refused(run(&["log", "dump", &orders]), 1);
    assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{said}");
}

#[test]
fn what_is_no_log_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("notes.txt"), "x").unwrap();
    for (path, hint) in [
        (path("missing.log"), "cannot read"),
        (path("notes.txt"), "is no file of a log"),
        (path(""), "has no file of a log"),
    ] {
        let said = refused(run(&["log", "dump", &path]), 2);
        assert!(said.contains(hint) && said.lines().count() == 1, "{said}");
    }
}
