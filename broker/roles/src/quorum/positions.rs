//! Where the metadata log stands, as the quorum role keeps count of it, and which snapshots stand for what is gone from it.

use model::{EpochStart, Epochs, LeaderEpoch, Offset, SnapshotId};

use super::message::Span;

/// The log's start and end, how far it is safe, its epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// What lies below is in snapshots alone.
    pub start: Offset,
    pub end: Offset,
    /// Everything below outlives a loss of power.
    pub synced: Offset,
    /// Of a log that does not begin at zero, the epoch of the record before its start is among them.
    pub epochs: Epochs,
    /// What is on this node's disk, by rising end. Of a log that does not begin at zero, the first one ends where it begins.
    pub snapshots: Vec<SnapshotId>,
}

/// How the log of one who asks for more compares with this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// It is a prefix of this one.
    Prefix,
    /// They may still agree up to the end of this epoch.
    Diverges { epoch: LeaderEpoch, end: Offset },
    /// What it would need next is gone, or nobody can tell any more where they part.
    BelowStart(SnapshotId),
}

impl Positions {
    /// A log as it was recovered, all of it synced, and the snapshots that were found beside it.
    pub fn recovered(start: Offset, end: Offset, epochs: &Epochs, snapshots: Vec<SnapshotId>) -> Positions {
        assert!(start == Offset::ZERO || snapshots.first().is_some_and(|first| first.end == start));
        let below = snapshots.first().filter(|_| Offset::ZERO < start).map(before);
        let epochs = Epochs::from_entries(below.into_iter().chain(epochs.entries().iter().copied()));
        Positions { start, end, synced: end, epochs, snapshots }
    }

    pub fn last_epoch(&self) -> LeaderEpoch {
        self.epochs.last().unwrap_or(LeaderEpoch::NONE)
    }

    /// Below is committed, whatever else is known: a snapshot stands for it.
    pub(super) fn snapshot_end(&self) -> Offset {
        self.snapshots.last().map_or(Offset::ZERO, |newest| newest.end)
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
        assert!(self.start <= to && to <= self.end);
        self.epochs.truncate_to(to);
        self.end = to;
        self.synced = self.synced.min(to);
    }

    /// There is one more snapshot.
    pub(super) fn taken(&mut self, snapshot: SnapshotId) {
        assert!(self.snapshot_end() < snapshot.end);
        self.snapshots.push(snapshot);
    }

    /// The log begins where this snapshot ends, and older ones are gone.
    pub(super) fn begin_at(&mut self, snapshot: SnapshotId) {
        self.snapshots.retain(|kept| snapshot.end <= kept.end);
        assert!(self.snapshots.first() == Some(&snapshot));
        self.start = snapshot.end;
        // A follower may know more to be committed than it has synced: the snapshot is on disk.
        self.synced = self.synced.max(snapshot.end);
        self.epochs.start_at(before(&snapshot).start);
    }

    /// This snapshot is in the place of all that there was; the log ends at `end` now.
    pub(super) fn install(&mut self, snapshot: SnapshotId, end: Offset) {
        *self = Positions::recovered(snapshot.end, end, &Epochs::default(), vec![snapshot]);
    }

    /// The largest epoch at or below `epoch` and where it ends here; the empty log's if there is none.
    pub(super) fn end_of(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        self.epochs.end_of(epoch, self.end).unwrap_or((LeaderEpoch::NONE, Offset::ZERO))
    }

    /// How a log that ends at `offset` with `last_epoch` compares with this one.
    pub(super) fn compare(&self, offset: Offset, last_epoch: LeaderEpoch) -> Comparison {
        let first = self.snapshots.first().filter(|_| Offset::ZERO < self.start);
        if let (Some(first), Some(&newest)) = (first, self.snapshots.last())
            && (offset < self.start || last_epoch < first.epoch)
        {
            return Comparison::BelowStart(newest);
        }
        let (epoch, end) = self.end_of(last_epoch);
        if offset == Offset::ZERO || epoch == last_epoch && offset <= end {
            Comparison::Prefix
        } else {
            Comparison::Diverges { epoch, end }
        }
    }
}

/// What a snapshot tells of the record before its end.
fn before(snapshot: &SnapshotId) -> EpochStart {
    EpochStart { epoch: snapshot.epoch, start: snapshot.end.plus(-1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(end: i64, epoch: i32) -> SnapshotId {
        SnapshotId { end: Offset(end), epoch: LeaderEpoch(epoch) }
    }

    /// 100 records of epochs 1 (from 0), 3 (from 40) and 6 (from 70), the first 50 of which are in a snapshot.
    fn positions() -> Positions {
        let entries =
            [(3, 50), (6, 70)].map(|(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
        let mut positions =
            Positions::recovered(Offset(50), Offset(100), &Epochs::from_entries(entries), vec![snapshot(50, 3)]);
        positions.taken(snapshot(80, 6));
        positions
    }

    fn compare(offset: i64, last_epoch: i32) -> Comparison {
        positions().compare(Offset(offset), LeaderEpoch(last_epoch))
    }

    #[test]
    fn who_lacks_what_is_gone_is_told_the_newest_snapshot() {
        for (offset, last_epoch) in [(0, -1), (49, 3), (49, 6), (60, 2), (90, 1)] {
            assert_eq!(compare(offset, last_epoch), Comparison::BelowStart(snapshot(80, 6)), "{offset} {last_epoch}");
        }
    }

    #[test]
    fn whoever_has_what_the_log_begins_with_goes_on_by_epochs() {
        for (offset, last_epoch) in [(50, 3), (70, 3), (71, 6), (100, 6)] {
            assert_eq!(compare(offset, last_epoch), Comparison::Prefix, "{offset} {last_epoch}");
        }
        let (three, six) = (LeaderEpoch(3), LeaderEpoch(6));
        assert_eq!(compare(80, 3), Comparison::Diverges { epoch: three, end: Offset(70) });
        assert_eq!(compare(60, 5), Comparison::Diverges { epoch: three, end: Offset(70) });
        assert_eq!(compare(101, 6), Comparison::Diverges { epoch: six, end: Offset(100) });
    }

    #[test]
    fn the_epoch_before_the_start_is_known_from_the_snapshot() {
        let mut positions = positions();
        positions.begin_at(snapshot(80, 6));
        assert_eq!(positions.rank(), (LeaderEpoch(6), Offset(100)));
        assert_eq!(positions.compare(Offset(80), LeaderEpoch(6)), Comparison::Prefix);
        positions.install(snapshot(120, 9), Offset(120));
        assert_eq!(positions.rank(), (LeaderEpoch(9), Offset(120)));
        assert_eq!(positions.compare(Offset(120), LeaderEpoch(9)), Comparison::Prefix);
        assert_eq!(positions.synced, Offset(120));
    }
}
