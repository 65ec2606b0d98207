//! Numbers with a meaning, each its own type.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
        #[serde(transparent)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Position of a record in its partition, counted in records from zero. Ends are exclusive.
    Offset(i64)
}
number! {
    /// Identity of a broker or a controller in its cluster (`node.id`), zero or more.
    BrokerId(i32)
}
number! {
    /// One registration of a broker: the metadata offset of its registration record (KIP-631). A later one fences the earlier.
    BrokerEpoch(i64)
}
number! {
    /// One leadership of a partition or of the metadata quorum. Only ever rises.
    LeaderEpoch(i32)
}
number! {
    /// One state of a partition's leader and in-sync set in the metadata. Rises with every change.
    PartitionEpoch(i32)
}

number! {
    /// Identity of an idempotent producer, handed out by the controller and never again (KIP-98).
    ProducerId(i64)
}

/// Identity of a topic: 128 random bits (KIP-516), so that a topic created again is another topic. In text it is hexadecimal, since
/// few readers of JSON know so large a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(into = "String", try_from = "String")]
#[cbor(transparent)]
pub struct TopicId(#[n(0)] pub u128);

/// Identity of a node's data directory: 128 random bits (KIP-853), so that a node with another disk is another replica of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct DirectoryId(#[n(0)] pub u128);

impl Offset {
    pub const ZERO: Offset = Offset(0);

    /// The offset `count` records on. Bytes that are damaged may claim any offset, and the largest one is where it ends.
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0.saturating_add(count))
    }
}

impl LeaderEpoch {
    /// "No epoch known", as the wire says it.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);

    pub fn next(self) -> LeaderEpoch {
        LeaderEpoch(self.0 + 1)
    }
}

impl PartitionEpoch {
    pub fn next(self) -> PartitionEpoch {
        PartitionEpoch(self.0 + 1)
    }
}

impl TopicId {
    /// The metadata log's topic, `__cluster_metadata` (KIP-595).
    pub const METADATA: TopicId = TopicId(1);
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for DirectoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for DirectoryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<DirectoryId, std::num::ParseIntError> {
        u128::from_str_radix(text, 16).map(DirectoryId)
    }
}

impl From<TopicId> for String {
    fn from(topic: TopicId) -> String {
        topic.to_string()
    }
}

impl TryFrom<String> for TopicId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<TopicId, std::num::ParseIntError> {
        u128::from_str_radix(&text, 16).map(TopicId)
    }
}

/// One partition of one topic. `Copy`, so that events and maps can carry it for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartitionId {
    pub topic: TopicId,
    pub index: i32,
}

impl PartitionId {
    /// The one partition of the metadata log.
    pub const METADATA: PartitionId = PartitionId { topic: TopicId::METADATA, index: 0 };
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

/// A snapshot of the metadata (KIP-630): it stands for all records below `end`, the last of which is of `epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId {
    pub end: Offset,
    pub epoch: LeaderEpoch,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0>20}-{:0>10}", self.end, self.epoch)
    }
}

/// Name of a cluster, held by each data directory so that a directory of another cluster is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub String);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
