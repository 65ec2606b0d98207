//! The bytes of batches to records.

use bytes::{Buf, Bytes};
use compression::{Compression, DECOMPRESSED_BYTES_MAX, DecompressError};
use model::{BATCH_HEADER_LENGTH, BatchError, BatchHeader, Offset, Timestamp};
use thiserror::Error;

use super::{Record, RecordHeader, StoredRecord, varint};

/// Why bytes are not records.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("compression {0} is unknown")]
    Compression(i16),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("a record is malformed: {0}")]
    Record(&'static str),
}

/// The records of every whole batch in `bytes`, in order; control batches are left out. A last batch that is cut short ends
/// the walk without an error, since a fetch may cut it.
///
/// # Errors
/// If a checksum is wrong, or a whole batch is malformed.
pub fn decode_batches(mut bytes: Bytes) -> Result<Vec<StoredRecord>, DecodeError> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let header = match BatchHeader::verify(&bytes) {
            Err(BatchError::Truncated { .. }) => break,
            header => header?,
        };
        let batch = bytes.split_to(header.size);
        if !header.is_control() {
            batch_records(&header, batch, &mut records)?;
        }
    }
    Ok(records)
}

/// Appends the records of one whole batch, control records too, to `records`. Keys and values are slices of `batch` where
/// it is not compressed. The checksum is the caller's business: see [`BatchHeader::verify`].
///
/// # Errors
/// If the batch cannot be decompressed within its limit, or a record is malformed.
pub fn batch_records(
    header: &BatchHeader,
    mut batch: Bytes,
    records: &mut Vec<StoredRecord>,
) -> Result<(), DecodeError> {
    assert!(BATCH_HEADER_LENGTH <= batch.len(), "the header of the batch has been parsed");
    batch.advance(BATCH_HEADER_LENGTH);
    let codec = Compression::from_number(header.compression()).ok_or(DecodeError::Compression(header.compression()))?;
    let mut plain = compression::decompress(codec, batch, DECOMPRESSED_BYTES_MAX)?;
    // The count comes from the wire; a record has at least seven bytes.
    records.reserve((header.record_count as usize).min(plain.len() / 7));
    for _ in 0..header.record_count {
        let record = varint::take_bytes(&mut plain)?.ok_or(DecodeError::Record("it has no length"))?;
        records.push(one_record(header, record)?);
    }
    if !plain.is_empty() {
        return Err(DecodeError::Record("bytes follow the last one"));
    }
    Ok(())
}

fn one_record(header: &BatchHeader, mut bytes: Bytes) -> Result<StoredRecord, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Record("it is empty"));
    }
    let _attributes = bytes.get_i8();
    let timestamp_delta = varint::take(&mut bytes)?;
    let offset_delta = varint::take(&mut bytes)?;
    if !(0..=i64::from(header.last_offset_delta)).contains(&offset_delta) {
        return Err(DecodeError::Record("its offset lies outside its batch"));
    }
    let key = varint::take_bytes(&mut bytes)?;
    let value = varint::take_bytes(&mut bytes)?;
    let headers = headers(&mut bytes)?;
    if !bytes.is_empty() {
        return Err(DecodeError::Record("bytes follow its headers"));
    }
    let timestamp = if header.has_log_append_time() {
        header.max_timestamp
    } else {
        Timestamp(header.base_timestamp.0.wrapping_add(timestamp_delta))
    };
    Ok(StoredRecord {
        offset: Offset(header.base_offset.0.wrapping_add(offset_delta)),
        leader_epoch: header.leader_epoch,
        record: Record { timestamp, key, value, headers },
    })
}

fn headers(bytes: &mut Bytes) -> Result<Vec<RecordHeader>, DecodeError> {
    let count =
        usize::try_from(varint::take(bytes)?).map_err(|_| DecodeError::Record("its header count is negative"))?;
    // A header has at least two bytes.
    if bytes.len() / 2 < count {
        return Err(DecodeError::Record("it claims more headers than it has bytes for"));
    }
    let mut headers = Vec::with_capacity(count);
    for _ in 0..count {
        let key = varint::take_bytes(bytes)?.ok_or(DecodeError::Record("a header has no name"))?;
        headers.push(RecordHeader { key, value: varint::take_bytes(bytes)? });
    }
    Ok(headers)
}
