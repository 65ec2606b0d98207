//! A scenario: plain data, a file's whole content.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::client::{Consumer, Producer};
use crate::cluster::{Cluster, Topic};
use crate::expect::{Claims, Expect};
use crate::fault::Fault;
use crate::quiet::Quiet;
use crate::words::{Range, WordError};

/// The world, who works in it, what goes wrong, and what must come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Scenario", description = "One tale of a replicated log under trial.")]
pub struct Scenario {
    /// The version of this format: 1.
    #[serde(default, skip_serializing_if = "Format::goes_without_saying")]
    pub format: Format,
    /// What happens, in one sentence.
    pub title: String,
    /// What the tale teaches, in one or two sentences.
    pub teaches: String,
    /// The one seed that the tale is about; without it, any seed tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub cluster: Cluster,
    /// One after the other, from the begin of the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<Producer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What an administrator changes meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// What the cluster claims, where it is not what clients and topics say.
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
    #[serde(default, skip_serializing_if = "Quiet::is_usual")]
    pub quiet: Quiet,
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

/// A part of the run with a name, for faults and clients to say when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub name: String,
    /// How long until the next one begins, or the run ends.
    #[serde(rename = "for")]
    pub lasts: Range,
}

/// The version of the format that this is: the only one so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format;

impl Format {
    pub const VERSION: i64 = 1;

    /// A file that names none is of this one.
    fn goes_without_saying(&self) -> bool {
        true
    }

    /// Why another version is not read.
    pub(crate) fn unknown(version: impl std::fmt::Display) -> WordError {
        WordError::new(
            format!("format {version} is not known here"),
            "this program reads format = 1: write that, or use the program that the file was written for",
        )
    }
}

impl Serialize for Format {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(Format::VERSION)
    }
}

impl<'de> Deserialize<'de> for Format {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Format, D::Error> {
        match i64::deserialize(deserializer)? {
            Format::VERSION => Ok(Format),
            version => Err(serde::de::Error::custom(Format::unknown(version).pack())),
        }
    }
}

impl JsonSchema for Format {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Format".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "const": Format::VERSION, "description": "The version of this format." })
    }
}

/// Length of a run whose scenario does not say, and whose clients do not either.
const LENGTH_DEFAULT: Duration = Duration::from_secs(30);

impl Scenario {
    /// How long workload and faults last: as `cluster.duration` says, or as long as the longest client and all phases. What comes after
    /// (healing, reading to the end) is the run's own.
    pub fn length(&self) -> Duration {
        if let Some(duration) = self.cluster.duration {
            return duration.0;
        }
        let end = |during: &Option<String>, starts: &Option<Range>, lasts: &Option<Range>| {
            let phase = during.as_deref().and_then(|name| self.phase(name)).map_or(Duration::ZERO, |phase| phase.from);
            Some(phase + starts.map_or(Duration::ZERO, |starts| starts.to) + (*lasts)?.to)
        };
        let producers = self.producers.iter().filter_map(|one| end(&one.during, &one.starts, &one.lasts));
        let consumers = self.consumers.iter().filter_map(|one| end(&one.during, &one.starts, &one.lasts));
        let phases = (!self.phases.is_empty()).then(|| self.phases.iter().map(|phase| phase.lasts.to).sum());
        producers.chain(consumers).chain(phases).max().unwrap_or(LENGTH_DEFAULT)
    }

    /// When the phase of this name begins and ends, if every phase takes as long as it may.
    pub fn phase(&self, name: &str) -> Option<Range> {
        let place = self.phases.iter().position(|phase| phase.name == name)?;
        let from = self.phases[..place].iter().map(|phase| phase.lasts.to).sum();
        Some(Range { from, to: from + self.phases[place].lasts.to })
    }

    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.iter().find(|topic| topic.name == name)
    }
}

impl Expect {
    fn is_empty(&self) -> bool {
        *self == Expect::default()
    }
}

/// The JSON Schema of scenario files, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Scenario).to_value()
}
