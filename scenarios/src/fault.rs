//! What goes wrong: when, to whom, and for how long.
//!
//! Without `for` a fault lasts to the end of the run; the run then heals the world before it asks for its service back.
//!
//! ```text
//! crash       the process dies; what it wrote is still in the machine's page cache
//! power_loss  the machine goes dark: what was not synced is lost or torn; its peers see no end of their connections
//! restart     an orderly stop, and a start after `for`
//! pause       the node stands still, and wakes late
//! partition   no bytes pass between two sides; nobody is told
//! hold        bytes between two sides wait, and arrive in one burst
//! slow        bytes take longer
//! lossy       packets are lost, so a stream stalls until they are sent again
//! clock       the node's wall clock is wrong
//! full_disk   no byte more can be written
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{Chance, ClockOffset, Range, Selector, WordError};

/// One fault, or one that comes again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "FaultFile", into = "FaultFile")]
#[schemars(with = "FaultFile")]
pub struct Fault {
    pub when: When,
    pub kind: FaultKind,
    /// How long until it is undone; none: to the end of the run.
    pub lasts: Option<Range>,
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

/// What is done, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Crash(Selector),
    PowerLoss(Selector),
    Restart(Selector),
    Pause(Selector),
    Partition(Cut),
    Hold(Cut),
    Slow(Slow),
    Lossy(Lossy),
    Clock(Clock),
    FullDisk(Selector),
}

/// A cut through the network: `split` on one side, everybody else (or `from`) on the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    pub split: Selector,
    /// Only from these, of whom `split` is none; without it, from all other brokers and controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
    #[serde(default)]
    pub direction: Direction,
    /// What the cut means for clients, who are on neither side. Of no effect with `from`, or if `split` means clients.
    #[serde(default, skip_serializing_if = "Clients::reach_both")]
    pub clients: Clients,
}

/// Which way is cut, as `split` sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Both,
    /// `split` hears nothing.
    In,
    /// `split` is not heard.
    Out,
}

/// Whom clients reach during a cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Clients {
    /// Clients reach both sides, and may meet a leader that no broker hears.
    #[default]
    #[serde(rename = "reach both sides")]
    ReachBoth,
    /// Clients are with the others: the split side is cut off from them too.
    #[serde(rename = "stay with the others")]
    StayWithOthers,
}

impl Clients {
    fn reach_both(&self) -> bool {
        *self == Clients::ReachBoth
    }
}

/// Links that take longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// Whose links.
    pub of: Selector,
    /// Only those to these; without it, to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
    /// One way, in place of the usual; drawn for each message.
    pub latency: Range,
    #[serde(default)]
    pub direction: Direction,
}

/// Links that lose packets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lossy {
    /// Whose links.
    pub of: Selector,
    /// Only those to these; without it, to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
    /// How likely a message is lost and sent again.
    pub loss: Chance,
    #[serde(default)]
    pub direction: Direction,
}

/// A wall clock that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    pub of: Selector,
    /// Ahead of the truth (+) or behind it (-); drawn for each node.
    pub offset: ClockOffset,
}

impl FaultKind {
    /// The key that names it in files.
    pub fn key(&self) -> &'static str {
        match self {
            FaultKind::Crash(_) => "crash",
            FaultKind::PowerLoss(_) => "power_loss",
            FaultKind::Restart(_) => "restart",
            FaultKind::Pause(_) => "pause",
            FaultKind::Partition(_) => "partition",
            FaultKind::Hold(_) => "hold",
            FaultKind::Slow(_) => "slow",
            FaultKind::Lossy(_) => "lossy",
            FaultKind::Clock(_) => "clock",
            FaultKind::FullDisk(_) => "full_disk",
        }
    }

    /// Whom it names, each with the key inside the fault's own value (none: the value itself).
    pub fn selectors(&self) -> Vec<(Option<&'static str>, &Selector)> {
        let pair = |key, first, second: &'static str, other| {
            let mut both = vec![(Some(key), first)];
            if let Some(selector) = other {
                both.push((Some(second), selector));
            }
            both
        };
        match self {
            FaultKind::Crash(selector)
            | FaultKind::PowerLoss(selector)
            | FaultKind::Restart(selector)
            | FaultKind::Pause(selector)
            | FaultKind::FullDisk(selector) => vec![(None, selector)],
            FaultKind::Partition(cut) | FaultKind::Hold(cut) => pair("split", &cut.split, "from", cut.from.as_ref()),
            FaultKind::Slow(slow) => pair("of", &slow.of, "to", slow.to.as_ref()),
            FaultKind::Lossy(lossy) => pair("of", &lossy.of, "to", lossy.to.as_ref()),
            FaultKind::Clock(clock) => vec![(Some("of"), &clock.of)],
        }
    }
}

/// A sentence for traces and reports: `partition of random minority`.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |direction: &Direction| match direction {
            Direction::Both => "",
            Direction::In => ", inward",
            Direction::Out => ", outward",
        };
        let other = |word, selector: &Option<Selector>| {
            selector.as_ref().map_or(String::new(), |selector| format!(" {word} {selector}"))
        };
        match self {
            FaultKind::Crash(selector) => write!(f, "crash of {selector}"),
            FaultKind::PowerLoss(selector) => write!(f, "power loss of {selector}"),
            FaultKind::Restart(selector) => write!(f, "restart of {selector}"),
            FaultKind::Pause(selector) => write!(f, "pause of {selector}"),
            FaultKind::FullDisk(selector) => write!(f, "full disk of {selector}"),
            FaultKind::Partition(cut) => {
                write!(f, "partition of {}{}{}", cut.split, other("from", &cut.from), way(&cut.direction))
            }
            FaultKind::Hold(cut) => {
                write!(f, "hold of {}{}{}", cut.split, other("from", &cut.from), way(&cut.direction))
            }
            FaultKind::Slow(slow) => {
                let to = other("to", &slow.to);
                write!(f, "slow links of {}{to}{}: {}", slow.of, way(&slow.direction), slow.latency)
            }
            FaultKind::Lossy(lossy) => {
                let to = other("to", &lossy.to);
                write!(f, "lossy links of {}{to}{}: {}", lossy.of, way(&lossy.direction), lossy.loss)
            }
            FaultKind::Clock(clock) => write!(f, "clock of {} off by {}", clock.of, clock.offset),
        }
    }
}

/// How a fault is written: when, one kind, for how long.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Fault")]
struct FaultFile {
    /// Once, so long after the run begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Range>,
    /// Again and again, so long after the last one began.
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<Range>,
    /// From when to when, with `every`.
    #[serde(skip_serializing_if = "Option::is_none")]
    between: Option<Range>,
    /// The process dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    crash: Option<Selector>,
    /// The machine goes dark.
    #[serde(skip_serializing_if = "Option::is_none")]
    power_loss: Option<Selector>,
    /// An orderly stop, and a start after `for`.
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<Selector>,
    /// The node stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Selector>,
    /// No bytes pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<Cut>,
    /// Bytes wait, and arrive in one burst.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Cut>,
    /// Bytes take longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<Slow>,
    /// Packets are lost and sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    lossy: Option<Lossy>,
    /// The wall clock is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock: Option<Clock>,
    /// No byte more can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_disk: Option<Selector>,
    /// How long until it is undone; without it, to the end of the run.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    lasts: Option<Range>,
}

impl TryFrom<FaultFile> for Fault {
    type Error = String;

    fn try_from(file: FaultFile) -> Result<Fault, String> {
        let wrong = |message: String, help: &str| Err(WordError::new(message, help).pack());
        let how = "write at = \"4s\" for one, or every = \"3s..8s\" (with between = \"5s..18s\" if you like) for many";
        let when = match (file.at, file.every, file.between) {
            (Some(at), None, None) => When::At(at),
            (None, Some(every), between) => When::Every { every, between },
            (Some(_), None, Some(_)) => return wrong("`between` goes with `every`, not with `at`".into(), how),
            (Some(_), Some(_), _) => return wrong("a fault comes either once or again and again".into(), how),
            (None, None, _) => return wrong("nothing says when the fault begins".into(), how),
        };
        let kinds = [
            file.crash.map(FaultKind::Crash),
            file.power_loss.map(FaultKind::PowerLoss),
            file.restart.map(FaultKind::Restart),
            file.pause.map(FaultKind::Pause),
            file.partition.map(FaultKind::Partition),
            file.hold.map(FaultKind::Hold),
            file.slow.map(FaultKind::Slow),
            file.lossy.map(FaultKind::Lossy),
            file.clock.map(FaultKind::Clock),
            file.full_disk.map(FaultKind::FullDisk),
        ];
        let mut kinds = kinds.into_iter().flatten();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(Fault { when, kind, lasts: file.lasts }),
            (None, _) => wrong(
                "nothing says what goes wrong".into(),
                "write one of: crash, power_loss, restart, pause, partition, hold, slow, lossy, clock, full_disk",
            ),
            (Some(one), Some(other)) => wrong(
                format!("one fault has two kinds, `{}` and `{}`", one.key(), other.key()),
                "write each kind as a [[faults]] of its own",
            ),
        }
    }
}

impl From<Fault> for FaultFile {
    fn from(fault: Fault) -> FaultFile {
        let mut file = FaultFile { lasts: fault.lasts, ..FaultFile::default() };
        match fault.when {
            When::At(at) => file.at = Some(at),
            When::Every { every, between } => (file.every, file.between) = (Some(every), between),
        }
        match fault.kind {
            FaultKind::Crash(selector) => file.crash = Some(selector),
            FaultKind::PowerLoss(selector) => file.power_loss = Some(selector),
            FaultKind::Restart(selector) => file.restart = Some(selector),
            FaultKind::Pause(selector) => file.pause = Some(selector),
            FaultKind::Partition(cut) => file.partition = Some(cut),
            FaultKind::Hold(cut) => file.hold = Some(cut),
            FaultKind::Slow(slow) => file.slow = Some(slow),
            FaultKind::Lossy(lossy) => file.lossy = Some(lossy),
            FaultKind::Clock(clock) => file.clock = Some(clock),
            FaultKind::FullDisk(selector) => file.full_disk = Some(selector),
        }
        file
    }
}
