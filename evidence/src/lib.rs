//! What a run leaves behind: the trace of what happened inside, and the history of what clients asked and were told.
//!
//! Plain data with stable text forms. Promises judge it, reports show it. Absent from here: judgement.

mod claims;
pub mod history;
mod trace;

pub use claims::{Acks, Claims, Isolation};
pub use history::{
    Action, History, HistoryError, Key, Membership, MicroOperation, Operation, Outcome, Process, Recorder, Table, Value,
};
pub use trace::{Entry, Harm, NodeName, StoredBatch, What};
