//! A shadow log: which batches a log holds, as its owner witnessed them.
//!
//! Stretches that nobody witnessed are left open, and nothing is concluded from them.

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

impl Batch {
    /// What compaction made or left: which records it has differs from replica to replica, and so may its borders.
    pub(crate) fn compacted(base: Offset, end: Offset, epoch: LeaderEpoch) -> Batch {
        Batch { base, end, epoch, crc: COMPACTED }
    }

    pub(crate) fn is_compacted(&self) -> bool {
        self.crc == COMPACTED
    }

    /// May both stand at the same offsets? What was compacted is known by its epoch alone.
    pub(crate) fn agrees_with(&self, other: &Batch) -> bool {
        if self.is_compacted() || other.is_compacted() { self.epoch == other.epoch } else { self == other }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} of epoch {} (crc {:08x})", self.base, self.end, self.epoch, self.crc)
    }
}

/// In the place of the checksum of a batch that was compacted.
const COMPACTED: u32 = 0;

/// Batches that are looked through from the end before the search begins in the middle.
pub(super) const NEAR_END: usize = 4;

/// Batches in the order of their offsets; no two overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow(Vec<Batch>);

impl Shadow {
    /// Puts a batch at the end: whatever stood from its base on is gone.
    pub(crate) fn append(&mut self, batch: Batch) {
        self.cut(batch.base);
        self.0.push(batch);
    }

    /// Puts a batch among the others, unless one stands there.
    pub(crate) fn put(&mut self, batch: Batch) {
        if self.overlapping(batch.base, batch.end).next().is_none() {
            self.0.insert(self.first_past(batch.base), batch);
        }
    }

    /// Puts a batch that was compacted in the place of those that stand at its offsets. Where nothing was witnessed, nothing is.
    pub(crate) fn compact(&mut self, batch: Batch) {
        let from = self.first_past(batch.base);
        let count = self.0[from..].iter().take_while(|other| other.base < batch.end).count();
        if 0 < count {
            self.0.splice(from..from + count, [batch]);
        }
    }

    /// Drops every batch that reaches past `end`.
    pub(crate) fn cut(&mut self, end: Offset) {
        while self.0.pop_if(|last| end < last.end).is_some() {}
    }

    /// Drops every batch that lies below `start`.
    pub(crate) fn forget(&mut self, start: Offset) {
        let gone = self.0.partition_point(|batch| batch.end <= start);
        self.0.drain(..gone);
    }

    pub(crate) fn end(&self) -> Offset {
        self.0.last().map_or(Offset::ZERO, |last| last.end)
    }

    pub(crate) fn starting_at(&self, base: Offset) -> Option<&Batch> {
        self.holding(base).filter(|batch| batch.base == base)
    }

    /// The batch that holds `offset`, if it was witnessed.
    pub(crate) fn holding(&self, offset: Offset) -> Option<&Batch> {
        self.0.get(self.first_past(offset)).filter(|batch| batch.base <= offset)
    }

    /// The batches that have a record in `from..to`, in order.
    pub(crate) fn overlapping(&self, from: Offset, to: Offset) -> impl Iterator<Item = &Batch> {
        self.0[self.first_past(from)..].iter().take_while(move |batch| batch.base < to)
    }

    /// The first pair of batches, ours and the other's, that stand at the same offsets in `from..to` and differ.
    pub(crate) fn conflict(&self, other: &Shadow, from: Offset, to: Offset) -> Option<(Batch, Batch)> {
        if to <= from {
            return None;
        }
        // Logs that agree hold the same batches, side by side.
        let (ours, theirs) = (&self.0[self.first_past(from)..], &other.0[other.first_past(from)..]);
        let same = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
        ours[same..].iter().take_while(|ours| ours.base < to).find_map(|ours| {
            let theirs = other.overlapping(ours.base, ours.end).last()?;
            (!ours.agrees_with(theirs)).then_some((*ours, *theirs))
        })
    }

    /// The index of the first batch that reaches past `offset`. Most questions are about a log's end.
    fn first_past(&self, offset: Offset) -> usize {
        let from_end = self.0.iter().rev().take(NEAR_END).take_while(|batch| offset < batch.end).count();
        let index = self.0.len() - from_end;
        if from_end < NEAR_END { index } else { self.0[..index].partition_point(|batch| batch.end <= offset) }
    }
}
