//! Workers: processes that run what they are asked to, one run after the other, so that no run can harm another or whoever asked.
//!
//! ```text
//! fuzz, hunt, shrink ── Job, one line of JSON ──▶ trial worker
//!                    ◀── Answer, one line of JSON ──
//! ```
//! A run that kills its process (an abort, a stack that overflows, a task that never waits) is an answer too: [`Reply::Died`].

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use invariants::Outcome;
use miette::{IntoDiagnostic, WrapErr, miette};
use model::Bug;
use scenarios::{Happened, Profile, Scenario, random};
use serde::{Deserialize, Serialize};
use trial::{Finished, Options, Reason};

use super::{Exit, print, write_report};

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) seed: u64,
    pub(crate) what: Told,
    pub(crate) plant: Option<Bug>,
    /// What the scenario is called in replay commands.
    pub(crate) source: String,
    /// Where a report goes, if one is wanted.
    pub(crate) report: Option<PathBuf>,
}

/// The scenario of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Told {
    /// The random one of the seed, of a profile by its name.
    Random(String),
    /// A scenario file's text.
    File(String),
}

/// What came of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) seed: u64,
    pub(crate) digest: String,
    pub(crate) simulated: Duration,
    pub(crate) wall: Duration,
    /// What speaks against it, with details; empty: it went as expected.
    pub(crate) reasons: Vec<(Reason, String)>,
    /// Promises that it gave no evidence for.
    pub(crate) unknown: Vec<String>,
    /// What it reached, and the points in the code that it passed, by name.
    pub(crate) reached: Vec<String>,
    /// Its faults as they came, and when it ended, from when the workload began: of a run that did not go as expected.
    pub(crate) happened: Vec<Happened>,
    pub(crate) ended: Option<Duration>,
}

/// What a worker is heard to say.
#[derive(Debug)]
pub(crate) enum Reply {
    Answered(Box<Answer>),
    /// The run ended its process.
    Died {
        how: String,
        /// By a task that never waits.
        is_stuck: bool,
    },
}

impl Reply {
    /// What speaks against the run.
    pub(crate) fn reasons(&self) -> Vec<Reason> {
        match self {
            Reply::Answered(answer) => answer.reasons.iter().map(|(reason, _)| reason.clone()).collect(),
            Reply::Died { how, .. } => vec![Reason { promise: None, shape: how.clone(), event: None }],
        }
    }
}

impl Answer {
    fn of(finished: &Finished) -> Answer {
        let run = &finished.run;
        let seen = run.reached.iter().map(ToString::to_string);
        let points = run.points.keys().map(|point| (*point).to_owned());
        let unknown = run.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Unknown);
        // The workload has neither groups nor transactions: nothing can be said of theirs.
        let unknown = unknown.filter(|verdict| !invariants::NEEDS_MORE_THAN_SENDS_AND_POLLS.contains(&verdict.promise));
        Answer {
            seed: run.seed,
            digest: run.digest.clone(),
            simulated: run.stats.simulated,
            wall: run.stats.wall,
            reasons: finished.reasons(),
            unknown: unknown.map(|verdict| verdict.promise.to_owned()).collect(),
            reached: seen.chain(points).collect(),
            happened: finished.happened(),
            ended: finished.ended(),
        }
    }
}

/// `trial worker`: answers each line of its input with one of its output, until there is no more.
pub(crate) fn worker() -> miette::Result<Exit> {
    for line in std::io::stdin().lines() {
        let line = line.into_diagnostic()?;
        let job: Job = serde_json::from_str(&line).into_diagnostic().wrap_err("this is no job for a worker")?;
        let answer = work(&job)?;
        print(&format!("{}\n", serde_json::to_string(&answer).into_diagnostic()?));
    }
    Ok(Exit::AsExpected)
}

fn work(job: &Job) -> miette::Result<Answer> {
    let scenario = match &job.what {
        Told::Random(profile) => random(job.seed, profile.parse::<Profile>().map_err(|error| miette!("{error}"))?),
        Told::File(text) => Scenario::parse(&job.source, text)?,
    };
    let mut options = Options {
        source: job.source.clone(),
        plant: job.plant,
        without_trace: job.report.is_none(),
        ..Options::default()
    };
    let mut finished = trial::run(&scenario, job.seed, &options);
    if options.without_trace && !finished.is_as_expected() {
        // What went wrong is told with what befell the run, and the trace shows that: the same run again, with it.
        options.without_trace = false;
        finished = trial::run(&scenario, job.seed, &options);
    }
    if let Some(folder) = &job.report {
        write_report(folder, &finished.run, &finished.history)?;
    }
    Ok(Answer::of(&finished))
}

/// A worker, as seen by who asks. Started again whenever it died.
pub(crate) struct Worker {
    process: Option<Process>,
}

struct Process {
    child: Child,
    asks: ChildStdin,
    hears: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn new() -> Worker {
        Worker { process: None }
    }

    /// Has a job done.
    ///
    /// # Errors
    /// If no process can be started, or one says what nobody understands.
    pub(crate) fn ask(&mut self, job: &Job) -> miette::Result<Reply> {
        let mut process = match self.process.take() {
            Some(process) => process,
            None => Process::start().into_diagnostic().wrap_err("cannot start a worker process")?,
        };
        let line = serde_json::to_string(job).into_diagnostic()?;
        let mut answer = String::new();
        let heard = writeln!(process.asks, "{line}").and_then(|()| process.hears.read_line(&mut answer));
        if heard.is_err() || !answer.ends_with('\n') {
            let status = process.child.wait().into_diagnostic()?;
            return Ok(death(status));
        }
        self.process = Some(process);
        let answer: Answer = serde_json::from_str(&answer).into_diagnostic().wrap_err("a worker is not understood")?;
        Ok(Reply::Answered(Box::new(answer)))
    }
}

impl Process {
    fn start() -> std::io::Result<Process> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("worker").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(asks), Some(hears)) => Ok(Process { child, asks, hears: BufReader::new(hears) }),
            _ => Err(std::io::Error::other("it has no input or no output")),
        }
    }
}

impl Drop for Worker {
    /// A worker ends with its input; one that is busy is not waited for.
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended_by_itself = process.child.kill();
            let _status = process.child.wait();
        }
    }
}

/// Exit code of a run in which a task never waits.
const WATCHDOG: i32 = Exit::Stuck as i32;

/// What a process says by its death.
fn death(status: ExitStatus) -> Reply {
    if status.code() == Some(WATCHDOG) {
        return Reply::Died { how: "a task never waits".into(), is_stuck: true };
    }
    Reply::Died { how: format!("the run killed its process: {status}"), is_stuck: false }
}
