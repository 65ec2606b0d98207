//! `trial report`: shows a run that is over: one that left its file, or one that is run for it.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::History;
use miette::{IntoDiagnostic, WrapErr, miette};
use reports::{Run, View};
use trial::Options;

use super::run::SEED_DEFAULT;
use super::{Exit, RUN_FILE, print, read_scenario, report_folder, write_file, write_report};

#[derive(Args)]
pub(crate) struct Arguments {
    /// A run's file or folder, as `trial run --report` leaves it; or a scenario, which is run
    #[arg(value_name = "RUN")]
    run: String,
    /// The seed, if a scenario is to be run [default: the scenario's own, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where the page and the exports go [default: beside the run's file, or runs]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print every append, sync, commit and answer too
    #[arg(long)]
    everything: bool,
}

pub(crate) fn report(arguments: &Arguments) -> miette::Result<Exit> {
    let path = Path::new(&arguments.run);
    let file = if path.is_dir() { path.join(RUN_FILE) } else { path.to_owned() };
    let is_file = file.extension().is_some_and(|ending| ending == "jsonl");
    let (run, history, beside) = if is_file {
        if arguments.seed.is_some() {
            return Err(miette!("a run that is over has its seed: leave --seed out, or name a scenario"));
        }
        let (run, history) = read_run(&file)?;
        (run, history, file.parent().map(Path::to_owned).unwrap_or_default())
    } else {
        let named = read_scenario(&arguments.run)?;
        let seed = arguments.seed.or(named.scenario.seed).unwrap_or(SEED_DEFAULT);
        let folder = report_folder(Path::new("runs"), &named.source, seed);
        let finished = trial::run(&named.scenario, seed, &Options { source: named.source, ..Options::default() });
        (finished.run, finished.history, folder)
    };
    let folder = arguments.out.clone().unwrap_or(beside);
    let page = write_report(&folder, &run, &history)?;
    let trace = folder.join("perfetto.json");
    write_file(&trace, format!("{}\n", reports::perfetto(&run)).as_bytes())?;
    let view = if arguments.everything { View::Everything } else { View::Transitions };
    print(&reports::terminal(&run, view));
    print(&format!("report    {}\ntrace     {} (for ui.perfetto.dev)\n", page.display(), trace.display()));
    Ok(if run.disappointments().is_empty() { Exit::AsExpected } else { Exit::Disappointed })
}

fn read_run(path: &Path) -> miette::Result<(Run, History)> {
    #[allow(clippy::disallowed_methods, reason = "a command reads the user's files")]
    let file =
        std::fs::File::open(path).into_diagnostic().wrap_err_with(|| format!("cannot read {}", path.display()))?;
    reports::read(BufReader::new(file)).map_err(|error| {
        miette!(help = "`trial run … --report DIR` leaves such a file in DIR", "{} is no run: {error}", path.display())
    })
}
