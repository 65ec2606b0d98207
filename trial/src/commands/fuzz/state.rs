//! What a fuzz has done, line by line in a file: whoever interrupts it, however rudely, loses the runs of the moment and nothing else.
//!
//! ```text
//! {"fuzz":1,"profile":"standard","plant":null,"program":"…"}        which fuzz it is, and by which program
//! {"seed":7,"simulated":…,"reason":…}                               a run
//! {"small":…,"reason":…}                                            the first failure of a kind, made small
//! ```
//! Another program gives other runs: then all seeds are run again, those first that failed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use miette::{IntoDiagnostic, WrapErr, miette};
use model::Bug;
use scenarios::Profile;
use serde::{Deserialize, Serialize};
use trial::Reason;
use xxhash_rust::xxh3::xxh3_64;

use super::findings::{Failing, Findings, News};
use crate::commands::{read_text, write_file};

const FILE: &str = "fuzz.jsonl";

/// The form of this file.
const VERSION: u32 = 1;

/// Which fuzz it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    fuzz: u32,
    profile: String,
    plant: Option<Bug>,
    program: String,
}

#[derive(Serialize, Deserialize)]
struct SmallLine {
    small: Failing,
    reason: Reason,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Run(News),
    Small(SmallLine),
}

/// What earlier runs left.
#[derive(Default)]
pub(crate) struct Before {
    pub(crate) done: BTreeSet<u64>,
    /// Seeds that failed in another program.
    pub(crate) again: BTreeSet<u64>,
    pub(crate) findings: Findings,
}

/// The file, open for more.
pub(crate) struct State {
    path: PathBuf,
    file: File,
}

impl State {
    /// Opens the state of a fuzz in a folder, or begins one.
    ///
    /// # Errors
    /// If nothing can be written there, or another fuzz is there.
    pub(crate) fn open(folder: &Path, profile: Profile, plant: Option<Bug>) -> miette::Result<(State, Before)> {
        let path = folder.join(FILE);
        let header = Header { fuzz: VERSION, profile: profile.name().into(), plant, program: program()? };
        let mut before = if path.exists() { read(&path, &header)? } else { Before::default() };
        if before.findings.runs == 0 {
            let line = serde_json::to_string(&header).into_diagnostic()?;
            write_file(&path, format!("{line}\n").as_bytes())?;
            before.done.clear();
        }
        #[allow(clippy::disallowed_methods, reason = "a fuzz keeps what it did")]
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        let file = file.into_diagnostic().wrap_err_with(|| format!("cannot write {}", path.display()))?;
        let mut state = State { path, file };
        // A line that an interruption cut short is ended here, and is nobody's.
        if before.findings.runs > 0 {
            state.line("")?;
        }
        Ok((state, before))
    }

    /// A run is done.
    pub(crate) fn write(&mut self, news: &News) -> miette::Result<()> {
        let line = serde_json::to_string(news).into_diagnostic()?;
        self.line(&line)
    }

    /// The first failure of a kind is made small.
    pub(crate) fn write_small(&mut self, reason: &Reason, failing: &Failing) -> miette::Result<()> {
        let line = SmallLine { small: failing.clone(), reason: reason.clone() };
        self.line(&serde_json::to_string(&line).into_diagnostic()?)
    }

    fn line(&mut self, line: &str) -> miette::Result<()> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.into_diagnostic().wrap_err_with(|| format!("cannot write {}", self.path.display()))
    }
}

fn read(path: &Path, header: &Header) -> miette::Result<Before> {
    let text = read_text(path)?;
    let first = text.lines().next().unwrap_or("");
    let found: Header = serde_json::from_str(first).map_err(|_| {
        miette!(help = "remove it, or name another folder with --out", "{} is not what a fuzz leaves", path.display())
    })?;
    if (found.fuzz, &found.profile, found.plant) != (header.fuzz, &header.profile, header.plant) {
        let planted = found.plant.map_or(String::new(), |bug| format!(" with {} planted", bug.name()));
        return Err(miette!(
            help = "name another folder with --out",
            "{} belongs to a fuzz of the {} profile{planted}",
            path.display(),
            found.profile
        ));
    }
    let mut before = Before::default();
    for line in text.lines().skip(1) {
        match serde_json::from_str(line) {
            Ok(Line::Run(news)) => {
                before.done.insert(news.seed);
                before.findings.take(news);
            }
            Ok(Line::Small(SmallLine { small, reason })) => before.findings.add_small(&reason, small),
            // A line that was cut short: its run is done again.
            Err(_) => {}
        }
    }
    if found.program != header.program {
        let again = before.findings.failed_seeds();
        return Ok(Before { again, ..Before::default() });
    }
    Ok(before)
}

/// What program this is: another one gives other runs.
fn program() -> miette::Result<String> {
    let path = std::env::current_exe().into_diagnostic()?;
    #[allow(clippy::disallowed_methods, reason = "the program's own file")]
    let bytes = std::fs::read(&path).into_diagnostic().wrap_err("cannot read this program's own file")?;
    Ok(format!("{:016x}", xxh3_64(&bytes)))
}
