//! Faults of disks.
//!
//! ```text
//! full_disk   no byte more can be written
//! ```

use std::fmt;

use super::Named;
use crate::words::Selector;

/// What befalls a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFault {
    Full(Selector),
}

impl DiskFault {
    pub(super) fn selectors(&self) -> Named<'_> {
        match self {
            DiskFault::Full(selector) => vec![(None, selector)],
        }
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskFault::Full(selector) => write!(f, "full disk of {selector}"),
        }
    }
}
