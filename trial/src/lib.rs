//! The trial: the whole broker, run in a simulated world, judged by its promises.
//!
//! ```text
//!  Scenario, seed ─▶ run ─▶ Finished: digest, verdicts, what was reached, trace, history
//!                     │
//!     cluster.rs   the nodes and their configuration      workload/  clients, and what they are told
//!     faults.rs    what goes wrong, and when              scene.rs   who leads what, for faults that are aimed
//!     selection.rs whom a selector means                  reach.rs   what a run must have seen to prove anything
//!     quiet.rs     after the faults: who is left broken, and what the rest must come to
//! ```
//! Absent from here: what a promise is, how a record travels, how a world is simulated. This room ties the others together.

mod assert;
mod bounds;
mod changes;
mod cluster;
mod faults;
mod happened;
mod phases;
mod quiet;
mod reach;
mod reason;
mod run;
mod scene;
mod selection;
mod stage;
mod stock;
mod workload;

pub use assert::{assert_random, assert_scenario, assert_scenario_seeds, assert_scenario_with};
pub use reason::Reason;
pub use run::{Finished, Options, run};
