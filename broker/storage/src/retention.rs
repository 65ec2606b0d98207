//! What retention may remove: whole segments from the log's start, by age and by size, never past the high watermark.
//!
//! Age goes by the latest timestamp of a segment's records; records without timestamps never grow old. If every segment is due, the
//! last one too, the log becomes empty and goes on in a new segment (Kafka rolls it likewise).

use host::Disk;
use model::{Bug, LogStartReason, Offset, Timestamp};

use crate::Log;

impl<D: Disk> Log<D> {
    /// Where the log may begin by its configuration, if not where it does, and why. `now` is wall-clock time.
    pub fn retention_due(&self, now: Timestamp, high_watermark: Offset) -> Option<(Offset, LogStartReason)> {
        if !self.config.cleanup_policy.deletes() {
            return None;
        }
        let by_age = self.due_by_age(now, high_watermark);
        let by_size = self.due_by_size(high_watermark);
        match (by_age, by_size) {
            (Some(age), Some(size)) => Some(if age.0 < size.0 { size } else { age }),
            (age, size) => age.or(size),
        }
    }

    fn due_by_age(&self, now: Timestamp, high_watermark: Offset) -> Option<(Offset, LogStartReason)> {
        let age_ms = i64::try_from(self.config.retention_age?.as_millis()).unwrap_or(i64::MAX);
        let is_due = |latest: Timestamp| Timestamp(0) <= latest && age_ms < now.0.saturating_sub(latest.0);
        let due = self.segments.iter().take_while(|segment| {
            0 < segment.length && is_due(segment.index.latest()) && self.may_go(segment.end, high_watermark)
        });
        let last = due.last()?;
        let latest = self.segments.iter().take_while(|segment| segment.base <= last.base);
        let latest = latest.map(|segment| segment.index.latest()).max()?;
        Some((last.end, LogStartReason::Age { latest, now, retention_ms: age_ms }))
    }

    fn due_by_size(&self, high_watermark: Offset) -> Option<(Offset, LogStartReason)> {
        let retention_bytes = self.config.retention_bytes?;
        let mut kept_bytes = self.bytes();
        let mut to = None;
        for segment in &self.segments {
            let is_due = 0 < segment.length && retention_bytes + segment.length <= kept_bytes;
            if !is_due || !self.may_go(segment.end, high_watermark) {
                break;
            }
            kept_bytes -= segment.length;
            to = Some((segment.end, LogStartReason::Size { kept_bytes, retention_bytes }));
        }
        to
    }

    fn may_go(&self, end: Offset, high_watermark: Offset) -> bool {
        end <= high_watermark || self.config.planted.has(Bug::RetentionPastHighWatermark)
    }
}
