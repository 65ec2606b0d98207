//! What several commands reached together: a file of points, one a line, so that only those are listed which none of them reached.

use std::collections::BTreeSet;
use std::path::Path;

use miette::miette;
use scenarios::Reach;

use super::{read_text, write_file};

/// Every point that a run may reach, by name.
pub(crate) fn all() -> BTreeSet<String> {
    let seen = Reach::ALL.iter().map(|reach| reach.words());
    seen.chain(model::coverage::names()).map(str::to_owned).collect()
}

/// What the file holds.
///
/// # Errors
/// If it cannot be read, or names what is no point of this program.
pub(crate) fn read(path: &Path) -> miette::Result<BTreeSet<String>> {
    let known = all();
    let passed: BTreeSet<String> = read_text(path)?.lines().map(str::to_owned).collect();
    match passed.iter().find(|point| !known.contains(*point)) {
        None => Ok(passed),
        Some(stranger) => Err(miette!(
            help = "remove it, and write it anew with `trial run --points`",
            "{}: this program has no point \"{stranger}\"",
            path.display()
        )),
    }
}

/// Adds to the file, or begins it.
///
/// # Errors
/// As for [`read`]; if it cannot be written.
pub(crate) fn add(path: &Path, passed: BTreeSet<String>) -> miette::Result<()> {
    let mut points = if path.exists() { read(path)? } else { BTreeSet::new() };
    points.extend(passed);
    let lines: String = points.iter().map(|point| format!("{point}\n")).collect();
    write_file(path, lines.as_bytes())
}
