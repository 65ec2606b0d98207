//! The arrows between the rooms: which crate may name which, read from the manifests, and no other.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Each room by its folder, and the rooms that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("broker/model", &[]),
    ("broker/compression", &[]),
    ("broker/protocol", &["model", "compression"]),
    ("broker/roles", &["model"]),
    ("broker/host", &["model"]),
    ("broker/storage", &["model", "compression", "host"]),
    ("broker/client", &["model", "protocol", "host"]),
    ("broker/server", &["model", "protocol", "roles", "host", "storage", "client"]),
    ("broker/cli", &["model", "protocol", "host", "storage", "client", "server"]),
    ("evidence", &["model"]),
    ("sim", &["model", "host", "evidence"]),
    ("scenarios", &["model"]),
    ("invariants", &["model", "evidence"]),
    ("reports", &["model", "evidence", "invariants", "scenarios"]),
    (
        "trial",
        &[
            "model",
            "protocol",
            "roles",
            "host",
            "storage",
            "client",
            "server",
            "evidence",
            "sim",
            "scenarios",
            "invariants",
            "reports",
        ],
    ),
    (
        "fuzz",
        &["model", "protocol", "roles", "host", "storage", "cli", "evidence", "scenarios", "invariants", "reports"],
    ),
    ("examples/own-tale", &["evidence", "scenarios", "trial"]),
];

/// What only the simulated world may name.
const WORLD_ONLY: &[&str] = &["madsim", "madsim-tokio"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
    let text = std::fs::read_to_string(&path).unwrap();
    text.parse().unwrap()
}

/// Every crate that a manifest names, in whichever of its tables, by its package name.
fn named(manifest: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in manifest {
        match value {
            toml::Value::Table(table) if key.ends_with("dependencies") => {
                for (name, of) in table {
                    names.insert(of.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned());
                }
            }
            // `[target.'cfg(…)'.dependencies]` and the like; features name what is a dependency anyway.
            toml::Value::Table(table) if key != "features" => names.extend(named(table)),
            _ => {}
        }
    }
    names
}

#[test]
fn every_room_names_only_the_rooms_that_it_may() {
    let rooms: BTreeMap<&str, &[&str]> =
        ARROWS.iter().map(|(folder, may)| (folder.rsplit('/').next().unwrap(), *may)).collect();
    for (folder, may) in ARROWS {
        for name in named(&manifest(folder)) {
            // The binary of the cli is called `broker`.
            let room = if name == "broker" { "cli" } else { &name };
            let is_arrow = rooms.contains_key(room);
            assert!(!is_arrow || may.contains(&room), "{folder}/Cargo.toml names {name}, which it may not");
        }
    }
}

#[test]
fn the_table_lists_every_crate_of_the_workspace() {
    let workspace = manifest(".");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members: BTreeSet<&str> = members.iter().map(|member| member.as_str().unwrap()).collect();
    assert_eq!(members, ARROWS.iter().map(|(folder, _)| *folder).collect());
}

#[test]
fn only_the_world_depends_on_madsim() {
    for (folder, _) in ARROWS {
        let names = named(&manifest(folder));
        let worldly = WORLD_ONLY.iter().find(|name| names.contains(**name));
        assert!(*folder == "sim" || worldly.is_none(), "{folder}/Cargo.toml names {worldly:?}");
    }
}

#[test]
fn nothing_of_the_broker_names_the_world_it_is_tried_in() {
    let words = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| matches!(word, "sim" | "madsim"))
    };
    let mut folders = vec![root().join("broker")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
                let text = std::fs::read_to_string(&path).unwrap();
                for (number, line) in (1..).zip(text.lines()) {
                    let code = line.split("//").next().unwrap_or("");
                    assert!(!words(code), "{}:{number} names the simulation: {line}", path.display());
                }
            }
        }
    }
    assert!(files > 20, "the broker has files");
}

/// Crates that draw chance, read clocks or start threads of their own.
const UNREPEATABLE: &[&str] = &[
    "rand",
    "rand_core",
    "getrandom",
    "fastrand",
    "ahash",
    "oorandom",
    "chrono",
    "time",
    "quanta",
    "rayon",
    "crossbeam",
];

#[test]
fn nothing_inside_a_broker_brings_its_own_randomness_clock_or_threads() {
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "server", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("proto-kafka"), "the tree is that of the broker: {names:?}");
    let found: Vec<&&str> = UNREPEATABLE.iter().filter(|name| names.contains(**name)).collect();
    assert!(found.is_empty(), "{found:?}");
}
