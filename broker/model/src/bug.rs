//! The bugs that a trial may plant: checks of the broker that others once lacked, each switched off by one line.
//!
//! `if planted.has(Bug::X) { skip the check }`. The set comes from the Host; the real Host's is the constant empty set, so
//! nothing that an operator can write switches one on.

use serde::{Deserialize, Serialize};

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// A missing check, named for what it lets happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Bug { $($(#[doc = $doc])+ $name,)+ }

        impl Bug {
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)+];

            /// The word for it on command lines and in catalogues.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$name => $word,)+ }
            }

            /// What was missing, and who had it.
            pub fn story(self) -> &'static str {
                match self { $(Bug::$name => concat!($($doc),+).trim_start(),)+ }
            }
        }
    };
}

bugs! {
    /// A leader answers acks=all as soon as its own log has the batch. Kafka 0.8's loss on failover (Jepsen 2013).
    AckBeforeReplication = "ack-before-replication",
    /// A broker answers before the batch is synced, though the flush policy promises it: lost with the power.
    AckBeforeSync = "ack-before-sync",
    /// A follower truncates to its own high watermark on every new epoch (KIP-101, KAFKA-1211).
    TruncateToHighWatermark = "truncate-to-high-watermark",
    /// A leader that was deposed goes on accepting appends and fetches: no epoch is compared (KIP-320, KAFKA-6880).
    ZombieLeader = "zombie-leader",
    /// A voter answers before its vote is on disk, restarts, and votes again in the same epoch.
    UnsyncedVote = "unsynced-vote",
    /// A voter grants any candidate, however short its log: the elected one lacks committed records.
    VoteWithoutLogCheck = "vote-without-log-check",
    /// The controller elects any live replica, in sync or not (unclean election that nobody allowed).
    ElectOutOfSync = "elect-out-of-sync",
    /// A controller raises no epoch when it changes a leader: two brokers lead in one epoch.
    LeaderWithoutNewEpoch = "leader-without-new-epoch",
    /// Recovery trusts the tail of the last segment without checking sums.
    RecoveryTrustsTornTail = "recovery-trusts-torn-tail",
    /// The high watermark follows the fastest follower instead of the slowest in-sync one.
    HighWatermarkFromFastest = "high-watermark-from-fastest",
    /// The in-sync set takes a follower back before it reached the leader's epoch start (KAFKA-7128).
    IsrJoinTooEarly = "isr-join-too-early",
    /// A leader appends a batch a second time when a follower's fetch is retried: a stale request is replayed.
    AppendTwice = "append-twice",
    /// A leader stamps a batch with the offset after the right one, and so alters what its client was told.
    AckWrongOffset = "ack-wrong-offset",
    /// A byte of the record is changed on the way to the log, and its checksum made to fit.
    AlterRecord = "alter-record",
    /// A leader lets the second of two requests of one connection overtake the first.
    ReorderAppends = "reorder-appends",
    /// A broker that lost its leadership to the quorum never looks for a new one.
    NeverElect = "never-elect",
    /// A leader forgets a proposed in-sync set when it cannot hear what became of it; it may hold all the same. Ours, before its
    /// first trial.
    ForgottenProposal = "forgotten-proposal",
    /// A sync that a follower began dies with its fetcher, and the partition waits for its end for ever. Ours, before its first trial.
    AbandonedSync = "abandoned-sync",
}

/// The bugs that are planted in one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(u64);

impl Planted {
    /// Nothing planted: what every real host has.
    pub const NONE: Planted = Planted(0);

    pub fn with(self, bug: Bug) -> Planted {
        Planted(self.0 | (1 << bug as u64))
    }

    pub fn has(self, bug: Bug) -> bool {
        self.0 & (1 << bug as u64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_bug_is_there_and_no_other() {
        for &bug in Bug::ALL {
            let planted = Planted::NONE.with(bug);
            assert!(Bug::ALL.iter().all(|&other| planted.has(other) == (other == bug)));
            assert!(!bug.story().starts_with(' '));
        }
    }
}
