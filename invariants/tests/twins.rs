//! Every anomaly is found in its example, and in none of its legal twins: histories/illegal and histories/legal, side by side.
//!
//! A file is called after its anomaly, and perhaps after what is special about it: `poll-skip.retention.jsonl`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

use evidence::Table;
use invariants::{Gravity, Outcome, Report, check};

/// The names of design and documentation, and how grave each is where nothing is claimed.
const ANOMALIES: &[(&str, Gravity)] = &[
    ("lost-write", Gravity::Broken),
    ("unseen", Gravity::Broken),
    ("duplicate", Gravity::Broken),
    ("inconsistent-offset", Gravity::Broken),
    ("aborted-read", Gravity::Broken),
    ("precommitted-read", Gravity::Broken),
    ("torn-transaction", Gravity::Broken),
    ("invented-record", Gravity::Broken),
    ("poll-skip", Gravity::Broken),
    ("int-poll-skip", Gravity::Broken),
    ("nonmonotonic-poll", Gravity::Broken),
    ("int-nonmonotonic-poll", Gravity::Broken),
    ("nonmonotonic-send", Gravity::Broken),
    ("int-nonmonotonic-send", Gravity::Broken),
    ("int-send-skip", Gravity::Informational),
    ("G0", Gravity::Allowed),
    ("G1c", Gravity::Broken),
    ("realtime-order", Gravity::Broken),
    ("stale-read", Gravity::Broken),
    ("commit-regression", Gravity::Broken),
    ("committed-too-far", Gravity::Informational),
    ("double-ownership", Gravity::Broken),
];

/// The files of one side: the anomaly that each is about, its name, and what comes of it.
fn judged(side: &str) -> Vec<(String, String, Report)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(side);
    let mut judged = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        #[allow(clippy::disallowed_methods, reason = "a test reads its own files")]
        let text = std::fs::read(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let table = Table::read(&*text).unwrap_or_else(|error| panic!("{side}/{name}: {error}"));
        let anomaly = name.split('.').next().unwrap().to_owned();
        judged.push((anomaly, name, check(&table)));
    }
    judged.sort_by(|(_, a, _), (_, b, _)| a.cmp(b));
    judged
}

#[test]
fn every_anomaly_is_found_in_its_example() {
    let mut seen = BTreeSet::new();
    for (anomaly, name, report) in judged("illegal") {
        let (_, gravity) = ANOMALIES.iter().find(|(known, _)| *known == anomaly).unwrap();
        let found = report.findings.iter().find(|finding| finding.anomaly == anomaly && finding.verdict == *gravity);
        let found = found.unwrap_or_else(|| panic!("illegal/{name}: {report:#?}"));
        assert!(!found.operations.is_empty() && found.why.len() > 20, "illegal/{name}: {found:?}");
        let outcome = match gravity {
            Gravity::Broken => Outcome::Broken,
            Gravity::Allowed => Outcome::Allowed,
            Gravity::Informational => Outcome::Kept,
        };
        assert_eq!(report.outcome(), outcome, "illegal/{name}: {report:#?}");
        seen.insert(anomaly);
    }
    assert_eq!(seen, ANOMALIES.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn no_legal_twin_is_accused() {
    let mut seen = BTreeSet::new();
    for (anomaly, name, report) in judged("legal") {
        let grave = report.findings.iter().find(|finding| finding.verdict == Gravity::Broken);
        assert!(grave.is_none(), "legal/{name}: {grave:?}");
        assert!(matches!(report.outcome(), Outcome::Kept | Outcome::Allowed), "legal/{name}: {report:#?}");
        seen.insert(anomaly);
    }
    assert_eq!(seen, ANOMALIES.iter().map(|(name, _)| (*name).to_owned()).collect());
}
