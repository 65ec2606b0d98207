//! `trial check`: judges a history of what clients asked and were told.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use evidence::{HistoryError, Table};
use invariants::{Finding, Gravity, Outcome, Report};
use miette::{IntoDiagnostic, WrapErr};

use super::{Exit, print};

/// Findings of one name that the terminal shows; `--json` lists more.
const SHOWN_MAX: usize = 5;

/// Read at a time.
const BUFFER_BYTES: usize = 1 << 20;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The history, one JSON object a line (docs/histories.md); `-` reads it from standard input
    #[arg(value_name = "HISTORY.jsonl")]
    file: PathBuf,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn check(arguments: &Arguments) -> miette::Result<Exit> {
    let report = invariants::check(&read(&arguments.file)?);
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

fn read(path: &Path) -> miette::Result<Table> {
    if path.as_os_str() == "-" {
        return told(Table::read(std::io::stdin().lock()), "standard input");
    }
    #[allow(clippy::disallowed_methods, reason = "a command reads the user's files")]
    let file = std::fs::File::open(path).into_diagnostic();
    let file = file.wrap_err_with(|| format!("cannot read {}", path.display()))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let source = BufReader::with_capacity(BUFFER_BYTES, file);
    told(Table::read_sized(source, bytes), &path.display().to_string())
}

fn told(table: Result<Table, HistoryError>, name: &str) -> miette::Result<Table> {
    table.into_diagnostic().wrap_err_with(|| format!("{name} is no history"))
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
        "more": report.more,
    })
}

fn as_text(report: &Report) -> String {
    let mut text = String::new();
    let alike = |a: &Finding, b: &Finding| (a.verdict, a.anomaly) == (b.verdict, b.anomaly);
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.verdict), finding.anomaly));
    for group in findings.chunk_by(|a, b| alike(a, b)) {
        for finding in group.iter().take(SHOWN_MAX) {
            text.push_str(&line(finding));
        }
        if let Some(next) = group.get(SHOWN_MAX) {
            let more = group.len() - SHOWN_MAX;
            text.push_str(&format!("{:<14} {:<22} {more} more like these\n", gravity(next.verdict), next.anomaly));
        }
    }
    for (anomaly, count) in &report.more {
        text.push_str(&format!("{:<14} {anomaly:<22} {count} more that are not listed\n", ""));
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
    for verdict in &report.verdicts {
        let line = format!("{:<52} {:<8} {}", verdict.promise, verdict.outcome, verdict.detail);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&format!("\nverdict   {}\n", report.outcome()));
    text
}

fn line(finding: &Finding) -> String {
    let lines: Vec<String> = finding.operations.iter().map(u64::to_string).collect();
    let Finding { anomaly, verdict, why, .. } = finding;
    format!("{:<14} {anomaly:<22} {why} (lines {})\n", gravity(*verdict), lines.join(", "))
}

fn gravity(gravity: Gravity) -> &'static str {
    match gravity {
        Gravity::Broken => "broken",
        Gravity::Allowed => "allowed",
        Gravity::Informational => "informational",
    }
}
