//! Random faults by family. A family lists its kinds, each with a strategy; a profile enables families.
//!
//! Swarm: a few of the kinds are enabled and the others left out, so that no kind can always hide another.

mod clock;
mod disk;
mod network;
mod node;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::BoxedStrategy;

use super::profile::Profile;
use crate::cluster::Topic;
use crate::fault::Fault;

/// A kind of fault that a random scenario may enable: its strategy, given the topics at whose brokers it may be aimed.
pub(super) type Kind = fn(&[Topic]) -> BoxedStrategy<Fault>;

fn families(profile: Profile) -> &'static [&'static [Kind]] {
    match profile {
        Profile::Standard => &[node::KINDS, network::KINDS, disk::KINDS, clock::KINDS],
        Profile::Calm => &[],
        Profile::Nodes => &[node::KINDS],
        Profile::Network => &[network::KINDS],
        Profile::Disk => &[disk::KINDS],
    }
}

pub(super) fn kinds(profile: Profile) -> Vec<Kind> {
    families(profile).concat()
}

/// Some faults of a profile's kinds; at least one if it has any.
pub(super) fn faults(profile: Profile, topics: &[Topic]) -> BoxedStrategy<Vec<Fault>> {
    let kinds = kinds(profile);
    if kinds.is_empty() {
        return Just(Vec::new()).boxed();
    }
    let topics = topics.to_vec();
    // A few kinds show most; many at once show what comes of their meeting.
    let (few, many) = (3.min(kinds.len()), 7.min(kinds.len()));
    prop_oneof![3 => subsequence(kinds.clone(), 1..=few), 1 => subsequence(kinds, few..=many)]
        .prop_flat_map(move |enabled| enabled.iter().map(|kind| kind(&topics)).collect::<Vec<_>>())
        .boxed()
}
