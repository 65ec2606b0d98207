//! Which batches tell the sequences of their producers: the last ones of each.

use std::collections::{BTreeMap, VecDeque};

use model::{BatchHeader, Offset};

/// As many batches of each producer as a leader knows again when they come again.
const BATCHES_KEPT: usize = 5;

#[derive(Default)]
pub(super) struct LastBatches(BTreeMap<i64, VecDeque<Offset>>);

impl LastBatches {
    /// Takes the next batch of the log.
    pub(super) fn note(&mut self, header: &BatchHeader) {
        if header.producer_id < 0 || header.is_control() {
            return;
        }
        let last = self.0.entry(header.producer_id).or_default();
        if last.len() == BATCHES_KEPT {
            last.pop_front();
        }
        last.push_back(header.base_offset);
    }

    pub(super) fn holds(&self, header: &BatchHeader) -> bool {
        self.0.get(&header.producer_id).is_some_and(|last| last.contains(&header.base_offset))
    }
}
