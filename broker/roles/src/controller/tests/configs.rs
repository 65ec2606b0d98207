//! Settings that change while everything runs.

use super::cluster::{Cluster, id};
use crate::controller::*;

fn alter(cluster: &mut Cluster, resource: ConfigResource, changes: ConfigChanges) -> Result<(), Refusal> {
    let request = AlterConfigs { resources: vec![(resource, changes)], validate_only: false };
    match cluster.ask(Command::AlterConfigs(request)).unwrap().reply {
        Reply::ConfigsAltered(mut results) => results.remove(0),
        other => panic!("{other:?}"),
    }
}

fn single(name: &str, operation: ConfigOperation) -> ConfigChanges {
    ConfigChanges::Single(vec![(name.into(), operation)])
}

fn set(name: &str, value: &str) -> ConfigChanges {
    single(name, ConfigOperation::Set(value.into()))
}

fn orders() -> ConfigResource {
    ConfigResource::Topic("orders".into())
}

/// What holds for the topic, and who says so.
fn holds(cluster: &Cluster, name: &str) -> (Source, String) {
    let image = cluster.controller.image();
    let setting = TopicSetting::of_topic(name).unwrap();
    let defaults = TopicDefaults::default();
    let sources = setting.sources(image, image.topic_by_name("orders").map(|topic| &**topic), &defaults);
    (sources[0].0, sources[0].1.to_owned())
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::of(1);
    cluster.orders(&[1]);
    cluster
}

#[test]
fn a_topic_says_it_before_the_cluster_and_the_cluster_before_the_default() {
    let mut cluster = cluster();
    assert_eq!(holds(&cluster, "retention.ms"), (Source::Default, "604800000".into()));
    alter(&mut cluster, ConfigResource::Broker(None), set("log.retention.ms", "7")).unwrap();
    assert_eq!(holds(&cluster, "retention.ms"), (Source::Cluster, "7".into()));
    alter(&mut cluster, orders(), set("retention.ms", "5")).unwrap();
    assert_eq!(holds(&cluster, "retention.ms"), (Source::Topic, "5".into()));
    alter(&mut cluster, orders(), single("retention.ms", ConfigOperation::Delete)).unwrap();
    assert_eq!(holds(&cluster, "retention.ms"), (Source::Cluster, "7".into()));
}

#[test]
fn lists_grow_and_shrink_and_nothing_else_does() {
    let mut cluster = cluster();
    let append = |more: &str| single("cleanup.policy", ConfigOperation::Append(more.into()));
    let subtract = |less: &str| single("cleanup.policy", ConfigOperation::Subtract(less.into()));
    alter(&mut cluster, orders(), append("compact")).unwrap();
    assert_eq!(holds(&cluster, "cleanup.policy").1, "delete,compact");
    alter(&mut cluster, orders(), append("compact")).unwrap();
    assert_eq!(holds(&cluster, "cleanup.policy").1, "delete,compact");
    alter(&mut cluster, orders(), subtract("delete")).unwrap();
    assert_eq!(holds(&cluster, "cleanup.policy").1, "compact");
    assert!(matches!(alter(&mut cluster, orders(), subtract("compact")), Err(Refusal::InvalidConfig(_))));
    let number = single("retention.ms", ConfigOperation::Append("5".into()));
    assert!(matches!(alter(&mut cluster, orders(), number), Err(Refusal::InvalidConfig(_))));
}

#[test]
fn a_whole_set_takes_back_what_it_leaves_out() {
    let mut cluster = cluster();
    alter(&mut cluster, orders(), set("retention.ms", "5")).unwrap();
    let whole = ConfigChanges::Whole(vec![("segment.ms".into(), Some("9".into()))]);
    alter(&mut cluster, orders(), whole).unwrap();
    assert_eq!(cluster.controller.image().topic_by_name("orders").unwrap().configs.len(), 1);
    assert_eq!(holds(&cluster, "segment.ms"), (Source::Topic, "9".into()));
}

#[test]
fn a_throttle_holds_for_one_broker_before_it_holds_for_all() {
    let mut cluster = cluster();
    let rate = |cluster: &Cluster, broker| LEADER_THROTTLE.number(cluster.controller.image(), id(broker));
    let unlimited = Some(i64::MAX.unsigned_abs());
    assert_eq!(rate(&cluster, 1), unlimited);
    alter(&mut cluster, ConfigResource::Broker(None), set(LEADER_THROTTLE.name, "500")).unwrap();
    alter(&mut cluster, ConfigResource::Broker(Some(id(1))), set(LEADER_THROTTLE.name, "70")).unwrap();
    assert_eq!((rate(&cluster, 1), rate(&cluster, 2)), (Some(70), Some(500)));
    let taken_back = single(LEADER_THROTTLE.name, ConfigOperation::Delete);
    alter(&mut cluster, ConfigResource::Broker(Some(id(1))), taken_back).unwrap();
    assert_eq!(rate(&cluster, 1), Some(500));
    let negative = alter(&mut cluster, ConfigResource::Broker(None), set(FOLLOWER_THROTTLE.name, "-1"));
    assert!(matches!(negative, Err(Refusal::InvalidConfig(_))));
}

#[test]
fn replicas_are_added_to_a_throttle_and_taken_from_it() {
    let mut cluster = cluster();
    let name = "leader.replication.throttled.replicas";
    alter(&mut cluster, orders(), set(name, "0:1")).unwrap();
    alter(&mut cluster, orders(), single(name, ConfigOperation::Append("0:2,1:2".into()))).unwrap();
    assert_eq!(holds(&cluster, name), (Source::Topic, "0:1,0:2,1:2".into()));
    alter(&mut cluster, orders(), single(name, ConfigOperation::Subtract("0:1,0:2,1:2".into()))).unwrap();
    assert_eq!(holds(&cluster, name).1, "");
    assert!(matches!(alter(&mut cluster, orders(), set(name, "all")), Err(Refusal::InvalidConfig(_))));
}

#[test]
fn what_cannot_change_is_refused_whole_and_says_why() {
    let mut cluster = cluster();
    let end = cluster.end();
    let two = ConfigChanges::Single(vec![
        ("retention.ms".into(), ConfigOperation::Set("5".into())),
        ("min.insync.replicas".into(), ConfigOperation::Set("0".into())),
    ]);
    assert!(matches!(alter(&mut cluster, orders(), two), Err(Refusal::InvalidConfig(_))));
    let unknown = ConfigResource::Topic("payments".into());
    assert_eq!(alter(&mut cluster, unknown, set("retention.ms", "5")), Err(Refusal::UnknownTopicOrPartition));
    for (broker, key) in [(None, "node.id"), (None, "retention.ms"), (Some(id(1)), "log.retention.ms")] {
        let refused = alter(&mut cluster, ConfigResource::Broker(broker), set(key, "5"));
        assert!(matches!(refused, Err(Refusal::InvalidConfig(_))), "{broker:?} {key}");
    }
    assert_eq!(cluster.end(), end, "nothing was changed");
}

#[test]
fn what_is_only_validated_changes_nothing() {
    let mut cluster = cluster();
    let resources = vec![(orders(), set("retention.ms", "5")), (orders(), set("retention.ms", "6"))];
    let decision = cluster.ask(Command::AlterConfigs(AlterConfigs { resources, validate_only: true })).unwrap();
    assert!(decision.records.is_empty());
    let Reply::ConfigsAltered(results) = decision.reply else { panic!() };
    assert!(results.iter().all(|result| matches!(result, Err(Refusal::InvalidRequest(_)))), "one topic, twice");
}
