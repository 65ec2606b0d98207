//! Where the metadata log stands, as the quorum role keeps count of it.

use model::{Epochs, LeaderEpoch, Offset};

use super::message::Span;

/// The log's end, how far it is safe, and its epochs. The log begins at offset zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    pub end: Offset,
    /// Everything below outlives a loss of power.
    pub synced: Offset,
    pub epochs: Epochs,
}

impl Positions {
    /// A log as it was recovered: all of it synced.
    pub fn recovered(end: Offset, epochs: Epochs) -> Positions {
        Positions { end, synced: end, epochs }
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().unwrap_or(LeaderEpoch::NONE)
    }

    /// What elections compare: the later epoch is ahead, then the longer log.
    pub(super) fn rank(&self) -> (LeaderEpoch, Offset) {
        (self.last_epoch(), self.end)
    }

    /// True if `spans` go on where this log ends and lie in no epoch above `epoch` nor below the log's last.
    pub(super) fn continues_with(&self, spans: &[Span], epoch: LeaderEpoch) -> bool {
        let (mut end, mut last) = (self.end, self.last_epoch());
        spans.iter().all(|span| {
            let fits = span.start == end && span.start < span.end && last <= span.epoch && span.epoch <= epoch;
            (end, last) = (span.end, span.epoch);
            fits
        })
    }

    pub(super) fn append(&mut self, epoch: LeaderEpoch, end: Offset) {
        assert!(self.end <= end);
        assert!(self.last_epoch() <= epoch);
        if self.end < end {
            self.epochs.assign(epoch, self.end);
            self.end = end;
        }
    }

    pub(super) fn truncate(&mut self, to: Offset) {
        assert!(to <= self.end);
        self.epochs.truncate_to(to);
        self.end = to;
        self.synced = self.synced.min(to);
    }

    /// The largest epoch at or below `epoch` and where it ends here; the empty log's if there is none.
    pub(super) fn end_of(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_of(epoch, self.end).unwrap_or((LeaderEpoch::NONE, Offset::ZERO))
    }

    /// None if a log that ends at `offset` with `last_epoch` is a prefix of this one; else where they may still agree.
    pub(super) fn divergence(&self, offset: Offset, last_epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        if offset == Offset::ZERO {
            return None;
        }
        let (epoch, end) = self.end_of(last_epoch);
        (epoch != last_epoch || end < offset).then_some((epoch, end))
    }
}
