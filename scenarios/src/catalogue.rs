//! The catalogue: every scenario file of the project, by theme, carried inside the program.

use crate::error::ScenarioError;
use crate::scenario::Scenario;

/// One file of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Tale {
    /// Theme and file name: `replication/leader-crashes-before-answering.toml`.
    pub path: &'static str,
    pub text: &'static str,
}

impl Tale {
    /// The file's name without its theme and ending.
    pub fn name(&self) -> &'static str {
        let file = self.path.rsplit('/').next().unwrap_or(self.path);
        file.strip_suffix(".toml").unwrap_or(file)
    }

    /// # Errors
    /// Never for the files of this project: a test reads them all.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        Scenario::parse(self.path, self.text)
    }
}

macro_rules! tales {
    ($($path:literal,)*) => {
        &[$(Tale { path: $path, text: include_str!(concat!("../", $path)) },)*]
    };
}

/// Every tale; the first is the one to begin with.
pub fn catalogue() -> &'static [Tale] {
    TALES
}

const TALES: &[Tale] = tales![
    "replication/leader-crashes-before-answering.toml",
    "replication/leader-loses-power.toml",
    "replication/follower-asleep-then-catches-up.toml",
    "replication/rolling-restart.toml",
    "producers/retry-is-written-once.toml",
    "producers/first-batch-goes-alone.toml",
    "producers/cut-batch-comes-again.toml",
    "producers/deposed-leader-keeps-quiet.toml",
    "producers/no-number-is-left-out.toml",
    "producers/leader-knows-nobody.toml",
    "producers/retry-finds-nobody-who-knows.toml",
    "producers/numbers-outlive-the-power.toml",
    "producers/numbers-outlive-what-is-deleted.toml",
    "topics/topic-is-deleted-under-load.toml",
    "topics/topic-is-made-again.toml",
    "topics/name-is-left-in-another-directory.toml",
    "topics/order-to-delete-comes-late.toml",
    "storage/nothing-left-to-compare-with.toml",
    "storage/stopped-in-order.toml",
    "storage/power-fails-after-an-orderly-stop.toml",
    "storage/offsets-rot-under-the-cleaner.toml",
    "topics/partitions-are-added.toml",
    "topics/leader-moves-away-while-producers-wait.toml",
    "topics/topic-moves-under-load.toml",
    "topics/move-leaves-room.toml",
    "topics/batches-are-compressed-otherwise.toml",
    "topics/move-is-cancelled.toml",
    "topics/partition-comes-back.toml",
    "topics/old-directory-is-in-the-way.toml",
    "topics/name-lives-on-a-dead-disk.toml",
    "replication/nobody-in-sync-is-left.toml",
    "replication/operator-gives-up-what-is-lost.toml",
    "clients/reader-sleeps-through-an-unclean-election.toml",
    "replication/follower-begins-past-its-leaders-end.toml",
    "producers/number-comes-late.toml",
    "producers/silent-producer-is-forgotten.toml",
    "replication/acks-one-loses.toml",
    "replication/leader-elected-while-it-syncs.toml",
    "replication/one-is-gone-and-another-comes-back.toml",
    "replication/two-leaders-fall-in-turn.toml",
    "replication/old-leader-answers-late.toml",
    "replication/follower-of-an-older-epoch.toml",
    "replication/same-leader-in-another-epoch.toml",
    "replication/leader-hears-last-of-its-return.toml",
    "replication/where-to-cut-comes-late.toml",
    "replication/leader-never-comes-back.toml",
    "replication/process-dies-and-is-missed-at-once.toml",
    "replication/follower-back-too-early.toml",
    "replication/member-is-another-process.toml",
    "replication/leader-is-back-before-it-was-missed.toml",
    "replication/readers-in-every-rack.toml",
    "replication/follower-shows-what-is-committed.toml",
    "storage/every-broker-loses-power-at-once.toml",
    "storage/follower-returns-below-its-leaders-start.toml",
    "storage/records-go-while-their-reader-sleeps.toml",
    "storage/values-replace-each-other.toml",
    "storage/tombstones-wait-for-their-readers.toml",
    "storage/power-fails-while-logs-are-compacted.toml",
    "storage/disk-fills-up.toml",
    "storage/bits-rot.toml",
    "storage/sectors-become-unreadable.toml",
    "storage/disk-lies.toml",
    "storage/syncs-fail.toml",
    "storage/reads-and-writes-fail.toml",
    "storage/one-disk-of-two-dies.toml",
    "storage/rot-beside-a-dead-disk.toml",
    "storage/time-index-rots.toml",
    "storage/time-rots-before-a-restart.toml",
    "storage/recovery-point-outlives-its-log.toml",
    "storage/damaged-log-keeps-its-tail.toml",
    "storage/cut-for-bytes-that-were-mended.toml",
    "storage/new-disk-waits-for-the-records.toml",
    "storage/disk-stands-still.toml",
    "storage/new-files-lose-power.toml",
    "nodes/empty-disk.toml",
    "nodes/all-stop-at-once.toml",
    "nodes/only-copy-is-lost.toml",
    "nodes/last-copy-keeps-its-disk.toml",
    "nodes/leader-is-asked-while-it-closes.toml",
    "nodes/power-fails-while-they-write.toml",
    "nodes/configuration-is-rolled-out.toml",
    "clocks/clocks-jump-and-drift.toml",
    "network/majority-and-minority.toml",
    "network/leader-is-not-heard.toml",
    "network/hold-and-burst.toml",
    "network/slow-card.toml",
    "network/one-lossy-link.toml",
    "network/swizzled.toml",
    "network/bridge.toml",
    "network/ring.toml",
    "network/flapping-link.toml",
    "network/refused.toml",
    "network/refusal-is-no-death.toml",
    "network/unanswered.toml",
    "network/reset.toml",
    "network/half-open.toml",
    "network/stranded.toml",
    "network/cut-off-for-an-hour.toml",
    "network/calm-storm-calm.toml",
    "quorum/controller-dies.toml",
    "quorum/controllers-crash-in-turn.toml",
    "quorum/clocks-disagree.toml",
    "quorum/everybody-falls-silent.toml",
    "quorum/proposal-crosses-a-decision.toml",
    "quorum/vote-is-read-and-forgotten.toml",
    "quorum/proposal-in-doubt.toml",
    "quorum/voter-sleeps-while-snapshots-go.toml",
    "quorum/observer-joins-after-the-beginning.toml",
    "quorum/power-fails-among-snapshots.toml",
    "quorum/deposed-controller-has-a-long-tail.toml",
    "quorum/voters-move-to-other-nodes.toml",
    "quorum/voters-change-under-new-leaders.toml",
    "quorum/voters-come-and-go-among-snapshots.toml",
    "quorum/release-is-rolled-out.toml",
    "quorum/level-is-raised-while-controllers-fall.toml",
    "quorum/release-is-taken-back.toml",
    "clients/laptop-asleep-for-an-hour.toml",
    "clients/producer-returns-as-a-zombie.toml",
    "clients/consumer-paused-through-elections.toml",
    "clients/clients-crash.toml",
    "clients/latest-means-committed.toml",
    "clients/reader-is-ahead-of-its-follower.toml",
];
