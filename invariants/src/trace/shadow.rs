//! A shadow log: which batches a log holds, as its owner witnessed them.
//!
//! Stretches that nobody witnessed are left open, and nothing is concluded from them.

use std::collections::BTreeMap;
use std::fmt;

use model::{LeaderEpoch, Offset};

/// One batch in a log. `epoch` is the batch's own: of the leader that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) crc: u32,
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} of epoch {} (crc {:08x})", self.base, self.end, self.epoch, self.crc)
    }
}

/// Batches by their base offset; no two overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow(BTreeMap<Offset, Batch>);

impl Shadow {
    /// Puts a batch at the end: whatever stood from its base on is gone.
    pub(crate) fn append(&mut self, batch: Batch) {
        self.cut(batch.base);
        self.0.insert(batch.base, batch);
    }

    /// Puts a batch among the others, unless one stands there.
    pub(crate) fn put(&mut self, batch: Batch) {
        if self.overlapping(batch.base, batch.end).next().is_none() {
            self.0.insert(batch.base, batch);
        }
    }

    /// Drops every batch that reaches past `end`.
    pub(crate) fn cut(&mut self, end: Offset) {
        while let Some(last) = self.0.last_entry()
            && end < last.get().end
        {
            last.remove();
        }
    }

    pub(crate) fn end(&self) -> Offset {
        self.0.last_key_value().map_or(Offset::ZERO, |(_, last)| last.end)
    }

    pub(crate) fn starting_at(&self, base: Offset) -> Option<&Batch> {
        self.0.get(&base)
    }

    /// The batch that holds `offset`, if it was witnessed.
    pub(crate) fn holding(&self, offset: Offset) -> Option<&Batch> {
        self.0.range(..=offset).next_back().map(|(_, batch)| batch).filter(|batch| offset < batch.end)
    }

    /// The batches that have a record in `from..to`, in order.
    pub(crate) fn overlapping(&self, from: Offset, to: Offset) -> impl Iterator<Item = &Batch> {
        let first = self.holding(from).map_or(from, |batch| batch.base);
        self.0.range(first..).map(|(_, batch)| batch).take_while(move |batch| batch.base < to)
    }

    /// The first pair of batches, ours and the other's, that stand at the same offsets in `from..to` and differ.
    pub(crate) fn conflict(&self, other: &Shadow, from: Offset, to: Offset) -> Option<(Batch, Batch)> {
        if to <= from {
            return None;
        }
        self.overlapping(from, to).find_map(|ours| {
            let (_, theirs) = other.0.range(..ours.end).next_back()?;
            (ours.base < theirs.end && ours != theirs).then_some((*ours, *theirs))
        })
    }
}
