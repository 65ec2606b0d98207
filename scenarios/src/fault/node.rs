//! Faults of nodes: their processes and their power.
//!
//! ```text
//! crash       the process dies; what it wrote is still in the machine's page cache
//! power_loss  the machine goes dark: what was not synced is lost or torn; its peers see no end of their connections
//! restart     an orderly stop, and a start after `for`
//! pause       the node stands still, and wakes late
//! ```

use std::fmt;

use super::Named;
use crate::words::Selector;

/// What befalls a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFault {
    Crash(Selector),
    PowerLoss(Selector),
    Restart(Selector),
    Pause(Selector),
}

impl NodeFault {
    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            NodeFault::Crash(selector)
            | NodeFault::PowerLoss(selector)
            | NodeFault::Restart(selector)
            | NodeFault::Pause(selector) => vec![(None, selector)],
        }
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFault::Crash(selector) => write!(f, "crash of {selector}"),
            NodeFault::PowerLoss(selector) => write!(f, "power loss of {selector}"),
            NodeFault::Restart(selector) => write!(f, "restart of {selector}"),
            NodeFault::Pause(selector) => write!(f, "pause of {selector}"),
        }
    }
}
