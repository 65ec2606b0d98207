//! Every scenario file of the project, over several seeds: one test a file.

use std::collections::BTreeSet;
use std::path::Path;

use scenarios::catalogue;

/// Seeds of a tale that pins none.
const SEEDS: u64 = 3;

macro_rules! tales {
    ($($name:ident: $path:literal,)*) => {
        $(
            #[test]
            fn $name() {
                tell($path);
            }
        )*

        const TOLD: &[&str] = &[$($path,)*];
    };
}

tales! {
    leader_crashes_before_answering: "replication/leader-crashes-before-answering.toml",
    leader_loses_power: "replication/leader-loses-power.toml",
    follower_asleep_then_catches_up: "replication/follower-asleep-then-catches-up.toml",
    rolling_restart: "replication/rolling-restart.toml",
    retry_is_written_once: "producers/retry-is-written-once.toml",
    first_batch_goes_alone: "producers/first-batch-goes-alone.toml",
    cut_batch_comes_again: "producers/cut-batch-comes-again.toml",
    deposed_leader_keeps_quiet: "producers/deposed-leader-keeps-quiet.toml",
    no_number_is_left_out: "producers/no-number-is-left-out.toml",
    leader_knows_nobody: "producers/leader-knows-nobody.toml",
    retry_finds_nobody_who_knows: "producers/retry-finds-nobody-who-knows.toml",
    numbers_outlive_the_power: "producers/numbers-outlive-the-power.toml",
    numbers_outlive_what_is_deleted: "producers/numbers-outlive-what-is-deleted.toml",
    topic_is_deleted_under_load: "topics/topic-is-deleted-under-load.toml",
    topic_is_made_again: "topics/topic-is-made-again.toml",
    name_is_left_in_another_directory: "topics/name-is-left-in-another-directory.toml",
    order_to_delete_comes_late: "topics/order-to-delete-comes-late.toml",
    stopped_in_order: "storage/stopped-in-order.toml",
    power_fails_after_an_orderly_stop: "storage/power-fails-after-an-orderly-stop.toml",
    nothing_left_to_compare_with: "storage/nothing-left-to-compare-with.toml",
    offsets_rot_under_the_cleaner: "storage/offsets-rot-under-the-cleaner.toml",
    partitions_are_added: "topics/partitions-are-added.toml",
    leader_moves_away_while_producers_wait: "topics/leader-moves-away-while-producers-wait.toml",
    topic_moves_under_load: "topics/topic-moves-under-load.toml",
    move_leaves_room: "topics/move-leaves-room.toml",
    batches_are_compressed_otherwise: "topics/batches-are-compressed-otherwise.toml",
    move_is_cancelled: "topics/move-is-cancelled.toml",
    partition_comes_back: "topics/partition-comes-back.toml",
    old_directory_is_in_the_way: "topics/old-directory-is-in-the-way.toml",
    name_lives_on_a_dead_disk: "topics/name-lives-on-a-dead-disk.toml",
    nobody_in_sync_is_left: "replication/nobody-in-sync-is-left.toml",
    operator_gives_up_what_is_lost: "replication/operator-gives-up-what-is-lost.toml",
    reader_sleeps_through_an_unclean_election: "clients/reader-sleeps-through-an-unclean-election.toml",
    follower_begins_past_its_leaders_end: "replication/follower-begins-past-its-leaders-end.toml",
    number_comes_late: "producers/number-comes-late.toml",
    silent_producer_is_forgotten: "producers/silent-producer-is-forgotten.toml",
    acks_one_loses: "replication/acks-one-loses.toml",
    leader_elected_while_it_syncs: "replication/leader-elected-while-it-syncs.toml",
    one_is_gone_and_another_comes_back: "replication/one-is-gone-and-another-comes-back.toml",
    two_leaders_fall_in_turn: "replication/two-leaders-fall-in-turn.toml",
    old_leader_answers_late: "replication/old-leader-answers-late.toml",
    same_leader_in_another_epoch: "replication/same-leader-in-another-epoch.toml",
    leader_hears_last_of_its_return: "replication/leader-hears-last-of-its-return.toml",
    where_to_cut_comes_late: "replication/where-to-cut-comes-late.toml",
    follower_of_an_older_epoch: "replication/follower-of-an-older-epoch.toml",
    leader_never_comes_back: "replication/leader-never-comes-back.toml",
    process_dies_and_is_missed_at_once: "replication/process-dies-and-is-missed-at-once.toml",
    follower_back_too_early: "replication/follower-back-too-early.toml",
    member_is_another_process: "replication/member-is-another-process.toml",
    leader_is_back_before_it_was_missed: "replication/leader-is-back-before-it-was-missed.toml",
    readers_in_every_rack: "replication/readers-in-every-rack.toml",
    follower_shows_what_is_committed: "replication/follower-shows-what-is-committed.toml",
    every_broker_loses_power_at_once: "storage/every-broker-loses-power-at-once.toml",
    values_replace_each_other: "storage/values-replace-each-other.toml",
    tombstones_wait_for_their_readers: "storage/tombstones-wait-for-their-readers.toml",
    power_fails_while_logs_are_compacted: "storage/power-fails-while-logs-are-compacted.toml",
    disk_fills_up: "storage/disk-fills-up.toml",
    follower_returns_below_its_leaders_start: "storage/follower-returns-below-its-leaders-start.toml",
    records_go_while_their_reader_sleeps: "storage/records-go-while-their-reader-sleeps.toml",
    bits_rot: "storage/bits-rot.toml",
    sectors_become_unreadable: "storage/sectors-become-unreadable.toml",
    disk_lies: "storage/disk-lies.toml",
    syncs_fail: "storage/syncs-fail.toml",
    reads_and_writes_fail: "storage/reads-and-writes-fail.toml",
    one_disk_of_two_dies: "storage/one-disk-of-two-dies.toml",
    rot_beside_a_dead_disk: "storage/rot-beside-a-dead-disk.toml",
    time_index_rots: "storage/time-index-rots.toml",
    time_rots_before_a_restart: "storage/time-rots-before-a-restart.toml",
    recovery_point_outlives_its_log: "storage/recovery-point-outlives-its-log.toml",
    damaged_log_keeps_its_tail: "storage/damaged-log-keeps-its-tail.toml",
    cut_for_bytes_that_were_mended: "storage/cut-for-bytes-that-were-mended.toml",
    new_disk_waits_for_the_records: "storage/new-disk-waits-for-the-records.toml",
    disk_stands_still: "storage/disk-stands-still.toml",
    new_files_lose_power: "storage/new-files-lose-power.toml",
    empty_disk: "nodes/empty-disk.toml",
    all_stop_at_once: "nodes/all-stop-at-once.toml",
    last_copy_keeps_its_disk: "nodes/last-copy-keeps-its-disk.toml",
    leader_is_asked_while_it_closes: "nodes/leader-is-asked-while-it-closes.toml",
    only_copy_is_lost: "nodes/only-copy-is-lost.toml",
    power_fails_while_they_write: "nodes/power-fails-while-they-write.toml",
    configuration_is_rolled_out: "nodes/configuration-is-rolled-out.toml",
    clocks_jump_and_drift: "clocks/clocks-jump-and-drift.toml",
    majority_and_minority: "network/majority-and-minority.toml",
    leader_is_not_heard: "network/leader-is-not-heard.toml",
    hold_and_burst: "network/hold-and-burst.toml",
    slow_card: "network/slow-card.toml",
    one_lossy_link: "network/one-lossy-link.toml",
    swizzled: "network/swizzled.toml",
    bridge: "network/bridge.toml",
    ring: "network/ring.toml",
    flapping_link: "network/flapping-link.toml",
    refused: "network/refused.toml",
    refusal_is_no_death: "network/refusal-is-no-death.toml",
    unanswered: "network/unanswered.toml",
    reset: "network/reset.toml",
    half_open: "network/half-open.toml",
    stranded: "network/stranded.toml",
    cut_off_for_an_hour: "network/cut-off-for-an-hour.toml",
    calm_storm_calm: "network/calm-storm-calm.toml",
    controller_dies: "quorum/controller-dies.toml",
    controllers_crash_in_turn: "quorum/controllers-crash-in-turn.toml",
    clocks_disagree: "quorum/clocks-disagree.toml",
    proposal_in_doubt: "quorum/proposal-in-doubt.toml",
    everybody_falls_silent: "quorum/everybody-falls-silent.toml",
    proposal_crosses_a_decision: "quorum/proposal-crosses-a-decision.toml",
    vote_is_read_and_forgotten: "quorum/vote-is-read-and-forgotten.toml",
    voter_sleeps_while_snapshots_go: "quorum/voter-sleeps-while-snapshots-go.toml",
    observer_joins_after_the_beginning: "quorum/observer-joins-after-the-beginning.toml",
    power_fails_among_snapshots: "quorum/power-fails-among-snapshots.toml",
    deposed_controller_has_a_long_tail: "quorum/deposed-controller-has-a-long-tail.toml",
    voters_move_to_other_nodes: "quorum/voters-move-to-other-nodes.toml",
    voters_change_under_new_leaders: "quorum/voters-change-under-new-leaders.toml",
    voters_come_and_go_among_snapshots: "quorum/voters-come-and-go-among-snapshots.toml",
    release_is_rolled_out: "quorum/release-is-rolled-out.toml",
    level_is_raised_while_controllers_fall: "quorum/level-is-raised-while-controllers-fall.toml",
    release_is_taken_back: "quorum/release-is-taken-back.toml",
    laptop_asleep_for_an_hour: "clients/laptop-asleep-for-an-hour.toml",
    producer_returns_as_a_zombie: "clients/producer-returns-as-a-zombie.toml",
    consumer_paused_through_elections: "clients/consumer-paused-through-elections.toml",
    latest_means_committed: "clients/latest-means-committed.toml",
    reader_is_ahead_of_its_follower: "clients/reader-is-ahead-of-its-follower.toml",
    clients_crash: "clients/clients-crash.toml",
}

fn tell(path: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(path);
    trial::assert_scenario_seeds(file, 1..=SEEDS);
}

#[test]
fn every_file_of_the_catalogue_is_told_here() {
    let told: BTreeSet<&str> = TOLD.iter().copied().collect();
    assert_eq!(told, catalogue().iter().map(|tale| tale.path).collect());
}
