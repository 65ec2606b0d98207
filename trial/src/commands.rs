//! What the commands share: exit codes, reading files, printing, writing reports.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod first;
pub(crate) mod fuzz;
pub(crate) mod hunt;
pub(crate) mod points;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod shrink;
pub(crate) mod twice;
pub(crate) mod worker;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use evidence::History;
use miette::{IntoDiagnostic, WrapErr, miette};
use model::Bug;
use reports::Run;
use scenarios::{Scenario, Setting, Span, catalogue};

/// How a command ends. A later one outweighs an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AsExpected = 0,
    /// A promise is broken, or an expectation missed.
    Disappointed = 1,
    BadInput = 2,
    Nondeterministic = 3,
    /// A task never waits.
    Stuck = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Prints a text; a reader who has gone away (`trial run … | head`) is no error.
pub(crate) fn print(text: &str) {
    let _gone = std::io::stdout().write_all(text.as_bytes());
}

/// Tells beside the output, on standard error; that nobody listens is no error either.
pub(crate) fn tell(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}

#[allow(clippy::disallowed_methods, reason = "a command reads the user's files")]
pub(crate) fn read_text(path: &Path) -> miette::Result<String> {
    let bytes = std::fs::read(path).into_diagnostic().wrap_err_with(|| format!("cannot read {}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| miette!("{} is not text", path.display()))
}

#[allow(clippy::disallowed_methods, reason = "a command writes reports")]
pub(crate) fn write_file(path: &Path, content: &[u8]) -> miette::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).into_diagnostic().wrap_err_with(failed)?;
    }
    std::fs::write(path, content).into_diagnostic().wrap_err_with(failed)
}

/// A scenario, and what to call it: a file's path, or the name of a tale of the catalogue.
pub(crate) struct Named {
    pub(crate) source: String,
    pub(crate) scenario: Scenario,
}

/// Reads the scenario of a path, or of a name in the catalogue.
pub(crate) fn read_scenario(name: &str) -> miette::Result<Named> {
    read_scenario_with(name, &[])
}

/// Reads a scenario with other values in it. Mistakes are shown in the text that came of them.
pub(crate) fn read_scenario_with(name: &str, settings: &[Setting]) -> miette::Result<Named> {
    let path = Path::new(name);
    let mut text = if path.exists() {
        read_text(path)?
    } else {
        let tale = catalogue().iter().find(|tale| tale.name() == name || tale.path == name);
        tale.ok_or_else(|| no_such_scenario(name))?.text.to_owned()
    };
    let mut shown = name.to_owned();
    for setting in settings {
        text = setting.apply(&shown, &text)?;
        shown = format!("{name} with --set");
    }
    Ok(Named { source: name.to_owned(), scenario: Scenario::parse(&shown, &text)? })
}

fn no_such_scenario(text: &str) -> miette::Report {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(text, name);
    let nearest = catalogue().iter().map(|tale| tale.name()).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.unwrap_or("none");
    miette!(
        help = format!("the nearest name of the catalogue is {nearest}; `trial lessons` lists them all"),
        "cannot read {text}: there is no such file, and no scenario of this name"
    )
}

/// Reads a bug by its name.
pub(crate) fn parse_bug(text: &str) -> Result<Bug, String> {
    Bug::ALL.iter().copied().find(|bug| bug.name() == text).ok_or_else(|| {
        let likeness = |bug: &&Bug| strsim::normalized_damerau_levenshtein(text, bug.name());
        let nearest = Bug::ALL.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
        let meant = nearest.map_or(String::new(), |bug| format!("; did you mean {}?", bug.name()));
        let names: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        format!("no bug has this name{meant} There are: {}", names.join(", "))
    })
}

/// Reads a span of time from a command line, where a minute may be `m` too.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let minutes = text.strip_suffix('m').filter(|minutes| minutes.bytes().all(|byte| byte.is_ascii_digit()));
    let text = minutes.map_or_else(|| text.to_owned(), |minutes| format!("{minutes}min"));
    let span = text.parse::<Span>().map_err(|error| format!("{error}: {}", error.help))?;
    if span.0.is_zero() { Err("in no time nothing is done: write a span such as 10min".into()) } else { Ok(span.0) }
}

/// How many runs this machine can do at once.
pub(crate) fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// The file of a run in its report's folder.
pub(crate) const RUN_FILE: &str = "run.jsonl";

/// Writes everything about a run into `folder`, and says where its page is.
pub(crate) fn write_report(folder: &Path, run: &Run, history: &History) -> miette::Result<PathBuf> {
    let page = folder.join("report.html");
    write_file(&page, reports::page(run).as_bytes())?;
    write_file(&folder.join("scenario.toml"), run.scenario.to_toml().as_bytes())?;
    write_file(&folder.join("run.txt"), reports::terminal(run, reports::View::Everything).as_bytes())?;
    write_file(&folder.join("run.json"), format!("{:#}\n", reports::json(run)).as_bytes())?;
    let (mut whole, mut asked) = (Vec::new(), Vec::new());
    reports::write(run, history, &mut whole).into_diagnostic()?;
    write_file(&folder.join(RUN_FILE), &whole)?;
    history.write(&mut asked).into_diagnostic()?;
    write_file(&folder.join("history.jsonl"), &asked)?;
    Ok(page)
}

/// The folder of a run's report: the scenario's name and the seed.
pub(crate) fn report_folder(under: &Path, source: &str, seed: u64) -> PathBuf {
    let name = Path::new(source).file_stem().map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy());
    under.join(format!("{name}-{seed}"))
}
