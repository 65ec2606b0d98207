//! The records of a batch as they stand in its bytes: where each one is, its place in the batch, its key, and whether it has a value.

use bytes::Bytes;
use compression::{Compression, DECOMPRESSED_BYTES_MAX};
use model::{BATCH_HEADER_LENGTH, BatchHeader};

/// One record. Numbers are relative to the batch's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord<'a> {
    /// All of it, its length included.
    pub(crate) bytes: &'a [u8],
    pub(crate) attributes: u8,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i64,
    pub(crate) key: Option<&'a [u8]>,
    /// False of a tombstone: the key is deleted.
    pub(crate) has_value: bool,
    /// From the offset delta on.
    after_timestamp: &'a [u8],
}

/// The records of a batch, decompressed.
///
/// # Errors
/// Why they cannot be.
pub(crate) fn plain_records(header: &BatchHeader, batch: &[u8]) -> Result<Bytes, String> {
    let number = header.compression();
    let codec = Compression::from_number(number).ok_or_else(|| format!("compression {number} is unknown"))?;
    let records = Bytes::copy_from_slice(&batch[BATCH_HEADER_LENGTH..]);
    compression::decompress(codec, records, DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())
}

/// Each record in `plain`; none where the bytes make no sense, and that is the last.
pub(crate) fn records(plain: &[u8]) -> impl Iterator<Item = Option<RawRecord<'_>>> {
    let mut rest = plain;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let record = take_record(&mut rest);
        if record.is_none() {
            rest = &[];
        }
        Some(record)
    })
}

fn take_record<'a>(rest: &mut &'a [u8]) -> Option<RawRecord<'a>> {
    let from = *rest;
    let length = usize::try_from(varint(rest)?).ok()?;
    let (mut body, after) = rest.split_at_checked(length)?;
    *rest = after;
    let (&attributes, after_attributes) = body.split_first()?;
    body = after_attributes;
    let timestamp_delta = varint(&mut body)?;
    let after_timestamp = body;
    let offset_delta = varint(&mut body)?;
    let key = sized(&mut body)?;
    let has_value = sized(&mut body)?.is_some();
    let bytes = &from[..from.len() - after.len()];
    Some(RawRecord { bytes, attributes, timestamp_delta, offset_delta, key, has_value, after_timestamp })
}

impl RawRecord<'_> {
    /// Appends the same record with another timestamp to `out`.
    pub(crate) fn put_at(&self, timestamp_delta: i64, out: &mut Vec<u8>) {
        let mut delta = Vec::with_capacity(10);
        put_varint(&mut delta, timestamp_delta);
        put_varint(out, (1 + delta.len() + self.after_timestamp.len()) as i64);
        out.push(self.attributes);
        out.extend(&delta);
        out.extend(self.after_timestamp);
    }
}

/// Bytes behind their length; `Some(None)` if they are null.
fn sized<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    let Ok(length) = usize::try_from(length) else { return (length == -1).then_some(None) };
    let (sized, after) = bytes.split_at_checked(length)?;
    *bytes = after;
    Some(Some(sized))
}

/// A zigzag number of variable length, as records have them.
pub(crate) fn varint(bytes: &mut &[u8]) -> Option<i64> {
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

fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while 0x80 <= rest {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
