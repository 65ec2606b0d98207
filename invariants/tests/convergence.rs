//! The cluster converges after healing: broken on each kind of stall, kept on its twin, allowed for a proven reason alone.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evidence::{Claims, Entry, History, NodeName, What};
use invariants::{Expectations, Outcome, Verdict, Watch};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time, TopicId};

const P: PartitionId = PartitionId { topic: TopicId(7), index: 0 };

struct Tale {
    watch: Watch,
    index: u64,
}

/// A broker, or the run itself.
fn name(n: i32) -> NodeName {
    NodeName(if n == RUN { "trial".into() } else { format!("broker {n}").into() })
}

const RUN: i32 = 9;

impl Tale {
    fn what(mut self, n: i32, what: What) -> Tale {
        self.index += 1;
        self.watch.observe(&Entry { index: self.index, time: Time(self.index * 1000), node: name(n), what });
        self
    }

    fn says(self, n: i32, event: Event) -> Tale {
        self.what(n, What::Witnessed(event))
    }

    /// The state of the partition as broker `n` applied it, at a metadata offset of the same number.
    fn state(self, n: i32, state: i32, leader: Option<i32>, epoch: i32, in_sync: &[i32]) -> Tale {
        self.says(
            n,
            Event::PartitionChanged {
                partition: P,
                leader: leader.map(BrokerId),
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: PartitionEpoch(state),
                in_sync: in_sync.iter().map(|&id| BrokerId(id)).collect(),
            },
        )
        .applied(n, i64::from(state))
    }

    fn assigns(self, n: i32, state: i32, replicas: &[i32], adding: &[i32]) -> Tale {
        let ids = |of: &[i32]| of.iter().copied().map(BrokerId).collect();
        let (replicas, adding, partition_epoch) = (ids(replicas), ids(adding), PartitionEpoch(state));
        self.says(n, Event::ReplicasChanged { partition: P, partition_epoch, replicas, adding })
    }

    fn applied(self, n: i32, end: i64) -> Tale {
        self.says(n, Event::MetadataApplied { end: Offset(end), digest: end as u64 })
    }

    fn leads(self, n: i32, epoch: i32) -> Tale {
        let epoch = LeaderEpoch(epoch);
        self.says(n, Event::BecameLeader { partition: P, epoch, log_end: Offset(0), high_watermark: Offset(0) })
    }

    /// A batch of two records in this broker's log.
    fn appends(self, n: i32, base: i64, crc: u32) -> Tale {
        let end = Offset(base + 2);
        self.says(n, Event::Appended { partition: P, epoch: LeaderEpoch(1), base: Offset(base), end, crc })
            .says(n, Event::Synced { partition: P, end })
    }

    fn commits(self, n: i32, to: i64) -> Tale {
        self.says(n, Event::HighWatermarkAdvanced { partition: P, epoch: LeaderEpoch(1), to: Offset(to) })
    }

    fn acks(self, n: i32) -> Tale {
        let (epoch, base, end) = (LeaderEpoch(1), Offset(0), Offset(2));
        self.says(n, Event::Acked { partition: P, epoch, base, end, acks: -1 })
    }

    fn quiet(self, core: &[i32]) -> Tale {
        self.what(RUN, What::QuietBegan { core: core.iter().map(|&n| name(n)).collect() })
    }

    fn verdict(self) -> Verdict {
        let watch = self.what(RUN, What::QuietEnded).watch;
        let verdicts = watch.finish(&History::new(Claims::default())).unwrap();
        verdicts.into_iter().find(|verdict| verdict.promise == "the cluster converges after healing").unwrap()
    }
}

/// Three brokers hold the partition; broker 1 leads it, and is the controller too. Broker 3 falls out of the in-sync set.
fn begin() -> Tale {
    let expectations = Expectations {
        claims: Claims::default(),
        flush_on_commit: true,
        producers_retry: false,
        unavailable_at_most: None,
    };
    let mut tale = Tale { watch: Watch::new(expectations), index: 0 };
    tale.watch.name_topic("orders", P.topic);
    for n in 1..=3 {
        tale = tale.what(n, What::NodeStarted).assigns(n, 1, &[1, 2, 3], &[]).state(n, 1, Some(1), 1, &[1, 2, 3]);
    }
    tale.says(1, Event::QuorumLeader { epoch: LeaderEpoch(1), log_end: Offset(0) })
        .leads(1, 1)
        .state(1, 2, Some(1), 1, &[1, 2])
        .state(2, 2, Some(1), 1, &[1, 2])
        .quiet(&[1, 2])
}

/// A record goes all the way through the core.
fn served() -> Tale {
    begin().appends(1, 0, 5).appends(2, 0, 5).commits(1, 2).commits(2, 2).acks(1)
}

fn broken(tale: Tale, why: &str) {
    let verdict = tale.verdict();
    assert_eq!((verdict.outcome, verdict.detail.as_str()), (Outcome::Broken, why));
}

#[test]
fn a_core_that_serves_and_agrees_has_converged() {
    let verdict = served().verdict();
    assert_eq!((verdict.outcome, verdict.detail.as_str()), (Outcome::Kept, "2 facts"));
}

#[test]
fn a_run_without_a_quiet_phase_says_nothing() {
    let watch = served().watch;
    let verdicts = watch.finish(&History::new(Claims::default())).unwrap();
    let of = |verdict: &&Verdict| verdict.promise == "the cluster converges after healing";
    assert_eq!(verdicts.iter().find(of).unwrap().outcome, Outcome::Unknown);
}

#[test]
fn a_partition_that_takes_no_record_is_a_stall() {
    broken(begin().appends(1, 0, 5).appends(2, 0, 5).commits(1, 2).commits(2, 2), "orders/0 took no record");
}

#[test]
fn a_record_that_was_taken_before_the_quiet_phase_does_not_count() {
    broken(served().quiet(&[1, 2]), "orders/0 took no record");
}

#[test]
fn a_replica_that_is_not_in_sync_is_a_stall_and_so_is_one_that_is_gone() {
    broken(
        served().quiet(&[1, 2, 3]).acks(1).applied(3, 2),
        "orders/0 has broker 1 and broker 2 in sync, not broker 1 and broker 2 and broker 3",
    );
    let tale = served().state(1, 3, Some(1), 1, &[1, 2, 3]).state(2, 3, Some(1), 1, &[1, 2, 3]);
    broken(tale, "orders/0 has broker 1 and broker 2 and broker 3 in sync, not broker 1 and broker 2");
}

#[test]
fn a_move_that_does_not_end_is_a_stall_unless_somebody_who_comes_is_not_there() {
    let moving = |adding| served().assigns(1, 3, &[1, 2, 3], adding);
    broken(moving(&[2]), "orders/0 is still on its way to broker 2, though all of its new replicas are in the core");
    assert_eq!(moving(&[2, 3]).verdict().outcome, Outcome::Kept);
}

#[test]
fn another_log_and_an_uncommitted_end_are_stalls() {
    broken(served().appends(1, 2, 6).commits(1, 4), "broker 2 holds another log of orders/0 than its leader, broker 1");
    broken(
        served().appends(1, 2, 6).appends(2, 2, 6),
        "broker 1 knows orders/0 to be committed up to 2, and it ends at 4",
    );
    broken(
        served().appends(1, 2, 6).appends(2, 2, 6).commits(1, 4),
        "broker 2 knows orders/0 to be committed up to 2, and it ends at 4",
    );
}

#[test]
fn metadata_that_lags_and_a_controller_outside_the_core_are_stalls() {
    broken(served().applied(1, 3), "broker 2 has other metadata than the controller");
    let tale = served().says(3, Event::QuorumLeader { epoch: LeaderEpoch(2), log_end: Offset(0) });
    broken(tale, "no node of the core is the controller");
}

#[test]
fn a_partition_without_a_leader_is_a_stall_if_one_of_the_core_may_lead() {
    let tale = served().state(1, 3, None, 2, &[1, 2]).state(2, 3, None, 2, &[1, 2]);
    broken(tale, "orders/0 has no leader in the core");
}

#[test]
fn a_partition_whose_only_eligible_replica_is_left_broken_may_stall() {
    let verdict = served().state(1, 3, None, 2, &[3]).state(2, 3, None, 2, &[3]).verdict();
    let why =
        "orders/0 has no leader in the core: the only eligible replicas of orders/0 are broker 3, which is left broken";
    assert_eq!((verdict.outcome, verdict.detail.as_str()), (Outcome::Allowed, why));
}

#[test]
fn a_broker_that_gave_up_excuses_its_partitions_until_it_starts_again() {
    let gave_up = |tale: Tale| tale.what(2, What::NodeStopped { error: Some("its disk failed".into()) });
    let verdict = gave_up(served()).verdict();
    assert_eq!(verdict.outcome, Outcome::Allowed);
    assert!(verdict.detail.contains("broker 2, which holds orders/0, gave up: its disk failed"), "{}", verdict.detail);
    let back = gave_up(served()).what(2, What::NodeStarted).applied(2, 1);
    broken(
        back,
        "broker 2 has other metadata than the controller; broker 2 knows orders/0 to be committed up to 0, and it ends at 2",
    );
}

#[test]
fn a_broker_that_gave_up_long_ago_excuses_only_what_those_that_are_left_cannot_do() {
    let gone = |tale: Tale| {
        let mut tale = tale.what(2, What::NodeStopped { error: Some("its disk failed".into()) });
        tale.index += 40_000_000;
        tale.what(RUN, What::Note { text: "forty seconds later".into() })
    };
    let by_three = |in_sync_min| {
        let replicas = [1, 2, 3].map(BrokerId).to_vec();
        let placed = begin().says(1, Event::ReplicaPlaced { partition: P, replicas, in_sync_min });
        let in_sync = (1..=3).fold(placed, |tale, n| tale.state(n, 3, Some(1), 1, &[1, 2, 3]).appends(n, 0, 5));
        (1..=3).fold(in_sync.quiet(&[1, 2, 3]), |tale, n| tale.commits(n, 2)).acks(1)
    };
    assert_eq!(by_three(2).verdict().outcome, Outcome::Kept);
    // The two that are left have had the time to go on without it.
    let why = "orders/0 has broker 1 and broker 2 and broker 3 in sync, not broker 1 and broker 3";
    broken(gone(by_three(2)), why);
    // Two are too few.
    let verdict = gone(by_three(3)).verdict();
    assert_eq!(verdict.outcome, Outcome::Allowed);
    assert!(verdict.detail.contains("broker 2, which holds orders/0, gave up"), "{}", verdict.detail);
}

#[test]
fn who_lost_the_directory_of_a_replica_must_be_missed_there_and_has_the_rest() {
    let loses = |tale: Tale, of: PartitionId| {
        tale.says(2, Event::LogDirectoryFailed { directory: "data2".into(), replicas: vec![of] })
    };
    let shrunk = |tale: Tale| tale.state(1, 3, Some(1), 1, &[1]).state(2, 3, Some(1), 1, &[1]);
    // The others go on without it, and it goes on with its other replicas.
    assert_eq!(shrunk(loses(served(), P)).verdict().outcome, Outcome::Kept);
    assert_eq!(loses(served(), PartitionId { index: 1, ..P }).verdict().outcome, Outcome::Kept);
    // It must not be counted any more, nor lead.
    broken(loses(served(), P), "orders/0 has broker 1 and broker 2 in sync, not broker 1");
    let led = |tale: Tale| tale.state(1, 3, Some(2), 2, &[1, 2]).state(2, 3, Some(2), 2, &[1, 2]);
    broken(loses(led(served()), P), "orders/0 has no leader in the core");
    // Nobody else may be elected.
    let last = |tale: Tale| tale.state(1, 3, None, 2, &[2]).state(2, 3, None, 2, &[2]);
    assert_eq!(loses(last(served()), P).verdict().outcome, Outcome::Allowed);
    // It was started again, and takes the directory as it is.
    let back = shrunk(loses(served(), P)).what(2, What::NodeStarted).applied(2, 3);
    assert_eq!(back.verdict().outcome, Outcome::Broken);
}
