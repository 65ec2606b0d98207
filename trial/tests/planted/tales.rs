//! Bugs that have a tale in the catalogue: with the bug it breaks the promise that is named, without it every one is kept.

use model::Bug;
use scenarios::Scenario;

use super::{
    AGREE, COMPLETE, CONVERGES, DUPLICATE, EPOCHS, HONEST, IN_SYNC, MAJORITY, METADATA, OFFSET_ORDER, ORDER, READ,
    RECOVERY, SPARES, SURVIVE, find, is_sound,
};

/// Seeds with which a tale keeps all that it promises; one that pins a seed is told with that, too.
const SOUND: u64 = 3;

pub(super) struct Told {
    pub(super) bug: Bug,
    tale: &'static str,
    seeds: u64,
    promises: &'static [&'static str],
}

const fn told(bug: Bug, tale: &'static str, seeds: u64, promises: &'static [&'static str]) -> Told {
    Told { bug, tale, seeds, promises }
}

impl Told {
    fn scenario(&self) -> Scenario {
        let tale = scenarios::catalogue().iter().find(|tale| tale.name() == self.tale);
        let scenario = tale.and_then(|tale| tale.scenario().ok());
        scenario.unwrap_or_else(|| panic!("the catalogue has no tale {} that can be read", self.tale))
    }

    fn shows(&self) {
        let scenario = self.scenario();
        find(self.bug, &scenario, self.seeds, self.promises);
        // A tale that pins a seed reaches with that one what it tells of.
        is_sound(&scenario, scenario.seed.map_or(1..=SOUND, |pinned| pinned..=pinned));
    }
}

macro_rules! tales {
    ($($name:ident: $told:expr,)*) => {
        $(
            #[test]
            fn $name() {
                $told.shows();
            }
        )*

        pub(super) const TOLD: &[Told] = &[$($told,)*];
    };
}

const SPARED: &str = "throttles spare those in sync";
const AVAILABLE: &str = "available again within a bound after healing";
const COMPACTION: &str = "compaction keeps the last value of each key";
const COUNT: &str = "leaders count what followers have";
const SNAPSHOTS: &str = "snapshots stand for what was committed";
const UNDERSTOOD: &str = "every broker reads the metadata";
const VOTERS: &str = "voters change one at a time";
const REBUILD: &str = "producer state equals its rebuild";

tales! {
    end_without_epoch: told(Bug::EndWithoutEpoch, "two-leaders-fall-in-turn", 5, &[COUNT, AGREE]),
    stale_fetch_answer: told(Bug::StaleFetchAnswer, "old-leader-answers-late", 5, &[AGREE]),
    stale_word_of_where_to_cut: told(Bug::StaleFetchAnswer, "where-to-cut-comes-late", 5, &[SPARES]),
    start_past_leader: told(Bug::StartPastLeader, "follower-begins-past-its-leaders-end", 3, &[CONVERGES]),
    session_without_epoch: told(Bug::SessionWithoutEpoch, "follower-of-an-older-epoch", 3, &[COUNT]),
    zombie_leader: told(Bug::ZombieLeader, "follower-of-an-older-epoch", 3, &[COUNT]),
    follower_serves_uncommitted: told(Bug::FollowerServesUncommitted, "follower-shows-what-is-committed", 3, &[READ]),
    throttle_in_sync: told(Bug::ThrottleInSync, "move-leaves-room", 3, &[SPARED]),
    never_fence: told(Bug::NeverFence, "leader-never-comes-back", 2, &[CONVERGES]),
    isr_join_too_early: told(Bug::IsrJoinTooEarly, "follower-back-too-early", 5, &[IN_SYNC]),
    broker_epoch_unchecked: told(Bug::BrokerEpochUnchecked, "member-is-another-process", 5, &[IN_SYNC]),
    resume_old_epoch: told(Bug::ResumeOldEpoch, "leader-is-back-before-it-was-missed", 5, &[IN_SYNC, AGREE, RECOVERY]),
    stale_alter_partition: told(Bug::StaleAlterPartition, "proposal-crosses-a-decision", 10, &[IN_SYNC]),
    unsynced_directory: told(Bug::UnsyncedDirectory, "new-files-lose-power", 5, &[RECOVERY, SPARES, SURVIVE]),
    unsynced_directory_of_a_vote: told(Bug::UnsyncedDirectory, "vote-is-read-and-forgotten", 20, &[EPOCHS]),
    stale_clean_shutdown: told(Bug::StaleCleanShutdown, "power-fails-after-an-orderly-stop", 5, &[EPOCHS]),
    offline_directory_keeps_leading: told(Bug::OfflineDirectoryKeepsLeading, "one-disk-of-two-dies", 3, &[AVAILABLE]),
    replaced_disk_stays_in_sync: told(Bug::ReplacedDiskStaysInSync, "new-disk-waits-for-the-records", 3, &[COMPLETE]),
    stale_directory: told(Bug::StaleDirectory, "topic-is-made-again", 10, &[RECOVERY]),
    compact_uncommitted: told(Bug::CompactUncommitted, "values-replace-each-other", 3, &[COMPACTION]),
    tombstone_dropped_early: told(Bug::TombstoneDroppedEarly, "tombstones-wait-for-their-readers", 3, &[COMPACTION]),
    swap_unsynced: told(Bug::SwapUnsynced, "power-fails-while-logs-are-compacted", 2, &[RECOVERY]),
    abandoned_sync: told(Bug::AbandonedSync, "leader-elected-while-it-syncs", 40, &[CONVERGES]),
    forget_producers_on_restart: told(Bug::ForgetProducersOnRestart, "numbers-outlive-the-power", 3, &[REBUILD]),
    followers_ignore_producers: told(Bug::FollowersIgnoreProducers, "retry-is-written-once", 3, &[REBUILD]),
    producers_survive_truncation: told(Bug::ProducersSurviveTruncation, "cut-batch-comes-again", 3, &[REBUILD]),
    repeated_batch_acked_at_once: told(Bug::RepeatedBatchAckedAtOnce, "cut-batch-comes-again", 3, &[HONEST]),
    gap_told_by_zombie: told(Bug::GapToldByZombie, "deposed-leader-keeps-quiet", 40, &[REBUILD]),
    no_repeated_batches: told(Bug::NoRepeatedBatches, "retry-is-written-once", 3, &[DUPLICATE]),
    snapshot_uncommitted: told(Bug::SnapshotUncommitted, "deposed-controller-has-a-long-tail", 3, &[SNAPSHOTS]),
    snapshot_unsynced: told(Bug::SnapshotUnsynced, "power-fails-among-snapshots", 3, &[SNAPSHOTS, RECOVERY]),
    log_cut_before_snapshot: told(Bug::LogCutBeforeSnapshot, "power-fails-among-snapshots", 3, &[SNAPSHOTS]),
    install_keeps_tail: told(Bug::InstallKeepsTail, "deposed-controller-has-a-long-tail", 5, &[METADATA, OFFSET_ORDER]),
    snapshot_forgets_producer_ids: told(Bug::SnapshotForgetsProducerIds, "voter-sleeps-while-snapshots-go", 3, &[METADATA]),
    voters_twice_at_once: told(Bug::VotersTwiceAtOnce, "voters-move-to-other-nodes", 3, &[VOTERS]),
    voters_counted_as_before: told(Bug::VotersCountedAsBefore, "voters-move-to-other-nodes", 10, &[MAJORITY]),
    newer_records_below_level: told(Bug::NewerRecordsBelowLevel, "release-is-rolled-out", 5, &[UNDERSTOOD, METADATA]),
    level_raised_too_early: told(Bug::LevelRaisedTooEarly, "release-is-rolled-out", 5, &[UNDERSTOOD]),
    voters_before_commit: told(Bug::VotersBeforeCommit, "voters-change-under-new-leaders", 10, &[VOTERS]),
    gap_in_sequences: told(Bug::GapInSequences, "no-number-is-left-out", 10, &[ORDER]),
}
