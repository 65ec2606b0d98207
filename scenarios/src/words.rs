//! The words of scenario files: each a type with one spelling, read by `FromStr` and written by `Display`.
//!
//! ```text
//! span      4s  250ms  2min  1h                    a whole number and a unit: ns us ms s min h
//! range     4s  5s..9s                             drawn from the seed, both ends included
//! rate      200/s  30/min                          so many in a second, minute or hour
//! bandwidth 1MB/s  64KB/s                          so many bytes in a second: B KB MB GB
//! chance    5%  0.25%
//! offset    +3s  -2s  -5s..+5s                     how far a clock is from the truth
//! drift     +200ppm  -50ppm..+50ppm                how many millionths a clock is too fast
//! selector  leader of orders/0                     the broker that leads the partition when the fault begins
//!           follower of orders/0                   one of its other replicas, drawn
//!           followers of orders/0                  all of them
//!           replicas of orders/0                   its leader and its followers
//!           follower in sync of orders/0           one of those that are in sync; `followers in sync of`: all of those
//!           controller                             the active controller
//!           broker 2                               by number, from 1
//!           random broker | random minority | random majority | any 2 brokers | all brokers
//!           all nodes                              brokers and separate controllers
//!           producer 1 | consumer 1                by place in the file, from 1
//!           random client | all clients
//!           broker 1 and controller                both, and so on
//! log_dir   2  of orders/0                         a log directory of a broker, by number or by what is in it
//! ```

mod amount;
mod log_dir;
mod selector;
mod span;

pub use amount::{Chance, ClockDrift, ClockOffset, Rate, Throughput};
pub use log_dir::LogDir;
pub use selector::{PartitionName, Selector};
pub use span::{Range, Span};

use thiserror::Error;

/// Why a word was not understood, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct WordError {
    pub message: String,
    pub help: String,
}

impl WordError {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> WordError {
        WordError { message: message.into(), help: help.into() }
    }

    /// One string for serde, which carries no more; `unpack` undoes it.
    pub(crate) fn pack(&self) -> String {
        format!("{}\u{1f}{}", self.message, self.help)
    }

    pub(crate) fn unpack(text: &str) -> Option<WordError> {
        text.split_once('\u{1f}').map(|(message, help)| WordError::new(message, help))
    }
}

/// The candidate nearest to `word`, if it is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.55)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, candidate)| candidate)
}

/// Gives a word its place in files (serde) and in the schema.
macro_rules! word {
    ($name:ident, $expecting:literal, $pattern:expr) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(|error: $crate::words::WordError| E::custom(error.pack()))
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $expecting, "pattern": $pattern })
            }
        }
    };
}
pub(crate) use word;
