//! What of a log may be compacted, and whether it is worth it.

use std::time::Duration;

use host::Disk;
use model::{Bug, Offset, Timestamp};

use crate::segment::Segment;
use crate::{Log, StorageError};

/// A log that may be compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Bytes that were never compacted, of those that may be.
    pub dirty_bytes: u64,
    /// Bytes of those, and of those that were.
    pub bytes: u64,
    /// Its oldest record that was never compacted is older than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Due {
    /// The part that was never compacted.
    pub fn dirty_ratio(&self) -> f64 {
        self.dirty_bytes as f64 / self.bytes.max(1) as f64
    }
}

impl<D: Disk> Log<D> {
    /// Whether compaction is worth it by the log's configuration, below `below`, at the wall-clock time `now`.
    ///
    /// # Errors
    /// As for [`Log::read`].
    pub fn compaction_due(&self, now: Timestamp, below: Offset) -> Result<Option<Due>, StorageError> {
        let first_dirty = self.first_dirty();
        let segments = self.compactable(now, below);
        let clean = segments.partition_point(|segment| segment.end <= first_dirty);
        let bytes = |segments: &[Segment<D::File>]| segments.iter().map(|segment| segment.length).sum::<u64>();
        let Some(oldest) = segments[clean..].first() else { return Ok(None) };
        let is_overdue = match self.config.max_compaction_lag {
            Some(lag) => {
                let first_time = oldest.read_first_time(oldest.length)?;
                first_time.is_some_and(|time| milliseconds(lag) < now.0.saturating_sub(time.0))
            }
            None => false,
        };
        let due = Due { dirty_bytes: bytes(&segments[clean..]), bytes: bytes(segments), is_overdue };
        Ok(Some(due).filter(|due| is_overdue || self.config.min_cleanable_dirty_ratio <= due.dirty_ratio()))
    }

    /// The files that may be compacted: full, synced for good, wholly below `below`, and of records that are old enough.
    pub(super) fn compactable(&self, now: Timestamp, below: Offset) -> &[Segment<D::File>] {
        // What stands above the recovery point may be lost, and is not to be all that there is of a key.
        let (true, Some(point)) = (self.config.cleanup_policy.compacts(), self.recovery_point) else { return &[] };
        let lag = milliseconds(self.config.min_compaction_lag);
        let is_old = |latest: Timestamp| lag == 0 || latest.0 <= now.0.saturating_sub(lag);
        let may_be = |segment: &Segment<D::File>| {
            let is_committed = segment.end <= below || self.config.planted.has(Bug::CompactUncommitted);
            segment.base < point.segment && is_committed && is_old(segment.index.latest())
        };
        let count = self.segments[..self.segments.len() - 1].iter().take_while(|segment| may_be(segment)).count();
        &self.segments[..count]
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
