//! Why the controller does not do what it is asked: Kafka's error of each name, with what to do about it.

use model::{BrokerEpoch, BrokerId};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("broker {0} is not registered: register it first")]
    BrokerIdNotRegistered(BrokerId),
    #[error("broker {broker} has registered anew with epoch {current}: this request of epoch {asked} is void")]
    StaleBrokerEpoch { broker: BrokerId, current: BrokerEpoch, asked: BrokerEpoch },
    #[error("no topic has this id")]
    UnknownTopicId,
    #[error("there is no such topic or partition")]
    UnknownTopicOrPartition,
    #[error("the leader's epoch has passed: another leader was elected")]
    FencedLeaderEpoch,
    #[error("the partition has changed since: look at its newest state and try again")]
    InvalidUpdateVersion,
    #[error("this controller knows less than who asks: ask the active controller")]
    NotController,
    #[error(
        "broker {0} may not be in sync: it is fenced, shutting down, has registered anew, or lost the disk that had it"
    )]
    IneligibleReplica(BrokerId),
    #[error("broker {0} holds no replica of it")]
    NotReplica(BrokerId),
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    InvalidTopic(String),
    #[error("topic \"{0}\" exists")]
    TopicAlreadyExists(String),
    #[error("{0} partitions are not possible: ask for one or more, or -1 for the default")]
    InvalidPartitions(i32),
    #[error("the topic has {has} partitions: ask for more than that, not for {asked}; partitions are never taken away")]
    NoMorePartitions { has: usize, asked: i32 },
    #[error(
        "a replication factor of {asked} is not possible with {available} brokers that are up: start more, or ask for fewer"
    )]
    InvalidReplicationFactor { asked: i16, available: usize },
    #[error(
        "the partition has {has} replicas, and {asked} are named: allow another replication factor, or name as many"
    )]
    OtherReplicationFactor { has: usize, asked: usize },
    #[error("the preferred leader is not in sync, or not there: wait for it")]
    PreferredLeaderNotAvailable,
    #[error("none of the replicas is there: start one of their brokers")]
    NoEligibleLeader,
    #[error("the partition is led as asked already")]
    ElectionNotNeeded,
    #[error("the partition does not move")]
    NoReassignmentInProgress,
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    #[error("{0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidLevel(String),
    #[error("{0}")]
    UnsupportedVersion(String),
    #[error("one request may create {max} partitions, not {asked}: split it")]
    PolicyViolation { asked: usize, max: usize },
}
