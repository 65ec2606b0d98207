//! `trial check`: judges a history of what clients asked and were told.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::History;
use invariants::{Outcome, Report};
use miette::{IntoDiagnostic, WrapErr};

use super::{Exit, print};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The history, one JSON object a line
    #[arg(value_name = "HISTORY.jsonl")]
    file: PathBuf,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn check(arguments: &Arguments) -> miette::Result<Exit> {
    let history = read(&arguments.file)?;
    let report = invariants::check(&history);
    if arguments.json {
        print(&format!("{}\n", as_json(&arguments.file, &report)));
    } else {
        print(&as_text(&report));
    }
    Ok(match report.outcome() {
        Outcome::Kept | Outcome::Allowed => Exit::AsExpected,
        Outcome::Broken | Outcome::Unknown => Exit::Disappointed,
    })
}

fn read(path: &Path) -> miette::Result<History> {
    #[allow(clippy::disallowed_methods, reason = "a command reads the user's files")]
    let file = std::fs::File::open(path).into_diagnostic();
    let file = file.wrap_err_with(|| format!("cannot read {}", path.display()))?;
    History::read(BufReader::new(file)).into_diagnostic().wrap_err_with(|| format!("{} is no history", path.display()))
}

fn as_json(path: &Path, report: &Report) -> serde_json::Value {
    let promises: Vec<_> = report
        .verdicts
        .iter()
        .map(|verdict| {
            serde_json::json!({ "name": verdict.promise, "verdict": verdict.outcome, "detail": verdict.detail })
        })
        .collect();
    serde_json::json!({
        "history": path.display().to_string(),
        "verdict": report.outcome(),
        "promises": promises,
        "findings": report.findings,
    })
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let lines: Vec<String> = finding.operations.iter().map(u64::to_string).collect();
        let gravity = format!("{:?}", finding.verdict).to_lowercase();
        text.push_str(&format!("{gravity:<14} {:<20} {} (lines {})\n", finding.anomaly, finding.why, lines.join(", ")));
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
    for verdict in &report.verdicts {
        let line = format!("{:<45} {:<8} {}", verdict.promise, verdict.outcome, verdict.detail);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("\nverdict   {}\n", report.outcome()));
    text
}
