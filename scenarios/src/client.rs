//! Who works: producers, and consumers that may sleep.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::one;
use crate::words::{Chance, Range, Rate, WordError};

/// A client that sends numbered records to one topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    pub topic: String,
    /// What an answer promises.
    #[serde(default)]
    pub acks: Acks,
    /// A retry never appears twice.
    #[serde(default, skip_serializing_if = "is_false")]
    pub idempotent: bool,
    #[serde(default = "hundred_a_second")]
    pub rate: Rate,
    /// The only phase in which it sends; `starts` counts from the phase's begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<String>,
    /// How long after the run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Range>,
    /// How long it sends; without it, to the end of the run.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Range>,
    /// How often a failed send is tried again; without it, as often as the client does by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// So many different keys choose the partition; without keys and partition, all partitions take turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub keys: Option<u32>,
    /// One record in so many deletes its key: it has no value, and compaction drops it in the end. Needs `keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub tombstones: Option<u32>,
    /// The only partition to send to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// How it compresses what it sends; without it, not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Codec>,
    /// So many of its records are some kilobytes long rather than some bytes; without it, one in ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large: Option<Chance>,
    /// So many clients like this one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
}

/// A codec of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// When a broker answers a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Acks {
    /// When every in-sync replica has the records.
    #[default]
    #[serde(rename = "all")]
    All,
    /// When the leader has them.
    #[serde(rename = "1")]
    One,
    /// Never: the producer does not wait.
    #[serde(rename = "0")]
    Zero,
}

impl std::fmt::Display for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Acks::All => "all",
            Acks::One => "1",
            Acks::Zero => "0",
        })
    }
}

impl std::str::FromStr for Acks {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Acks, WordError> {
        match text {
            "all" => Ok(Acks::All),
            "1" => Ok(Acks::One),
            "0" => Ok(Acks::Zero),
            _ => Err(WordError::new(
                format!("\"{text}\" is no promise that a broker can give"),
                "write acks = \"all\", \"1\" or \"0\"",
            )),
        }
    }
}

impl Serialize for Acks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Acks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Acks, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Acks;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"all\", \"1\" or \"0\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Acks, E> {
                text.parse().map_err(|error: WordError| E::custom(error.pack()))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A client that reads topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The group that shares the topics; without it, this client reads every partition itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub topics: Vec<String>,
    /// Where it stands: one of the cluster's `racks`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Where it begins.
    #[serde(default)]
    pub from: ReadFrom,
    /// The only phase in which it reads; `starts` counts from the phase's begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during: Option<String>,
    /// How long after the run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Range>,
    /// How long it reads; without it, until it has read everything after the run.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Range>,
    /// The laptop lid closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleeps: Option<Sleep>,
    /// So many clients like this one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadFrom {
    /// At the first record that the log has.
    #[default]
    Earliest,
    /// After the last one.
    Latest,
}

/// When a client stands still, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "SleepFile", into = "SleepFile")]
#[schemars(with = "SleepFile")]
pub enum Sleep {
    Once { at: Range, lasts: Range },
    Repeated { every: Range, lasts: Range },
}

/// How a sleep is written: `{ every = "5s..9s", for = "3s" }` or `{ at = "4s", for = "1h" }`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sleep")]
struct SleepFile {
    /// Once, so long after the run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Range>,
    /// Again and again, so long after the start or the last sleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<Range>,
    #[serde(rename = "for")]
    lasts: Range,
}

impl TryFrom<SleepFile> for Sleep {
    type Error = String;

    fn try_from(file: SleepFile) -> Result<Sleep, String> {
        let lasts = file.lasts;
        match (file.at, file.every) {
            (Some(at), None) => Ok(Sleep::Once { at, lasts }),
            (None, Some(every)) => Ok(Sleep::Repeated { every, lasts }),
            (None, None) => Err(WordError::new("nothing says when the sleep begins", HOW_TO_SLEEP).pack()),
            (Some(_), Some(_)) => Err(WordError::new("a sleep is either once or repeated", HOW_TO_SLEEP).pack()),
        }
    }
}

const HOW_TO_SLEEP: &str = "write at = \"4s\" for one sleep, or every = \"5s..9s\" for many";

impl From<Sleep> for SleepFile {
    fn from(sleep: Sleep) -> SleepFile {
        match sleep {
            Sleep::Once { at, lasts } => SleepFile { at: Some(at), every: None, lasts },
            Sleep::Repeated { every, lasts } => SleepFile { at: None, every: Some(every), lasts },
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_one(number: &u32) -> bool {
    *number == 1
}

fn hundred_a_second() -> Rate {
    Rate::per_second(100)
}
