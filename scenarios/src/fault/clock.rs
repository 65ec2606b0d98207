//! Faults of clocks.
//!
//! ```text
//! clock       the node's wall clock is wrong
//! ```

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::words::{ClockOffset, Selector};

/// What befalls a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockFault {
    Offset(Clock),
}

/// A wall clock that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    pub of: Selector,
    /// Ahead of the truth (+) or behind it (-); drawn for each node.
    pub offset: ClockOffset,
}

impl ClockFault {
    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            ClockFault::Offset(clock) => vec![(Some("of"), &clock.of)],
        }
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockFault::Offset(clock) => write!(f, "clock of {} off by {}", clock.of, clock.offset),
        }
    }
}
