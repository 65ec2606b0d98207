//! Records to the bytes of one batch.

use bytes::{BufMut, Bytes};
use compression::{Compression, Level};
use model::BATCH_HEADER_LENGTH;

use super::{Record, varint};

const LENGTH_OVERHEAD: usize = 12;
const CRC_START: usize = 21;
const MAGIC: i8 = 2;

/// What an idempotent producer stamps on its batches (KIP-98); by default, that it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerFields {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
}

impl Default for ProducerFields {
    fn default() -> ProducerFields {
        ProducerFields { id: -1, epoch: -1, base_sequence: -1 }
    }
}

/// Makes one batch of `records`, with base offset 0 and leader epoch -1: the leader writes its own (see
/// [`model::patch_batch`]).
///
/// # Panics
/// If there are no records, or more than a batch can count: the caller fills batches by size.
pub fn encode_batch(records: &[Record], compression: Compression, producer: ProducerFields) -> Bytes {
    let last_offset_delta = match i32::try_from(records.len()) {
        Ok(count) if count > 0 => count - 1,
        _ => panic!("a batch has at least one record and at most {}", i32::MAX),
    };
    let base_timestamp = records[0].timestamp.0;
    let max_timestamp = records.iter().map(|record| record.timestamp.0).max().unwrap_or(base_timestamp);
    let size: usize = records.iter().map(record_size).sum();

    let mut out = Vec::with_capacity(BATCH_HEADER_LENGTH + size);
    out.put_i64(0);
    out.put_i32(0);
    out.put_i32(-1);
    out.put_i8(MAGIC);
    out.put_u32(0);
    out.put_i16(compression as i16);
    out.put_i32(last_offset_delta);
    out.put_i64(base_timestamp);
    out.put_i64(max_timestamp);
    out.put_i64(producer.id);
    out.put_i16(producer.epoch);
    out.put_i32(producer.base_sequence);
    out.put_i32(last_offset_delta + 1);
    if compression == Compression::None {
        put_records(&mut out, records, base_timestamp);
    } else {
        let mut plain = Vec::with_capacity(size);
        put_records(&mut plain, records, base_timestamp);
        compression::compress(compression, Level::Usual, &plain, &mut out);
    }

    seal(&mut out);
    out.into()
}

/// Writes length and checksum into a batch that is whole but for them.
pub(super) fn seal(batch: &mut [u8]) {
    let length = batch.len() - LENGTH_OVERHEAD;
    assert!(length <= i32::MAX as usize, "a batch is filled up to a size that its length can say");
    batch[8..12].copy_from_slice(&(length as i32).to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// Bytes that a record adds to an uncompressed batch, at most: numbers whose size depends on its place count in full.
pub fn record_size(record: &Record) -> usize {
    const LENGTH_AND_DELTAS_MAX: usize = 5 + 1 + 10 + 5;
    LENGTH_AND_DELTAS_MAX + content_size(record)
}

fn put_records(out: &mut Vec<u8>, records: &[Record], base_timestamp: i64) {
    for (offset_delta, record) in records.iter().enumerate() {
        put_record(out, record, record.timestamp.0.wrapping_sub(base_timestamp), offset_delta as i64);
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record, timestamp_delta: i64, offset_delta: i64) {
    let size = 1 + varint::size(timestamp_delta) + varint::size(offset_delta) + content_size(record);
    varint::put(out, size as i64);
    out.put_i8(0);
    varint::put(out, timestamp_delta);
    varint::put(out, offset_delta);
    varint::put_bytes(out, record.key.as_ref());
    varint::put_bytes(out, record.value.as_ref());
    varint::put(out, record.headers.len() as i64);
    for header in &record.headers {
        varint::put_bytes(out, Some(&header.key));
        varint::put_bytes(out, header.value.as_ref());
    }
}

/// Bytes of a record from its key on.
fn content_size(record: &Record) -> usize {
    let headers: usize = record
        .headers
        .iter()
        .map(|header| varint::bytes_size(Some(&header.key)) + varint::bytes_size(header.value.as_ref()))
        .sum();
    varint::bytes_size(record.key.as_ref())
        + varint::bytes_size(record.value.as_ref())
        + varint::size(record.headers.len() as i64)
        + headers
}
