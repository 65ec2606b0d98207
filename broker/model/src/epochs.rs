//! Which leader epoch wrote which stretch of a log: the ground of truncation (KIP-101, KIP-279).

use serde::{Deserialize, Serialize};

use crate::{LeaderEpoch, Offset};

/// An epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start: Offset,
}

/// The epochs of one log, oldest first: both epochs and starts strictly rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epochs(Vec<EpochStart>);

impl Epochs {
    /// Takes entries as a checkpoint or a scan found them; drops any that does not strictly rise.
    pub fn from_entries(entries: impl IntoIterator<Item = EpochStart>) -> Epochs {
        let mut epochs = Epochs::default();
        for EpochStart { epoch, start } in entries {
            epochs.assign(epoch, start);
        }
        epochs
    }

    pub fn entries(&self) -> &[EpochStart] {
        &self.0
    }

    /// The epoch of the last record, if there is any.
    pub fn last(&self) -> Option<LeaderEpoch> {
        self.0.last().map(|entry| entry.epoch)
    }

    /// Notes that a batch of `epoch` was appended at `start`. True if this began a new entry.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if let Some(last) = self.0.last() {
            if epoch <= last.epoch {
                return false;
            }
            // An epoch that wrote nothing leaves no trace.
            while self.0.last().is_some_and(|last| start <= last.start) {
                self.0.pop();
            }
        }
        self.0.push(EpochStart { epoch, start });
        true
    }

    /// The epoch of the record at `offset`, if the log holds its start.
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.0.partition_point(|entry| entry.start <= offset);
        after.checked_sub(1).map(|index| self.0[index].epoch)
    }

    /// The largest epoch at or below `epoch` and where it ends in a log that ends at `log_end`: the answer to
    /// OffsetForLeaderEpoch (KIP-279). None if every known epoch is larger.
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.0.partition_point(|entry| entry.epoch <= epoch);
        let found = after.checked_sub(1)?;
        let end = self.0.get(after).map_or(log_end, |next| next.start);
        Some((self.0[found].epoch, end))
    }

    /// Forgets what a truncation of the log's tail to `end` removed.
    pub fn truncate_to(&mut self, end: Offset) {
        self.0.retain(|entry| entry.start < end);
    }

    /// Forgets what a deletion of the log's head below `start` removed; the epoch at `start` now begins there.
    pub fn start_at(&mut self, start: Offset) {
        let after = self.0.partition_point(|entry| entry.start <= start);
        if after > 0 {
            self.0.drain(..after - 1);
            self.0[0].start = self.0[0].start.max(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> Epochs {
        Epochs::from_entries(
            entries.iter().map(|&(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) }),
        )
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let log = epochs(&[(1, 0), (3, 10), (7, 25)]);
        assert_eq!(log.end_of(LeaderEpoch(3), Offset(30)), Some((LeaderEpoch(3), Offset(25))));
        assert_eq!(log.end_of(LeaderEpoch(7), Offset(30)), Some((LeaderEpoch(7), Offset(30))));
    }

    #[test]
    fn an_unknown_epoch_answers_with_the_largest_below_it() {
        let log = epochs(&[(1, 0), (3, 10), (7, 25)]);
        assert_eq!(log.end_of(LeaderEpoch(5), Offset(30)), Some((LeaderEpoch(3), Offset(25))));
        assert_eq!(log.end_of(LeaderEpoch(0), Offset(30)), None);
    }

    #[test]
    fn truncation_forgets_epochs_at_and_above_the_end() {
        let mut log = epochs(&[(1, 0), (3, 10), (7, 25)]);
        log.truncate_to(Offset(10));
        assert_eq!(log, epochs(&[(1, 0)]));
    }

    #[test]
    fn an_epoch_that_wrote_nothing_leaves_no_trace() {
        assert_eq!(epochs(&[(1, 0), (3, 10), (4, 10)]), epochs(&[(1, 0), (4, 10)]));
    }

    #[test]
    fn deleting_the_head_keeps_the_epoch_that_spans_the_new_start() {
        let mut log = epochs(&[(1, 0), (3, 10), (7, 25)]);
        log.start_at(Offset(12));
        assert_eq!(log, epochs(&[(3, 12), (7, 25)]));
        assert_eq!(log.epoch_at(Offset(30)), Some(LeaderEpoch(7)));
        assert_eq!(log.epoch_at(Offset(5)), None);
    }
}
