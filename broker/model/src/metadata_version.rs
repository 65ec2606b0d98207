//! What the records of the metadata may say, and what nodes may ask each other, by levels (KIP-584, KIP-778).
//!
//! ```text
//! 1  brokers, topics, settings, producer ids; voters are those that are configured
//! 2  who votes is changed by records, and voters are told apart by their disks (KIP-853);
//!    a partition that nobody leads remembers who led it last (KIP-966)
//! ```
//! A cluster is at one level: the finalized one, a record of its own. Nothing newer is written, or asked of a node, before an operator has
//! raised it; and it is raised only when every node knows the next one. So nodes may be replaced one at a time by those of the next
//! release, and be replaced back until the level is raised. A log that says nothing of a level is of the first one.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// One level (`metadata.version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct MetadataVersion(#[n(0)] pub u16);

impl MetadataVersion {
    /// The name of the feature.
    pub const FEATURE: &'static str = "metadata.version";
    pub const OLDEST: MetadataVersion = MetadataVersion(1);
    /// What this program knows.
    pub const NEWEST: MetadataVersion = MetadataVersion(2);

    /// Records may say who votes, and requests of the quorum which disk speaks (KIP-853).
    pub fn has_voters(self) -> bool {
        MetadataVersion(2) <= self
    }

    /// Records may say who led a partition last that nobody leads.
    pub fn has_last_leaders(self) -> bool {
        MetadataVersion(2) <= self
    }
}

impl Default for MetadataVersion {
    fn default() -> MetadataVersion {
        MetadataVersion::OLDEST
    }
}

impl fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The levels that a node knows. One that tells none is of before there were any, and knows the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(map)]
pub struct MetadataVersions {
    #[n(0)]
    pub oldest: MetadataVersion,
    #[n(1)]
    pub newest: MetadataVersion,
}

impl MetadataVersions {
    pub fn up_to(newest: MetadataVersion) -> MetadataVersions {
        MetadataVersions { oldest: MetadataVersion::OLDEST, newest }
    }

    pub fn contains(self, version: MetadataVersion) -> bool {
        self.oldest <= version && version <= self.newest
    }
}

impl fmt::Display for MetadataVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.oldest, self.newest)
    }
}
