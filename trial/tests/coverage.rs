//! The points in the code that runs should pass: all of them are linked in, and a run counts its own.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeSet;
use std::path::Path;

use scenarios::{Profile, random};
use trial::Options;

/// The names of the points in the sources below `folder`.
fn written(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            #[allow(clippy::disallowed_methods, reason = "a test reads the project's own files")]
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            let points = lines.filter_map(|line| line.split_once("reached!(\"")?.1.split_once('"'));
            names.extend(points.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_point_that_is_written_is_linked_into_this_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for room in ["model", "protocol", "roles", "storage", "client", "server"] {
        written(&root.join("broker").join(room).join("src"), &mut names);
    }
    written(&root.join("sim/src"), &mut names);
    assert!(30 < names.len());
    // Other tests of this program may register points of their own.
    let linked: BTreeSet<String> = model::coverage::names().into_iter().map(str::to_owned).collect();
    assert_eq!(names.difference(&linked).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn a_run_says_which_points_it_passed_and_says_the_same_again() {
    let scenario = random(3, Profile::Standard);
    let points = || trial::run(&scenario, 3, &Options::default()).run.points;
    let first = points();
    assert!(first.contains_key("a fetch waited until its time was up"), "{first:?}");
    assert_eq!(first, points());
}
