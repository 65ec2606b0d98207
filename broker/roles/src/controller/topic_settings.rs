//! The table of what a topic may set for itself: name, values, default, and the broker's key that gives the default. Validation,
//! DescribeConfigs, the configuration file and docs/configuration.md are all made from it.
//!
//! ```text
//!  the topic's own ▷ the cluster's (dynamic, by the broker's key) ▷ the node's file ▷ the default
//! ```
//! The first that says something holds.

use std::collections::BTreeMap;

use super::{Image, Refusal, Topic, throttled};

/// One row of the table.
#[derive(Debug)]
pub struct TopicSetting {
    /// Kafka's name, as a topic says it.
    pub name: &'static str,
    /// Kafka's name, as a broker says it for the topics that do not; none where only a topic can say it.
    pub broker_key: Option<&'static str>,
    pub kind: Kind,
    pub default: &'static str,
    /// Completed sentences, for people.
    pub means: &'static str,
}

/// Which values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number, both ends allowed.
    Integer {
        unit: Unit,
        from: i64,
        to: i64,
    },
    /// A number from 0 to 1.
    Ratio,
    Boolean,
    OneOf(&'static [&'static str]),
    /// Some of these words, with commas.
    SomeOf(&'static [&'static str]),
    /// Replicas: `*` for all of them, or each as `partition:broker`, with commas; none at all is allowed, too.
    Replicas,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Bytes,
    Milliseconds,
}

/// Who says the value that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The topic itself.
    Topic,
    /// The cluster, for this broker alone.
    Broker,
    /// The cluster, for all of its brokers.
    Cluster,
    /// This node's configuration.
    Node,
    Default,
}

const INT_MAX: i64 = i32::MAX as i64;

const fn bytes(from: i64, to: i64) -> Kind {
    Kind::Integer { unit: Unit::Bytes, from, to }
}

const fn milliseconds(from: i64) -> Kind {
    Kind::Integer { unit: Unit::Milliseconds, from, to: i64::MAX }
}

const fn count(from: i64, to: i64) -> Kind {
    Kind::Integer { unit: Unit::Count, from, to }
}

/// Every setting of a topic, by name.
pub const TOPIC_SETTINGS: &[TopicSetting] = &[
    TopicSetting {
        name: "cleanup.policy",
        broker_key: Some("log.cleanup.policy"),
        kind: Kind::SomeOf(&["delete", "compact"]),
        default: "delete",
        means: "What becomes of old segments: `delete` removes them by age and size, `compact` keeps the last value of each key.",
    },
    TopicSetting {
        name: "compression.gzip.level",
        broker_key: Some("compression.gzip.level"),
        kind: count(-1, 9),
        default: "-1",
        means: "How hard gzip tries where `compression.type` asks for it; -1 is what it does by itself.",
    },
    TopicSetting {
        name: "compression.lz4.level",
        broker_key: Some("compression.lz4.level"),
        kind: count(1, 17),
        default: "9",
        means: "How hard lz4 tries where `compression.type` asks for it; 9 is fast all the same, as in Kafka.",
    },
    TopicSetting {
        name: "compression.type",
        broker_key: Some("compression.type"),
        kind: Kind::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        default: "producer",
        means: "How batches are kept. `producer`: as their producers compressed them; else the leader compresses otherwise what comes \
                otherwise, once.",
    },
    TopicSetting {
        name: "compression.zstd.level",
        broker_key: Some("compression.zstd.level"),
        kind: count(-131_072, 22),
        default: "3",
        means: "How hard zstd tries where `compression.type` asks for it.",
    },
    TopicSetting {
        name: "delete.retention.ms",
        broker_key: Some("log.cleaner.delete.retention.ms"),
        kind: milliseconds(0),
        default: "86400000",
        means: "How long compaction keeps the mark that a key was deleted, so that readers see it.",
    },
    TopicSetting {
        name: "file.delete.delay.ms",
        broker_key: Some("log.segment.delete.delay.ms"),
        kind: milliseconds(0),
        default: "60000",
        means: "How long the files of what was deleted stay on the disk.",
    },
    TopicSetting {
        name: "flush.messages",
        broker_key: Some("log.flush.interval.messages"),
        kind: count(1, i64::MAX),
        default: "9223372036854775807",
        means: "Taken for the sake of tools that set it: `flush.policy` decides when a log is synced.",
    },
    TopicSetting {
        name: "flush.ms",
        broker_key: Some("log.flush.interval.ms"),
        kind: milliseconds(0),
        default: "9223372036854775807",
        means: "Taken for the sake of tools that set it: `flush.policy` decides when a log is synced.",
    },
    TopicSetting {
        name: "follower.replication.throttled.replicas",
        broker_key: None,
        kind: Kind::Replicas,
        default: "",
        means: "Replicas that fetch no more than `follower.replication.throttled.rate` while they are out of sync.",
    },
    TopicSetting {
        name: "index.interval.bytes",
        broker_key: Some("log.index.interval.bytes"),
        kind: bytes(0, INT_MAX),
        default: "4096",
        means: "Bytes between two entries of a segment's index: what a look-up walks at most.",
    },
    TopicSetting {
        name: "leader.replication.throttled.replicas",
        broker_key: None,
        kind: Kind::Replicas,
        default: "",
        means: "Replicas that send no more than `leader.replication.throttled.rate` to followers that are out of sync.",
    },
    TopicSetting {
        name: "max.compaction.lag.ms",
        broker_key: Some("log.cleaner.max.compaction.lag.ms"),
        kind: milliseconds(1),
        default: "9223372036854775807",
        means: "How long a record may stay uncompacted at most.",
    },
    TopicSetting {
        name: "max.message.bytes",
        broker_key: Some("message.max.bytes"),
        kind: bytes(0, INT_MAX),
        default: "1048588",
        means: "The largest batch of records that is taken, as it comes: compressed, if it is.",
    },
    TopicSetting {
        name: "message.timestamp.type",
        broker_key: Some("log.message.timestamp.type"),
        kind: Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        default: "CreateTime",
        means: "Whose time records carry: their producer's, or that of the leader when it took them.",
    },
    TopicSetting {
        name: "min.cleanable.dirty.ratio",
        broker_key: Some("log.cleaner.min.cleanable.ratio"),
        kind: Kind::Ratio,
        default: "0.5",
        means: "How much of a log must be uncompacted before compaction is worth it.",
    },
    TopicSetting {
        name: "min.compaction.lag.ms",
        broker_key: Some("log.cleaner.min.compaction.lag.ms"),
        kind: milliseconds(0),
        default: "0",
        means: "How long a record stays uncompacted at least.",
    },
    TopicSetting {
        name: "min.insync.replicas",
        broker_key: Some("min.insync.replicas"),
        kind: count(1, i16::MAX as i64),
        default: "1",
        means: "A write with acks=all is refused while fewer replicas than this are in sync. With 3 replicas, use 2.",
    },
    TopicSetting {
        name: "preallocate",
        broker_key: Some("log.preallocate"),
        kind: Kind::Boolean,
        default: "false",
        means: "Taken for the sake of tools that set it: files grow as they are written.",
    },
    TopicSetting {
        name: "retention.bytes",
        broker_key: Some("log.retention.bytes"),
        kind: bytes(-1, i64::MAX),
        default: "-1",
        means: "Old segments are deleted while a partition is larger than this; -1 sets no limit.",
    },
    TopicSetting {
        name: "retention.ms",
        broker_key: Some("log.retention.ms"),
        kind: milliseconds(-1),
        default: "604800000",
        means: "Segments are deleted when their newest record is older than this; -1 keeps them for ever.",
    },
    TopicSetting {
        name: "segment.bytes",
        broker_key: Some("log.segment.bytes"),
        kind: bytes(1024, INT_MAX),
        default: "1073741824",
        means: "A log is cut into files of at most so many bytes.",
    },
    TopicSetting {
        name: "segment.index.bytes",
        broker_key: Some("log.index.size.max.bytes"),
        kind: bytes(4, INT_MAX),
        default: "10485760",
        means: "A new segment begins when the index of the last one is this large.",
    },
    TopicSetting {
        name: "segment.jitter.ms",
        broker_key: Some("log.roll.jitter.ms"),
        kind: milliseconds(0),
        default: "0",
        means: "Taken for the sake of tools that set it: a new segment begins at `segment.ms`, without chance.",
    },
    TopicSetting {
        name: "segment.ms",
        broker_key: Some("log.roll.ms"),
        kind: milliseconds(1),
        default: "604800000",
        means: "A new segment begins when the last one is this old, even if it is not full: only whole segments are deleted.",
    },
    TopicSetting {
        name: "unclean.leader.election.enable",
        broker_key: Some("unclean.leader.election.enable"),
        kind: Kind::Boolean,
        default: "false",
        means: "Whether a replica that is not in sync may lead when nobody else is left, and what it lacks is lost.",
    },
];

impl TopicSetting {
    pub fn of_topic(name: &str) -> Option<&'static TopicSetting> {
        TOPIC_SETTINGS.iter().find(|setting| setting.name == name)
    }

    pub fn of_broker(key: &str) -> Option<&'static TopicSetting> {
        TOPIC_SETTINGS.iter().find(|setting| setting.broker_key == Some(key))
    }

    /// What holds for a topic (none: for one that says nothing), and every source that says something, the one that holds first.
    pub fn sources<'a>(
        &self,
        image: &'a Image,
        topic: Option<&'a Topic>,
        defaults: &'a TopicDefaults,
    ) -> Vec<(Source, &'a str)> {
        let own = topic.and_then(|topic| topic.configs.get(self.name)).map(|value| (Source::Topic, value.as_str()));
        let of_brokers = self.broker_key.and_then(|key| image.broker_config(None, key));
        let cluster = of_brokers.map(|value| (Source::Cluster, value));
        let node = self.broker_key.and_then(|key| defaults.0.get(key)).map(|value| (Source::Node, value.as_str()));
        [own, cluster, node, Some((Source::Default, self.default))].into_iter().flatten().collect()
    }
}

impl Kind {
    /// True if values of this kind are lists, to which one may add.
    pub fn is_list(&self) -> bool {
        matches!(self, Kind::SomeOf(_) | Kind::Replicas)
    }

    /// # Errors
    /// `InvalidConfig`, with what `name` takes.
    pub fn check(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let expected = match self {
            Kind::Integer { from, to, .. } if value.parse().is_ok_and(|number| (*from..=*to).contains(&number)) => {
                return Ok(());
            }
            Kind::Ratio if value.parse().is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)) => return Ok(()),
            Kind::Boolean if ["true", "false"].contains(&value) => return Ok(()),
            Kind::OneOf(words) if words.contains(&value) => return Ok(()),
            Kind::SomeOf(words) if items(value).all(|item| words.contains(&item)) && !value.is_empty() => return Ok(()),
            Kind::Replicas if throttled::is_list(value) => return Ok(()),
            Kind::Integer { from, to: i64::MAX, .. } => format!("a whole number of at least {from}"),
            Kind::Integer { from, to, .. } => format!("a whole number from {from} to {to}"),
            Kind::Ratio => "a number from 0 to 1".into(),
            Kind::Boolean => "true or false".into(),
            Kind::OneOf(words) => format!("one of {}", words.join(", ")),
            Kind::SomeOf(words) => format!("some of {}, with commas", words.join(", ")),
            Kind::Replicas => "* for all replicas, or some as partition:broker, with commas".into(),
        };
        Err(Refusal::InvalidConfig(format!("\"{name}\" cannot be \"{value}\": it takes {expected}")))
    }
}

/// The items of a list.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// What one node's configuration says for topics that say nothing themselves, by the broker's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicDefaults(BTreeMap<&'static str, String>);

impl TopicDefaults {
    /// # Errors
    /// `InvalidConfig` if no topic has such a setting, or it does not take the value.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let known = TopicSetting::of_broker(key).and_then(|setting| Some((setting, setting.broker_key?)));
        let (setting, key) =
            known.ok_or_else(|| Refusal::InvalidConfig(format!("no setting of topics has the key \"{key}\"")))?;
        setting.kind.check(key, value)?;
        if value == setting.default {
            self.0.remove(key);
        } else {
            self.0.insert(key, value.into());
        }
        Ok(())
    }

    /// The value of a broker's key: the node's own, or the default.
    pub fn get<'a>(&'a self, setting: &'a TopicSetting) -> &'a str {
        setting.broker_key.and_then(|key| self.0.get(key)).map_or(setting.default, String::as_str)
    }
}

/// The settings of a new topic with their values, if each is one that a topic may have.
pub(super) fn check(configs: &[(String, Option<String>)]) -> Result<Vec<(String, String)>, Refusal> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for (name, value) in configs {
        let Some(value) = value else {
            return Err(Refusal::InvalidConfig(format!("\"{name}\" has no value")));
        };
        if checked.iter().any(|(other, _)| other == name) {
            return Err(Refusal::InvalidConfig(format!("\"{name}\" is set twice")));
        }
        known(name)?.kind.check(name, value)?;
        checked.push((name.clone(), value.clone()));
    }
    Ok(checked)
}

/// # Errors
/// `InvalidConfig` if a topic has no such setting.
pub(super) fn known(name: &str) -> Result<&'static TopicSetting, Refusal> {
    TopicSetting::of_topic(name).ok_or_else(|| {
        Refusal::InvalidConfig(format!("a topic has no setting \"{name}\": docs/configuration.md lists them"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
        check(&[(name.into(), value.map(Into::into))])
    }

    #[test]
    fn a_setting_is_known_and_in_its_range_or_refused() {
        for (name, value) in [
            ("min.insync.replicas", "2"),
            ("retention.ms", "-1"),
            ("cleanup.policy", "compact, delete"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("leader.replication.throttled.replicas", "*"),
            ("leader.replication.throttled.replicas", "0:1, 0:2"),
        ] {
            assert!(one(name, Some(value)).is_ok(), "{name} = {value}");
        }
        for (name, value) in [
            ("min.insync.replicas", Some("0")),
            ("min.insync.replicas", Some("two")),
            ("min.insync.replicas", None),
            ("segment.bytes", Some("2147483648")),
            ("cleanup.policy", Some("hoard")),
            ("cleanup.policy", Some("")),
            ("min.cleanable.dirty.ratio", Some("NaN")),
            ("leader.replication.throttled.replicas", Some("0-1")),
            ("colour", Some("blue")),
        ] {
            assert!(matches!(one(name, value), Err(Refusal::InvalidConfig(_))), "{name} = {value:?}");
        }
    }

    #[test]
    fn every_default_is_allowed_and_names_and_keys_are_unique() {
        let mut defaults = TopicDefaults::default();
        for setting in TOPIC_SETTINGS {
            setting.kind.check(setting.name, setting.default).unwrap();
            let Some(key) = setting.broker_key else { continue };
            defaults.set(key, setting.default).unwrap();
            assert_eq!(TOPIC_SETTINGS.iter().filter(|other| other.broker_key == Some(key)).count(), 1);
        }
        assert!(TOPIC_SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
