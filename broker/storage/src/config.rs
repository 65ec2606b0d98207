//! How a log is kept: Kafka's topic configurations that concern it, with Kafka's defaults.

use std::time::Duration;

use model::Planted;

/// What becomes of old records (`cleanup.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Whole segments go by age and size.
    Delete,
    /// The last value of every key stays.
    Compact,
    /// Both: the last value of every key, for as long as retention keeps it.
    CompactAndDelete,
}

impl CleanupPolicy {
    /// Does retention by age and size take whole segments?
    pub fn deletes(self) -> bool {
        match self {
            CleanupPolicy::Delete | CleanupPolicy::CompactAndDelete => true,
            CleanupPolicy::Compact => false,
        }
    }

    /// Are records that a later one of the same key replaces taken out?
    pub fn compacts(self) -> bool {
        match self {
            CleanupPolicy::Compact | CleanupPolicy::CompactAndDelete => true,
            CleanupPolicy::Delete => false,
        }
    }
}

/// The configuration of one log. It may change while the log is open: [`Log::reconfigure`](crate::Log::reconfigure).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond this is followed by a new one.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment is followed by a new one when a batch comes whose timestamps are so much later than its first.
    pub segment_age: Duration,
    /// `segment.index.bytes`: a segment whose offset index has grown to this is followed by a new one.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: bytes between two entries of the index, what a look-up walks at most.
    pub index_interval_bytes: u64,
    /// `retention.bytes`: how much a log keeps at least; none (Kafka's -1) is all of it.
    pub retention_bytes: Option<u64>,
    /// `retention.ms`: how long a log keeps its records at least; none (Kafka's -1) is for ever.
    pub retention_age: Option<Duration>,
    /// `delete.retention.ms`: how long a compacted log keeps a tombstone for those who read it from its start.
    pub delete_retention: Duration,
    /// `min.cleanable.dirty.ratio`: the part of a log, in bytes, that was never compacted and at which compaction is worth it.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`: a record younger than this stays as it is.
    pub min_compaction_lag: Duration,
    /// `max.compaction.lag.ms`: a record older than this is compacted whatever the ratio; none (Kafka's largest number) is never.
    pub max_compaction_lag: Option<Duration>,
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// Bytes that a segment grows at least before the recovery point follows, and what spares a start the walk up to there. Not one of
    /// Kafka's, which goes by time for all logs at once (`log.flush.offset.checkpoint.interval.ms`).
    pub checkpoint_bytes: u64,
    pub planted: Planted,
}

impl LogConfig {
    /// How old a segment may grow: of a log that is compacted, no older than compaction may come late, since it takes only segments
    /// that are full.
    pub(crate) fn segment_age_max(&self) -> Duration {
        let lag = self.max_compaction_lag.filter(|_| self.cleanup_policy.compacts());
        lag.map_or(self.segment_age, |lag| lag.min(self.segment_age))
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        LogConfig {
            segment_bytes: 1 << 30,
            segment_age: DAY.saturating_mul(7),
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            retention_bytes: None,
            retention_age: Some(DAY.saturating_mul(7)),
            delete_retention: DAY,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag: Duration::ZERO,
            max_compaction_lag: None,
            cleanup_policy: CleanupPolicy::Delete,
            checkpoint_bytes: 1 << 20,
            planted: Planted::NONE,
        }
    }
}
