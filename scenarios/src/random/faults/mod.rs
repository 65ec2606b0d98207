//! Random faults by family. A family lists its kinds, each with a strategy; a profile enables families.
//!
//! Swarm: a few faults are there and all others left out, so that no kind can always hide another. A few show most; many at once, and
//! those that are aimed to meet, show what comes of their meeting.

mod clock;
mod disk;
mod meeting;
mod network;
mod node;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::{BoxedStrategy, Union};

use super::profile::Profile;
use crate::cluster::Topic;
use crate::fault::Fault;

/// A kind of fault that a random scenario may enable: its strategy, given the topics at whose brokers it may be aimed.
pub(super) type Kind = fn(&[Topic]) -> BoxedStrategy<Fault>;

/// The families of a profile, each with its weight: disks fail in more ways than nodes, and not more often.
fn families(profile: Profile) -> Vec<(u32, &'static [Kind])> {
    let (node, disk, clock) = ((5, node::KINDS), (3, disk::KINDS), (1, clock::KINDS));
    let (network, seldom) = ((3, network::KINDS), (3, network::SELDOM));
    match profile {
        Profile::Standard | Profile::Long => vec![node, network, seldom, disk, clock],
        Profile::Calm => vec![],
        Profile::Nodes => vec![node],
        Profile::Network => vec![network, seldom],
        Profile::Disk => vec![disk],
    }
}

/// Some faults of a profile's kinds; at least one if it has any.
pub(super) fn faults(profile: Profile, topics: &[Topic]) -> BoxedStrategy<Vec<Fault>> {
    let families = families(profile);
    if families.is_empty() {
        return Just(Vec::new()).boxed();
    }
    let kinds = families.iter().map(|&(weight, kinds)| {
        let each = kinds.iter().map(|kind| kind(topics)).collect::<Vec<_>>();
        (weight, Union::new(each).boxed())
    });
    let one = Union::new_weighted(kinds.collect());
    let strewn = prop_oneof![3 => vec(one.clone(), 1..=3), 1 => vec(one.clone(), 4..=7)];
    match profile {
        Profile::Standard | Profile::Long => {
            let meeting = (meeting::meeting(topics), vec(one, 0..=2));
            prop_oneof![2 => strewn, 1 => meeting.prop_map(|(meeting, strewn)| [meeting, strewn].concat())].boxed()
        }
        Profile::Calm | Profile::Nodes | Profile::Network | Profile::Disk => strewn.boxed(),
    }
}

/// How many kinds a profile has.
#[cfg(test)]
pub(super) fn kinds(profile: Profile) -> usize {
    families(profile).iter().map(|(_, kinds)| kinds.len()).sum()
}
