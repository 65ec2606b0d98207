//! The controller: decides about brokers and partitions, over the image that the metadata log builds (KIP-631).
//!
//! ```text
//!  command ─▶ decide ─▶ records ─▶ the log ─ committed ─▶ reply
//!                          └─▶ apply ─▶ the image that the next command is decided over
//! ```
//! Only the active controller has one of these: made from the committed image when the quorum's leader has committed its first
//! record, dropped when it leads no more. Its image runs ahead of what is committed; if that never commits, it is dropped with it.
//!
//! What it promises: a partition's leader is in its in-sync set; only a member of that set is ever elected; a broker that is not active
//! leaves the set, unless nobody would be left (then all of it stays, since each has everything); a new leader has a new leader epoch, every
//! change a new partition epoch.
//!
//! Absent from here: the log, the quorum, clocks, chance (both are given).

mod alter_configs;
mod alter_partition;
mod assign_directories;
mod broker_settings;
mod brokers;
mod chance;
mod command;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod draft;
mod elect_leaders;
mod features;
mod fold;
mod image;
mod placement;
mod producer_ids;
mod reassign;
mod record;
mod refusal;
mod snapshot;
#[cfg(test)]
mod tests;
mod throttled;
mod topic_settings;

use std::collections::BTreeMap;
use std::time::Duration;

use model::{BrokerId, MetadataVersion, Planted, Time};

pub use self::broker_settings::{BROKER_SETTINGS, BrokerSetting, FOLLOWER_THROTTLE, LEADER_THROTTLE};
pub use self::command::{
    AlterConfigs, AlterPartition, AssignDirectories, Command, ConfigChanges, ConfigOperation, ConfigResource,
    CreatePartitions, CreateTopics, CreatedTopic, Decision, ElectLeaders, Election, Heartbeat, HeartbeatReply,
    InSyncChange, LevelChange, MorePartitions, NewTopic, PartitionState, Reassign, Reassignment, Registrant, Reply,
    TopicReference, UpdateLevel,
};
pub use self::create_topics::check_topic_name;
use self::draft::Draft;
pub use self::image::{Image, Partition, Registration, Topic};
pub use self::record::{
    BrokerChange, BrokerConfig, FeatureLevel, PartitionChange, PartitionRecord, ProducerIds, Record, RecordError,
    RegisterBroker, RemoveTopic, TopicConfig, TopicRecord, UnregisterBroker,
};
pub use self::refusal::Refusal;
pub use self::throttled::is_throttled;
pub use self::topic_settings::{Kind, Source, TOPIC_SETTINGS, TopicDefaults, TopicSetting, Unit};
use crate::quorum::VoterSet;

#[derive(Clone, Debug)]
pub struct Settings {
    /// `num.partitions`
    pub default_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// `broker.session.timeout.ms`
    pub session_timeout: Duration,
    /// `flush.policy = commit`: what a replica answered for outlives its process and its power.
    pub answers_after_sync: bool,
    /// What this node's configuration says for topics that say nothing themselves.
    pub topic_defaults: TopicDefaults,
    /// `auto.leader.rebalance.enable`; none: leaders stay where they are.
    pub leader_imbalance: Option<LeaderImbalance>,
    /// The newest level of the metadata that this program knows.
    pub metadata_version_max: MetadataVersion,
    pub planted: Planted,
}

/// When partitions are given back to their preferred leaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderImbalance {
    /// `leader.imbalance.check.interval.seconds`
    pub check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`: of the partitions that a broker is meant to lead, so many may be led by others.
    pub percentage_max: usize,
}

#[derive(Debug)]
pub struct Controller {
    settings: Settings,
    /// The cluster with all that was decided, committed or not.
    image: Image,
    /// When each broker was last heard. In no log: a new controller gives everybody a whole session from its start.
    heard: BTreeMap<BrokerId, Time>,
    started: Time,
    /// When it was last looked whether leaders are where they were meant to be.
    balanced: Time,
}

impl Controller {
    /// The active controller from `now` on. `image` has all that is in the log.
    pub fn new(settings: Settings, image: Image, now: Time) -> Controller {
        Controller { settings, image, heard: BTreeMap::new(), started: now, balanced: now }
    }

    /// Decides, notes who was heard, and takes the records in. They must now be appended to the log, in one batch, at the offset where
    /// the image ended before.
    pub fn step(&mut self, now: Time, chance: u64, command: &Command) -> Result<Decision, Refusal> {
        let decision = self.decide(now, chance, command)?;
        match command {
            Command::RegisterBroker(Registrant { broker, .. }) | Command::Heartbeat(Heartbeat { broker, .. }) => {
                self.heard.insert(*broker, now);
            }
            Command::AlterPartition(_)
            | Command::AssignDirectories(_)
            | Command::CreateTopics(_)
            | Command::AlterConfigs(_)
            | Command::DeleteTopics(_)
            | Command::CreatePartitions(_)
            | Command::AllocateProducerIds { .. }
            | Command::ElectLeaders(_)
            | Command::Reassign(_)
            | Command::UnregisterBroker(_)
            | Command::UpdateLevel(_)
            | Command::BalanceLeaders
            | Command::ExpireSessions
            | Command::EndSessions(_) => {}
        }
        if *command == Command::BalanceLeaders {
            self.balanced = now;
        }
        for record in &decision.records {
            self.image.apply(record);
            self.check(record);
        }
        Ok(decision)
    }

    /// What to do about `command`; `chance` is 64 random bits.
    pub fn decide(&self, now: Time, chance: u64, command: &Command) -> Result<Decision, Refusal> {
        match command {
            Command::RegisterBroker(registrant) => self.register_broker(registrant),
            Command::Heartbeat(heartbeat) => self.heartbeat(heartbeat),
            Command::AlterPartition(request) => self.alter_partition(request),
            Command::AssignDirectories(request) => self.assign_directories(request),
            Command::CreateTopics(request) => self.create_topics(chance, request),
            Command::AlterConfigs(request) => Ok(self.alter_configs(request)),
            Command::DeleteTopics(topics) => Ok(self.delete_topics(topics)),
            Command::CreatePartitions(request) => Ok(self.create_partitions(chance, request)),
            Command::AllocateProducerIds { broker, broker_epoch } => self.allocate_producer_ids(*broker, *broker_epoch),
            Command::ElectLeaders(request) => Ok(self.elect_leaders(request)),
            Command::Reassign(request) => Ok(self.reassign(request)),
            Command::UnregisterBroker(broker) => self.unregister_broker(*broker),
            Command::UpdateLevel(request) => self.update_level(request),
            Command::BalanceLeaders => Ok(self.balance_leaders()),
            Command::ExpireSessions => Ok(self.expire_sessions(now)),
            Command::EndSessions(gone) => Ok(self.end_sessions(gone)),
        }
    }

    /// Takes in what the quorum has appended of its own, at the offset where the image ended before: other voters.
    pub fn take_voters(&mut self, voters: &VoterSet) {
        self.image.apply(&Record::Voters(voters.clone()));
    }

    /// When something is due if nothing is heard. None if no broker has a session.
    pub fn deadline(&self) -> Option<Time> {
        self.next_session_end().map(|end| self.next_balance().map_or(end, |next| next.min(end)))
    }

    /// What is due by now.
    pub fn due(&self, now: Time) -> Option<Command> {
        if self.next_session_end().is_some_and(|end| end <= now) {
            return Some(Command::ExpireSessions);
        }
        self.next_balance().filter(|next| *next <= now).map(|_| Command::BalanceLeaders)
    }

    fn next_session_end(&self) -> Option<Time> {
        let unfenced = self.image.brokers.iter().filter(|(_, registration)| !registration.fenced);
        unfenced.map(|(&broker, _)| self.session_ends(broker)).min()
    }

    fn next_balance(&self) -> Option<Time> {
        self.settings.leader_imbalance.map(|imbalance| self.balanced + imbalance.check_interval)
    }

    /// The cluster as decided so far.
    pub fn image(&self) -> &Image {
        &self.image
    }

    fn draft(&self) -> Draft {
        Draft::new(&self.image, &self.settings)
    }

    fn check(&self, record: &Record) {
        let id = match record {
            Record::Partition(record) => (record.topic, record.index),
            Record::PartitionChange(change) => (change.topic, change.index),
            Record::NoOp
            | Record::RegisterBroker(_)
            | Record::BrokerChange(_)
            | Record::Topic(_)
            | Record::TopicConfig(_)
            | Record::BrokerConfig(_)
            | Record::RemoveTopic(_)
            | Record::UnregisterBroker(_)
            | Record::Voters(_)
            | Record::ProducerIds(_)
            | Record::FeatureLevel(_) => return,
        };
        let Some(partition) = self.image.partition(model::PartitionId { topic: id.0, index: id.1 }) else { return };
        assert!(!partition.in_sync.is_empty());
        assert!(partition.in_sync.iter().all(|member| partition.replicas.contains(member)));
        assert!(partition.leader.is_none_or(|leader| partition.in_sync.contains(&leader)));
        assert!(partition.leader.is_none_or(|leader| self.image.brokers.contains_key(&leader)));
    }
}
