//! The verdict: what a run showed, for a terminal, for a browser, for a program.
//!
//! ```text
//! Run ──▶ terminal(run)   one aligned line a transition, then the verdicts
//!    ├──▶ page(run)       one HTML file, nothing to fetch
//!    ├──▶ json(run)       one object
//!    ├──▶ perfetto(run)   trace events, for viewers of traces
//!    └──▶ write(run, history), and read: the run as a file
//! ```
//! Pure: the same run gives the same text. Absent from here: judging, running, files.

mod file;
mod json;
mod names;
mod page;
mod perfetto;
mod run;
mod telling;
mod terminal;
mod timeline;
mod world;

pub use file::{RunError, read, write};
pub use json::json;
pub use names::Names;
pub use page::page;
pub use perfetto::perfetto;
pub use run::{Run, Stats};
pub use terminal::{Terminal, View, terminal, verdicts};
