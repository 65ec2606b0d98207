//! A controller with brokers, for tests.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{
    BrokerEpoch, BrokerId, DirectoryId, Endpoint, MetadataVersion, MetadataVersions, Offset, PartitionId, Planted, Time,
};

use crate::controller::*;

pub(super) struct Cluster {
    pub(super) controller: Controller,
    pub(super) now: Time,
    /// All that was ever decided.
    pub(super) records: Vec<Record>,
    /// The log directories that brokers register with.
    pub(super) directories: BTreeMap<i32, Vec<DirectoryId>>,
    chance: u64,
}

pub(super) fn id(broker: i32) -> BrokerId {
    BrokerId(broker)
}

pub(super) fn ids(brokers: &[i32]) -> Vec<BrokerId> {
    brokers.iter().copied().map(BrokerId).collect()
}

impl Cluster {
    /// Brokers 1 to `brokers`, all of them unfenced.
    pub(super) fn of(brokers: i32) -> Cluster {
        Cluster::planted(brokers, Planted::NONE)
    }

    /// As many, whose answers may be lost with the power.
    pub(super) fn forgetful(brokers: i32) -> Cluster {
        Cluster::with(brokers, false, Planted::NONE)
    }

    pub(super) fn planted(brokers: i32, planted: Planted) -> Cluster {
        Cluster::with(brokers, true, planted)
    }

    fn with(brokers: i32, answers_after_sync: bool, planted: Planted) -> Cluster {
        let settings = Settings {
            default_partitions: 2,
            default_replication_factor: 1,
            session_timeout: Duration::from_secs(9),
            answers_after_sync,
            topic_defaults: TopicDefaults::default(),
            leader_imbalance: None,
            metadata_version_max: MetadataVersion::NEWEST,
            planted,
        };
        let controller = Controller::new(settings, Image::default(), Time(0));
        let mut cluster =
            Cluster { controller, now: Time(0), records: Vec::new(), directories: BTreeMap::new(), chance: 1 };
        for broker in 1..=brokers {
            cluster.start(broker);
        }
        cluster
    }

    pub(super) fn ask(&mut self, command: Command) -> Result<Decision, Refusal> {
        self.chance += 1;
        let decision = self.controller.step(self.now, self.chance, &command)?;
        self.records.extend_from_slice(&decision.records);
        Ok(decision)
    }

    pub(super) fn register(&mut self, broker: i32, incarnation: u128) -> BrokerEpoch {
        self.register_after(broker, incarnation, None)
    }

    fn register_after(&mut self, broker: i32, incarnation: u128, previous_epoch: Option<BrokerEpoch>) -> BrokerEpoch {
        let endpoint = Endpoint::new(format!("broker-{broker}"), 9092);
        let versions = MetadataVersions::up_to(MetadataVersion::NEWEST);
        let directories = self.directories.get(&broker).cloned().unwrap_or_default();
        let registrant =
            Registrant { broker: id(broker), incarnation, endpoint, rack: None, previous_epoch, versions, directories };
        match self.ask(Command::RegisterBroker(registrant)).unwrap().reply {
            Reply::Registered { epoch } => epoch,
            other => panic!("{other:?}"),
        }
    }

    /// A new process of the broker registers and is unfenced.
    pub(super) fn start(&mut self, broker: i32) {
        let incarnation = u128::from(self.chance) << 8;
        self.register(broker, incarnation);
        assert!(!self.beat(broker).is_fenced);
    }

    /// The same of one that says that the process before stopped in order, under this registration.
    pub(super) fn start_after(&mut self, broker: i32, previous: BrokerEpoch) {
        let incarnation = u128::from(self.chance) << 8;
        self.register_after(broker, incarnation, Some(previous));
        assert!(!self.beat(broker).is_fenced);
    }

    /// A heartbeat of the broker's present process, which knows all metadata.
    pub(super) fn beat(&mut self, broker: i32) -> HeartbeatReply {
        let heartbeat = self.heartbeat_of(broker);
        self.heartbeat(heartbeat).unwrap()
    }

    pub(super) fn heartbeat_of(&self, broker: i32) -> Heartbeat {
        let image = self.controller.image();
        let epoch = image.brokers[&id(broker)].epoch;
        Heartbeat {
            broker: id(broker),
            epoch,
            metadata_end: image.end,
            wants_fence: false,
            wants_shut_down: false,
            offline_directories: Vec::new(),
        }
    }

    pub(super) fn heartbeat(&mut self, heartbeat: Heartbeat) -> Result<HeartbeatReply, Refusal> {
        match self.ask(Command::Heartbeat(heartbeat))?.reply {
            Reply::Heartbeat(reply) => Ok(reply),
            other => panic!("{other:?}"),
        }
    }

    /// The broker has lost this log directory, and says so.
    pub(super) fn lose(&mut self, broker: i32, directory: DirectoryId) {
        let heartbeat = Heartbeat { offline_directories: vec![directory], ..self.heartbeat_of(broker) };
        self.heartbeat(heartbeat).unwrap();
    }

    /// The broker says that its replica lies in this directory.
    pub(super) fn assign(
        &mut self,
        broker: i32,
        partition: PartitionId,
        directory: DirectoryId,
    ) -> Result<(), Refusal> {
        let broker_epoch = self.epoch_of(broker);
        let replicas = vec![(partition, directory)];
        let request = AssignDirectories { broker: id(broker), broker_epoch, replicas };
        match self.ask(Command::AssignDirectories(request))?.reply {
            Reply::DirectoriesAssigned(mut assigned) => assigned.remove(0),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fence(&mut self, broker: i32) {
        let heartbeat = Heartbeat { wants_fence: true, ..self.heartbeat_of(broker) };
        assert!(self.heartbeat(heartbeat).unwrap().is_fenced);
    }

    /// From now on it is looked this often whether leaders are where they were meant to be.
    pub(super) fn balance_every(&mut self, check_interval: Duration) {
        let balance = Some(LeaderImbalance { check_interval, percentage_max: 10 });
        let settings = Settings { leader_imbalance: balance, ..self.controller.settings.clone() };
        self.controller = Controller::new(settings, self.controller.image().clone(), self.now);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// A topic with one partition on these brokers, the first one leading.
    pub(super) fn orders(&mut self, replicas: &[i32]) -> PartitionId {
        let topic = NewTopic {
            name: "orders".into(),
            partitions: -1,
            replication_factor: -1,
            assignments: [(0, ids(replicas))].into(),
            configs: Vec::new(),
        };
        let created = self.create(topic).unwrap();
        PartitionId { topic: created.id.unwrap(), index: 0 }
    }

    pub(super) fn create(&mut self, topic: NewTopic) -> Result<CreatedTopic, Refusal> {
        let request = CreateTopics { topics: vec![topic], validate_only: false };
        match self.ask(Command::CreateTopics(request))?.reply {
            Reply::TopicsCreated(mut created) => created.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn partition(&self, id: PartitionId) -> &Partition {
        self.controller.image().partition(id).unwrap()
    }

    pub(super) fn change(&self, partition: PartitionId, in_sync: &[i32]) -> InSyncChange {
        let state = self.partition(partition);
        InSyncChange {
            partition,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            in_sync: in_sync.iter().map(|&member| (id(member), Some(self.epoch_of(member)))).collect(),
        }
    }

    pub(super) fn epoch_of(&self, broker: i32) -> BrokerEpoch {
        self.controller.image().brokers[&id(broker)].epoch
    }

    pub(super) fn alter(&mut self, leader: i32, change: InSyncChange) -> Result<PartitionState, Refusal> {
        let request =
            AlterPartition { broker: id(leader), broker_epoch: self.epoch_of(leader), partitions: vec![change] };
        match self.ask(Command::AlterPartition(request))?.reply {
            Reply::PartitionsAltered(mut altered) => altered.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn end(&self) -> Offset {
        self.controller.image().end
    }
}
