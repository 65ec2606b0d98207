//! What a run leaves behind: the trace of what happened inside, and the history of what clients asked and were told.
//!
//! Plain data with stable text forms. Promises judge it, reports show it. Absent from here: judgement.

mod history;
mod trace;

pub use trace::{Entry, NodeName, What};
