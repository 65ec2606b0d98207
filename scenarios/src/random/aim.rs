//! At whom a random fault is aimed: faults that are aimed find more than faults that are strewn.

use proptest::prelude::*;
use proptest::sample::select;

use crate::cluster::Topic;
use crate::words::{PartitionName, Selector};

pub(super) fn partition(topics: &[Topic]) -> impl Strategy<Value = PartitionName> + use<> {
    select(topics.to_vec()).prop_flat_map(|topic| {
        (0..topic.partitions).prop_map(move |index| PartitionName { topic: topic.name.clone(), index })
    })
}

/// One server.
pub(super) fn server(topics: &[Topic]) -> impl Strategy<Value = Selector> + use<> {
    prop_oneof![
        3 => Just(Selector::RandomBroker),
        3 => partition(topics).prop_map(Selector::LeaderOf),
        2 => partition(topics).prop_map(Selector::FollowerOf),
        2 => Just(Selector::Controller),
        1 => (1..=3u32).prop_map(Selector::Broker),
    ]
}

/// One server, or several at once.
pub(super) fn servers(topics: &[Topic]) -> impl Strategy<Value = Selector> + use<> {
    prop_oneof![
        8 => server(topics),
        2 => partition(topics).prop_map(Selector::FollowersOf),
        1 => partition(topics).prop_map(Selector::ReplicasOf),
        1 => Just(Selector::RandomMinority),
        1 => Just(Selector::RandomMajority),
        2 => Just(Selector::AllNodes),
    ]
}
