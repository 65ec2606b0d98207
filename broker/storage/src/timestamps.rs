//! Which record of a batch is the first at or after a time.

use model::{BATCH_HEADER_LENGTH, BatchHeader, Offset, Timestamp};

/// The first record of `batch` whose timestamp is at or after `at` and whose offset is at or after `from`. A compressed batch answers
/// with its first record: a reader that begins there misses nothing. None if all that are so late lie below `from`.
pub(crate) fn first_record_from(
    header: &BatchHeader,
    batch: &[u8],
    at: Timestamp,
    from: Offset,
) -> Option<(Offset, Timestamp)> {
    let first = header.base_offset.max(from);
    if header.has_log_append_time() {
        return Some((first, header.max_timestamp));
    }
    if header.compression() != 0 {
        return Some((first, header.base_timestamp));
    }
    if at <= header.base_timestamp && from <= header.base_offset {
        return Some((first, header.base_timestamp));
    }
    let mut records = records(header, &batch[BATCH_HEADER_LENGTH..]);
    records.find(|&(offset, timestamp)| from <= offset && at <= timestamp)
}

/// Offset and timestamp of each record of an uncompressed batch, as far as its bytes make sense.
fn records(header: &BatchHeader, bytes: &[u8]) -> impl Iterator<Item = (Offset, Timestamp)> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::try_from(varint(&mut rest)?).ok()?;
        let (mut record, after) = rest.split_at_checked(length)?;
        rest = after;
        record = record.get(1..)?;
        let timestamp = header.base_timestamp.0.checked_add(varint(&mut record)?)?;
        let offset = header.base_offset.0.checked_add(varint(&mut record)?)?;
        Some((Offset(offset), Timestamp(timestamp)))
    })
}

/// A zigzag number of variable length, as records have them.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = bytes.split_first()?;
        *bytes = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
