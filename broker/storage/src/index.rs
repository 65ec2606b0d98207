//! Where batches stand in a segment: a sparse index by offset and by time, in memory, made from the batch headers.

use model::{BatchHeader, Offset, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Base offset of the batch at `position`.
    offset: Offset,
    position: u64,
    /// The latest timestamp of the batches before it in the segment.
    latest_before: Timestamp,
}

/// The index of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    interval_bytes: u64,
    entries: Vec<Entry>,
    latest: Timestamp,
}

impl Index {
    pub(crate) fn new(interval_bytes: u64) -> Index {
        Index { interval_bytes, entries: Vec::new(), latest: Timestamp(i64::MIN) }
    }

    /// Takes note of the batch at `position`, the last one of the segment.
    pub(crate) fn note(&mut self, header: &BatchHeader, position: u64) {
        if self.entries.last().is_none_or(|last| last.position + self.interval_bytes <= position) {
            self.entries.push(Entry { offset: header.base_offset, position, latest_before: self.latest });
        }
        self.latest = self.latest.max(header.max_timestamp);
    }

    /// The latest timestamp of the segment; the smallest there is if it has no batch.
    pub(crate) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// A batch at or before the one that holds `offset`, to walk from: its position and its base offset. None: the first one.
    pub(crate) fn before(&self, offset: Offset) -> Option<(u64, Offset)> {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        after.checked_sub(1).map(|last| (self.entries[last].position, self.entries[last].offset))
    }

    /// As [`Index::before`], of the first batch that has a timestamp at or after `at`.
    pub(crate) fn before_time(&self, at: Timestamp) -> Option<(u64, Offset)> {
        let after = self.entries.partition_point(|entry| entry.latest_before < at);
        after.checked_sub(1).map(|last| (self.entries[last].position, self.entries[last].offset))
    }

    /// Forgets all entries from `position` on, and gives the position from which batches must be noted again.
    pub(crate) fn forget_from(&mut self, position: u64) -> u64 {
        let keep = self.entries.partition_point(|entry| entry.position < position);
        self.entries.truncate(keep);
        let last = self.entries.pop();
        self.latest = last.map_or(Timestamp(i64::MIN), |entry| entry.latest_before);
        last.map_or(0, |entry| entry.position)
    }
}
