//! Faults of clocks.
//!
//! ```text
//! clock       the node's wall clock is wrong: it jumps by an offset, runs too fast or too slow, or both
//! ```
//! It jumps to the offset when the fault begins and back to the truth when it ends. Monotonic time is always true.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Named;
use crate::words::{ClockDrift, ClockOffset, Selector};

/// What befalls a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockFault {
    Wrong(Clock),
}

/// A wall clock that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    pub of: Selector,
    /// Ahead of the truth (+) or behind it (-); drawn for each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<ClockOffset>,
    /// Too fast (+) or too slow (-); drawn for each node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<ClockDrift>,
}

impl ClockFault {
    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            ClockFault::Wrong(clock) => vec![(Some("of"), &clock.of)],
        }
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockFault::Wrong(Clock { of, offset, drift }) => {
                write!(f, "clock of {of}")?;
                if let Some(offset) = offset {
                    write!(f, " off by {offset}")?;
                }
                if let Some(drift) = drift {
                    write!(f, " drifts by {drift}")?;
                }
                Ok(())
            }
        }
    }
}
