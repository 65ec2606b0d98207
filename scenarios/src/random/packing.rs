//! Random packing: in some runs producers compress what they send, and topics want it packed otherwise.

use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::pace::span;
use super::{CHANGES_FROM, CHANGES_TO, told};
use crate::change::Change;
use crate::client::Codec;
use crate::cluster::Topic;
use crate::scenario::Scenario;

const CODECS: &[Codec] = &[Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// What a topic may want.
const TYPES: &[&str] = &["gzip", "snappy", "lz4", "zstd", "uncompressed", "producer"];

/// Producers are no more.
const PRODUCERS_MAX: usize = 3;

#[derive(Clone, Debug, Default)]
pub(super) struct Packing {
    codecs: Vec<Option<Codec>>,
    change: Option<Change>,
}

pub(super) fn packing(topics: &[Topic]) -> BoxedStrategy<Packing> {
    let wish = (select(topics.to_vec()), select(TYPES), span(CHANGES_FROM, CHANGES_TO))
        .prop_map(|(topic, wish, at)| told(&topic.name, at, [("compression.type", wish)]));
    let packing = (vec(weighted(0.8, select(CODECS)), PRODUCERS_MAX), option::of(wish))
        .prop_map(|(codecs, change)| Packing { codecs, change });
    prop_oneof![5 => Just(Packing::default()), 1 => packing].boxed()
}

impl Packing {
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        for (producer, codec) in scenario.producers.iter_mut().zip(self.codecs) {
            producer.compression = codec;
        }
        scenario.changes.extend(self.change);
    }
}
