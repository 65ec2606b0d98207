//! The tales: scenario files as plain data, read strictly, written back, drawn at random, and the catalogue of them.
//!
//! ```text
//! text --parse--> Scenario --to_toml--> text      random(seed, profile) --> Scenario      catalogue() --> the .toml files
//! ```
//! A scenario says what the world is, who works in it, what goes wrong and what must come of it. Its ranges are drawn, and its
//! selectors resolved, by whoever runs it. Absent from here: running, time, files, the broker.

mod catalogue;
mod change;
mod check;
mod client;
mod cluster;
mod error;
mod expect;
mod fault;
mod parse;
mod quiet;
mod random;
mod scenario;
mod set;
mod shrink;
mod words;
mod write;

pub use catalogue::{Tale, catalogue};
pub use change::{AddPartitions, AlterTopic, Change, ChangeKind, Reassign};
pub use client::{Acks, Codec, Consumer, Producer, ReadFrom, Sleep};
pub use cluster::{Cluster, ConfigValue, FlushPolicy, SERVER_KEYS, ServerKey, Topic};
pub use error::ScenarioError;
pub use expect::{Claims, Expect, Goal, Isolation, PROMISES, Reach};
pub use fault::{
    Atlas, Bandwidth, Clients, Clock, ClockFault, Connections, Cut, DeadDisk, Direction, DiskError, DiskFault, Fault,
    FaultKind, Flap, Lies, Lossy, Moment, NetworkFault, NodeFault, Operation, Reconfigure, Requests, Sectors, Slow,
    SlowDisk, Swizzle, When, Wiped,
};
pub use quiet::Quiet;
pub use random::{Profile, random, scenarios};
pub use scenario::{Format, Phase, Scenario, schema};
pub use set::Setting;
pub use shrink::{Happened, Step, unroll};
pub use words::{
    Chance, ClockDrift, ClockOffset, LogDir, PartitionName, Range, Rate, Selector, Span, Throughput, WordError,
};
