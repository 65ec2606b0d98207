//! The world before anything happens: brokers, their configuration, topics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::Span;

/// The brokers, and how long they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// How many brokers, numbered from 1.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 15))]
    pub brokers: u32,
    /// How many controllers on nodes of their own, numbered on from the brokers. 0: every broker is a controller too.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 9))]
    pub controllers: u32,
    /// How many of the controllers vote on the metadata from the beginning, by rising number; without it, all. The others may be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub voters: Option<u32>,
    /// When an append is safe enough to speak of.
    #[serde(default, skip_serializing_if = "FlushPolicy::is_commit")]
    pub flush_policy: FlushPolicy,
    /// How many log directories each broker has, as on so many disks. The metadata is in the first.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 8))]
    pub log_dirs: u32,
    /// Whether brokers do, now and then, what they may do at any time and hardly ever do: short answers, late errands, early rolls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub buggify: bool,
    /// The racks that brokers stand in, in turn. A consumer that names one is sent to a follower there (KIP-392).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub racks: Vec<String>,
    /// How long the workload and the faults last, instead of as long as the longest client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
    /// Keys of every node's configuration, each name in quotes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, ConfigValue>,
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster {
            brokers: 3,
            controllers: 0,
            voters: None,
            flush_policy: FlushPolicy::Commit,
            log_dirs: 1,
            buggify: false,
            racks: Vec::new(),
            duration: None,
            config: BTreeMap::new(),
        }
    }
}

impl Cluster {
    /// The numbers of the nodes that vote on the metadata, or may be added to those who do.
    pub fn controllers_by_number(&self) -> std::ops::RangeInclusive<u32> {
        match self.controllers {
            0 => 1..=self.brokers,
            controllers => self.brokers + 1..=self.brokers + controllers,
        }
    }
}

/// When an append is safe enough to speak of (`flush.policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlushPolicy {
    /// Every replica syncs before it counts: survives a loss of power everywhere.
    #[default]
    Commit,
    /// The operating system syncs when it likes: survives crashes of processes.
    Os,
}

impl FlushPolicy {
    fn is_commit(&self) -> bool {
        *self == FlushPolicy::Commit
    }
}

/// The value of one key of a node's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ConfigValue {
    Bool(bool),
    Number(i64),
    Text(String),
}

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ConfigValue, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = ConfigValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number, true or false, or a text")
            }

            fn visit_bool<E>(self, value: bool) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<ConfigValue, E> {
                Ok(ConfigValue::Text(value.into()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<ConfigValue, A::Error> {
                let error = crate::words::WordError::new(
                    "a configuration key with dots must be in quotes",
                    "write it as \"replica.lag.time.max.ms\" = 3000",
                );
                Err(serde::de::Error::custom(error.pack()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl std::fmt::Display for ConfigValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigValue::Bool(value) => value.fmt(f),
            ConfigValue::Number(value) => value.fmt(f),
            ConfigValue::Text(value) => value.fmt(f),
        }
    }
}

/// A key of a node's configuration that a scenario may set: its name, and the smallest number (none: true or false).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerKey {
    pub name: &'static str,
    pub number_min: Option<i64>,
}

const fn number(name: &'static str, min: i64) -> ServerKey {
    ServerKey { name, number_min: Some(min) }
}

/// What `[cluster.config]` takes. Identity, addresses and directories belong to the run; `flush.policy` has its own key.
pub const SERVER_KEYS: &[ServerKey] = &[
    number("log.segment.bytes", 1024),
    number("log.retention.bytes", -1),
    number("log.retention.ms", -1),
    number("log.retention.check.interval.ms", 1),
    number("log.cleaner.backoff.ms", 1),
    number("log.cleaner.delete.retention.ms", 0),
    number("log.cleaner.dedupe.buffer.size", 1024),
    number("num.partitions", 1),
    number("default.replication.factor", 1),
    number("min.insync.replicas", 1),
    ServerKey { name: "auto.create.topics.enable", number_min: None },
    number("replica.lag.time.max.ms", 1),
    number("replica.fetch.wait.max.ms", 1),
    number("replica.fetch.max.bytes", 1024),
    number("broker.heartbeat.interval.ms", 1),
    number("broker.session.timeout.ms", 1),
    number("controller.quorum.election.timeout.ms", 1),
    number("controller.quorum.fetch.timeout.ms", 1),
    number("metadata.log.segment.bytes", 1024),
    number("metadata.log.max.record.bytes.between.snapshots", 1),
    number("metadata.log.max.snapshot.interval.ms", 0),
    number("metadata.max.retention.bytes", -1),
    number("metadata.max.retention.ms", -1),
    number("request.timeout.ms", 1),
    number("socket.request.max.bytes", 1024),
    number("message.max.bytes", 1024),
    number("max.connections", 1),
    number("max.incremental.fetch.session.cache.slots", 0),
    number("controlled.shutdown.max.wait.ms", 0),
    number("producer.id.expiration.ms", 1),
    // Of the program, not of its configuration: a node runs as one of this release, which knows metadata up to this version.
    number("release", 1),
];

/// A topic, created before the workload begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    pub name: String,
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub partitions: u32,
    /// How many brokers hold each partition.
    #[serde(default = "three")]
    #[schemars(range(min = 1))]
    pub replicas: u32,
    /// How many of them must be in sync for acks=all to be taken.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub min_insync_replicas: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

pub(crate) fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}
