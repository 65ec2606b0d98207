//! The trace: who witnessed what, when, in the order in which it happened.
//!
//! Low in volume: the world's packets and disk operations go into the digest, not in here.

use std::fmt;
use std::sync::Arc;

use model::{Event, LeaderEpoch, Offset, ProducerId, Time};
use serde::{Deserialize, Serialize};

/// A node of the world, by the name that scenarios use: `broker 1`, `client 3`. Every entry has one, so a copy costs nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeName(pub Arc<str>);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One line of the trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Rises by one from line to line.
    pub index: u64,
    /// World time since the run began; no node's own clock.
    pub time: Time,
    pub node: NodeName,
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "snake_case")]
pub enum What {
    /// A broker's own witness.
    Witnessed(Event),
    NodeStarted,
    /// The process died; its page cache and its machine live on.
    NodeCrashed,
    /// The machine went dark: what was not synced is lost or torn.
    PowerLost,
    NodePaused,
    NodeResumed,
    /// Stored bytes of this node were destroyed by the world: what its owner wrote or synced there may not be there any more.
    DiskHurt {
        harm: Harm,
        /// The path on its disk; empty if it is the whole of it.
        file: String,
        position: u64,
        length: u64,
    },
    /// Every byte of this node's disk is again what its owner wrote: the harm that was done to it is undone.
    DiskMended,
    /// The node ended by itself, in order or with an error.
    NodeStopped {
        error: Option<String>,
    },
    /// A fault of the scenario begins; the text is for people, the id pairs it with its end.
    FaultBegan {
        id: u32,
        text: String,
    },
    FaultEnded {
        id: u32,
    },
    /// A client's operation, for time lines; the history has the whole of it.
    Client {
        operation: String,
    },
    /// The faults are over: from now on these nodes, and no others, are whole and reach each other.
    QuietBegan {
        core: Vec<NodeName>,
    },
    /// By now the core must have found itself.
    QuietEnded,
    /// The run is over: what the files of a log hold on this node's disk, whatever its broker says of it.
    LogStored {
        directory: String,
        start: Offset,
        end: Offset,
        /// The first ones may lie below the start, and one may span it.
        batches: Vec<StoredBatch>,
    },
    /// Something in these files contradicts the rest.
    LogFlawed {
        file: String,
        position: u64,
        reason: String,
        /// Of which producer a snapshot tells something else than the batches do.
        producer: Option<ProducerId>,
    },
    /// A note of the run itself: a phase begins, the workload is done.
    Note {
        text: String,
    },
}

/// A batch in a file. `crc` is its checksum, or 0 if it has no records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredBatch {
    pub base: Offset,
    pub end: Offset,
    pub epoch: LeaderEpoch,
    pub crc: u32,
}

/// What was done to stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// A bit flipped.
    Rotted,
    /// A sector cannot be read.
    Unreadable,
    /// The device said that it wrote a sector, and left it as it was.
    Lost,
    /// The device put a sector where another one belongs.
    Misdirected,
    /// An operator took out a damaged log, to have it made anew: all in this directory.
    MovedAway,
    /// The disk came back empty.
    Wiped,
}
