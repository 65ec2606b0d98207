//! The limits of what is taken from the wire, each with its reason.

/// Bytes of structure (numbers, lengths; not the content of strings and records) that one message may have. A decoded
/// structure is up to forty times larger than its bytes, so this bounds what one frame can make us hold. Kafka's largest
/// honest request, a fetch of 60,000 partitions by a follower, stays below it.
pub const STRUCTURE_BYTES_MAX: usize = 2 << 20;

/// The same for an answer that a client has asked for: the metadata of a million partitions.
pub const ANSWER_STRUCTURE_BYTES_MAX: usize = 64 << 20;

/// Entries of one array. The decoder reserves room for an array before it reads the first entry.
pub const ARRAY_ENTRIES_MAX: usize = 1 << 17;

pub use compression::DECOMPRESSED_BYTES_MAX;

/// What a buffer may reserve for a frame that has not arrived yet; a large one grows as its bytes come.
pub(crate) const FRAME_RESERVE_MAX: usize = 64 << 10;

/// Records below this many bytes are copied into their answer: a copy is cheaper than one more part to write.
pub(crate) const SHARED_RECORDS_MIN: usize = 16 << 10;
