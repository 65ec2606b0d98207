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

fn delete(cluster: &mut Cluster, topics: &[TopicReference]) -> Vec<Result<(model::TopicId, String), Refusal>> {
    match cluster.ask(Command::DeleteTopics(topics.to_vec())).unwrap().reply {
        Reply::TopicsDeleted(results) => results,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_that_was_deleted_and_made_again_is_another_one() {
    let mut cluster = Cluster::of(3);
    let first = cluster.create(topic("orders", 1, 2)).unwrap().id.unwrap();
    let by_name = TopicReference::Name("orders".into());
    assert_eq!(delete(&mut cluster, std::slice::from_ref(&by_name)), [Ok((first, "orders".into()))]);
    assert!(cluster.controller.image().topics.is_empty());
    assert_eq!(delete(&mut cluster, &[by_name]), [Err(Refusal::UnknownTopicOrPartition)]);
    let second = cluster.create(topic("orders", 1, 2)).unwrap().id.unwrap();
    assert_ne!(first, second);
    let stale = delete(&mut cluster, &[TopicReference::Id(first), TopicReference::Id(second)]);
    assert_eq!(stale, [Err(Refusal::UnknownTopicId), Ok((second, "orders".into()))]);
}

#[test]
fn a_topic_that_is_named_twice_stays() {
    let mut cluster = Cluster::of(1);
    let id = cluster.create(topic("orders", 1, 1)).unwrap().id.unwrap();
    let twice = delete(&mut cluster, &[TopicReference::Name("orders".into()), TopicReference::Id(id)]);
    assert!(twice.iter().all(|result| matches!(result, Err(Refusal::InvalidRequest(_)))));
    assert_eq!(cluster.controller.image().topics.len(), 1);
}

fn more(cluster: &mut Cluster, count: i32, assignments: Option<Vec<Vec<model::BrokerId>>>) -> Result<(), Refusal> {
    let topics = vec![MorePartitions { name: "orders".into(), count, assignments }];
    match cluster.ask(Command::CreatePartitions(CreatePartitions { topics, validate_only: false })).unwrap().reply {
        Reply::PartitionsCreated(mut results) => results.remove(0),
        other => panic!("{other:?}"),
    }
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut cluster = Cluster::of(3);
    assert_eq!(more(&mut cluster, 2, None), Err(Refusal::UnknownTopicOrPartition));
    cluster.create(topic("orders", 2, 3)).unwrap();
    let before = cluster.controller.image().topic_by_name("orders").unwrap().partitions.clone();
    for count in [-1, 0, 1, 2] {
        assert_eq!(more(&mut cluster, count, None), Err(Refusal::NoMorePartitions { has: 2, asked: count }));
    }
    more(&mut cluster, 5, None).unwrap();
    let after = cluster.controller.image().topic_by_name("orders").unwrap().partitions.clone();
    assert_eq!((after.len(), &after[..2]), (5, &before[..]));
    assert!(after.iter().all(|partition| partition.replicas.len() == 3 && partition.leader.is_some()));
}

#[test]
fn added_partitions_may_be_assigned_by_hand_if_that_makes_sense() {
    let mut cluster = Cluster::of(3);
    cluster.create(topic("orders", 1, 2)).unwrap();
    for wrong in [vec![], vec![ids(&[1, 2]), ids(&[2, 3])], vec![ids(&[1])], vec![ids(&[1, 1])], vec![ids(&[1, 9])]] {
        let refused = more(&mut cluster, 2, Some(wrong));
        assert!(matches!(refused, Err(Refusal::InvalidReplicaAssignment(_))), "{refused:?}");
    }
    more(&mut cluster, 2, Some(vec![ids(&[3, 1])])).unwrap();
    let orders = cluster.controller.image().topic_by_name("orders").unwrap();
    assert_eq!((&orders.partitions[1].replicas, orders.partitions[1].leader), (&ids(&[3, 1]), Some(id(3))));
    cluster.fence(1);
    cluster.fence(2);
    let refused = Refusal::InvalidReplicationFactor { asked: 2, available: 1 };
    assert_eq!(more(&mut cluster, 3, None), Err(refused));
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
