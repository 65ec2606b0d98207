//! What random logs keep: mostly everything; else what is new, or the last value of each key, or both.
//!
//! What is not kept goes early and all the time: files are small, and looked at many times a second, so that faults meet it.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::told;
use crate::change::Change;
use crate::client::Producer;
use crate::cluster::{Cluster, ConfigValue, Topic};
use crate::words::Range;

/// Topics are told what to keep before anything else, and before anybody writes to them.
pub(super) const TOLD_AT: Duration = Duration::from_millis(100);
const WRITTEN_FROM: Duration = Duration::from_millis(500);

/// A key of every broker's configuration, and what it may be.
type Key = (&'static str, &'static [i64]);

const SEGMENTS: Key = ("log.segment.bytes", &[2_048, 4_096, 16_384]);
const LITTLE: Key = ("log.retention.bytes", &[2_048, 8_192, 32_768]);
const BRIEFLY: Key = ("log.retention.ms", &[200, 1_000, 5_000]);
const LOOKED_AT: Key = ("log.retention.check.interval.ms", &[50, 300, 1_000]);
const CLEANED: Key = ("log.cleaner.backoff.ms", &[50, 150, 500]);
const KEYS_AT_ONCE: Key = ("log.cleaner.dedupe.buffer.size", &[1_024, 1_048_576]);
const TOMBSTONES: Key = ("log.cleaner.delete.retention.ms", &[100, 1_000, 5_000]);

/// How much of a log must be superseded before it is compacted.
const RATIOS: &[&str] = &["0.01", "0.2", "0.5"];

/// How a cluster keeps what is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Keeping {
    config: BTreeMap<String, ConfigValue>,
    compaction: Option<Compaction>,
}

/// The last value of each key is what counts.
#[derive(Clone, Debug)]
struct Compaction {
    policy: &'static str,
    ratio: &'static str,
    /// So many keys each producer has that would have none, and one record in so many deletes its own.
    keys: u32,
    tombstones: Option<u32>,
}

pub(super) fn keeping() -> BoxedStrategy<Keeping> {
    let forgets = |keys| config(keys).prop_map(|config| Keeping { config, compaction: None });
    let compacts = |keys, policy| {
        let drawn = (config(keys), compaction(policy));
        drawn.prop_map(|(config, compaction)| Keeping { config, compaction: Some(compaction) })
    };
    prop_oneof![
        14 => Just(Keeping::default()),
        2 => forgets(&[SEGMENTS, LOOKED_AT, LITTLE]),
        1 => forgets(&[SEGMENTS, LOOKED_AT, BRIEFLY]),
        3 => compacts(&[SEGMENTS, CLEANED, KEYS_AT_ONCE, TOMBSTONES], "compact"),
        1 => compacts(&[SEGMENTS, CLEANED, KEYS_AT_ONCE, TOMBSTONES, LOOKED_AT, LITTLE], "compact,delete"),
    ]
    .boxed()
}

fn config(keys: &'static [Key]) -> impl Strategy<Value = BTreeMap<String, ConfigValue>> {
    let drawn: Vec<_> = keys.iter().map(|(key, values)| (Just(*key), select(*values))).collect();
    drawn.prop_map(|drawn| drawn.into_iter().map(|(key, value)| (key.to_owned(), ConfigValue::Number(value))).collect())
}

fn compaction(policy: &'static str) -> impl Strategy<Value = Compaction> {
    let drawn = (select(RATIOS), select(&[5, 30, 200][..]), option::weighted(0.7, 2..=10u32));
    drawn.prop_map(move |(ratio, keys, tombstones)| Compaction { policy, ratio, keys, tombstones })
}

impl Keeping {
    pub(super) fn of(&self, mut cluster: Cluster) -> Cluster {
        cluster.config.extend(self.config.clone());
        cluster
    }

    /// Each topic is told.
    pub(super) fn changes(&self, topics: &[Topic]) -> Vec<Change> {
        let Some(Compaction { policy, ratio, .. }) = self.compaction else { return Vec::new() };
        let tell = |topic: &Topic| {
            let settings = [("cleanup.policy", policy), ("min.cleanable.dirty.ratio", ratio)];
            told(&topic.name, Range::exactly(TOLD_AT), settings)
        };
        topics.iter().map(tell).collect()
    }

    /// Where values replace each other, records have keys.
    pub(super) fn producers(&self, mut producers: Vec<Producer>) -> Vec<Producer> {
        if let Some(Compaction { keys, tombstones, .. }) = self.compaction {
            for producer in &mut producers {
                producer.keys.get_or_insert(keys);
                producer.tombstones = tombstones;
                producer.starts = Some(Range::exactly(WRITTEN_FROM));
            }
        }
        producers
    }
}
