//! A run as a file of JSON lines: everything that its reports show, to be shown again later and elsewhere.
//!
//! ```text
//! {"run":1,"source":…,"seed":…,"digest":…,"scenario":"…","verdicts":[…],…}      what it was, and what came of it
//! {"index":0,"time":…,"node":…,"kind":…}                                        its trace, an entry a line
//! {"history":1,"claims":{…}}                                                    its history, to the end, as a history file has it
//! ```

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};

use evidence::{Entry, History, HistoryError};
use invariants::{Outcome, Verdict};
use model::TopicId;
use scenarios::{PROMISES, Reach, Scenario};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::run::{Run, Stats};

/// The form of this file.
const VERSION: u32 = 1;

/// Why a run's file cannot be read.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("line {line} cannot be read: {error}")]
    Read { line: usize, error: io::Error },
    #[error("line {line} is not what a run leaves: {why}")]
    Line { line: usize, why: String },
    #[error("it is the file of a run in form {0}, and this program knows form {VERSION}")]
    Version(u32),
    #[error("it ends before the history begins: the file is cut short")]
    Short,
    #[error("its history: {0}")]
    History(#[from] HistoryError),
}

#[derive(Serialize, Deserialize)]
struct Head {
    run: u32,
    source: String,
    seed: u64,
    digest: String,
    replay: String,
    /// As a scenario file has it.
    scenario: String,
    verdicts: Vec<Judged>,
    topics: BTreeMap<TopicId, String>,
    reached: Vec<Reach>,
    points: BTreeMap<String, u64>,
    missed: Vec<String>,
    stats: Stats,
}

#[derive(Serialize, Deserialize)]
struct Judged {
    promise: String,
    outcome: String,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

/// Writes a run and its history.
///
/// # Errors
/// What the sink gives.
pub fn write(run: &Run, history: &History, mut sink: impl Write) -> io::Result<()> {
    let judged = run.verdicts.iter().map(|verdict| Judged {
        promise: verdict.promise.into(),
        outcome: verdict.outcome.name().into(),
        detail: verdict.detail.clone(),
        at: verdict.at,
    });
    let head = Head {
        run: VERSION,
        source: run.source.clone(),
        seed: run.seed,
        digest: run.digest.clone(),
        replay: run.replay.clone(),
        scenario: run.scenario.to_toml(),
        verdicts: judged.collect(),
        topics: run.topics.clone(),
        reached: run.reached.clone(),
        points: run.points.iter().map(|(point, count)| ((*point).to_owned(), *count)).collect(),
        missed: run.missed.clone(),
        stats: run.stats,
    };
    serde_json::to_writer(&mut sink, &head)?;
    writeln!(sink)?;
    for entry in &run.entries {
        serde_json::to_writer(&mut sink, entry)?;
        writeln!(sink)?;
    }
    history.write(sink)
}

/// Reads a run and its history.
///
/// # Errors
/// The first thing that is not what [`write()`] writes.
pub fn read(source: impl BufRead) -> Result<(Run, History), RunError> {
    let mut lines = Lines { source, line: 0 };
    let head = lines.next()?.ok_or(RunError::Short)?;
    let version: Version = lines.parse(&head)?;
    if version.run != VERSION {
        return Err(RunError::Version(version.run));
    }
    let head: Head = lines.parse(&head)?;
    let mut entries: Vec<Entry> = Vec::new();
    let first = loop {
        let text = lines.next()?.ok_or(RunError::Short)?;
        if text.starts_with("{\"claims\"") || text.starts_with("{\"history\"") {
            break text;
        }
        entries.push(lines.parse(&text)?);
    };
    let history = History::read(BufReader::new(io::Read::chain(first.as_bytes(), lines.source)))?;
    let verdicts = head.verdicts.into_iter().map(|judged| verdict(judged, lines.line)).collect::<Result<_, _>>()?;
    let scenario = Scenario::parse("the run's scenario", &head.scenario)
        .map_err(|error| RunError::Line { line: 1, why: error.to_string() })?;
    let known = model::coverage::names();
    let run = Run {
        scenario,
        source: head.source,
        seed: head.seed,
        digest: head.digest,
        replay: head.replay,
        verdicts,
        entries,
        topics: head.topics,
        reached: head.reached,
        // Points that this program does not have say nothing here.
        points: head.points.iter().filter_map(|(point, count)| Some((*known.get(point.as_str())?, *count))).collect(),
        missed: head.missed,
        stats: head.stats,
    };
    Ok((run, history))
}

#[derive(Deserialize)]
struct Version {
    run: u32,
}

struct Lines<R> {
    source: R,
    line: usize,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<String>, RunError> {
        self.line += 1;
        let mut text = String::new();
        match self.source.read_line(&mut text) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(text)),
            Err(error) => Err(RunError::Read { line: self.line, error }),
        }
    }

    fn parse<T: for<'de> Deserialize<'de>>(&self, text: &str) -> Result<T, RunError> {
        serde_json::from_str(text).map_err(|error| RunError::Line { line: self.line, why: error.to_string() })
    }
}

fn verdict(judged: Judged, line: usize) -> Result<Verdict, RunError> {
    let wrong = |why: String| RunError::Line { line, why };
    let outcomes = [Outcome::Unknown, Outcome::Kept, Outcome::Allowed, Outcome::Broken];
    let outcome = outcomes.into_iter().find(|outcome| outcome.name() == judged.outcome);
    let promise = PROMISES.iter().find(|promise| **promise == judged.promise);
    Ok(Verdict {
        promise: promise.ok_or_else(|| wrong(format!("nobody promises \"{}\"", judged.promise)))?,
        outcome: outcome.ok_or_else(|| wrong(format!("\"{}\" is no verdict", judged.outcome)))?,
        detail: judged.detail,
        at: judged.at,
    })
}
