//! Promises over the history: what clients asked and were told, and nothing else, so that the history of any cluster can be judged.
//!
//! ```text
//!   Table ─▶ Logs: what stands where ─▶ values    who sent it, and was it refused
//!                                    ─▶ sessions  each client from its first line to its last
//!                                    ─▶ loss      what was acknowledged and never read
//!                                    ─▶ real_time, commits, owners, cycles
//! ```
//! Definitions and names are those of Jepsen's Kafka workload where it has one: docs/histories.md tells them all. Claims decide
//! whether an anomaly breaks a promise or is allowed ([`anomaly`]). Nothing here looks into a broker: what brokers know only helps to
//! tell where a lost record went.

mod anomaly;
mod available_after_healing;
mod case;
mod commits;
mod cycles;
mod logs;
mod loss;
mod owners;
mod real_time;
mod sessions;
mod values;

use evidence::Table;

pub use anomaly::{Gravity, NEEDS_MORE_THAN_SENDS_AND_POLLS};
pub(crate) use available_after_healing::Calm;
use case::Case;
pub(crate) use case::Whereabouts;
pub use case::{Finding, Report};

/// Judges a history by itself, by what it claims.
pub fn check(table: &Table) -> Report {
    judge(table, &|_, _| None)
}

pub(crate) fn judge(table: &Table, whereabouts: Whereabouts<'_>) -> Report {
    let mut case = Case::new(table, whereabouts);
    values::judge(&mut case);
    let told = sessions::judge(&mut case);
    loss::judge(&mut case, &told.rests);
    real_time::judge(&mut case, &told);
    cycles::judge(&mut case);
    commits::judge(&mut case);
    owners::judge(&mut case);
    case.into_report()
}
