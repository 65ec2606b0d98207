//! Faults of the network.
//!
//! ```text
//! partition   no bytes pass between two sides; nobody is told
//! hold        bytes between two sides wait, and arrive in one burst
//! slow        bytes take longer
//! lossy       packets are lost, so a stream stalls until they are sent again
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::words::{Chance, Range, Selector};

/// What befalls the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    Partition(Cut),
    Hold(Cut),
    Slow(Slow),
    Lossy(Lossy),
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

impl NetworkFault {
    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            NetworkFault::Partition(cut) | NetworkFault::Hold(cut) => {
                pair("split", &cut.split, "from", cut.from.as_ref())
            }
            NetworkFault::Slow(slow) => pair("of", &slow.of, "to", slow.to.as_ref()),
            NetworkFault::Lossy(lossy) => pair("of", &lossy.of, "to", lossy.to.as_ref()),
        }
    }
}

fn pair<'a>(key: &'static str, one: &'a Selector, other_key: &'static str, other: Option<&'a Selector>) -> Named<'a> {
    let other = other.map(|other| (Some(other_key), other));
    std::iter::once((Some(key), one)).chain(other).collect()
}

impl fmt::Display for NetworkFault {
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
            NetworkFault::Partition(cut) => {
                write!(f, "partition of {}{}{}", cut.split, other("from", &cut.from), way(&cut.direction))
            }
            NetworkFault::Hold(cut) => {
                write!(f, "hold of {}{}{}", cut.split, other("from", &cut.from), way(&cut.direction))
            }
            NetworkFault::Slow(slow) => {
                let to = other("to", &slow.to);
                write!(f, "slow links of {}{to}{}: {}", slow.of, way(&slow.direction), slow.latency)
            }
            NetworkFault::Lossy(lossy) => {
                let to = other("to", &lossy.to);
                write!(f, "lossy links of {}{to}{}: {}", lossy.of, way(&lossy.direction), lossy.loss)
            }
        }
    }
}
