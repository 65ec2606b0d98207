//! Leaders are elected by order and given back; partitions move; brokers leave for good.

use std::time::Duration;

use model::{LeaderEpoch, PartitionId};

use super::cluster::{Cluster, id, ids};
use crate::controller::*;

fn elect(cluster: &mut Cluster, election: Election) -> Result<(), Refusal> {
    let partitions = Some(vec![("orders".to_owned(), 0)]);
    match cluster.ask(Command::ElectLeaders(ElectLeaders { election, partitions })).unwrap().reply {
        Reply::LeadersElected(mut results) => results.remove(0).1,
        other => panic!("{other:?}"),
    }
}

fn reassign(cluster: &mut Cluster, replicas: Option<&[i32]>) -> Result<(), Refusal> {
    let asked = Reassignment { topic: "orders".into(), index: 0, replicas: replicas.map(ids) };
    let request = Reassign { partitions: vec![asked], allows_other_factor: false };
    match cluster.ask(Command::Reassign(request)).unwrap().reply {
        Reply::Reassigned(mut results) => results.remove(0),
        other => panic!("{other:?}"),
    }
}

/// `orders` on brokers 1, 2 and 3 of five; broker 1 was away, so broker 2 leads.
fn led_by_another() -> (Cluster, PartitionId) {
    let mut cluster = Cluster::of(5);
    let orders = cluster.orders(&[1, 2, 3]);
    cluster.fence(1);
    cluster.beat(1);
    assert_eq!(cluster.partition(orders).leader, Some(id(2)));
    (cluster, orders)
}

#[test]
fn the_preferred_leader_leads_again_once_it_is_in_sync() {
    let (mut cluster, orders) = led_by_another();
    assert_eq!(elect(&mut cluster, Election::Preferred), Err(Refusal::PreferredLeaderNotAvailable));
    cluster.alter(2, cluster.change(orders, &[1, 2, 3])).unwrap();
    assert_eq!(elect(&mut cluster, Election::Preferred), Ok(()));
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, partition.leader_epoch), (Some(id(1)), LeaderEpoch(2)));
    assert_eq!(elect(&mut cluster, Election::Preferred), Err(Refusal::ElectionNotNeeded));
}

#[test]
fn leaders_are_given_back_when_it_is_looked_and_not_before() {
    let (mut cluster, orders) = led_by_another();
    cluster.alter(2, cluster.change(orders, &[1, 2, 3])).unwrap();
    cluster.balance_every(Duration::from_secs(3));
    assert_eq!(cluster.controller.due(cluster.now), None);
    cluster.pass(Duration::from_secs(3));
    assert_eq!(cluster.controller.due(cluster.now), Some(Command::BalanceLeaders));
    cluster.ask(Command::BalanceLeaders).unwrap();
    assert_eq!(cluster.partition(orders).leader, Some(id(1)));
    assert_eq!(cluster.controller.due(cluster.now), None, "not again at once");
}

#[test]
fn only_an_order_or_the_topics_own_word_elects_who_was_not_in_sync() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    cluster.fence(2);
    cluster.beat(2);
    cluster.fence(1);
    assert_eq!(cluster.partition(orders).leader, None);
    assert_eq!(elect(&mut cluster, Election::Unclean), Ok(()));
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])));
    assert_eq!(elect(&mut cluster, Election::Unclean), Err(Refusal::ElectionNotNeeded));

    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    let changes = vec![("unclean.leader.election.enable".into(), ConfigOperation::Set("true".into()))];
    let resources = vec![(ConfigResource::Topic("orders".into()), ConfigChanges::Single(changes))];
    cluster.ask(Command::AlterConfigs(AlterConfigs { resources, validate_only: false })).unwrap();
    cluster.fence(2);
    cluster.beat(2);
    cluster.fence(1);
    assert_eq!(cluster.partition(orders).leader, Some(id(2)));
}

#[test]
fn a_partition_moves_once_all_who_come_are_in_sync() {
    let mut cluster = Cluster::of(5);
    let orders = cluster.orders(&[1, 2, 3]);
    reassign(&mut cluster, Some(&[4, 5, 3])).unwrap();
    let moving = cluster.partition(orders);
    assert_eq!((&moving.replicas, &moving.in_sync), (&ids(&[4, 5, 3, 1, 2]), &ids(&[1, 2, 3])));
    assert_eq!((&moving.adding, &moving.removing), (&ids(&[4, 5]), &ids(&[1, 2])));

    cluster.alter(1, cluster.change(orders, &[1, 2, 3, 4])).unwrap();
    assert!(cluster.partition(orders).is_moving(), "broker 5 is not there yet");
    let state = cluster.alter(1, cluster.change(orders, &[1, 2, 3, 4, 5])).unwrap();
    assert_eq!((state.leader, state.leader_epoch), (Some(id(4)), LeaderEpoch(1)));
    let moved = cluster.partition(orders);
    assert_eq!((&moved.replicas, &moved.in_sync), (&ids(&[4, 5, 3]), &ids(&[3, 4, 5])));
    assert!(!moved.is_moving());
}

#[test]
fn a_move_that_only_changes_the_order_is_over_at_once() {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    reassign(&mut cluster, Some(&[3, 1, 2])).unwrap();
    let partition = cluster.partition(orders);
    assert_eq!((&partition.replicas, partition.leader), (&ids(&[3, 1, 2]), Some(id(1))));
    assert!(!partition.is_moving());
}

#[test]
fn a_cancelled_move_leaves_who_was_there_before() {
    let mut cluster = Cluster::of(5);
    let orders = cluster.orders(&[1, 2, 3]);
    assert_eq!(reassign(&mut cluster, None), Err(Refusal::NoReassignmentInProgress));
    reassign(&mut cluster, Some(&[4, 5, 3])).unwrap();
    cluster.alter(1, cluster.change(orders, &[1, 2, 3, 4])).unwrap();
    reassign(&mut cluster, None).unwrap();
    let mut partition = cluster.partition(orders).clone();
    partition.replicas.sort();
    assert_eq!((partition.replicas, partition.in_sync), (ids(&[1, 2, 3]), ids(&[1, 2, 3])));
    assert_eq!((partition.leader, partition.leader_epoch), (Some(id(1)), LeaderEpoch(0)));
}

#[test]
fn a_move_to_nobody_to_strangers_or_to_more_than_there_were_is_refused() {
    let mut cluster = Cluster::of(4);
    cluster.orders(&[1, 2]);
    for senseless in [&[][..], &[1, 1], &[1, 9]] {
        let refused = reassign(&mut cluster, Some(senseless));
        assert!(matches!(refused, Err(Refusal::InvalidReplicaAssignment(_))), "{senseless:?}: {refused:?}");
    }
    let more = reassign(&mut cluster, Some(&[1, 2, 3]));
    assert_eq!(more, Err(Refusal::OtherReplicationFactor { has: 2, asked: 3 }));
}

#[test]
fn a_broker_that_leaves_for_good_leads_nothing_and_is_not_known_any_more() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    let last_word = cluster.heartbeat_of(1);
    cluster.ask(Command::UnregisterBroker(id(1))).unwrap();
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])));
    assert_eq!(cluster.heartbeat(last_word), Err(Refusal::BrokerIdNotRegistered(id(1))));
    let again = cluster.ask(Command::UnregisterBroker(id(1)));
    assert_eq!(again.unwrap_err(), Refusal::BrokerIdNotRegistered(id(1)));
    cluster.start(1);
    cluster.alter(2, cluster.change(orders, &[1, 2])).unwrap();
}
