//! The world: a simulated Host on madsim, with our own network, disk and clock. Same binary and seed, same digest.
//!
//! ```text
//!   run(options, |world| …)          a fresh thread, a fresh madsim runtime
//!        │
//!      World ── node(name) ──► Node  start, crash, power_loss, restart, pause, clock
//!        │                       └─► SimHost (host::Host): what server::run and client are given
//!        └───── network() ──► Network  links, partitions, hold
//!   Streams (chance by label) · Clock (world time) · Digest (every event)
//! ```
//! Absent from here: what a broker is, what a promise is, real sockets, real files.

// rustdoc is given no rustflags, and needs none.
#[cfg(not(any(madsim, doc, doctest)))]
compile_error!(
    "`sim` needs `--cfg madsim`, which .cargo/config.toml sets; the RUSTFLAGS variable hides that file: unset it, or add `--cfg madsim` to it"
);

pub mod bench;
mod buggify;
mod clock;
mod confined;
pub mod digest;
mod disk;

mod life;
mod network;
mod node;
mod panics;
mod process;
mod run;
mod seam;
mod streams;
mod tally;
mod tasks;
mod trace;
mod wall_clock;
mod world;

pub use clock::{Clock, Sleep};
pub use confined::Confined;
pub use digest::{Digest, NodeIndex, Recording};
pub use disk::{DiskState, Operation, Scope, SimDisk, SimFile, SyncDelay};
pub use life::Life;
pub use network::{
    Fault, GIVEN_UP_AFTER, LinkSettings, Links, Network, SimConnection, SimListener, SimReader, SimWriter, WINDOW,
};
pub use node::Node;
pub use panics::PANICKED;
pub use process::SimHost;
pub use run::{Failure, Observer, Options, Outcome, Reason, run};
pub use seam::DiskSeam;
pub use streams::{Stream, Streams};
pub use tally::Tally;
pub use wall_clock::WORLD_EPOCH;
pub use world::World;
