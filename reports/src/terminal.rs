//! The terminal view: one aligned line a transition, then the verdicts. Stable text: golden tests and `diff` hold it.
//!
//! Each line has the time in seconds, a mark, one column for every broker and controller, who it happened to, what, and the
//! replica's epoch, log end and high watermark after it. A broker's column is about the line's partition (the metadata quorum,
//! if the line has none).

use std::fmt::Write;

use evidence::Entry;
use invariants::{Outcome, Verdict, compare};
use model::{PartitionId, Time};

use crate::names::Names;
use crate::run::Run;
use crate::telling::Weight;
use crate::world::{Life, Role, World};

const LEGEND: &str = "/ leads  \\ follows  . neither  ~ paused  # down";

/// Which lines are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// What changes something: roles, epochs, lives, faults.
    #[default]
    Transitions,
    /// Every append, sync, commit and answer too.
    Everything,
}

/// Writes the lines of a run, entry by entry.
pub struct Terminal {
    names: Names,
    view: View,
    world: World,
}

impl Terminal {
    pub fn new(names: Names, view: View) -> Terminal {
        Terminal { names, view, world: World::default() }
    }

    /// What the columns are.
    pub fn head(&self) -> String {
        let servers = self.names.servers().count().max(1);
        let columns = row(&Cells {
            time: "seconds",
            mark: ' ',
            strip: &" ".repeat(servers),
            node: "node",
            partition: "partition",
            epoch: "epoch",
            log_end: "log end",
            high_watermark: "high wm",
            what: "what happens",
        });
        format!("{LEGEND}\n{columns}")
    }

    /// The line of the next entry, if the view shows it.
    pub fn line(&mut self, entry: &Entry) -> Option<String> {
        let telling = self.world.tell(entry, &self.names);
        if self.view == View::Transitions && telling.weight == Weight::Flow {
            return None;
        }
        let subject = telling.partition.unwrap_or(PartitionId::METADATA);
        let strip: String = self.names.servers().map(|node| self.glyph(node, subject)).collect();
        let now = telling.partition.and_then(|partition| self.world.replica(&entry.node.0, partition));
        let number = |number: Option<String>| number.unwrap_or_default();
        let epoch = telling.epoch.or(now.map(|replica| replica.epoch).filter(|epoch| 0 <= *epoch));
        Some(row(&Cells {
            time: &seconds(entry.time),
            mark: telling.mark,
            strip: &strip,
            node: &entry.node.0,
            partition: &number(telling.partition.map(|partition| self.names.partition(partition))),
            epoch: &number(epoch.map(|epoch| epoch.to_string())),
            log_end: &number(now.and_then(|replica| replica.log_end).map(|end| end.to_string())),
            high_watermark: &number(now.and_then(|replica| replica.high_watermark).map(|high| high.to_string())),
            what: &telling.what,
        }))
    }

    fn glyph(&self, node: &str, partition: PartitionId) -> char {
        match (self.world.life(node), self.world.replica(node, partition).map(|replica| replica.role)) {
            (Life::Down, _) => '#',
            (Life::Paused, _) => '~',
            (Life::Up, Some(Role::Leader)) => '/',
            (Life::Up, Some(Role::Follower)) => '\\',
            (Life::Up, Some(Role::Nobody) | None) => '.',
        }
    }
}

struct Cells<'a> {
    time: &'a str,
    mark: char,
    strip: &'a str,
    node: &'a str,
    partition: &'a str,
    epoch: &'a str,
    log_end: &'a str,
    high_watermark: &'a str,
    what: &'a str,
}

fn row(cells: &Cells<'_>) -> String {
    let Cells { time, mark, strip, node, partition, epoch, log_end, high_watermark, what } = cells;
    let line = format!(
        "{time:>12} {mark} {strip} {node:<13} {partition:<12} {epoch:>5} {log_end:>8} {high_watermark:>8}  {what}"
    );
    // A line of the trace is a line here, whatever an error's text holds.
    line.replace(['\n', '\r'], " ").trim_end().to_string()
}

/// The whole view: title, lines, verdicts, and how to see it again.
pub fn terminal(run: &Run, view: View) -> String {
    let names = Names::of(&run.entries, run.topics.clone());
    let mut lines = Terminal::new(names, view);
    let mut text = format!("{}\nseed {}   {}\n\n{}\n", run.scenario.title, run.seed, run.source, lines.head());
    for entry in &run.entries {
        if let Some(line) = lines.line(entry) {
            let _ = writeln!(text, "{line}");
        }
    }
    text.push('\n');
    text.push_str(&verdicts(run));
    text
}

/// The verdict table, what was missed, and how to see the run again.
pub fn verdicts(run: &Run) -> String {
    let width = run.verdicts.iter().map(|verdict| verdict.promise.chars().count()).max().unwrap_or(0).max(7);
    let mut text = format!("{:width$}  {:<8} detail\n", "promise", "verdict");
    for verdict in &run.verdicts {
        let Verdict { promise, outcome, detail, at } = verdict;
        let place = match at {
            Some(index) if *outcome == Outcome::Broken => format!("event {index}: "),
            _ => String::new(),
        };
        let detail = detail.replace(['\n', '\r'], " ");
        let line = format!("{promise:width$}  {outcome:<8} {place}{detail}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for sentence in compare(&run.verdicts).sentences() {
        let _ = writeln!(text, "{sentence}");
    }
    let reached: Vec<String> = run.reached.iter().map(ToString::to_string).collect();
    let _ = writeln!(text, "\nreached   {}", if reached.is_empty() { "nothing".into() } else { reached.join(", ") });
    let stats = &run.stats;
    let _ = writeln!(
        text,
        "records   {} acknowledged, {} consumed, in {:.3} simulated seconds",
        stats.acknowledged,
        stats.consumed,
        stats.simulated.as_secs_f64()
    );
    let _ = writeln!(text, "digest    {}   events {}", run.digest, stats.events);
    let _ = writeln!(text, "replay    {}", run.replay);
    let disappointments = run.disappointments();
    if disappointments.is_empty() {
        text.push_str("\nAs expected.\n");
    } else {
        text.push_str("\nNot as expected:\n");
        for sentence in disappointments {
            let _ = writeln!(text, "- {sentence}");
        }
    }
    text
}

/// Seconds with microseconds.
pub(crate) fn seconds(time: Time) -> String {
    let micros = time.0 / 1_000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
