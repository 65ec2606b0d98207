//! Every bound that the roles keep, and its reason.

use std::time::Duration;

use model::LeaderEpoch;

/// Epochs above are refused: an epoch must have a next one, and honest elections will not come this far.
pub const QUORUM_EPOCH_MAX: LeaderEpoch = LeaderEpoch(i32::MAX - 1);

/// A fetch that brought nothing is sent again after this, so that a peer that refuses at once is not stormed.
pub const QUORUM_RETRY_BACKOFF: Duration = Duration::from_millis(50);

/// A follower whose leader's process is gone stands within this part of an election timeout, at any moment of it: seldom as soon as another.
pub const QUORUM_SOON_DIVISOR: u32 = 8;

/// A fetch waits at the leader for a quarter of the fetch timeout at most: a follower must hear from it well before it gives it up.
pub const QUORUM_FETCH_WAIT_DIVISOR: u32 = 4;

/// Observers that a leader keeps count of; the one that was silent longest makes room for a new one.
pub const QUORUM_OBSERVERS_MAX: usize = 10_000;

/// A snapshot that claims to be larger is not taken from anybody: it is in memory until it is whole.
pub const QUORUM_SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// Partitions that one request may create: the records of one decision stand in one batch, and this keeps it under a mebibyte.
pub const PARTITIONS_CREATED_AT_ONCE_MAX: usize = 10_000;

/// Producer ids that a broker takes at once: so many producers can begin before it asks again (KIP-730).
pub const PRODUCER_IDS_AT_ONCE: i32 = 1000;
/// Leaders that one look at the balance moves: the records of one decision stand in one batch, and clients learn step by step.
pub const LEADERS_MOVED_AT_ONCE_MAX: usize = 1_000;

/// Kafka's: a name with its partition's index must be fit for a directory.
pub const TOPIC_NAME_LENGTH_MAX: usize = 249;
