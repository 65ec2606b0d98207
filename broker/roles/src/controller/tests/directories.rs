//! What a broker loses with one of its log directories, and what it keeps.

use model::{DirectoryId, LeaderEpoch, PartitionId};

use super::cluster::{Cluster, id, ids};
use crate::controller::*;

const ONE: DirectoryId = DirectoryId(101);
const OTHER: DirectoryId = DirectoryId(102);
const NEW: DirectoryId = DirectoryId(103);

/// Three brokers of two directories each; `orders` has replicas on these, the first one leading, each in `ONE`.
fn cluster(replicas: &[i32]) -> (Cluster, PartitionId) {
    let mut cluster = Cluster::of(3);
    for broker in 1..=3 {
        cluster.directories.insert(broker, vec![ONE, OTHER]);
        cluster.start(broker);
    }
    let orders = cluster.orders(replicas);
    for &broker in replicas {
        cluster.assign(broker, orders, ONE).unwrap();
    }
    (cluster, orders)
}

#[test]
fn a_directory_that_fails_loses_its_leaders_and_leaves_the_in_sync_sets() {
    let (mut cluster, orders) = cluster(&[1, 2, 3]);
    let before = cluster.partition(orders).clone();
    cluster.lose(1, OTHER);
    assert_eq!(*cluster.partition(orders), before, "it lies in the one that is left");
    cluster.lose(1, ONE);
    let after = cluster.partition(orders);
    assert_eq!((after.leader, after.in_sync.clone()), (Some(id(2)), ids(&[2, 3])));
    assert_eq!(after.leader_epoch, LeaderEpoch(before.leader_epoch.0 + 1));
    assert!(cluster.controller.image().is_active(id(1)), "the broker goes on");
    assert_eq!(cluster.alter(2, cluster.change(orders, &[1, 2, 3])), Err(Refusal::IneligibleReplica(id(1))));
}

#[test]
fn a_replica_that_is_found_on_a_lost_disk_only_later_is_lost_with_it() {
    let mut cluster = Cluster::of(2);
    cluster.directories.insert(1, vec![ONE, OTHER]);
    cluster.start(1);
    let orders = cluster.orders(&[1, 2]);
    cluster.lose(1, ONE);
    assert_eq!(cluster.partition(orders).leader, Some(id(1)), "nobody said that it lies there");
    cluster.assign(1, orders, ONE).unwrap();
    assert_eq!((cluster.partition(orders).leader, cluster.partition(orders).in_sync.clone()), (Some(id(2)), ids(&[2])));
}

#[test]
fn a_broker_that_starts_without_a_directory_leads_nothing_that_lies_there_until_it_is_back() {
    let (mut cluster, orders) = cluster(&[1]);
    cluster.directories.insert(1, vec![OTHER]);
    cluster.start(1);
    assert_eq!((cluster.partition(orders).leader, cluster.partition(orders).in_sync.clone()), (None, ids(&[1])));
    cluster.directories.insert(1, vec![ONE, OTHER]);
    cluster.start(1);
    assert_eq!(cluster.partition(orders).leader, Some(id(1)), "the disk is back");
}

#[test]
fn a_disk_that_was_replaced_begins_out_of_sync() {
    let (mut cluster, orders) = cluster(&[1, 2]);
    cluster.fence(2);
    assert_eq!(cluster.partition(orders).in_sync, ids(&[1]));
    cluster.beat(2);
    cluster.alter(1, cluster.change(orders, &[1, 2])).unwrap();
    // Both go; the one comes back with an empty disk, and what was committed is on the other.
    cluster.fence(2);
    cluster.directories.insert(1, vec![NEW, OTHER]);
    cluster.start(1);
    assert_eq!(cluster.assign(1, orders, NEW), Err(Refusal::IneligibleReplica(id(1))), "it is the last in sync");
    assert_eq!(cluster.partition(orders).leader, None);

    let election = ElectLeaders { election: Election::Unclean, partitions: Some(vec![("orders".into(), 0)]) };
    cluster.ask(Command::ElectLeaders(ElectLeaders { election: Election::Preferred, ..election.clone() })).unwrap();
    assert_eq!(cluster.partition(orders).leader, None, "a clean election finds nobody");
    cluster.ask(Command::ElectLeaders(election)).unwrap();
    assert_eq!(cluster.partition(orders).leader, Some(id(1)), "an operator took the loss");
    cluster.assign(1, orders, NEW).unwrap();
    assert_eq!(cluster.partition(orders).directories[&id(1)], NEW);
}

#[test]
fn a_replica_on_a_new_disk_leaves_the_in_sync_set_to_those_who_have_its_records() {
    let (mut cluster, orders) = cluster(&[1, 2]);
    // The last of both sessions ends at once: the set stays as it is.
    cluster.pass(std::time::Duration::from_secs(60));
    cluster.ask(Command::ExpireSessions).unwrap();
    assert_eq!((cluster.partition(orders).leader, cluster.partition(orders).in_sync.clone()), (None, ids(&[1, 2])));
    cluster.directories.insert(1, vec![NEW, OTHER]);
    cluster.start(1);
    assert_eq!(cluster.partition(orders).leader, None);
    cluster.assign(1, orders, NEW).unwrap();
    assert_eq!((cluster.partition(orders).leader, cluster.partition(orders).in_sync.clone()), (None, ids(&[2])));
    cluster.start(2);
    assert_eq!(cluster.partition(orders).leader, Some(id(2)));
}

#[test]
fn only_replicas_of_ones_own_are_assigned() {
    let (mut cluster, orders) = cluster(&[1, 2]);
    assert_eq!(cluster.assign(3, orders, ONE), Err(Refusal::NotReplica(id(3))));
    let nothing = PartitionId { index: 7, ..orders };
    assert_eq!(cluster.assign(1, nothing, ONE), Err(Refusal::UnknownTopicOrPartition));
    let records = cluster.records.len();
    cluster.assign(1, orders, ONE).unwrap();
    assert_eq!(cluster.records.len(), records, "what is known is not written again");
}
