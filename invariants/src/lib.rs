//! The promises: what a cluster must keep, each a file and a sentence, pure over a history or a trace.
//!
//! ```text
//!   trace ── Entry ──▶ Watch::observe ──▶ Violation at the first bad event
//!   history ─────────▶ Watch::finish ───▶ a Verdict for each promise
//!   both ──────────── compare ─▶ what one side saw and the other missed
//!   history alone ───▶ check ───────────▶ Report: findings with their names, and verdicts
//! ```
//! Absent from here: the broker. A promise knows the nouns of `model` and the evidence, and nothing of how a record travels.

mod both_sides;
mod history;
mod trace;
mod verdict;
mod watch;

pub use both_sides::{Comparison, compare};
pub use history::{Finding, Gravity, NEEDS_MORE_THAN_SENDS_AND_POLLS, Report, check};
pub use verdict::{Outcome, Verdict, Violation};
pub use watch::{Expectations, Watch};
