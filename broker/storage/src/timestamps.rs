//! Which record of a batch is the first at or after a time.

use model::{BATCH_HEADER_LENGTH, BatchHeader, Offset, Timestamp};

use crate::records::records;

/// The first record of `batch` whose timestamp is at or after `at` and whose offset is at or after `from`. A compressed batch answers
/// with its first record: a reader that begins there misses nothing. None if all that are so late lie below `from`, or compaction
/// took them.
pub(crate) fn first_record_from(
    header: &BatchHeader,
    batch: &[u8],
    at: Timestamp,
    from: Offset,
) -> Option<(Offset, Timestamp)> {
    if header.record_count == 0 {
        return None;
    }
    let first = header.base_offset.max(from);
    if header.has_log_append_time() {
        return Some((first, header.max_timestamp));
    }
    // Where compaction was, the base timestamp may be that of a record that is gone, or none at all.
    let is_as_written = header.has_all_records() && !header.has_delete_horizon();
    if header.compression() != 0 {
        return Some((first, if is_as_written { header.base_timestamp } else { header.max_timestamp }));
    }
    if is_as_written && at <= header.base_timestamp && from <= header.base_offset {
        return Some((first, header.base_timestamp));
    }
    let mut records = records(&batch[BATCH_HEADER_LENGTH..]).map_while(|record| {
        let record = record?;
        let timestamp = header.base_timestamp.0.checked_add(record.timestamp_delta)?;
        let offset = header.base_offset.0.checked_add(record.offset_delta)?;
        Some((Offset(offset), Timestamp(timestamp)))
    });
    records.find(|&(offset, timestamp)| from <= offset && at <= timestamp)
}
