//! How a fuzz gets on: a bar for who watches, a line now and then for who reads a log.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

use super::findings::{Findings, hours};
use crate::commands::points;
use crate::commands::{print, tell};

/// Where nobody watches: a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

pub(crate) struct Progress {
    bar: ProgressBar,
    is_watched: bool,
    began: Instant,
    last_line: Mutex<Duration>,
}

impl Progress {
    /// Of so many seeds; none: nobody knows how many.
    pub(crate) fn new(seeds: Option<u64>, began: Instant) -> Progress {
        let bar = seeds.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let is_watched = std::io::stderr().is_terminal();
        bar.set_draw_target(if is_watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        let template =
            if seeds.is_some() { "{wide_bar} {pos} of {len} seeds, {msg}" } else { "{spinner} {pos} seeds, {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar, is_watched, began, last_line: Mutex::new(Duration::ZERO) }
    }

    /// One seed more is done.
    pub(crate) fn step(&self, findings: &Findings) {
        self.bar.inc(1);
        let passed = self.began.elapsed();
        let text = format!(
            "{:.1}/s, {} simulated, {} of {} points, {} not as expected",
            self.bar.position() as f64 / passed.as_secs_f64().max(0.001),
            hours(findings.simulated),
            findings.reached.len(),
            points::all().len(),
            findings.failures()
        );
        if self.is_watched {
            return self.bar.set_message(text);
        }
        let mut last_line = self.last_line.lock();
        if LINE_EVERY <= passed.saturating_sub(*last_line) {
            *last_line = passed;
            tell(&format!("{} seeds, {text}", self.bar.position()));
        }
    }

    /// Prints something that stays.
    pub(crate) fn print(&self, text: &str) {
        self.bar.suspend(|| print(text));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
