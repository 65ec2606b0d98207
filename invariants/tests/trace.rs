//! Each promise over the trace is shown to fail on a bad trace, and to hold on its legal twin: logs, epochs, acknowledgements.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod tale;

use evidence::{Harm, History, StoredBatch, What};
use invariants::{Expectations, Outcome};
use model::{Event, LeaderEpoch, LogStartReason, Offset, PartitionId, ProducerId, Timestamp};
use tale::{P, Tale, brokers, expectations, outcome};

#[test]
fn a_run_that_nobody_witnessed_is_unknown() {
    let verdicts = Tale::begin().keeps();
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Unknown), "{verdicts:?}");
}

#[test]
fn an_ordinary_run_keeps_every_promise_over_the_trace() {
    let tale = Tale::replicated().syncs(2, 4).commits(1, 1, 4).acks(1, 1, 2, -1).commits(2, 1, 2).commits(2, 1, 4);
    let verdicts = tale.applied(1, 5, 77).applied(2, 5, 77).keeps();
    let trace = verdicts.iter().take_while(|verdict| verdict.promise != "the cluster converges after healing");
    let trace: Vec<_> = trace.collect();
    assert_eq!(trace.len(), 26);
    // Of what nobody bore witness here, nothing is claimed.
    let unknown = [
        "leaders count what followers have",
        "throttles spare those in sync",
        "nothing comes from nowhere",
        "indexes equal a scan",
        "disks hold what logs say",
        "retention takes only what it may",
        "producer state equals its rebuild",
        "compaction keeps the last value of each key",
        "snapshots stand for what was committed",
        "the quorum commits by majority",
        "voters change one at a time",
        "every broker reads the metadata",
        "a deposed controller steps down",
        "what waits is answered",
    ];
    for verdict in trace {
        let expected = if unknown.contains(&verdict.promise) { Outcome::Unknown } else { Outcome::Kept };
        assert_eq!(verdict.outcome, expected, "{verdict:?}");
    }
}

#[test]
fn two_leaders_in_one_epoch_break_and_a_zombie_of_an_older_epoch_does_not() {
    const PROMISE: &str = "one leader an epoch";
    Tale::begin().leads(1, 3, 0).leads(2, 3, 0).breaks(PROMISE);
    Tale::begin().quorum_leader(1, 3).quorum_leader(2, 3).breaks(PROMISE);
    Tale::begin().state(1, 0, 1, 3, &[1, 2]).state(1, 1, 2, 3, &[1, 2]).breaks(PROMISE);
    Tale::begin().leads(1, 3, 0).follows(3, 3, 2).breaks(PROMISE);
    // Two at once, in different epochs; and the same one again after a restart.
    Tale::begin().leads(1, 3, 0).leads(2, 4, 0).quorum_leader(1, 3).quorum_leader(2, 4).keeps();
    Tale::begin().leads(1, 3, 0).crashes(1).leads(1, 3, 0).follows(2, 3, 1).keeps();
}

#[test]
fn epochs_fall_in_no_life_and_votes_outlive_restarts() {
    const PROMISE: &str = "epochs never fall";
    Tale::begin().votes(1, 5, 2).votes(1, 5, 3).breaks(PROMISE);
    Tale::begin().votes(1, 5, 2).loses_power(1).votes(1, 5, 3).breaks(PROMISE);
    Tale::begin().votes(1, 5, 2).loses_power(1).quorum_leader(1, 4).breaks(PROMISE);
    Tale::begin().quorum_leader(1, 5).says(1, Event::QuorumUnattached { epoch: LeaderEpoch(4) }).breaks(PROMISE);
    Tale::begin().leads(1, 3, 0).follows(1, 2, 2).breaks(PROMISE);
    Tale::begin().state(1, 4, 1, 3, &[1]).state(1, 3, 1, 2, &[1]).breaks(PROMISE);
    Tale::begin().votes(1, 5, 2).votes(1, 4, 3).breaks(PROMISE);
    // A candidate hears of a vote that is on no disk, or of one that went to another; a disk forgets an epoch.
    Tale::begin().grants(1, 5, 2).breaks(PROMISE);
    Tale::begin().votes(1, 5, 2).grants(1, 5, 3).breaks(PROMISE);
    Tale::begin().keeps_epoch(1, 5).loses_power(1).keeps_epoch(1, 4).breaks(PROMISE);
    // A vote is told again, after a restart too; one that was overtaken by a later epoch binds nobody.
    Tale::begin().votes(1, 5, 2).grants(1, 5, 2).loses_power(1).keeps_epoch(1, 5).grants(1, 5, 2).keeps();
    Tale::begin().keeps_epoch(1, 6).grants(1, 5, 2).keeps();
    // A vote may reach the disk when its voter is further already.
    let further = Tale::begin().says(1, Event::QuorumUnattached { epoch: LeaderEpoch(6) });
    further.votes(1, 5, 2).quorum_leader(1, 6).keeps();
    // Voting again for the same one; falling behind others; reading old metadata again after a restart.
    Tale::begin().votes(1, 5, 2).loses_power(1).votes(1, 5, 2).votes(2, 4, 3).keeps();
    Tale::begin().leads(1, 3, 0).crashes(1).follows(1, 2, 2).leads(1, 3, 0).keeps();
    Tale::begin().state(1, 4, 1, 3, &[1]).crashes(1).state(1, 3, 1, 2, &[1]).state(1, 4, 1, 3, &[1]).keeps();
}

#[test]
fn a_committed_batch_is_never_replaced() {
    const PROMISE: &str = "the committed prefix never changes";
    // Broker 2 commits something else where broker 1 had committed a batch. That its log lacks the batch is told at its election.
    let tale = Tale::begin().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2);
    let other = tale.state(2, 1, 2, 2, &[2]).leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2);
    let verdicts = other.watch.finish(&History::default()).unwrap();
    assert_eq!(outcome(&verdicts, PROMISE), Outcome::Broken);
    assert_eq!(outcome(&verdicts, "an elected leader has every committed record"), Outcome::Broken);
    // The same election where it is claimed: the prefix ends there, and the loss is counted.
    let tale = Tale::unclean().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2);
    let verdicts = tale.state(2, 1, 2, 2, &[2]).leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2).keeps();
    assert_eq!(outcome(&verdicts, "an elected leader has every committed record"), Outcome::Allowed);
    // The leader that was given up has not heard of it, and goes on by itself.
    let tale = Tale::unclean().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2);
    let tale = tale.state(2, 1, 2, 2, &[2]).leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2);
    tale.appends(1, 1, 2, 11).syncs(1, 4).commits(1, 1, 4).acks(1, 1, 2, -1).keeps();
    // What was not committed may be replaced.
    let tale = Tale::replicated().state(2, 1, 2, 2, &[2]).leads(2, 2, 4).commits(2, 2, 4).appends(2, 2, 4, 12);
    tale.commits(2, 2, 6).follows(1, 2, 2).appends(1, 2, 4, 12).commits(1, 2, 6).keeps();
}

#[test]
fn replicas_hold_the_same_batches_below_the_high_watermark() {
    const PROMISE: &str = "replicas agree below the high watermark";
    Tale::begin().appends(1, 1, 0, 10).appends(2, 1, 0, 11).breaks(PROMISE);
    let tale = || Tale::begin().state(1, 0, 1, 2, &[1]).leads(1, 2, 0).appends(1, 2, 0, 10).commits(1, 2, 2);
    tale().appends(2, 1, 0, 11).commits(2, 2, 2).breaks(PROMISE);
    // A follower writes what its leader, who still leads, does not have.
    let follower = || Tale::replicated().follows(3, 1, 1).appends(3, 1, 0, 10);
    follower().appends(3, 0, 2, 77).breaks(PROMISE);
    follower().appends(3, 1, 2, 11).keeps();
    follower().follows(1, 2, 2).truncates(1, 4, 2).appends(3, 1, 2, 11).keeps(); // Its leader was deposed meanwhile.
    // The tail of a deposed leader differs above its own high watermark: legal, and cut once it follows.
    tale().appends(2, 1, 0, 11).keeps();
    tale().appends(2, 1, 0, 11).truncates(2, 2, 0).appends(2, 2, 0, 10).commits(2, 2, 2).keeps();
    // A retry of the same bytes may stand in two epochs' logs, as two batches.
    tale().appends(2, 1, 0, 10).truncates(2, 2, 0).keeps();
}

#[test]
fn an_ack_waits_for_commit_and_disks_and_names_its_batch() {
    const PROMISE: &str = "acks are honest";
    Tale::replicated().acks(1, 1, 2, -1).breaks(PROMISE);
    Tale::replicated().commits(1, 1, 4).acks(1, 1, 2, -1).breaks(PROMISE); // Broker 2 did not sync.
    Tale::replicated().syncs(2, 4).commits(1, 1, 4).acks(1, 1, 1, -1).breaks(PROMISE); // No batch begins at 1.
    Tale::replicated().acks(1, 1, 4, 1).breaks(PROMISE);
    Tale::replicated().appends(1, 1, 4, 12).acks(1, 1, 4, 1).breaks(PROMISE); // Not on the leader's disk.
    Tale::replicated().syncs(2, 4).commits(1, 1, 4).acks(1, 1, 2, -1).acks(1, 1, 0, -1).keeps();
    Tale::replicated().acks(1, 1, 2, 1).keeps();
    let os = Tale::with(Expectations { flush_on_commit: false, ..expectations() });
    os.replicate().commits(1, 1, 4).acks(1, 1, 2, -1).appends(1, 1, 4, 12).acks(1, 1, 4, 1).keeps();
    // The follower left the in-sync set: it need not have it.
    let left = || Tale::replicated().state(3, 1, 1, 1, &[1]).goes_by(1, 1, &[1], &[1]);
    left().commits(1, 1, 4).acks(1, 1, 2, -1).keeps();
    // Then too few are left. The minimum is said when the replica is placed; whoever did not hear it asks for nothing.
    let two = Tale::begin().places(1, &[1, 2], 2).replicate().syncs(2, 4).commits(1, 1, 4);
    two.state(1, 1, 1, 1, &[1]).goes_by(1, 1, &[1], &[1]).acks(1, 1, 2, -1).breaks(PROMISE);
}

#[test]
fn an_elected_leader_has_what_earlier_epochs_committed() {
    const PROMISE: &str = "an elected leader has every committed record";
    Tale::replicated().commits(1, 1, 4).leads(3, 2, 2).breaks(PROMISE);
    Tale::replicated().appends(3, 0, 0, 9).leads(3, 2, 2).breaks(PROMISE);
    // One that is told late of its election in epoch 2, while epoch 3 has committed more.
    let tale = Tale::replicated().leads(2, 3, 4).state(2, 1, 2, 3, &[2]).commits(2, 3, 4);
    tale.appends(2, 3, 4, 13).commits(2, 3, 6).leads(1, 2, 4).keeps();
}

#[test]
fn the_high_watermark_waits_for_whoever_may_be_in_sync() {
    const PROMISE: &str = "the high watermark waits for every in-sync replica";
    Tale::replicated().appends(1, 1, 4, 12).commits(1, 1, 6).breaks(PROMISE);
    Tale::replicated().goes_by(1, 1, &[1], &[1, 2]).appends(1, 1, 4, 12).commits(1, 1, 6).breaks(PROMISE); // It asked only.
    Tale::replicated().follows(3, 1, 1).state(1, 1, 1, 1, &[1, 2, 3]).breaks(PROMISE); // Broker 3 joins with an empty log.
    // Broker 3 joins with as much as is committed, and of another leader.
    let other = Tale::replicated().commits(1, 1, 4).appends(3, 0, 0, 66).appends(3, 0, 2, 67);
    other.state(1, 1, 1, 1, &[1, 2, 3]).breaks(PROMISE);
    // Fewer are in sync than there must be.
    let few = Tale::begin().places(1, &[1, 2], 2).replicate().state(1, 1, 1, 1, &[1]);
    few.goes_by(1, 1, &[1], &[1]).commits(1, 1, 4).breaks(PROMISE);
    // It gave its replica up since metadata wants it no more, before its leader heard of that.
    let gone = Tale::replicated().says(2, Event::ReplicaRemoved { partition: P });
    gone.appends(1, 1, 4, 12).commits(1, 1, 6).keeps();
    // It has left.
    let left = || Tale::replicated().state(1, 1, 1, 1, &[1]).goes_by(1, 1, &[1], &[1]);
    left().appends(1, 1, 4, 12).commits(1, 1, 6).keeps();
    // It had the records when the leader heard of it, and lost its unsynced tail with the power.
    Tale::replicated().loses_power(2).recovers(2, 2).commits(1, 1, 4).keeps();
    // The topic is gone, and the leader has not heard of it.
    let given_up = |tale: Tale| tale.says(2, Event::ReplicaRemoved { partition: P });
    given_up(Tale::replicated().says(2, Event::TopicRemoved { topic: P.topic })).commits(1, 1, 4).keeps();
    // A follower's high watermark starts over with its life, and lags.
    Tale::replicated().commits(1, 1, 4).commits(2, 1, 4).crashes(2).recovers(2, 4).commits(2, 1, 2).keeps();
    // Joining at the high watermark, behind the leader's end.
    let asked = Tale::replicated().goes_by(1, 1, &[1, 2], &[1, 2, 3]);
    asked.appends(3, 1, 0, 10).state(1, 1, 1, 1, &[1, 2, 3]).keeps();
}

#[test]
fn a_truncation_takes_no_committed_batch() {
    const PROMISE: &str = "a truncation spares what is committed";
    Tale::replicated().commits(1, 1, 4).truncates(2, 4, 2).breaks(PROMISE);
    Tale::replicated().truncates(2, 4, 0).breaks(PROMISE);
    Tale::replicated().truncates(1, 4, 2).breaks(PROMISE); // A leader.
    // An answer of an earlier leadership; and one of the leadership that is followed.
    Tale::replicated().follows(2, 2, 3).parts(2, 1).breaks(PROMISE);
    Tale::replicated().follows(2, 2, 3).parts(2, 2).truncates(2, 4, 2).keeps();
    Tale::replicated().truncates(2, 4, 2).keeps();
    // What it cut, and another leader's batch in its place, were not safe yet: with the power gone either may stand there.
    let cut = || Tale::replicated().appends(3, 0, 2, 67).syncs(3, 4).truncates(3, 4, 2).appends(3, 1, 2, 11);
    cut().commits(1, 1, 4).loses_power(3).recovers(3, 4).truncates(3, 4, 2).keeps();
    cut().syncs(3, 4).commits(1, 1, 4).loses_power(3).recovers(3, 4).truncates(3, 4, 2).breaks(PROMISE);
    // Broker 1 was deposed with a batch that nobody has; its successor came further since. It cuts below the high watermark.
    let tale = Tale::replicated().appends(1, 1, 4, 12).state(2, 1, 2, 2, &[2]).leads(2, 2, 4).commits(2, 2, 4);
    let further = tale.appends(2, 2, 4, 20).appends(2, 2, 6, 21).commits(2, 2, 8);
    further.follows(1, 2, 2).truncates(1, 6, 4).appends(1, 2, 4, 20).keeps();
}

#[test]
fn a_truncation_may_take_what_was_committed_by_whom_an_unclean_election_had_given_up() {
    const PROMISE: &str = "a truncation spares what is committed";
    // Broker 2 is elected with all that is committed; broker 1 has not heard of it, and commits another batch.
    let leads = |tale: Tale, in_sync: &[i32]| {
        tale.state(1, 0, 1, 1, in_sync).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2)
    };
    let deposed = |tale: Tale, in_sync: &[i32]| {
        let deposed = leads(tale, in_sync).appends(2, 1, 0, 10).state(2, 1, 2, 2, &[2]).leads(2, 2, 2);
        deposed.appends(1, 1, 2, 11).syncs(1, 4).commits(1, 1, 4).acks(1, 1, 2, -1).follows(1, 2, 2).parts(1, 2)
    };
    let goes_on = || {
        let cut = deposed(Tale::unclean(), &[1]).truncates(1, 4, 2);
        cut.appends(2, 2, 2, 20).appends(1, 2, 2, 20).commits(2, 2, 4).commits(1, 2, 4)
    };
    goes_on().keeps();
    // Broker 2 was in sync, as far as anybody knows; or nobody claims that one who is not may be elected.
    deposed(Tale::unclean(), &[1, 2]).truncates(1, 4, 2).breaks(PROMISE);
    deposed(Tale::begin(), &[1]).truncates(1, 4, 2).breaks(PROMISE);
    // What was committed before, and what the new leader commits.
    deposed(Tale::unclean(), &[1]).truncates(1, 4, 0).breaks(PROMISE);
    goes_on().truncates(1, 4, 2).breaks(PROMISE);
    // It was committed before broker 2 began to lead, which has it.
    let both = || leads(Tale::unclean(), &[1]).appends(2, 1, 0, 10).appends(1, 1, 2, 11).appends(2, 1, 2, 11);
    let begins = both().state(2, 1, 2, 2, &[2]).commits(1, 1, 4).leads(2, 2, 4);
    begins.follows(1, 2, 2).truncates(1, 4, 2).breaks(PROMISE);
    // Metadata names broker 3 by then, which broker 2 has not heard of either.
    let second = leads(Tale::unclean(), &[1]).appends(2, 1, 0, 10).state(2, 1, 2, 2, &[2]).state(3, 2, 3, 3, &[3]);
    second.leads(2, 2, 2).appends(1, 1, 2, 11).commits(1, 1, 4).follows(1, 2, 2).truncates(1, 4, 2).keeps();
}

#[test]
fn recovery_may_lose_what_was_not_synced_and_only_with_the_power() {
    const PROMISE: &str = "recovery keeps all that was synced";
    Tale::replicated().loses_power(1).recovers(1, 2).breaks(PROMISE);
    Tale::replicated().crashes(2).recovers(2, 2).breaks(PROMISE); // The page cache outlives the process.
    Tale::replicated().loses_power(2).recovers(2, 2).keeps();
    Tale::replicated().crashes(2).recovers(2, 4).keeps();
    Tale::replicated().syncs(2, 4).truncates(2, 4, 2).loses_power(2).recovers(2, 2).keeps();
}

#[test]
fn an_index_that_differs_from_its_batches_is_blamed_on_the_broker_unless_the_world_hurt_them() {
    const PROMISE: &str = "indexes equal a scan";
    let compared = |are_equal| Event::IndexesCompared { partition: P, are_equal };
    Tale::replicated().says(1, compared(false)).breaks(PROMISE);
    Tale::replicated().says(1, compared(true)).keeps();
    Tale::replicated().hurts(1, Harm::Rotted, "orders-0").says(1, compared(false)).keeps();
}

#[test]
fn a_disk_holds_the_batches_that_its_broker_wrote_and_no_flaw() {
    const PROMISE: &str = "disks hold what logs say";
    let ground = Tale::replicated;
    ground().stores(1, 0, &[10, 11]).stores(2, 0, &[10, 11]).keeps();
    // Another batch, one too few, one too many.
    ground().stores(1, 0, &[10, 12]).breaks(PROMISE);
    ground().stores(1, 0, &[10]).breaks(PROMISE);
    ground().stores(1, 0, &[10, 11, 12]).breaks(PROMISE);
    ground().flawed(2).breaks(PROMISE);
    // What is nobody's replica, was hurt, given up, or not opened since the power went, is not asked for.
    ground().stores(3, 0, &[12]).flawed(3).keeps();
    let excused = |tale: Tale| tale.stores(1, 0, &[10]).flawed(1).keeps();
    excused(ground().hurts(1, Harm::Rotted, "orders-0"));
    excused(ground().loses_power(1));
    let damaged = ground().hurts(1, Harm::Rotted, "orders-0").says(1, Event::LogDamaged { partition: P });
    excused(damaged.what(1, What::DiskMended));
    excused(ground().says(1, Event::StorageFailed { partition: P }));
    excused(ground().says(1, Event::LogDirectoryFailed { directory: "data".into(), replicas: vec![P] }));
    // Until it is mended, opened or begun again.
    let mended = ground().hurts(1, Harm::Rotted, "orders-0").what(1, What::DiskMended);
    mended.stores(1, 0, &[10]).breaks(PROMISE);
    // What was noted of producers while it was hurt may be anything.
    ground().hurts(1, Harm::Rotted, "orders-0").what(1, What::DiskMended).flawed(1).keeps();
    ground().loses_power(1).recovers(1, 4).stores(1, 0, &[10]).breaks(PROMISE);
    ground().says(1, Event::StorageFailed { partition: P }).recovers(1, 4).flawed(1).breaks(PROMISE);
    // A producer that was silent for long is in no snapshot, and in the batches still.
    let forgotten = |producer| Event::ProducerForgotten { partition: P, producer: ProducerId(producer) };
    ground().says(1, forgotten(7)).flawed(1).keeps();
    ground().says(1, forgotten(8)).flawed(1).breaks(PROMISE);
    // A start is on the disk before it is told, and never after.
    let size = LogStartReason::Size { kept_bytes: 1_000, retention_bytes: 1_000 };
    ground().stores(1, 2, &[11]).keeps();
    ground().commits(1, 1, 4).advances(1, 2, size).stores(1, 0, &[10, 11]).breaks(PROMISE);
}

#[test]
fn disks_agree_with_each_other_below_the_high_watermark_but_for_what_compaction_made() {
    const PROMISE: &str = "disks hold what logs say";
    let committed = || Tale::replicated().syncs(2, 4).commits(1, 1, 4).commits(2, 1, 4);
    let keyed = || committed().keys(1, 1, 0, &[(1, false), (1, false), (1, false), (2, false)]);
    // One batch in the place of both, which the leader's compaction made.
    let joined = |n, tale: Tale| {
        let batch = StoredBatch { base: Offset(0), end: Offset(4), epoch: LeaderEpoch(1), crc: 99 };
        let (directory, start, end) = ("data/orders-0".to_owned(), Offset(0), Offset(4));
        tale.what(n, What::LogStored { directory, start, end, batches: vec![batch] })
    };
    joined(1, keyed().compacts(1, 0, 4, &[2, 3]).stores(2, 0, &[10, 11])).keeps();
    // Not made, it is another batch; made, the old ones are gone, unless the power went.
    joined(1, keyed().stores(2, 0, &[10, 11])).breaks(PROMISE);
    keyed().compacts(1, 0, 4, &[2, 3]).stores(1, 0, &[10, 11]).breaks(PROMISE);
    let dark = keyed().compacts(1, 0, 4, &[2, 3]).loses_power(1).recovers(1, 4);
    dark.stores(1, 0, &[10, 11]).keeps();
    // Two logs of which nobody witnessed what they hold; what only one counts as committed may differ.
    let unseen = |to| {
        let tale = Tale::begin().recovers(1, 4).recovers(2, 4).leads(1, 1, 4).follows(2, 1, 1);
        let tale = tale.commits(1, 1, 4).commits(2, 1, to).stores(1, 0, &[10, 11]).stores(2, 0, &[10, 12]);
        assert_eq!(tale.violation, None);
        outcome(&tale.watch.finish(&History::default()).unwrap(), PROMISE)
    };
    assert_eq!(unseen(4), Outcome::Broken);
    assert_eq!(unseen(2), Outcome::Kept);
}

#[test]
fn a_log_start_moves_only_where_it_may() {
    const PROMISE: &str = "retention takes only what it may";
    let age = |latest, now| LogStartReason::Age { latest: Timestamp(latest), now: Timestamp(now), retention_ms: 100 };
    let size = |kept_bytes| LogStartReason::Size { kept_bytes, retention_bytes: 1_000 };
    let ground = || Tale::replicated().commits(1, 1, 4);
    ground().advances(1, 4, age(0, 101)).keeps();
    ground().advances(1, 4, age(0, 100)).breaks(PROMISE);
    ground().appends(1, 1, 4, 12).advances(1, 6, age(0, 101)).breaks(PROMISE);
    ground().advances(1, 2, size(1_000)).advances(1, 4, size(1_001)).keeps();
    ground().advances(1, 2, size(999)).breaks(PROMISE);
    ground().advances(1, 4, size(1_000)).advances(1, 2, size(1_000)).breaks(PROMISE);
    let asked = |below| Event::DeletionAsked { partition: P, below: Offset(below) };
    ground().says(1, asked(3)).advances(1, 3, LogStartReason::Asked).keeps();
    ground().says(1, asked(2)).advances(1, 3, LogStartReason::Asked).breaks(PROMISE);
    let led = ground().advances(1, 2, size(1_000));
    led.advances(2, 2, LogStartReason::Leader).keeps();
    ground().advances(2, 2, LogStartReason::Leader).breaks(PROMISE);
    let recovers = |log_start| {
        let (log_start, log_end) = (Offset(log_start), Offset(4));
        Event::Recovered { partition: P, log_start, log_end, cut_bytes: 0 }
    };
    let deleted = || ground().advances(1, 2, size(1_000)).crashes(1);
    deleted().says(1, recovers(2)).keeps();
    deleted().says(1, recovers(0)).breaks(PROMISE);
    // Its node had let the replica go, and got it again; another node's removal is none of its business.
    let let_go = |n| deleted().says(n, Event::ReplicaRemoved { partition: P });
    let again = Event::Recovered { partition: P, log_start: Offset(0), log_end: Offset(0), cut_bytes: 0 };
    let_go(1).says(1, again).keeps();
    let_go(2).says(1, recovers(0)).breaks(PROMISE);
    // What an unclean election gave up may have been deleted before, or is by whoever has not heard of it.
    let whole = || Tale::unclean().what(1, What::NodeStarted).replicate().syncs(2, 4).commits(1, 1, 4);
    let given_up = |tale: Tale| tale.state(3, 1, 3, 2, &[3]).leads(3, 2, 0);
    given_up(whole().advances(1, 4, size(1_000)).crashes(1)).says(1, recovers(4)).keeps();
    given_up(whole()).advances(1, 4, size(1_000)).keeps();
    // One by which nothing is lost gives up nothing, until whoever has not heard of it commits more.
    let complete = || whole().appends(3, 1, 0, 10).appends(3, 1, 2, 11).state(3, 1, 3, 2, &[3]).leads(3, 2, 4);
    let goes_on = || complete().appends(1, 1, 4, 12).appends(2, 1, 4, 12);
    goes_on().commits(1, 1, 6).advances(1, 6, size(1_000)).keeps();
    goes_on().commits(1, 1, 4).advances(1, 6, size(1_000)).breaks(PROMISE);
}

#[test]
fn a_log_goes_back_only_where_an_unclean_election_gave_it_up() {
    const PROMISE: &str = "retention takes only what it may";
    const SPARES: &str = "a truncation spares what is committed";
    let size = LogStartReason::Size { kept_bytes: 1_000, retention_bytes: 1_000 };
    let gives_up = |tale: Tale, epoch, to| {
        let (start, end, to) = (Offset(2), Offset(4), Offset(to));
        tale.says(1, Event::LogGivenUp { partition: P, leader_epoch: LeaderEpoch(epoch), start, end, to })
    };
    let begins = |tale: Tale, to| tale.says(1, Event::LogBegunAnew { partition: P, to: Offset(to) });
    let recovers = |tale: Tale, log_start, log_end| {
        let (log_start, log_end) = (Offset(log_start), Offset(log_end));
        tale.says(1, Event::Recovered { partition: P, log_start, log_end, cut_bytes: 0 })
    };
    // Broker 1 leads, and its log begins at 2 where broker 3 has nothing, which leads next.
    let deleted = || {
        let whole = Tale::unclean().what(1, What::NodeStarted).replicate().syncs(1, 4).syncs(2, 4).commits(1, 1, 4);
        whole.advances(1, 2, size)
    };
    let parted = || deleted().state(3, 1, 3, 2, &[3]).leads(3, 2, 0).follows(1, 2, 3);
    let goes_on = || begins(gives_up(parted(), 2, 0), 0).appends(3, 2, 0, 20).appends(1, 2, 0, 20);
    goes_on().keeps();
    // A start finds it so, too; or as it was.
    recovers(begins(gives_up(parted(), 2, 0).crashes(1), 0), 0, 0).keeps();
    recovers(begins(begins(gives_up(parted(), 2, 0), 0).crashes(1), 0), 0, 0).keeps();
    recovers(gives_up(parted(), 2, 0).crashes(1), 2, 4).keeps();
    begins(recovers(gives_up(parted(), 2, 0).crashes(1), 2, 4), 0).breaks(PROMISE);
    recovers(gives_up(parted(), 2, 0).crashes(1), 0, 4).breaks(PROMISE);
    // It did not say so, or said another place.
    begins(parted(), 0).breaks(PROMISE);
    begins(gives_up(parted(), 2, 0), 1).breaks(PROMISE);
    begins(goes_on(), 0).breaks(PROMISE);
    // The leader's log begins at 0.
    gives_up(parted(), 2, 1).breaks(PROMISE);
    // It does not follow that epoch; nobody gave up anything; it leads.
    gives_up(parted(), 3, 0).breaks(PROMISE);
    gives_up(deleted().state(2, 1, 2, 2, &[2]).leads(2, 2, 4).follows(1, 2, 2), 2, 0).breaks(PROMISE);
    gives_up(deleted(), 1, 0).breaks(PROMISE);
    // What it has is its leader's by now, and committed.
    begins(gives_up(goes_on().commits(3, 2, 2), 2, 0), 0).breaks(SPARES);
}

#[test]
fn compaction_takes_what_is_superseded_and_tombstones_in_time() {
    const PROMISE: &str = "compaction keeps the last value of each key";
    let ground = |last_is_tombstone| {
        Tale::replicated().keys(1, 1, 0, &[(1, false), (2, false), (1, false), (3, last_is_tombstone)]).commits(1, 1, 4)
    };
    ground(false).compacts(1, 0, 4, &[1, 2, 3]).keeps();
    ground(false).compacts(1, 0, 4, &[0, 1, 3]).breaks(PROMISE);
    // What only an uncommitted record supersedes stays.
    let ahead = || ground(false).appends(1, 1, 4, 12).keys(1, 1, 4, &[(2, false), (3, false)]);
    ahead().compacts(1, 0, 4, &[2, 3]).breaks(PROMISE);
    ahead().compacts(1, 0, 6, &[2, 4, 5]).breaks(PROMISE);
    // A tombstone stays for its time, counted from whoever first kept it.
    ground(true).compacts(1, 0, 4, &[1, 2]).breaks(PROMISE);
    ground(true).compacts(1, 0, 4, &[1, 2, 3]).compacts_at(2, 1_100, 0, 4, &[1, 2]).keeps();
    ground(true).compacts(1, 0, 4, &[1, 2, 3]).compacts_at(2, 1_099, 0, 4, &[1, 2]).breaks(PROMISE);
    // A file that came to nothing took nothing.
    let unfinished = |tale: Tale| {
        let (base, end, epoch) = (Offset(0), Offset(4), LeaderEpoch(1));
        tale.says(1, Event::BatchCompacted { partition: P, epoch, base, end, crc: 0, kept: Vec::new() }).crashes(1)
    };
    unfinished(ground(false)).compacts(1, 0, 4, &[1, 2, 3]).keeps();
    // Of records whose keys nobody told, nothing is claimed.
    Tale::replicated().commits(1, 1, 4).compacts(1, 0, 4, &[]).keeps();
    // Broker 1 leads again by an unclean election, and its own records count at the offsets at which its successor had others.
    let older = Tale::unclean().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10);
    let older = older.keys(1, 1, 0, &[(1, false), (2, false)]);
    let given_up = older.state(2, 1, 2, 2, &[2]).leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2);
    let again = given_up.keys(2, 2, 0, &[(3, false), (4, false)]).state(1, 2, 1, 3, &[1]).leads(1, 3, 2);
    let again = again.appends(1, 3, 2, 11).keys(1, 3, 2, &[(1, false), (2, false)]).commits(1, 3, 4);
    again.compacts(1, 0, 2, &[]).keeps();
}

#[test]
fn replicas_that_were_compacted_at_different_times_agree_and_other_epochs_do_not() {
    const PROMISE: &str = "replicas agree below the high watermark";
    let leader = || Tale::replicated().commits(1, 1, 4).compacts(1, 0, 4, &[3]);
    // A new follower gets what is left, with the checksum that it has now.
    let copies = |epoch, crc| {
        let (epoch, base, end) = (LeaderEpoch(epoch), Offset(0), Offset(4));
        Event::Appended { partition: P, epoch, base, end, crc }
    };
    leader().follows(3, 1, 1).says(3, copies(1, 99)).commits(3, 1, 4).keeps();
    leader().follows(3, 1, 1).says(3, copies(2, 99)).breaks(PROMISE);
}

#[test]
fn recovery_is_not_blamed_for_what_the_world_destroyed_there_and_for_nothing_else() {
    const PROMISE: &str = "recovery keeps all that was synced";
    for harm in [Harm::Rotted, Harm::Lost, Harm::Misdirected, Harm::MovedAway, Harm::Wiped] {
        Tale::replicated().hurts(1, harm, "orders-0").crashes(1).recovers(1, 0).keeps();
        let damaged = || Event::LogDamaged { partition: P };
        Tale::replicated().hurts(1, harm, "orders-0").says(1, damaged()).keeps();
        Tale::replicated().hurts(2, harm, "orders-0").says(1, damaged()).breaks(PROMISE);
        Tale::replicated().hurts(2, harm, "orders-0").loses_power(1).recovers(1, 2).breaks(PROMISE);
    }
    Tale::replicated().hurts(1, Harm::Rotted, "orders-1").loses_power(1).recovers(1, 2).breaks(PROMISE);
    Tale::replicated().hurts(1, Harm::Unreadable, "orders-0").loses_power(1).recovers(1, 2).breaks(PROMISE);
    let mended = Tale::replicated().hurts(1, Harm::Rotted, "orders-0").what(1, What::DiskMended);
    mended.loses_power(1).recovers(1, 2).breaks(PROMISE);
}

#[test]
fn a_hurt_log_excuses_no_leader_that_lacks_what_was_committed() {
    const PROMISE: &str = "an elected leader has every committed record";
    let hurt = Tale::replicated().hurts(2, Harm::Lost, "orders-0").loses_power(2).recovers(2, 0);
    hurt.leads(2, 2, 0).breaks(PROMISE);
}

#[test]
fn producers_are_known_by_their_log_and_by_nothing_else() {
    const PROMISE: &str = "producer state equals its rebuild";
    let two = || Tale::begin().numbers(1, 0, 0).knows(1, &[(0, 0)]).numbers(1, 2, 2).knows(1, &[(0, 0), (2, 2)]);
    two().keeps();
    // It forgot one, or knows one that is cut, was never there, or stands elsewhere.
    two().knows(1, &[(0, 0)]).breaks(PROMISE);
    two().knows(1, &[]).breaks(PROMISE);
    two().truncates(1, 4, 2).knows(1, &[(0, 0), (2, 2)]).breaks(PROMISE);
    two().loses_power(1).recovers(1, 2).knows(1, &[(0, 0), (2, 2)]).breaks(PROMISE);
    two().knows(1, &[(0, 0), (2, 2), (4, 4)]).breaks(PROMISE);
    two().knows(1, &[(0, 0), (3, 2)]).breaks(PROMISE);
    Tale::begin().knows(1, &[(0, 0)]).breaks(PROMISE);
    // What was cut is not known, what comes in its place is; each node by its own log; a disk that was emptied knows nobody.
    two().truncates(1, 4, 2).knows(1, &[(0, 0)]).numbers(1, 2, 2).knows(1, &[(0, 0), (2, 2)]).keeps();
    two().loses_power(1).recovers(1, 2).knows(1, &[(0, 0)]).knows(2, &[]).keeps();
    two().crashes(1).recovers(1, 4).knows(1, &[(0, 0), (2, 2)]).keeps();
    two().hurts(1, Harm::Wiped, "").recovers(1, 0).knows(1, &[]).keeps();
    // After a long silence a producer is forgotten, and may begin anew.
    let silent = || two().says(1, Event::ProducerForgotten { partition: P, producer: ProducerId(7) });
    silent().knows(1, &[]).numbers(1, 4, 9).knows(1, &[(4, 9)]).keeps();
    silent().knows(1, &[(0, 0), (2, 2)]).breaks(PROMISE);
    // What it wrote is read again after a restart, and who knows from where on.
    silent().crashes(1).recovers(1, 4).knows(1, &[(0, 0), (2, 2)]).keeps();
    // Nor is anything known of what was there before the trace began.
    Tale::begin().recovers(1, 4).knows(1, &[(0, 0), (2, 2)]).keeps();
    // A gap is told of a log that has all that was acknowledged.
    let acked = || Tale::replicated().numbers(1, 0, 0).numbers(1, 2, 2).syncs(2, 4).commits(1, 1, 4).acks(1, 1, 2, -1);
    acked().questions(1, 4).refuses(1).keeps();
    acked().questions(2, 4).refuses(2).keeps();
    acked().questions(2, 2).refuses(2).breaks(PROMISE);
    acked().questions(2, 2).keeps();
    acked().questions(2, 2).crashes(2).questions(2, 4).refuses(2).keeps();
    acked().hurts(2, Harm::Lost, "orders-0").questions(2, 2).refuses(2).keeps();
    // By the time of the answer more may be acknowledged, of the same leader.
    let early = Tale::replicated().numbers(1, 0, 0).numbers(1, 2, 2).syncs(2, 4).questions(1, 2);
    early.commits(1, 1, 4).acks(1, 1, 2, -1).refuses(1).keeps();
    // What lies below the log's start is not asked for, what lies above is.
    let replicated = || Tale::replicated().numbers(1, 0, 0).numbers(1, 2, 2);
    let asked = || replicated().says(1, Event::DeletionAsked { partition: P, below: Offset(2) });
    let later = || asked().advances(1, 2, LogStartReason::Asked);
    later().knows_since(2, 1, &[(2, 2)]).keeps();
    later().knows_since(2, 1, &[]).breaks(PROMISE);
}

#[test]
fn producers_are_not_known_by_what_compaction_took_once_an_unclean_election_took_the_rest() {
    const PROMISE: &str = "producer state equals its rebuild";
    let whole = || {
        let written = Tale::unclean().replicate().numbers(1, 0, 0).numbers(1, 2, 2);
        written.syncs(2, 4).commits(1, 1, 4).follows(3, 1, 1).appends(3, 1, 0, 10)
    };
    // Broker 3 has the first batch alone, and leads.
    let cut = |tale: Tale| tale.state(3, 1, 3, 2, &[3]).leads(3, 2, 2).follows(1, 2, 3).truncates(1, 4, 2);
    // A snapshot may have told of the first batch, or nothing does.
    let faded = || cut(whole().compacts(1, 0, 2, &[]));
    faded().knows(1, &[]).keeps();
    faded().knows(1, &[(0, 0)]).keeps();
    faded().crashes(1).recovers(1, 2).knows(1, &[]).keeps();
    faded().numbers(1, 2, 2).knows(1, &[(2, 2)]).keeps();
    // Once it is of no account any more, the others must be known.
    let five = [(2, 2), (4, 4), (6, 6), (8, 8), (10, 10)];
    let later = || five.iter().fold(faded(), |tale, &(base, first)| tale.numbers(1, base, first));
    later().knows(1, &five).keeps();
    later().knows(1, &five[1..]).breaks(PROMISE);
    // Where nothing was compacted, or only what went, the first one is known as ever; and both are as long as the last one is there.
    cut(whole()).knows(1, &[]).breaks(PROMISE);
    cut(whole().compacts(1, 2, 4, &[])).knows(1, &[]).breaks(PROMISE);
    cut(whole().compacts(1, 2, 4, &[])).knows(1, &[(0, 0)]).keeps();
    whole().compacts(1, 0, 2, &[]).knows(1, &[(2, 2)]).breaks(PROMISE);
    whole().compacts(1, 0, 2, &[]).crashes(1).recovers(1, 4).knows(1, &[(0, 0), (2, 2)]).keeps();
}

#[test]
fn metadata_is_the_same_wherever_it_is_equally_far() {
    const PROMISE: &str = "metadata agrees";
    Tale::begin().applied(1, 5, 77).applied(2, 5, 78).breaks(PROMISE);
    Tale::begin().applied(1, 5, 77).crashes(1).applied(1, 5, 78).breaks(PROMISE);
    Tale::begin().applied(1, 5, 77).applied(1, 4, 70).breaks(PROMISE);
    Tale::begin().state(1, 2, 1, 3, &[1, 2]).state(2, 2, 1, 3, &[1]).breaks(PROMISE);
    Tale::begin().applied(1, 5, 77).applied(2, 3, 60).applied(1, 6, 80).crashes(1).applied(1, 3, 60).keeps();
    Tale::begin().state(1, 2, 1, 3, &[1, 2]).state(2, 2, 1, 3, &[2, 1]).keeps();
}

#[test]
fn a_snapshot_stands_for_what_was_committed_and_is_there_when_its_node_comes_back() {
    const PROMISE: &str = "snapshots stand for what was committed";
    let joins = |tale: Tale| tale.says(1, Event::QuorumJoined { voters: brokers(&[1]), fetch_timeout_ms: 1000 });
    let cut = |tale: Tale, to| {
        let (partition, from, reason) = (PartitionId::METADATA, Offset(0), LogStartReason::Snapshot);
        tale.says(1, Event::LogStartAdvanced { partition, from, to: Offset(to), reason })
    };
    let installed = |end| Event::SnapshotInstalled { end: Offset(end), epoch: LeaderEpoch(1), content: 9 };
    let committed = || {
        let (partition, epoch, base, end) = (PartitionId::METADATA, LeaderEpoch(1), Offset(0), Offset(5));
        let led = Tale::begin().quorum_leader(1, 1).says(1, Event::Appended { partition, epoch, base, end, crc: 10 });
        let synced = led.says(1, Event::Synced { partition, end });
        synced.says(1, Event::HighWatermarkAdvanced { partition, epoch, to: end })
    };
    committed().snapshot(1, 6, 77, 9).breaks(PROMISE);
    committed().says(2, installed(6)).breaks(PROMISE);
    committed()
        .snapshot(1, 5, 77, 9)
        .says(2, Event::SnapshotInstalled { end: Offset(5), epoch: LeaderEpoch(1), content: 8 })
        .breaks(PROMISE);
    cut(committed(), 1).breaks(PROMISE);
    cut(committed().snapshot(1, 4, 77, 9), 5).breaks(PROMISE);
    joins(committed().snapshot(1, 5, 77, 9).loses_power(1)).breaks(PROMISE);
    joins(committed().snapshot(1, 3, 70, 8).snapshot(1, 5, 77, 9).loses_power(1).loads(1, 3, 70, 8)).breaks(PROMISE);
    let whole =
        cut(committed().snapshot(1, 3, 70, 8).snapshot(1, 5, 77, 9).says(2, installed(5)).loads(2, 5, 77, 9), 3);
    joins(whole.loses_power(1).loads(1, 5, 77, 9)).keeps();
    joins(committed().snapshot(1, 5, 77, 9).hurts(1, Harm::Wiped, "").crashes(1)).keeps();
    cut(committed().snapshot(1, 5, 77, 9).hurts(1, Harm::Unreadable, "metadata"), 5).keeps();
    cut(committed().hurts(1, Harm::Unreadable, "metadata").snapshot(1, 4, 77, 9), 5).breaks(PROMISE);
    // What it says is what records made.
    committed().applied(1, 5, 77).snapshot(1, 5, 78, 9).breaks("metadata agrees");
    committed().applied(1, 5, 77).loads(1, 5, 78, 9).breaks("metadata agrees");
}

#[test]
fn a_stretch_that_nobody_witnessed_proves_nothing() {
    // Broker 2's log is longer after recovery than anything that it told.
    let tale = Tale::replicated().crashes(2).recovers(2, 6).state(2, 1, 2, 2, &[2]).leads(2, 2, 6).commits(2, 2, 6);
    tale.appends(2, 2, 6, 30).commits(2, 2, 8).acks(2, 2, 4, 1).keeps();
}
