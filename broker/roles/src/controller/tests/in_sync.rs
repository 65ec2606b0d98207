//! Who may change an in-sync set, and to what.

use model::{BrokerEpoch, LeaderEpoch, PartitionEpoch, PartitionId, TopicId};

use super::cluster::{Cluster, id, ids};
use crate::controller::*;

/// Three brokers; `orders` is led by broker 1 in partition epoch 1, and broker 3 has just come back.
fn cluster() -> (Cluster, PartitionId) {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    cluster.fence(3);
    cluster.beat(3);
    assert_eq!(cluster.partition(orders).in_sync, ids(&[1, 2]));
    (cluster, orders)
}

#[test]
fn a_leader_takes_a_follower_back() {
    let (mut cluster, orders) = cluster();
    let state = cluster.alter(1, cluster.change(orders, &[1, 2, 3])).unwrap();
    assert_eq!((state.in_sync, state.partition_epoch), (ids(&[1, 2, 3]), PartitionEpoch(2)));
    assert_eq!(cluster.partition(orders).leader_epoch, LeaderEpoch(0), "the leader is the same");
}

#[test]
fn the_same_set_again_voids_proposals_that_are_still_on_their_way() {
    let (mut cluster, orders) = cluster();
    let late = cluster.change(orders, &[1, 2, 3]);
    let state = cluster.alter(1, cluster.change(orders, &[1, 2])).unwrap();
    assert_eq!(state.partition_epoch, PartitionEpoch(2));
    assert_eq!(cluster.alter(1, late), Err(Refusal::InvalidUpdateVersion));
}

#[test]
fn a_change_of_an_older_state_is_refused() {
    let (mut cluster, orders) = cluster();
    let stale = InSyncChange { partition_epoch: PartitionEpoch(0), ..cluster.change(orders, &[1]) };
    assert_eq!(cluster.alter(1, stale), Err(Refusal::InvalidUpdateVersion));
}

#[test]
fn a_deposed_leader_is_fenced() {
    let (mut cluster, orders) = cluster();
    let stale = cluster.change(orders, &[1]);
    cluster.fence(1);
    cluster.beat(1);
    assert_eq!(cluster.alter(1, stale), Err(Refusal::FencedLeaderEpoch));
    let usurped = cluster.change(orders, &[1, 2]);
    assert!(matches!(cluster.alter(1, usurped), Err(Refusal::InvalidRequest(_))), "broker 2 leads");
}

#[test]
fn a_controller_that_knows_less_than_the_leader_says_so() {
    let (mut cluster, orders) = cluster();
    let ahead = InSyncChange { leader_epoch: LeaderEpoch(9), ..cluster.change(orders, &[1]) };
    assert_eq!(cluster.alter(1, ahead), Err(Refusal::NotController));
}

#[test]
fn nobody_who_is_fenced_or_leaving_comes_into_the_set() {
    let (mut cluster, orders) = cluster();
    cluster.fence(3);
    assert_eq!(cluster.alter(1, cluster.change(orders, &[1, 2, 3])), Err(Refusal::IneligibleReplica(id(3))));
    cluster.beat(3);
    let heartbeat = Heartbeat { wants_shut_down: true, ..cluster.heartbeat_of(3) };
    cluster.heartbeat(heartbeat).unwrap();
    assert_eq!(cluster.alter(1, cluster.change(orders, &[1, 2, 3])), Err(Refusal::IneligibleReplica(id(3))));
}

#[test]
fn a_follower_that_restarted_since_the_leader_saw_it_does_not_come_into_the_set() {
    let (mut cluster, orders) = cluster();
    let seen = cluster.change(orders, &[1, 2, 3]);
    cluster.start(3);
    assert_eq!(cluster.alter(1, seen), Err(Refusal::IneligibleReplica(id(3))));
}

#[test]
fn a_set_without_its_leader_or_with_strangers_makes_no_sense() {
    let (mut cluster, orders) = cluster();
    for members in [&[2][..], &[1, 1], &[]] {
        let change = cluster.change(orders, members);
        assert!(matches!(cluster.alter(1, change), Err(Refusal::InvalidRequest(_))), "{members:?}");
    }
    let mut stranger = cluster.change(orders, &[1]);
    stranger.in_sync.push((id(8), None));
    assert!(matches!(cluster.alter(1, stranger), Err(Refusal::InvalidRequest(_))));
}

#[test]
fn unknown_topics_partitions_and_processes_are_refused() {
    let (mut cluster, orders) = cluster();
    let mut unknown = cluster.change(orders, &[1]);
    unknown.partition.index = 5;
    assert_eq!(cluster.alter(1, unknown.clone()), Err(Refusal::UnknownTopicOrPartition));
    unknown.partition.topic = TopicId(5);
    assert_eq!(cluster.alter(1, unknown.clone()), Err(Refusal::UnknownTopicId));
    let request = AlterPartition { broker: id(1), broker_epoch: BrokerEpoch(999), partitions: vec![unknown] };
    assert!(matches!(cluster.ask(Command::AlterPartition(request)), Err(Refusal::StaleBrokerEpoch { .. })));
}
