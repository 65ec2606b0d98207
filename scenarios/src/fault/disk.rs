//! Faults of disks.
//!
//! ```text
//! full_disk           no byte more can be written
//! disk_error          reads, writes or syncs fail: the next one, or some for a while
//! dead_disk           nothing works: no read, write or sync, no name; what was stored is there when the fault ends
//! stalled_disk        no sync ends
//! slow_disk           every sync takes so many times longer, and nothing else shows it
//! bit_rot             bits flip in what was stored, be it synced
//! unreadable_sectors  sectors cannot be read until they are written again
//! lost_writes         some of what the disk calls written is not there; seen when the fault ends, or the power goes
//! misdirected_writes  the same, and it overwrites something else
//! wiped_disk          the machine goes dark, and comes back with an empty disk
//! ```
//! Where brokers have several log directories, `log_dir` says on which of them: by number, or by a partition that lies there. A broker
//! that gave one up goes on without it, until it is started again: when a dead disk comes back, or the world is healed.
//!
//! The last five destroy what was stored. They strike only where the *atlas* allows it, so that whatever is lost after all is
//! the broker's doing; `atlas = "off"` lifts that, for lessons about losing too many copies. Its rules:
//!
//! 1. Only logs of partitions are hurt, and a log only while another of its replicas is up, in sync and unhurt.
//! 2. What is hurt counts as no copy: a node that is down starts on a hurt log only once it is out of the partition's in-sync
//!    set. If it is the last one in there, the harm is undone first.
//! 3. The metadata log and the vote of a voter are never hurt, and its disk is never wiped: voters are fixed in number, so one
//!    that forgets what it promised can promise it twice, however many copies the others have.
//! 4. Metadata knows what lay in each of several log directories (KIP-858). So a broker may come back with one of them empty though it is in
//!    sync, if another one is that has the records, once nobody leads any more.
//! 5. When the world is healed, so is every disk.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::words::{Chance, LogDir, Selector};

/// What befalls a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFault {
    Full(Selector),
    Error(DiskError),
    Dead(DeadDisk),
    Stalled(Selector),
    Slow(SlowDisk),
    Rot(Sectors),
    Unreadable(Sectors),
    LostWrites(Lies),
    MisdirectedWrites(Lies),
    Wiped(Wiped),
}

/// Operations that fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DiskError {
    /// Whose disk.
    pub of: Selector,
    /// Only of files in this log directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_dir: Option<LogDir>,
    pub on: Operation,
    /// How likely each of them fails, for as long as the fault lasts; without it, the next one fails for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<Chance>,
}

/// A disk on which nothing works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeadDisk {
    /// Whose disk.
    pub of: Selector,
    /// Only the one that has this log directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_dir: Option<LogDir>,
}

/// What a disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Read,
    Write,
    Sync,
}

/// A disk that works, late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowDisk {
    /// Whose disk.
    pub of: Selector,
    /// How many times longer a sync takes.
    #[schemars(range(min = 2, max = 100_000))]
    pub times: u32,
}

/// Stored sectors that are hurt, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sectors {
    /// Whose disk.
    pub of: Selector,
    /// How many, of 512 bytes each.
    #[serde(default = "crate::cluster::one")]
    #[schemars(range(min = 1, max = 1000))]
    pub sectors: u32,
    #[serde(default, skip_serializing_if = "Atlas::is_on")]
    pub atlas: Atlas,
}

/// A disk that lies about what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lies {
    /// Whose disk.
    pub of: Selector,
    /// How likely it lies about a sector of 512 bytes.
    pub chance: Chance,
    #[serde(default, skip_serializing_if = "Atlas::is_on")]
    pub atlas: Atlas,
}

/// A disk that is replaced by an empty one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wiped {
    /// Whose disk.
    pub of: Selector,
    /// Only the one that has this log directory, which is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_dir: Option<LogDir>,
    #[serde(default, skip_serializing_if = "Atlas::is_on")]
    pub atlas: Atlas,
}

/// Whether enough copies are spared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Atlas {
    /// Enough copies are spared.
    #[default]
    On,
    /// Anything may be destroyed.
    Off,
}

impl Atlas {
    fn is_on(&self) -> bool {
        *self == Atlas::On
    }
}

impl DiskFault {
    /// Whose disk.
    pub fn of(&self) -> &Selector {
        match self {
            DiskFault::Full(of) | DiskFault::Stalled(of) => of,
            DiskFault::Error(error) => &error.of,
            DiskFault::Dead(dead) => &dead.of,
            DiskFault::Slow(slow) => &slow.of,
            DiskFault::Rot(sectors) | DiskFault::Unreadable(sectors) => &sectors.of,
            DiskFault::LostWrites(lies) | DiskFault::MisdirectedWrites(lies) => &lies.of,
            DiskFault::Wiped(wiped) => &wiped.of,
        }
    }

    /// Which log directory, where it is not the whole of the disk.
    pub fn log_dir(&self) -> Option<&LogDir> {
        match self {
            DiskFault::Error(DiskError { log_dir, .. })
            | DiskFault::Dead(DeadDisk { log_dir, .. })
            | DiskFault::Wiped(Wiped { log_dir, .. }) => log_dir.as_ref(),
            DiskFault::Full(_)
            | DiskFault::Stalled(_)
            | DiskFault::Slow(_)
            | DiskFault::Rot(_)
            | DiskFault::Unreadable(_)
            | DiskFault::LostWrites(_)
            | DiskFault::MisdirectedWrites(_) => None,
        }
    }

    /// True if a broker may give up because of it.
    pub fn may_stop_a_node(&self) -> bool {
        !matches!(self, DiskFault::Stalled(_) | DiskFault::Slow(_))
    }

    pub(super) fn selectors(&self) -> Named<'_> {
        let key = match self {
            DiskFault::Full(_) | DiskFault::Stalled(_) => None,
            DiskFault::Error(_)
            | DiskFault::Dead(_)
            | DiskFault::Slow(_)
            | DiskFault::Rot(_)
            | DiskFault::Unreadable(_)
            | DiskFault::LostWrites(_)
            | DiskFault::MisdirectedWrites(_)
            | DiskFault::Wiped(_) => Some("of"),
        };
        vec![(key, self.of())]
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of =
            self.log_dir().map_or_else(|| self.of().to_string(), |log_dir| format!("{}, log_dir {log_dir}", self.of()));
        match self {
            DiskFault::Full(_) => write!(f, "full disk of {of}"),
            DiskFault::Error(DiskError { on, chance, .. }) => {
                let operation = match on {
                    Operation::Read => "read",
                    Operation::Write => "write",
                    Operation::Sync => "sync",
                };
                match chance {
                    Some(chance) => write!(f, "{chance} of {operation}s fail on the disk of {of}"),
                    None => write!(f, "the next {operation} fails on the disk of {of}"),
                }
            }
            DiskFault::Dead(_) => write!(f, "dead disk of {of}"),
            DiskFault::Stalled(_) => write!(f, "stalled disk of {of}"),
            DiskFault::Slow(slow) => write!(f, "disk of {of} slower by {} times", slow.times),
            DiskFault::Rot(rot) => write!(f, "rot in {} sectors of {of}", rot.sectors),
            DiskFault::Unreadable(latent) => write!(f, "{} unreadable sectors of {of}", latent.sectors),
            DiskFault::LostWrites(lies) => write!(f, "{} of writes lost on the disk of {of}", lies.chance),
            DiskFault::MisdirectedWrites(lies) => {
                write!(f, "{} of writes misdirected on the disk of {of}", lies.chance)
            }
            DiskFault::Wiped(_) => write!(f, "wiped disk of {of}"),
        }
    }
}
