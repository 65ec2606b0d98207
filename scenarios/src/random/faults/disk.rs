//! Random faults of disks: full ones.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{DiskFault, Fault, FaultKind};
use crate::random::aim::server;
use crate::random::pace::paced;

pub(super) const KINDS: &[Kind] = &[full_disk];

fn full_disk(topics: &[Topic]) -> BoxedStrategy<Fault> {
    paced(server(topics).prop_map(|whom| FaultKind::Disk(DiskFault::Full(whom)))).boxed()
}
