//! Faults of nodes: their processes and their power.
//!
//! ```text
//! crash       the process dies; what it wrote is still in the machine's page cache
//! power_loss  the machine goes dark: what was not synced is lost or torn; its peers see no end of their connections
//! restart     an orderly stop, and a start after `for`
//! reconfigure the same, and it starts with another configuration, until the end of the run: another version is rolled out
//! pause       the node stands still, and wakes late
//! ```

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::cluster::ConfigValue;
use crate::words::Selector;

/// What befalls a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeFault {
    Crash(Selector),
    PowerLoss(Selector),
    Restart(Selector),
    Reconfigure(Reconfigure),
    Pause(Selector),
}

/// A restart with another configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reconfigure {
    pub of: Selector,
    /// Keys of the node's configuration, each name in quotes; the others stay as they are.
    pub with: BTreeMap<String, ConfigValue>,
}

impl NodeFault {
    /// Which nodes.
    pub fn of(&self) -> &Selector {
        match self {
            NodeFault::Crash(of) | NodeFault::PowerLoss(of) | NodeFault::Restart(of) | NodeFault::Pause(of) => of,
            NodeFault::Reconfigure(reconfigure) => &reconfigure.of,
        }
    }

    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            NodeFault::Crash(selector)
            | NodeFault::PowerLoss(selector)
            | NodeFault::Restart(selector)
            | NodeFault::Pause(selector) => vec![(None, selector)],
            NodeFault::Reconfigure(reconfigure) => vec![(Some("of"), &reconfigure.of)],
        }
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFault::Crash(selector) => write!(f, "crash of {selector}"),
            NodeFault::PowerLoss(selector) => write!(f, "power loss of {selector}"),
            NodeFault::Restart(selector) => write!(f, "restart of {selector}"),
            NodeFault::Reconfigure(Reconfigure { of, with }) => {
                let keys: Vec<String> = with.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "restart of {of} with {}", keys.join(" "))
            }
            NodeFault::Pause(selector) => write!(f, "pause of {selector}"),
        }
    }
}
