//! What a run claims of its cluster: the ground on which an anomaly is a broken promise, or a price that was agreed to.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// When producers count a record as safe. Written as `"all"`, `"1"` or `"0"`; read also as Kafka's numbers: -1, 1 or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Acks {
    /// Every in-sync replica has it.
    #[default]
    #[serde(rename = "all")]
    All,
    /// The leader has it.
    #[serde(rename = "1")]
    Leader,
    /// It was sent.
    #[serde(rename = "0")]
    None,
}

impl<'de> Deserialize<'de> for Acks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Acks, D::Error> {
        deserializer.deserialize_any(AcksVisitor)
    }
}

struct AcksVisitor;

impl Visitor<'_> for AcksVisitor {
    type Value = Acks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\", \"1\" or \"0\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Acks, E> {
        match text {
            "all" | "-1" => Ok(Acks::All),
            "1" => Ok(Acks::Leader),
            "0" => Ok(Acks::None),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Acks, E> {
        match number {
            -1 => Ok(Acks::All),
            1 => Ok(Acks::Leader),
            0 => Ok(Acks::None),
            _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Acks, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// Which records of transactions a consumer sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    #[default]
    ReadCommitted,
    ReadUncommitted,
}

/// The claims of a history's first line. The default is the strictest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    pub acks: Acks,
    /// A retried send leaves one record.
    pub idempotent: bool,
    pub isolation: Isolation,
    /// A replica that is not in sync may be elected, and what it lacks is lost.
    pub unclean_election: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<u32>,
    /// How many replicas may lose what they hold, by a loss of power or the like: with as many of them as `min_insync_replicas` asks
    /// for, an acknowledged record may go. None: no record goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_budget: Option<u32>,
}

impl Default for Claims {
    fn default() -> Claims {
        Claims {
            acks: Acks::All,
            idempotent: true,
            isolation: Isolation::ReadCommitted,
            unclean_election: false,
            min_insync_replicas: None,
            crash_budget: None,
        }
    }
}
