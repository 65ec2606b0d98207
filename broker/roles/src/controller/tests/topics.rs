//! What may be created, and how.

use super::cluster::{Cluster, id, ids};
use crate::controller::*;

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { name: name.into(), partitions, replication_factor, ..NewTopic::default() }
}

#[test]
fn a_topic_is_there_with_its_partitions_leaders_and_settings() {
    let mut cluster = Cluster::of(3);
    let mut orders = topic("orders", 3, 2);
    orders.configs = vec![("min.insync.replicas".into(), Some("2".into()))];
    let created = cluster.create(orders).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (3, 2));
    let image = cluster.controller.image();
    let orders = image.topic_by_name("orders").unwrap();
    assert_eq!(Some(orders.id), created.id);
    assert_eq!(orders.configs["min.insync.replicas"], "2");
    for partition in &orders.partitions {
        assert_eq!((partition.replicas.len(), &partition.in_sync), (2, &partition.replicas));
        assert_eq!(partition.leader, Some(partition.replicas[0]));
    }
}

#[test]
fn minus_one_takes_the_defaults() {
    let created = Cluster::of(3).create(topic("orders", -1, -1)).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 1));
}

#[test]
fn a_name_is_fit_for_directories_and_metrics_or_refused() {
    let mut cluster = Cluster::of(1);
    let long = "a".repeat(250);
    for name in ["", ".", "..", "a/b", "naïve", long.as_str(), "__cluster_metadata"] {
        assert!(matches!(cluster.create(topic(name, 1, 1)), Err(Refusal::InvalidTopic(_))), "{name}");
    }
    cluster.create(topic(&long[1..], 1, 1)).unwrap();
    cluster.create(topic("a.b", 1, 1)).unwrap();
    assert!(matches!(cluster.create(topic("a_b", 1, 1)), Err(Refusal::InvalidTopic(_))));
    assert_eq!(cluster.create(topic("a.b", 1, 1)), Err(Refusal::TopicAlreadyExists("a.b".into())));
}

#[test]
fn more_replicas_than_live_brokers_or_no_partitions_are_refused() {
    let mut cluster = Cluster::of(2);
    cluster.fence(2);
    let refused = Refusal::InvalidReplicationFactor { asked: 2, available: 1 };
    assert_eq!(cluster.create(topic("orders", 1, 2)), Err(refused));
    assert_eq!(cluster.create(topic("orders", 0, 1)), Err(Refusal::InvalidPartitions(0)));
    assert_eq!(cluster.create(topic("orders", -2, 1)), Err(Refusal::InvalidPartitions(-2)));
    assert!(matches!(cluster.create(topic("orders", 1, 0)), Err(Refusal::InvalidReplicationFactor { .. })));
    assert!(matches!(cluster.create(topic("orders", 1 << 20, 1)), Err(Refusal::PolicyViolation { .. })));
}

#[test]
fn replicas_may_be_assigned_by_hand_if_they_make_sense() {
    let mut cluster = Cluster::of(3);
    cluster.fence(3);
    let by_hand = |assignments: &[(i32, &[i32])]| {
        let assignments = assignments.iter().map(|(index, brokers)| (*index, ids(brokers))).collect();
        NewTopic { assignments, ..topic("orders", -1, -1) }
    };
    let refused = [
        by_hand(&[(1, &[1])]),
        by_hand(&[(0, &[1]), (1, &[1, 2])]),
        by_hand(&[(0, &[1, 1])]),
        by_hand(&[(0, &[])]),
        by_hand(&[(0, &[7])]),
        by_hand(&[(0, &[3])]),
    ];
    for topic in refused {
        assert!(matches!(cluster.create(topic.clone()), Err(Refusal::InvalidReplicaAssignment(_))), "{topic:?}");
    }
    assert!(matches!(
        cluster.create(NewTopic { partitions: 1, ..by_hand(&[(0, &[1])]) }),
        Err(Refusal::InvalidRequest(_))
    ));
    cluster.create(by_hand(&[(0, &[3, 2])])).unwrap();
    let partition = &cluster.controller.image().topic_by_name("orders").unwrap().partitions[0];
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])), "broker 3 is fenced");
}

#[test]
fn validation_alone_changes_nothing() {
    let mut cluster = Cluster::of(1);
    let request = CreateTopics { topics: vec![topic("orders", 4, 1)], validate_only: true };
    let decision = cluster.ask(Command::CreateTopics(request)).unwrap();
    assert_eq!(decision.records, []);
    let created = CreatedTopic { id: None, partitions: 4, replication_factor: 1 };
    assert_eq!(decision.reply, Reply::TopicsCreated(vec![("orders".into(), Ok(created))]));
}

#[test]
fn one_refused_topic_does_not_hinder_another() {
    let mut cluster = Cluster::of(1);
    let topics = vec![topic("bad name", 1, 1), topic("orders", 1, 1), topic("twice", 1, 1), topic("twice", 1, 1)];
    let decision = cluster.ask(Command::CreateTopics(CreateTopics { topics, validate_only: false })).unwrap();
    let Reply::TopicsCreated(created) = decision.reply else { panic!() };
    let outcomes: Vec<bool> = created.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(outcomes, [false, true, false, false]);
    assert_eq!(cluster.controller.image().topic_ids.len(), 1);
}
