//! Batches of records with keys, as producers make them, and what a reader gets from them.

use bytes::Bytes;
use compression::{Compression, DECOMPRESSED_BYTES_MAX, Level};
use model::{BATCH_HEADER_LENGTH, BatchHeader, LeaderEpoch, Offset, Timestamp};

/// A key, its value if it is no tombstone, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyed {
    pub(crate) key: Option<u8>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: i64,
}

/// Who wrote a batch: producer and first sequence.
pub(crate) type Stamp = Option<(i64, i32)>;

pub(crate) fn keyed_batch(base: i64, epoch: i32, records: &[Keyed], codec: Compression, stamp: Stamp) -> Vec<u8> {
    let base_timestamp = records[0].timestamp;
    let mut plain = Vec::new();
    for (delta, record) in (0..).zip(records) {
        let mut body = vec![0];
        varint(&mut body, record.timestamp - base_timestamp);
        varint(&mut body, delta);
        sized(&mut body, record.key.map(|key| vec![b'k', key]).as_deref());
        sized(&mut body, record.value.as_deref());
        varint(&mut body, 0);
        varint(&mut plain, body.len() as i64);
        plain.extend(body);
    }
    let mut packed = Vec::new();
    compression::compress(codec, Level::Usual, &plain, &mut packed);
    let (producer_id, base_sequence) = stamp.unwrap_or((-1, -1));
    let header = BatchHeader {
        base_offset: Offset(base),
        size: 0,
        leader_epoch: LeaderEpoch(epoch),
        crc: 0,
        attributes: codec as i16,
        last_offset_delta: records.len() as i32 - 1,
        base_timestamp: Timestamp(base_timestamp),
        max_timestamp: Timestamp(records.iter().map(|record| record.timestamp).max().unwrap()),
        producer_id,
        producer_epoch: if stamp.is_some() { 0 } else { -1 },
        base_sequence,
        record_count: records.len() as i32,
    };
    header.encode(&packed)
}

/// The records of `batches`, with their offsets.
pub(crate) fn decode(batches: &[u8]) -> Vec<(i64, Keyed)> {
    let mut found = Vec::new();
    for (header, batch) in model::batches(batches).map(Result::unwrap) {
        let codec = Compression::from_number(header.compression()).unwrap();
        let packed = Bytes::copy_from_slice(&batch[BATCH_HEADER_LENGTH..]);
        let plain = compression::decompress(codec, packed, DECOMPRESSED_BYTES_MAX).unwrap();
        let mut rest = &plain[..];
        for _ in 0..header.record_count {
            let (length, after) = take(rest);
            let (mut body, after) = after.split_at(length as usize);
            rest = after;
            body = &body[1..];
            let (timestamp_delta, after) = take(body);
            let (offset_delta, after) = take(after);
            let (key, after) = take_sized(after);
            let (value, _) = take_sized(after);
            let timestamp = header.base_timestamp.0 + timestamp_delta;
            let key = key.map(|key| key[1]);
            found.push((header.base_offset.0 + offset_delta, Keyed { key, value, timestamp }));
        }
        assert!(rest.is_empty());
    }
    found
}

fn sized(bytes: &mut Vec<u8>, content: Option<&[u8]>) {
    varint(bytes, content.map_or(-1, |content| content.len() as i64));
    bytes.extend(content.unwrap_or_default());
}

fn take_sized(bytes: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    let (length, after) = take(bytes);
    match usize::try_from(length) {
        Ok(length) => (Some(after[..length].to_vec()), &after[length..]),
        Err(_) => (None, after),
    }
}

fn take(mut bytes: &[u8]) -> (i64, &[u8]) {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = bytes[0];
        bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return ((value >> 1) as i64 ^ -((value & 1) as i64), bytes);
        }
    }
}

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while 0x80 <= rest {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
