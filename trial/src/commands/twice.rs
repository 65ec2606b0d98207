//! `--twice`: the same seed in another process, event by event.

use std::process::Command;

use miette::{IntoDiagnostic, WrapErr, miette};
use model::Bug;
use sim::Recording;
use trial::Finished;

use super::Named;

/// Runs a seed again in a process of its own. None if every event is the same, else the first that differs.
pub(crate) fn compare(
    named: &Named,
    seed: u64,
    plant: Option<Bug>,
    finished: &Finished,
) -> miette::Result<Option<String>> {
    let folder = std::env::temp_dir().join(format!("trial-twice-{}-{seed}", std::process::id()));
    let result = run_again(named, seed, plant, &folder);
    // What cannot be removed is the system's to clean up.
    let _left = std::fs::remove_dir_all(&folder);
    let other = result?;
    let Some(recording) = &finished.recording else { return Err(miette!("the run recorded nothing")) };
    Ok(recording.first_difference(&other).map(|difference| difference.to_string()))
}

fn run_again(named: &Named, seed: u64, plant: Option<Bug>, folder: &std::path::Path) -> miette::Result<Recording> {
    let events = folder.join("events");
    let scenario = folder.join("scenario.toml");
    super::write_file(&scenario, named.scenario.to_toml().as_bytes())?;
    let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
    command.arg("run").arg(&scenario).args(["--json", "--seed", &seed.to_string()]).arg("--record").arg(&events);
    if let Some(bug) = plant {
        command.args(["--plant", bug.name()]);
    }
    let output = command.output().into_diagnostic().wrap_err("cannot start the second process")?;
    let said = || String::from_utf8_lossy(&output.stderr).trim().to_owned();
    #[allow(clippy::disallowed_methods, reason = "what the other process left")]
    let bytes = std::fs::read(&events)
        .into_diagnostic()
        .wrap_err_with(|| format!("the second process ended with {} and left no events: {}", output.status, said()))?;
    Recording::from_bytes(&bytes).ok_or_else(|| miette!("the second process left events that cannot be read"))
}
