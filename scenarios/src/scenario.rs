//! A scenario: plain data, a file's whole content.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{Consumer, Producer};
use crate::cluster::{Cluster, Topic};
use crate::expect::Expect;
use crate::fault::Fault;
use crate::words::Range;

/// The world, who works in it, what goes wrong, and what must come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Scenario", description = "One tale of a replicated log under trial.")]
pub struct Scenario {
    /// What happens, in one sentence.
    pub title: String,
    /// What the tale teaches, in one or two sentences.
    pub teaches: String,
    /// The one seed that the tale is about; without it, any seed tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(default)]
    pub cluster: Cluster,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<Producer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<Consumer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    #[serde(default, skip_serializing_if = "Expect::is_empty")]
    pub expect: Expect,
}

/// Length of a run whose scenario does not say, and whose clients do not either.
const LENGTH_DEFAULT: Duration = Duration::from_secs(30);

impl Scenario {
    /// How long workload and faults last: as `cluster.duration` says, or as long as the longest client. What comes after
    /// (healing, reading to the end) is the run's own.
    pub fn length(&self) -> Duration {
        if let Some(duration) = self.cluster.duration {
            return duration.0;
        }
        let end = |starts: &Option<Range>, lasts: &Option<Range>| {
            Some(starts.map_or(Duration::ZERO, |starts| starts.to) + (*lasts)?.to)
        };
        let producers = self.producers.iter().filter_map(|producer| end(&producer.starts, &producer.lasts));
        let consumers = self.consumers.iter().filter_map(|consumer| end(&consumer.starts, &consumer.lasts));
        producers.chain(consumers).max().unwrap_or(LENGTH_DEFAULT)
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
