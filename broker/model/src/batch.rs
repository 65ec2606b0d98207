//! The header of a record batch, magic 2 (Kafka's message format, KIP-98). Records stay opaque bytes.
//!
//! ```text
//!  0 base offset i64 | 8 length i32 | 12 leader epoch i32 | 16 magic i8 | 17 crc u32
//! 21 attributes i16 | 23 last offset delta i32 | 27 base timestamp i64 | 35 max timestamp i64
//! 43 producer id i64 | 51 producer epoch i16 | 53 base sequence i32 | 57 record count i32 | 61 records
//! ```
//! The checksum covers everything from the attributes on; base offset and leader epoch lie outside it, so that a
//! leader writes both in place and never re-encodes a batch.

use thiserror::Error;

use crate::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// Bytes before the first record.
pub const BATCH_HEADER_LENGTH: usize = 61;
/// Bytes that the length field does not count: the base offset and the length itself.
const LENGTH_OVERHEAD: usize = 12;
/// Where the bytes begin that a batch's checksum covers.
pub const BATCH_CHECKSUM_FROM: usize = 21;
const COMPRESSION_MASK: i16 = 0b111;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// The fields of a batch header, as the bytes say them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// Bytes of the whole batch, header included.
    pub size: usize,
    pub leader_epoch: LeaderEpoch,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    /// -1 without idempotence.
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Why bytes are not a batch that a log may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BatchError {
    #[error("the batch is cut short: {have} bytes of {need}")]
    Truncated { have: usize, need: usize },
    #[error("the batch claims {size} bytes, fewer than its header has")]
    Undersized { size: i64 },
    #[error("the batch has magic {0}; only magic 2 is supported")]
    Magic(i8),
    #[error("the batch's checksum is {stored:#010x}, its bytes give {computed:#010x}")]
    Checksum { stored: u32, computed: u32 },
    #[error("the batch claims {records} records up to offset delta {last_offset_delta}")]
    Count { records: i32, last_offset_delta: i32 },
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. Checks lengths and magic, not the checksum.
    ///
    /// # Errors
    /// `Truncated` if the header is not whole (the rest of the batch may be missing: compare `size`); `Undersized`, `Magic`,
    /// `Count` if it can never become a batch.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if bytes.len() < BATCH_HEADER_LENGTH {
            return Err(BatchError::Truncated { have: bytes.len(), need: BATCH_HEADER_LENGTH });
        }
        let magic = bytes[16] as i8;
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let length = i64::from(i32_at(bytes, 8));
        let size = length + LENGTH_OVERHEAD as i64;
        if size < BATCH_HEADER_LENGTH as i64 {
            return Err(BatchError::Undersized { size });
        }
        let header = BatchHeader {
            base_offset: Offset(i64_at(bytes, 0)),
            size: size as usize,
            leader_epoch: LeaderEpoch(i32_at(bytes, 12)),
            crc: i32_at(bytes, 17) as u32,
            attributes: i16_at(bytes, 21),
            last_offset_delta: i32_at(bytes, 23),
            base_timestamp: Timestamp(i64_at(bytes, 27)),
            max_timestamp: Timestamp(i64_at(bytes, 35)),
            producer_id: i64_at(bytes, 43),
            producer_epoch: i16_at(bytes, 51),
            base_sequence: i32_at(bytes, 53),
            record_count: i32_at(bytes, 57),
        };
        // A compacted batch may hold fewer records than offsets, and even none.
        if header.record_count < 0
            || header.last_offset_delta < 0
            || i64::from(header.record_count) > i64::from(header.last_offset_delta) + 1
        {
            return Err(BatchError::Count {
                records: header.record_count,
                last_offset_delta: header.last_offset_delta,
            });
        }
        Ok(header)
    }

    /// Parses the first batch of `bytes` and proves that it is whole and that its checksum holds.
    pub fn verify(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let header = Self::parse(bytes)?;
        if bytes.len() < header.size {
            return Err(BatchError::Truncated { have: bytes.len(), need: header.size });
        }
        let computed = batch_checksum(&bytes[..header.size]);
        if computed != header.crc {
            return Err(BatchError::Checksum { stored: header.crc, computed });
        }
        Ok(header)
    }

    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record.
    pub fn end_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; others are unknown.
    pub fn compression(&self) -> i16 {
        self.attributes & COMPRESSION_MASK
    }

    pub fn has_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The base timestamp says from when on compaction may drop the tombstones of this batch (KIP-534).
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes & DELETE_HORIZON != 0
    }

    /// True if compaction took nothing from this batch.
    pub fn has_all_records(&self) -> bool {
        i64::from(self.record_count) == i64::from(self.last_offset_delta) + 1
    }

    /// True of a batch without records that only stands for the offsets of what compaction took.
    pub fn is_placeholder(&self) -> bool {
        self.record_count == 0 && self.producer_id < 0 && !self.is_control()
    }

    /// A batch of this header and these records. Its length and checksum follow from them, whatever `size` and `crc` say.
    pub fn encode(&self, records: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BATCH_HEADER_LENGTH + records.len());
        let length = (BATCH_HEADER_LENGTH - LENGTH_OVERHEAD + records.len()) as i32;
        bytes.extend(self.base_offset.0.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(self.leader_epoch.0.to_be_bytes());
        bytes.push(2);
        bytes.extend([0; 4]);
        bytes.extend(self.attributes.to_be_bytes());
        bytes.extend(self.last_offset_delta.to_be_bytes());
        bytes.extend(self.base_timestamp.0.to_be_bytes());
        bytes.extend(self.max_timestamp.0.to_be_bytes());
        bytes.extend(self.producer_id.to_be_bytes());
        bytes.extend(self.producer_epoch.to_be_bytes());
        bytes.extend(self.base_sequence.to_be_bytes());
        bytes.extend(self.record_count.to_be_bytes());
        bytes.extend(records);
        let checksum = batch_checksum(&bytes);
        bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// This batch without its records: its offsets, its epoch, its latest time and its producer's sequence are what is left.
    #[must_use]
    pub fn emptied(&self) -> BatchHeader {
        BatchHeader {
            attributes: self.attributes & (TRANSACTIONAL | CONTROL),
            base_timestamp: self.max_timestamp,
            record_count: 0,
            ..*self
        }
    }

    /// The attributes of this batch when its base timestamp is a delete horizon.
    pub fn attributes_with_delete_horizon(&self) -> i16 {
        self.attributes | DELETE_HORIZON
    }
}

/// Walks the batches that stand one after the other in `bytes`; each item is a header and its batch's bytes. A last one that
/// is cut short is an `Err(Truncated)` and ends the walk, as any other error does.
pub fn batches(bytes: &[u8]) -> impl Iterator<Item = Result<(BatchHeader, &[u8]), BatchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let item = BatchHeader::parse(rest).and_then(|header| {
            if rest.len() < header.size {
                return Err(BatchError::Truncated { have: rest.len(), need: header.size });
            }
            Ok((header, &rest[..header.size]))
        });
        rest = match &item {
            Ok((header, _)) => &rest[header.size..],
            Err(_) => &[],
        };
        Some(item)
    })
}

/// Writes base offset and leader epoch into the first batch of `bytes`, as a leader does on append. The checksum still holds.
pub fn patch_batch(bytes: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    assert!(BATCH_HEADER_LENGTH <= bytes.len(), "only a parsed batch can be patched");
    bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
    bytes[12..16].copy_from_slice(&leader_epoch.0.to_be_bytes());
}

/// Writes the leader's time into the one whole batch in `bytes`, in the place of its producer's (`message.timestamp.type`), and the
/// checksum that follows from it.
pub fn patch_append_time(bytes: &mut [u8], time: Timestamp) {
    assert!(BATCH_HEADER_LENGTH <= bytes.len(), "only a parsed batch can be patched");
    let attributes = i16_at(bytes, 21) | LOG_APPEND_TIME;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    bytes[35..43].copy_from_slice(&time.0.to_be_bytes());
    let checksum = batch_checksum(bytes);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
}

/// Makes the one whole batch in `bytes` a control batch: its records are no client's.
pub fn mark_control(bytes: &mut [u8]) {
    assert!(BATCH_HEADER_LENGTH <= bytes.len(), "only a parsed batch can be marked");
    let attributes = i16_at(bytes, 21) | CONTROL;
    bytes[21..23].copy_from_slice(&attributes.to_be_bytes());
    let checksum = batch_checksum(bytes);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
}

/// Writes who wrote it into the one whole batch in `bytes`, and the checksum that belongs to it.
pub fn stamp_batch(bytes: &mut [u8], producer: ProducerId, producer_epoch: i16, base_sequence: i32) {
    assert!(BATCH_HEADER_LENGTH <= bytes.len(), "only a parsed batch can be stamped");
    bytes[43..51].copy_from_slice(&producer.0.to_be_bytes());
    bytes[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&base_sequence.to_be_bytes());
    let checksum = batch_checksum(bytes);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
}

/// The checksum that the one whole batch in `bytes` should carry.
pub fn batch_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(&bytes[BATCH_CHECKSUM_FROM..])
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    (i64::from(i32_at(bytes, at)) << 32) | i64::from(i32_at(bytes, at + 4) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(base_offset: i64, records: i32) -> Vec<u8> {
        let mut bytes = vec![0; BATCH_HEADER_LENGTH + 9];
        let length = (bytes.len() - LENGTH_OVERHEAD) as i32;
        bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
        bytes[57..61].copy_from_slice(&records.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[BATCH_CHECKSUM_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn a_patched_batch_keeps_its_checksum() {
        let mut bytes = batch(0, 3);
        patch_batch(&mut bytes, Offset(-7_000_000_000), LeaderEpoch(9));
        let header = BatchHeader::verify(&bytes).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch), (Offset(-7_000_000_000), LeaderEpoch(9)));
        assert_eq!(header.end_offset(), Offset(-6_999_999_997));
    }

    #[test]
    fn a_stamped_batch_says_who_wrote_it() {
        let mut bytes = batch(5, 3);
        stamp_batch(&mut bytes, ProducerId(1 << 40), 7, i32::MAX);
        let stamp = BatchHeader::verify(&bytes).unwrap().stamp().unwrap();
        assert_eq!((stamp.id, stamp.epoch), (ProducerId(1 << 40), 7));
        assert_eq!((stamp.first_sequence, stamp.last_sequence), (i32::MAX, 1));
    }

    #[test]
    fn one_flipped_bit_is_seen() {
        let mut bytes = batch(0, 3);
        bytes[64] ^= 1;
        assert!(matches!(BatchHeader::verify(&bytes), Err(BatchError::Checksum { .. })));
    }

    #[test]
    fn a_walk_ends_at_a_batch_that_is_cut_short() {
        let mut bytes = [batch(0, 1), batch(1, 1)].concat();
        bytes.pop();
        let seen: Vec<_> = batches(&bytes).map(|item| item.map(|(header, _)| header.base_offset)).collect();
        assert_eq!(seen[0], Ok(Offset(0)));
        assert!(matches!(seen[1], Err(BatchError::Truncated { .. })));
        assert_eq!(seen.len(), 2);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = BatchHeader::verify(&bytes);
            let _ = batches(&bytes).count();
        }
    }
}
