//! Whatever is asked in whatever order, the image keeps its promises, and its records rebuild it.

use std::time::Duration;

use model::{BrokerId, DirectoryId, MetadataVersion, PartitionId, Planted};
use proptest::prelude::*;

use super::cluster::Cluster;
use crate::controller::*;

const BROKERS: i32 = 4;

/// What is asked: a kind, a broker, and bits to choose with.
type Step = (u8, i32, u64);

fn take(cluster: &mut Cluster, (kind, broker, pick): Step) {
    let partitions: Vec<PartitionId> = cluster
        .controller
        .image()
        .topics
        .values()
        .flat_map(|topic| (0..topic.partitions.len() as i32).map(|index| PartitionId { topic: topic.id, index }))
        .collect();
    match kind {
        0 => {
            let here = (1..=3).filter(|directory| (pick >> directory) & 1 == 1).map(DirectoryId);
            cluster.directories.insert(broker, here.collect());
            cluster.register(broker, u128::from(pick % 3));
        }
        1 | 2 => {
            let heartbeat = Heartbeat {
                wants_fence: kind == 2 && pick.is_multiple_of(2),
                wants_shut_down: pick.is_multiple_of(7),
                ..cluster.heartbeat_of(broker)
            };
            cluster.heartbeat(heartbeat).unwrap();
        }
        3 => {
            cluster.pass(Duration::from_millis(pick % 6000));
            cluster.ask(Command::ExpireSessions).unwrap();
        }
        4 => {
            let name = format!("topic-{}", pick % 8);
            let topic =
                NewTopic { name, partitions: 3, replication_factor: (pick >> 8) as i16 % 5, ..NewTopic::default() };
            let _refused_or_not = cluster.create(topic);
        }
        5 => {
            let name = ["min.insync.replicas", "retention.ms", "log.retention.ms"][(pick % 3) as usize];
            let operation = match pick >> 60 {
                0..8 => ConfigOperation::Set((pick % 5).to_string()),
                _ => ConfigOperation::Delete,
            };
            let resource = match pick >> 61 {
                0 => ConfigResource::Broker(None),
                _ => ConfigResource::Topic(format!("topic-{}", pick % 8)),
            };
            let resources = vec![(resource, ConfigChanges::Single(vec![(name.into(), operation)]))];
            cluster.ask(Command::AlterConfigs(AlterConfigs { resources, validate_only: false })).unwrap();
        }
        6 => {
            let name = format!("topic-{}", pick % 8);
            cluster.ask(Command::DeleteTopics(vec![TopicReference::Name(name)])).unwrap();
        }
        7 => {
            let topic = MorePartitions {
                name: format!("topic-{}", pick % 8),
                count: (pick >> 8) as i32 % 6,
                assignments: None,
            };
            cluster
                .ask(Command::CreatePartitions(CreatePartitions { topics: vec![topic], validate_only: false }))
                .unwrap();
        }
        8 => {
            let election = ElectLeaders { election: Election::Preferred, partitions: None };
            cluster.ask(Command::ElectLeaders(election)).unwrap();
        }
        9 => {
            let chosen = (1..=BROKERS).map(BrokerId).filter(|id| (pick >> (8 + id.0)) & 1 == 1).collect();
            let asked = Reassignment {
                topic: format!("topic-{}", pick % 8),
                index: (pick >> 20) as i32 % 3,
                replicas: (!(pick >> 30).is_multiple_of(4)).then_some(chosen),
            };
            let request = Reassign { partitions: vec![asked], allows_other_factor: true };
            cluster.ask(Command::Reassign(request)).unwrap();
        }
        10 => {
            let broker_epoch = cluster.controller.image().brokers[&BrokerId(broker)].epoch;
            cluster.ask(Command::AllocateProducerIds { broker: BrokerId(broker), broker_epoch }).unwrap();
        }
        11 => {
            let change =
                [LevelChange::Raise, LevelChange::LowerWithoutLoss, LevelChange::LowerWithLoss][(pick % 3) as usize];
            let level = MetadataVersion(1 + (pick >> 8) as u16 % 2);
            let update = UpdateLevel { level, change, controllers: Vec::new(), validate_only: pick >> 61 == 0 };
            let _refused_or_not = cluster.ask(Command::UpdateLevel(update));
        }
        12 => cluster.lose(broker, DirectoryId(u128::from(pick % 4))),
        13 | 14 => {
            let Some(&partition) = partitions.get((pick % 64) as usize) else { return };
            let _refused_or_not = cluster.assign(broker, partition, DirectoryId(u128::from((pick >> 8) % 4)));
        }
        _ => {
            let Some(&partition) = partitions.get((pick % 64) as usize) else { return };
            let Some(BrokerId(leader)) = cluster.partition(partition).leader else { return };
            let replicas = cluster.partition(partition).replicas.clone();
            let chosen = replicas.iter().map(|id| id.0).filter(|id| *id == leader || (pick >> (8 + id)) & 1 == 1);
            let mut change = cluster.change(partition, &chosen.collect::<Vec<_>>());
            if pick >> 60 == 0 {
                change.partition_epoch.0 -= 1;
            }
            let _refused_or_not = cluster.alter(leader, change);
        }
    }
}

fn promises_hold(before: &Image, after: &Image) {
    for (&topic, state) in &after.topics {
        for (index, partition) in (0..).zip(&state.partitions) {
            let active = |broker: &BrokerId| after.is_online(partition, *broker);
            assert!(!partition.in_sync.is_empty());
            assert!(partition.in_sync.iter().all(|member| partition.replicas.contains(member)));
            assert!(partition.leader.is_none_or(|leader| partition.in_sync.contains(&leader) && active(&leader)));
            assert!(partition.leader.is_none() || partition.in_sync.iter().all(active), "{partition:?}");
            assert!(partition.leader.is_some() || !partition.in_sync.iter().any(active), "somebody could lead");
            assert!(partition.adding.iter().chain(&partition.removing).all(|id| partition.replicas.contains(id)));
            let Some(earlier) = before.partition(PartitionId { topic, index }) else { continue };
            assert!(earlier.leader_epoch <= partition.leader_epoch);
            assert_eq!(earlier.leader == partition.leader, earlier.leader_epoch == partition.leader_epoch);
            // A lower level forgets who led last, and changes nothing besides.
            let is_same = Partition { last_leader: partition.last_leader, ..earlier.clone() } == *partition;
            assert_eq!(is_same, earlier.partition_epoch == partition.partition_epoch);
            assert!(earlier.partition_epoch <= partition.partition_epoch);
            // Whoever came into the set by the change that ended a move may lead by the same change.
            let may_lead = |leader| earlier.in_sync.contains(&leader) || earlier.adding.contains(&leader);
            assert!(partition.leader.is_none_or(may_lead), "only who was in sync is elected");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_commands_keep_the_promises_and_their_records_rebuild_the_image(
        steps in prop::collection::vec((0u8..20, 1..=BROKERS, any::<u64>()), 1..200)
    ) {
        let mut cluster = Cluster::of(BROKERS);
        for step in steps {
            let before = cluster.controller.image().clone();
            take(&mut cluster, step);
            promises_hold(&before, cluster.controller.image());
        }
        let mut replica = Image::default();
        for record in &cluster.records {
            prop_assert!(record.level() <= replica.metadata_version(), "nothing is newer than the finalized level");
            replica.apply(&Record::decode(&record.encode(), MetadataVersion::NEWEST).unwrap());
        }
        prop_assert_eq!(&replica, cluster.controller.image());
        let told = replica.records(Planted::NONE);
        let read: Vec<Record> = told.iter().map(|record| Record::decode(&record.encode(), MetadataVersion::NEWEST).unwrap()).collect();
        let rebuilt = Image::from_records(&read, replica.end);
        prop_assert_eq!(&rebuilt, &replica, "a snapshot stands for all that made it");
        prop_assert_eq!(rebuilt.records(Planted::NONE), told, "the same image makes the same snapshot");
        for broker in 1..=BROKERS {
            cluster.directories.insert(broker, (0..4).map(DirectoryId).collect());
            cluster.start(broker);
        }
        let mut topics = cluster.controller.image().topics.values();
        prop_assert!(topics.all(|topic| topic.partitions.iter().all(|partition| partition.leader.is_some())));
    }
}
