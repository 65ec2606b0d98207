//! What can be said of a promise after a run.

use std::fmt;

use serde::Serialize;

/// How a promise came out. The order is that of gravity: a later one outweighs an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The run gave no evidence.
    Unknown,
    Kept,
    /// It was not kept, and the claims allow that.
    Allowed,
    Broken,
}

/// The judgement on one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// A sentence: `acknowledged records survive`.
    pub promise: &'static str,
    pub outcome: Outcome,
    /// What happened, for people; empty if there is nothing to tell.
    pub detail: String,
    /// The trace entry that showed it, for promises that are judged by the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
}

/// A promise was broken by the entry that was just observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    pub promise: &'static str,
    pub why: String,
    /// Index of the trace entry.
    pub at: u64,
}

impl Outcome {
    /// The word for it in reports.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Unknown => "unknown",
            Outcome::Kept => "kept",
            Outcome::Allowed => "allowed",
            Outcome::Broken => "broken",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken: {} (entry {}): {}", self.promise, self.at, self.why)
    }
}
