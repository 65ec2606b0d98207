//! The promises over the history find in small random histories exactly what a slow and obvious reading of their definitions finds;
//! and in histories that a small lawful cluster leaves, nothing at all.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod model;
mod obvious;

use std::collections::{BTreeMap, BTreeSet};

use evidence::Table;
use invariants::{Gravity, Outcome, Report, check};
use proptest::prelude::*;

fn judged(text: &str) -> Report {
    check(&Table::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}")))
}

/// How often each anomaly was found.
fn names(report: &Report) -> BTreeMap<&'static str, usize> {
    let mut names = BTreeMap::new();
    for finding in &report.findings {
        *names.entry(finding.anomaly).or_insert(0) += 1;
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn the_fast_promises_find_what_the_obvious_ones_find(steps in obvious::steps()) {
        let history = obvious::history(&steps);
        let report = judged(&obvious::write(&history));
        prop_assert_eq!(names(&report), obvious::findings(&history), "{}", obvious::write(&history));
    }

    #[test]
    fn appends_and_ends_are_in_real_time_order_if_some_order_of_all_explains_them(items in obvious::register()) {
        let text = obvious::write_register(&items);
        let found = names(&judged(&text));
        let is_accused = found.contains_key("realtime-order") || found.contains_key("stale-read");
        prop_assert_eq!(is_accused, !obvious::is_linearizable(&items), "{}\n{:?}", text, found);
    }

    #[test]
    fn circles_are_found_where_a_search_of_all_ways_finds_them(transactions in obvious::transactions()) {
        let text = obvious::write_transactions(&transactions);
        let report = judged(&text);
        let grave = |gravity: Gravity| {
            report.findings.iter().any(|finding| finding.anomaly == "G1c" && finding.verdict == gravity)
        };
        let found = (names(&report).contains_key("G0"), grave(Gravity::Broken));
        prop_assert_eq!(found, obvious::circles(&transactions), "{}\n{:?}", text, report.findings);
        if grave(Gravity::Allowed) {
            prop_assert!(obvious::has_mixed_circle(&transactions), "{}\n{:?}", text, report.findings);
        }
        if obvious::has_mixed_circle(&transactions) {
            prop_assert!(grave(Gravity::Allowed) || grave(Gravity::Broken), "{}\n{:?}", text, report.findings);
        }
    }

    #[test]
    fn committed_offsets_go_back_where_no_order_of_commits_explains_them(register in obvious::commits()) {
        let text = obvious::write_commits(&register);
        let found = judged(&text).findings.iter().filter(|finding| finding.anomaly == "commit-regression").count();
        prop_assert_eq!(found, obvious::regressions(&register), "{}", text);
    }

    #[test]
    fn a_lawful_cluster_is_never_accused(plan in model::plan()) {
        let text = model::Cluster::run(&plan).text();
        let report = judged(&text);
        let accused: Vec<_> = report.findings.iter().filter(|finding| finding.verdict == Gravity::Broken).collect();
        prop_assert!(accused.is_empty(), "{:#?}\n{}", accused, text);
        prop_assert!(report.outcome() != Outcome::Broken);
    }

    #[test]
    fn one_fault_in_a_lawful_history_is_found_by_its_name(plan in model::plan(), fault in model::fault(), at in any::<prop::sample::Index>()) {
        let mut cluster = model::Cluster::run(&plan);
        if let Some(name) = cluster.spoil(fault, at) {
            let text = cluster.text();
            let report = judged(&text);
            let broken: BTreeSet<&str> = report
                .findings
                .iter()
                .filter(|finding| finding.verdict == Gravity::Broken)
                .map(|finding| finding.anomaly)
                .collect();
            prop_assert!(broken.contains(name), "{name} not in {broken:?}\n{text}");
        }
    }
}
