//! Real processes and the level of the metadata: a directory that a release wrote which knew nothing of levels, raised and lowered.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::path::Path;

use support::{printed, refused, run, single};

/// What a node left that wrote three records to `orders`, before there were levels.
const OLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/level-1");

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[test]
fn a_directory_of_the_first_level_is_read_raised_and_lowered() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    copy(Path::new(OLD), &data);
    let data = data.to_str().unwrap();
    let (node, address) = single(data);
    let call = |arguments: &[&str]| run(&[arguments, &["--bootstrap", &address]].concat());
    assert_eq!(printed(call(&["consume", "orders"])), "one\ntwo\nthree\n");
    assert_eq!(printed(call(&["features", "describe"])), "metadata.version is 1\nbroker 1 knows 1 to 2\n");
    let told = refused(call(&["quorum", "add", "1"]), 1);
    assert!(told.contains("metadata.version is below 2") && told.contains("broker features upgrade"), "{told}");

    let told = refused(call(&["features", "upgrade", "--to", "9"]), 1);
    assert!(told.contains("the controller knows metadata.version 1 to 2, and not 9"), "{told}");
    let told = refused(call(&["features", "downgrade", "--to", "2"]), 1);
    assert!(told.contains("ask for an upgrade"), "{told}");
    refused(call(&["features", "upgrade", "--to", "0"]), 2);
    assert_eq!(printed(call(&["features", "upgrade", "--dry-run"])), "metadata.version could be 2\n");
    assert_eq!(printed(call(&["features", "upgrade"])), "metadata.version is 2\n");
    let told = printed(call(&["features", "describe", "--json"]));
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["finalized"], &told["brokers"][0]["newest"]), (&2.into(), &2.into()));
    node.stop();

    let (node, address) = single(data);
    let call = |arguments: &[&str]| run(&[arguments, &["--bootstrap", &address]].concat());
    let told = refused(call(&["features", "upgrade", "--to", "1"]), 1);
    assert!(told.contains("metadata.version is 2: to go back to 1, ask for a downgrade"), "{told}");
    assert_eq!(printed(call(&["features", "downgrade", "--to", "1"])), "metadata.version is 1\n");
    node.stop();

    // Nothing newer stands behind the snapshot that was taken when the level was lowered.
    let snapshots = std::fs::read_dir(format!("{data}/__cluster_metadata-0")).unwrap();
    let names = snapshots.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".checkpoint")).count(), 1);
    let (_node, address) = single(data);
    let call = |arguments: &[&str]| run(&[arguments, &["--bootstrap", &address]].concat());
    assert_eq!(printed(call(&["features", "describe"])), "metadata.version is 1\nbroker 1 knows 1 to 2\n");
    assert_eq!(printed(call(&["consume", "orders"])), "one\ntwo\nthree\n");
}
