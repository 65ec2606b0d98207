//! Faults of the network.
//!
//! ```text
//! partition   no bytes pass between two sides; nobody is told
//! bridge      the others fall into two halves that do not hear each other; both hear the bridge
//! ring        each hears its neighbours in a ring, a majority, and no two the same one
//! swizzle     some are cut off one by one, and healed in another order
//! flap        links come and go
//! hold        bytes between two sides wait, and arrive in one burst
//! slow        bytes take longer
//! lossy       packets are lost, so a stream stalls until they are sent again
//! bandwidth   so many bytes a second pass a node's card, or a link; what waits, waits in line
//! refuse      requests for a connection are refused at once; connections go on
//! ignore      requests for a connection are lost, and time out; connections go on
//! reset       connections end at both ends, once
//! half_open   one side forgets its connections, once; the other learns it when it sends
//! strand      nothing passes any more on connections, and nobody is told; new ones are made
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::words::{Chance, Range, Selector, Throughput};

/// What befalls the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    Partition(Cut),
    /// Over these.
    Bridge(Selector),
    /// Of these.
    Ring(Selector),
    Swizzle(Swizzle),
    Flap(Flap),
    Hold(Cut),
    Slow(Slow),
    Lossy(Lossy),
    Bandwidth(Bandwidth),
    Refuse(Requests),
    Ignore(Requests),
    Reset(Connections),
    HalfOpen(Connections),
    Strand(Connections),
}

/// Nodes that are cut off from everybody, one by one, and healed in another order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Swizzle {
    pub of: Selector,
    /// From one to the next, cutting and healing.
    pub step: Range,
}

/// Links that come and go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flap {
    /// Whose links.
    pub of: Selector,
    /// Only those to these; without it, to everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
    /// How long they are there,
    pub up: Range,
    /// and how long they are not.
    pub down: Range,
    #[serde(default)]
    pub direction: Direction,
}

/// A network card, or a link, that carries no more than so much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bandwidth {
    /// Whose card, shared by all its links.
    pub of: Selector,
    /// Each link to these instead, by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
    pub rate: Throughput,
}

/// Requests for a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// Of whom a connection is asked.
    pub of: Selector,
    /// Only by these; without it, by everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Selector>,
}

/// Connections that are there when the fault begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// Whose.
    pub of: Selector,
    /// Only those with these; without it, with everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Selector>,
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
            NetworkFault::Bridge(selector) | NetworkFault::Ring(selector) => vec![(None, selector)],
            NetworkFault::Swizzle(swizzle) => vec![(Some("of"), &swizzle.of)],
            NetworkFault::Flap(flap) => pair("of", &flap.of, "to", flap.to.as_ref()),
            NetworkFault::Slow(slow) => pair("of", &slow.of, "to", slow.to.as_ref()),
            NetworkFault::Lossy(lossy) => pair("of", &lossy.of, "to", lossy.to.as_ref()),
            NetworkFault::Bandwidth(bandwidth) => pair("of", &bandwidth.of, "to", bandwidth.to.as_ref()),
            NetworkFault::Refuse(requests) | NetworkFault::Ignore(requests) => {
                pair("of", &requests.of, "from", requests.from.as_ref())
            }
            NetworkFault::Reset(connections)
            | NetworkFault::HalfOpen(connections)
            | NetworkFault::Strand(connections) => pair("of", &connections.of, "to", connections.to.as_ref()),
        }
    }

    /// It is over as soon as it is done.
    pub(super) fn is_instant(&self) -> bool {
        matches!(self, NetworkFault::Reset(_) | NetworkFault::HalfOpen(_) | NetworkFault::Strand(_))
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
            NetworkFault::Bridge(selector) => write!(f, "bridge over {selector}"),
            NetworkFault::Ring(selector) => write!(f, "ring of {selector}"),
            NetworkFault::Swizzle(swizzle) => write!(f, "swizzle of {}, one each {}", swizzle.of, swizzle.step),
            NetworkFault::Flap(flap) => {
                let (to, way) = (other("to", &flap.to), way(&flap.direction));
                write!(f, "flapping links of {}{to}{way}: up {}, down {}", flap.of, flap.up, flap.down)
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
            NetworkFault::Bandwidth(bandwidth) => {
                write!(f, "bandwidth of {}{}: {}", bandwidth.of, other("to", &bandwidth.to), bandwidth.rate)
            }
            NetworkFault::Refuse(requests) => {
                write!(f, "requests of {} refused{}", requests.of, other("from", &requests.from))
            }
            NetworkFault::Ignore(requests) => {
                write!(f, "requests of {} lost{}", requests.of, other("from", &requests.from))
            }
            NetworkFault::Reset(lost) => write!(f, "reset of connections of {}{}", lost.of, other("with", &lost.to)),
            NetworkFault::HalfOpen(lost) => {
                write!(f, "connections forgotten by {}{}", lost.of, other("with", &lost.to))
            }
            NetworkFault::Strand(lost) => write!(f, "connections of {}{} stranded", lost.of, other("with", &lost.to)),
        }
    }
}
