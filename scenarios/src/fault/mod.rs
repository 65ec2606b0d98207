//! What goes wrong: when, to whom, and for how long.
//!
//! Without `for` a fault lasts to the end of the run; the run then heals the world before it asks for its service back.
//!
//! ```text
//! node.rs     crash  power_loss  restart  reconfigure  pause
//! network.rs  partition  bridge  ring  swizzle  flap  hold  slow  lossy  bandwidth
//!             refuse  ignore  reset  half_open  strand
//! disk.rs     full_disk  disk_error  dead_disk  stalled_disk  slow_disk
//!             bit_rot  unreadable_sectors  lost_writes  misdirected_writes  wiped_disk
//! clock.rs    clock
//! file.rs     how a fault is written, and which key means which kind
//! ```
//! A new kind is a variant in its family's file and a line in `file.rs`.

mod clock;
mod disk;
mod file;
mod network;
mod node;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use clock::{Clock, ClockFault};
pub use disk::{Atlas, DeadDisk, DiskError, DiskFault, Lies, Operation, Sectors, SlowDisk, Wiped};
use file::FaultFile;
pub use network::{
    Bandwidth, Clients, Connections, Cut, Direction, Flap, Lossy, NetworkFault, Requests, Slow, Swizzle,
};
pub use node::{NodeFault, Reconfigure};

use crate::words::{Range, Selector};

/// One fault, or one that comes again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "FaultFile", into = "FaultFile")]
#[schemars(with = "FaultFile")]
pub struct Fault {
    pub when: When,
    /// What to wait for when it is time.
    pub moment: Option<Moment>,
    pub kind: FaultKind,
    /// How long until it is undone; none: to the end of its phase, or of the run.
    pub lasts: Option<Range>,
    /// The phase from whose begin its times count.
    pub during: Option<String>,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Range),
    /// Again so long after the last one's begin, from `between.from` to `between.to`; without bounds, through the whole run.
    Every {
        every: Range,
        between: Option<Range>,
    },
}

/// A moment at which a fault does most harm. It is waited for, for some seconds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Moment {
    /// Whom it strikes has written something that is not synced yet.
    #[serde(rename = "writes in flight")]
    WritesInFlight,
    /// A partition has just got another leader, which has written little or nothing yet.
    #[serde(rename = "a leader is new")]
    LeaderIsNew,
}

/// What is done, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Node(NodeFault),
    Network(NetworkFault),
    Disk(DiskFault),
    Clock(ClockFault),
}

/// Whom a fault names: each with its key inside the fault's own value (none: the value itself).
pub(crate) type Named<'a> = Vec<(Option<&'static str>, &'a Selector)>;

impl FaultKind {
    /// Whom it names, each with the key inside the fault's own value (none: the value itself).
    pub fn selectors(&self) -> Vec<(Option<&'static str>, &Selector)> {
        match self {
            FaultKind::Node(fault) => fault.selectors(),
            FaultKind::Network(fault) => fault.selectors(),
            FaultKind::Disk(fault) => fault.selectors(),
            FaultKind::Clock(fault) => fault.selectors(),
        }
    }

    /// It is over as soon as it is done: nothing is to be undone.
    pub fn is_instant(&self) -> bool {
        matches!(self, FaultKind::Network(fault) if fault.is_instant())
    }
}

/// A sentence for traces and reports: `partition of random minority`.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::Node(fault) => fault.fmt(f),
            FaultKind::Network(fault) => fault.fmt(f),
            FaultKind::Disk(fault) => fault.fmt(f),
            FaultKind::Clock(fault) => fault.fmt(f),
        }
    }
}
