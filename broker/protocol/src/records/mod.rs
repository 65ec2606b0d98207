//! Records inside batches: what a producer writes and a consumer reads. Brokers keep batches as opaque bytes.
//!
//! One record (KIP-98), all numbers zigzag varints unless said otherwise:
//! ```text
//! length | attributes i8 | timestamp delta | offset delta | key length, key | value length, value
//!        | header count | (key length, key | value length, value)*
//! ```

mod decode;
mod encode;
mod recompress;
mod varint;

use bytes::Bytes;
pub use compression::{Compression, DecompressError, Level};
pub use decode::{DecodeError, batch_records, decode_batches};
pub use encode::{ProducerFields, encode_batch, record_size};
use model::{LeaderEpoch, Offset, Timestamp};
pub use recompress::{Recompression, check_records, recompress};

/// A name and a value beside a record; names may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// A record to write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    pub timestamp: Timestamp,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    pub record: Record,
}
