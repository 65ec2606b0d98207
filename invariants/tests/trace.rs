//! Each promise over the trace is shown to fail on a bad trace, and to hold on its legal twin.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evidence::{Claims, Entry, History, NodeName, What};
use invariants::{Expectations, Outcome, Verdict, Violation, Watch};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time, TopicId};

const P: PartitionId = PartitionId { topic: TopicId(7), index: 0 };

/// A run, told by hand. Everything is of one partition; `n` are broker numbers.
struct Tale {
    watch: Watch,
    index: u64,
    violation: Option<Violation>,
}

fn expectations() -> Expectations {
    Expectations { claims: Claims::default(), flush_on_commit: true, producers_retry: false, unavailable_at_most: None }
}

impl Tale {
    fn begin() -> Tale {
        Tale::with(expectations())
    }

    fn with(expectations: Expectations) -> Tale {
        Tale { watch: Watch::new(expectations), index: 0, violation: None }
    }

    fn unclean() -> Tale {
        let claims = Claims { unclean_election: true, ..Claims::default() };
        Tale::with(Expectations { claims, ..expectations() })
    }

    fn what(mut self, n: i32, what: What) -> Tale {
        self.index += 1;
        let entry =
            Entry { index: self.index, time: Time(self.index * 1000), node: NodeName(format!("broker-{n}")), what };
        let violation = self.watch.observe(&entry);
        self.violation = self.violation.or(violation);
        self
    }

    fn says(self, n: i32, event: Event) -> Tale {
        self.what(n, What::Witnessed(event))
    }

    fn state(self, n: i32, state: i32, leader: i32, epoch: i32, in_sync: &[i32]) -> Tale {
        self.says(
            n,
            Event::PartitionChanged {
                partition: P,
                leader: Some(BrokerId(leader)),
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: PartitionEpoch(state),
                in_sync: in_sync.iter().map(|&id| BrokerId(id)).collect(),
            },
        )
    }

    fn leads(self, n: i32, epoch: i32, log_end: i64) -> Tale {
        let (epoch, log_end) = (LeaderEpoch(epoch), Offset(log_end));
        self.says(n, Event::BecameLeader { partition: P, epoch, log_end, high_watermark: Offset(0) })
    }

    fn follows(self, n: i32, epoch: i32, leader: i32) -> Tale {
        let (epoch, leader) = (LeaderEpoch(epoch), BrokerId(leader));
        self.says(n, Event::BecameFollower { partition: P, epoch, leader, log_end: Offset(0) })
    }

    /// One batch of two records, written by the leader of `epoch`, with `crc` for what is in it.
    fn appends(self, n: i32, epoch: i32, base: i64, crc: u32) -> Tale {
        let (epoch, base) = (LeaderEpoch(epoch), Offset(base));
        self.says(n, Event::Appended { partition: P, epoch, base, end: base.plus(2), crc })
    }

    fn truncates(self, n: i32, from: i64, to: i64) -> Tale {
        self.says(n, Event::Truncated { partition: P, from: Offset(from), to: Offset(to) })
    }

    fn syncs(self, n: i32, end: i64) -> Tale {
        self.says(n, Event::Synced { partition: P, end: Offset(end) })
    }

    fn recovers(self, n: i32, log_end: i64) -> Tale {
        let log_end = Offset(log_end);
        self.says(n, Event::Recovered { partition: P, log_start: Offset(0), log_end, cut_bytes: 0 })
    }

    fn commits(self, n: i32, epoch: i32, to: i64) -> Tale {
        self.says(n, Event::HighWatermarkAdvanced { partition: P, epoch: LeaderEpoch(epoch), to: Offset(to) })
    }

    fn acks(self, n: i32, epoch: i32, base: i64, acks: i16) -> Tale {
        let (epoch, base) = (LeaderEpoch(epoch), Offset(base));
        self.says(n, Event::Acked { partition: P, epoch, base, end: base.plus(2), acks })
    }

    fn votes(self, n: i32, epoch: i32, candidate: i32) -> Tale {
        self.says(n, Event::VoteCast { epoch: LeaderEpoch(epoch), candidate: BrokerId(candidate) })
    }

    fn quorum_leader(self, n: i32, epoch: i32) -> Tale {
        self.says(n, Event::QuorumLeader { epoch: LeaderEpoch(epoch), log_end: Offset(0) })
    }

    fn applied(self, n: i32, end: i64, digest: u64) -> Tale {
        self.says(n, Event::MetadataApplied { end: Offset(end), digest })
    }

    fn loses_power(self, n: i32) -> Tale {
        self.what(n, What::PowerLost).what(n, What::NodeStarted)
    }

    fn crashes(self, n: i32) -> Tale {
        self.what(n, What::NodeCrashed).what(n, What::NodeStarted)
    }

    /// Broker 1 leads epoch 1 with 2 in sync; both have two batches, the first one is committed.
    fn replicated() -> Tale {
        Tale::begin().replicate()
    }

    fn replicate(self) -> Tale {
        let elected = self.state(1, 0, 1, 1, &[1, 2]).state(2, 0, 1, 1, &[1, 2]).leads(1, 1, 0).follows(2, 1, 1);
        let first = elected.appends(1, 1, 0, 10).syncs(1, 2).appends(2, 1, 0, 10).syncs(2, 2).commits(1, 1, 2);
        first.appends(1, 1, 2, 11).syncs(1, 4).appends(2, 1, 2, 11)
    }

    #[track_caller]
    fn breaks(self, promise: &str) -> Violation {
        let violation = self.violation.unwrap_or_else(|| panic!("nothing broke \"{promise}\""));
        assert_eq!(violation.promise, promise, "{violation}");
        assert_eq!(violation.at, self.index, "the violation is told too late: {violation}");
        violation
    }

    #[track_caller]
    fn keeps(self) -> Vec<Verdict> {
        assert_eq!(self.violation, None);
        let verdicts = self.watch.finish(&History::default());
        let broken: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Broken).collect();
        assert!(broken.is_empty(), "{broken:?}");
        verdicts
    }
}

fn outcome(verdicts: &[Verdict], promise: &str) -> Outcome {
    verdicts.iter().find(|verdict| verdict.promise == promise).unwrap().outcome
}

#[test]
fn a_run_that_nobody_witnessed_is_unknown() {
    let verdicts = Tale::begin().keeps();
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Unknown), "{verdicts:?}");
}

#[test]
fn an_ordinary_run_keeps_every_promise_over_the_trace() {
    let tale = Tale::replicated().syncs(2, 4).commits(1, 1, 4).acks(1, 1, 2, -1).commits(2, 1, 2).commits(2, 1, 4);
    let verdicts = tale.applied(1, 5, 77).applied(2, 5, 77).keeps();
    let trace = verdicts.iter().take_while(|verdict| verdict.promise != "acknowledged records survive");
    let trace: Vec<_> = trace.collect();
    assert_eq!(trace.len(), 10);
    assert!(trace.iter().all(|verdict| verdict.outcome == Outcome::Kept), "{trace:?}");
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
    Tale::begin().state(1, 4, 1, 3, &[1]).state(1, 3, 2, 2, &[1]).breaks(PROMISE);
    Tale::begin().votes(1, 5, 2).votes(1, 4, 3).breaks(PROMISE);
    // A vote may reach the disk when its voter is further already.
    let further = Tale::begin().says(1, Event::QuorumUnattached { epoch: LeaderEpoch(6) });
    further.votes(1, 5, 2).quorum_leader(1, 6).keeps();
    // Voting again for the same one; falling behind others; reading old metadata again after a restart.
    Tale::begin().votes(1, 5, 2).loses_power(1).votes(1, 5, 2).votes(2, 4, 3).keeps();
    Tale::begin().leads(1, 3, 0).crashes(1).follows(1, 2, 2).leads(1, 3, 0).keeps();
    Tale::begin().state(1, 4, 1, 3, &[1]).crashes(1).state(1, 3, 2, 2, &[1]).state(1, 4, 1, 3, &[1]).keeps();
}

#[test]
fn a_committed_batch_is_never_replaced() {
    const PROMISE: &str = "the committed prefix never changes";
    // Broker 2 commits something else where broker 1 had committed a batch. That its log lacks the batch is told at its election.
    let tale = Tale::begin().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2);
    let other = tale.state(2, 1, 2, 2, &[2]).leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2);
    let verdicts = other.watch.finish(&History::default());
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
    // The follower left the in-sync set: it need not have it. The leader may know before its metadata does.
    Tale::replicated().state(3, 1, 1, 1, &[1]).commits(1, 1, 4).acks(1, 1, 2, -1).keeps();
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
fn the_high_watermark_waits_for_whoever_is_surely_in_sync() {
    const PROMISE: &str = "the high watermark waits for every in-sync replica";
    Tale::replicated().appends(1, 1, 4, 12).commits(1, 1, 6).breaks(PROMISE);
    Tale::replicated().commits(1, 1, 6).breaks(PROMISE); // Past its own end.
    Tale::replicated().follows(3, 1, 1).state(1, 1, 1, 1, &[1, 2, 3]).breaks(PROMISE); // Broker 3 joins with an empty log.
    // It has left: by the leader's own metadata, or by a state that others saw first.
    Tale::replicated().state(1, 1, 1, 1, &[1]).appends(1, 1, 4, 12).commits(1, 1, 6).keeps();
    Tale::replicated().state(3, 1, 1, 1, &[1]).appends(1, 1, 4, 12).commits(1, 1, 6).keeps();
    // It had the records when the leader heard of it, and lost its unsynced tail with the power.
    Tale::replicated().loses_power(2).recovers(2, 2).commits(1, 1, 4).keeps();
    // A follower's high watermark starts over with its life, and lags.
    Tale::replicated().commits(1, 1, 4).commits(2, 1, 4).crashes(2).recovers(2, 4).commits(2, 1, 2).keeps();
    // Joining at the high watermark, behind the leader's end.
    Tale::replicated().appends(3, 1, 0, 10).state(1, 1, 1, 1, &[1, 2, 3]).keeps();
}

#[test]
fn a_truncation_takes_no_committed_batch() {
    const PROMISE: &str = "a truncation spares what is committed";
    Tale::replicated().commits(1, 1, 4).truncates(2, 4, 2).breaks(PROMISE);
    Tale::replicated().truncates(2, 4, 0).breaks(PROMISE);
    Tale::replicated().truncates(2, 4, 2).keeps();
    // Broker 1 was deposed with a batch that nobody has; its successor came further since. It cuts below the high watermark.
    let tale = Tale::replicated().appends(1, 1, 4, 12).state(2, 1, 2, 2, &[2]).leads(2, 2, 4).commits(2, 2, 4);
    let further = tale.appends(2, 2, 4, 20).appends(2, 2, 6, 21).commits(2, 2, 8);
    further.follows(1, 2, 2).truncates(1, 6, 4).appends(1, 2, 4, 20).keeps();
}

#[test]
fn recovery_may_lose_what_was_not_synced_and_only_with_the_power() {
    const PROMISE: &str = "recovery keeps all that was synced";
    Tale::replicated().loses_power(1).recovers(1, 2).breaks(PROMISE);
    Tale::replicated().crashes(2).recovers(2, 2).breaks(PROMISE); // The page cache outlives the process.
    Tale::replicated().loses_power(2).recovers(2, 2).keeps();
    Tale::replicated().crashes(2).recovers(2, 4).keeps();
    Tale::replicated().truncates(1, 4, 2).loses_power(1).recovers(1, 2).keeps();
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
fn a_stretch_that_nobody_witnessed_proves_nothing() {
    // Broker 2's log is longer after recovery than anything that it told.
    let tale = Tale::replicated().crashes(2).recovers(2, 6).state(2, 1, 2, 2, &[2]).leads(2, 2, 6).commits(2, 2, 6);
    tale.appends(2, 2, 6, 30).commits(2, 2, 8).acks(2, 2, 4, 1).keeps();
}
