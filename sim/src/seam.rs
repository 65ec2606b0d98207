//! What a simulated disk is given by its world.
//!
//! A node makes one `disk::DiskState::new(DiskSeam)` in its life. Each process of the node gets its own `SimDisk` by
//! `DiskState::mount(Life)`, and a `SimDisk` or file whose life has ended does nothing any more. When a process ends, in order
//! or not, the node calls `DiskState::crash()` (locks are free again, written bytes stay); when the machine goes dark,
//! `DiskState::power_loss()`. Both come after the life has ended and before the next process is mounted.

use std::sync::Arc;

use evidence::NodeName;

use crate::clock::Clock;
use crate::digest::{Digest, NodeIndex};
use crate::streams::Stream;
use crate::trace::Trace;

/// The world of one disk.
pub struct DiskSeam {
    pub node: NodeIndex,
    pub name: NodeName,
    /// For waits: a sync takes its time.
    pub clock: Clock,
    /// Where operations are charged.
    pub digest: Digest,
    /// Where harm is told.
    pub(crate) trace: Arc<Trace>,
    /// The chance of this disk alone.
    pub stream: Stream,
}
