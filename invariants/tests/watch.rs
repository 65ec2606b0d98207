//! Trace and history together: availability after healing, the crash budget, and where a lost record went.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{Action, Claims, Entry, Key, MicroOperation, NodeName, Recorder, Value, What};
use invariants::{Expectations, Outcome, Verdict, Watch, compare};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId, Time, TopicId};

const SURVIVE: &str = "acknowledged records survive";
const AVAILABLE: &str = "available again within a bound after healing";
const P: PartitionId = PartitionId { topic: TopicId(7), index: 0 };

/// A run of which both sides are told, in milliseconds.
struct Tale {
    watch: Watch,
    recorder: Recorder,
    index: u64,
    value: i64,
}

impl Tale {
    /// Availability within a second.
    fn begin() -> Tale {
        Tale::with(Expectations {
            claims: Claims::default(),
            flush_on_commit: true,
            producers_retry: false,
            unavailable_at_most: Some(Duration::from_secs(1)),
        })
    }

    fn with(expectations: Expectations) -> Tale {
        let recorder = Recorder::new(expectations.claims.clone());
        Tale { watch: Watch::new(expectations), recorder, index: 0, value: 0 }
    }

    fn what(mut self, ms: u64, node: &str, what: What) -> Tale {
        self.index += 1;
        let entry = Entry { index: self.index, time: Time(ms * 1_000_000), node: NodeName(node.into()), what };
        assert_eq!(self.watch.observe(&entry), None);
        self
    }

    fn says(self, ms: u64, node: &str, event: Event) -> Tale {
        self.what(ms, node, What::Witnessed(event))
    }

    fn fault(self, from: u64, to: u64) -> Tale {
        let began = self.what(from, "world", What::FaultBegan { id: 1, text: "a partition".into() });
        began.what(to, "world", What::FaultEnded { id: 1 })
    }

    /// A send that is answered with its number as offset.
    fn sends(mut self, from: u64, to: u64) -> Tale {
        let (process, key) = (self.recorder.process(), Key::new("orders", 0));
        let (asked, told) = (Time(from * 1_000_000), Time(to * 1_000_000));
        self.recorder.invoke(asked, process, Action::Send(vec![MicroOperation::send(&key, self.value)]));
        let sent = MicroOperation::sent(&key, self.value, self.value);
        self.recorder.ok(told, process, Action::Send(vec![sent]));
        self.value += 1;
        self
    }

    /// A send of which nobody knows.
    fn doubts(mut self, from: u64, to: u64) -> Tale {
        let process = self.recorder.process();
        let micro = || Action::Send(vec![MicroOperation::send(&Key::new("orders", 0), self.value)]);
        self.recorder.invoke(Time(from * 1_000_000), process, micro());
        self.recorder.info(Time(to * 1_000_000), process, micro(), "timed out");
        self.value += 1;
        self
    }

    fn polls(self, ms: u64, values: &[i64]) -> Tale {
        let process = self.recorder.process();
        let records = values.iter().map(|&value| (value, Value::from(value))).collect();
        let polled = MicroOperation::Polled(BTreeMap::from([(Key::new("orders", 0), records)]));
        self.recorder.invoke(Time(ms * 1_000_000), process, Action::Poll(vec![MicroOperation::Poll]));
        self.recorder.ok(Time(ms * 1_000_000), process, Action::Poll(vec![polled]));
        self
    }

    /// A look-up of the end, and then a reader who gets this far and hears of nothing more.
    fn drains(self, ms: u64, end: i64, values: &[i64]) -> Tale {
        let (lookup, reader, key) = (self.recorder.process(), self.recorder.process(), Key::new("orders", 0));
        let time = |step: u64| Time(ms * 1_000_000 + step);
        self.recorder.invoke(time(0), lookup, Action::End(BTreeMap::new()));
        self.recorder.ok(time(1), lookup, Action::End([(key.clone(), (0, end))].into()));
        for (step, values) in [(2, values), (4, &[])] {
            let records = values.iter().map(|&value| (value, Value::from(value))).collect();
            let polled = MicroOperation::Polled(BTreeMap::from([(key.clone(), records)]));
            self.recorder.invoke(time(step), reader, Action::Poll(vec![MicroOperation::Poll]));
            self.recorder.ok(time(step + 1), reader, Action::Poll(vec![polled]));
        }
        self
    }

    fn verdict(self, promise: &str) -> Verdict {
        let verdicts = self.watch.finish(&self.recorder.into_history()).unwrap();
        verdicts.into_iter().find(|verdict| verdict.promise == promise).unwrap()
    }

    #[track_caller]
    fn comes_out(self, promise: &str, outcome: Outcome) -> Verdict {
        let verdict = self.verdict(promise);
        assert_eq!(verdict.outcome, outcome, "{verdict:?}");
        verdict
    }
}

#[test]
fn without_faults_every_partition_takes_records_within_the_bound() {
    Tale::begin().sends(0, 900).sends(900, 1000).comes_out(AVAILABLE, Outcome::Kept);
    let verdict = Tale::begin().sends(0, 10).sends(20, 1500).comes_out(AVAILABLE, Outcome::Broken);
    assert!(verdict.detail.contains("1.480 s"), "{}", verdict.detail);
    Tale::begin().sends(0, 10).doubts(20, 1500).comes_out(AVAILABLE, Outcome::Broken);
    // Short attempts one after the other are one long trying.
    let tale = (0..30).fold(Tale::begin(), |tale, n| tale.doubts(n * 50, n * 50 + 10));
    tale.comes_out(AVAILABLE, Outcome::Broken);
    // Nobody tried for long: no one can say that it was unavailable.
    Tale::begin().sends(0, 10).sends(5000, 5010).comes_out(AVAILABLE, Outcome::Kept);
    Tale::begin().comes_out(AVAILABLE, Outcome::Unknown);
}

#[test]
fn while_a_fault_goes_on_nobody_is_held_to_the_bound() {
    Tale::begin().fault(100, 5000).sends(0, 10).sends(200, 5900).comes_out(AVAILABLE, Outcome::Kept);
    Tale::begin().fault(100, 5000).sends(0, 10).sends(200, 6100).comes_out(AVAILABLE, Outcome::Broken);
    Tale::begin().fault(100, 5000).doubts(200, 4000).comes_out(AVAILABLE, Outcome::Unknown);
}

#[test]
fn a_broker_that_is_down_is_a_fault_and_a_client_that_sleeps_is_none() {
    let down = |node: &str| {
        let tale = Tale::begin().what(0, node, What::NodeStarted);
        let tale = if node.starts_with("broker") {
            tale.says(1, node, Event::MetadataApplied { end: Offset(1), digest: 1 })
        } else {
            tale
        };
        tale.what(10, node, What::NodeCrashed).what(9000, node, What::NodeStarted).sends(20, 5000)
    };
    down("broker-1").comes_out(AVAILABLE, Outcome::Unknown);
    down("client-1").comes_out(AVAILABLE, Outcome::Broken);
}

#[test]
fn more_losses_of_power_than_the_budget_excuse_a_loss_where_disks_are_not_waited_for() {
    let lost = |flush_on_commit, crash_budget| {
        let expectations = Expectations {
            claims: Claims { crash_budget, ..Claims::default() },
            flush_on_commit,
            producers_retry: false,
            unavailable_at_most: None,
        };
        let tale = Tale::with(expectations).what(5, "broker-1", What::PowerLost).what(6, "broker-2", What::PowerLost);
        tale.sends(0, 1).sends(2, 3).polls(10, &[1])
    };
    lost(false, Some(1)).comes_out(SURVIVE, Outcome::Allowed);
    lost(false, Some(2)).comes_out(SURVIVE, Outcome::Broken);
    lost(false, None).comes_out(SURVIVE, Outcome::Broken);
    lost(true, Some(1)).comes_out(SURVIVE, Outcome::Broken);
}

#[test]
fn a_loss_is_told_with_where_the_record_went() {
    let epoch = LeaderEpoch(1);
    let appended =
        |base: i64| Event::Appended { partition: P, epoch, base: Offset(base), end: Offset(base + 1), crc: 5 };
    let leads = Event::BecameLeader { partition: P, epoch, log_end: Offset(0), high_watermark: Offset(0) };
    let written = || {
        let tale = Tale::begin().says(0, "broker-1", leads.clone()).says(1, "broker-1", appended(0));
        tale.says(1, "broker-1", appended(1)).says(2, "broker-2", appended(0)).sends(0, 1).sends(0, 2).drains(
            10,
            2,
            &[0],
        )
    };
    let held = written().comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(held.contains("it is there, not below the high watermark 0, which is stuck"), "{held}");
    assert!(
        held.contains("broker-1 holds 1..2 of epoch 1") && held.contains("the log of broker-2 ends at 1"),
        "{held}"
    );
    let commits = Event::HighWatermarkAdvanced { partition: P, epoch, to: Offset(2) };
    let delivered = written().says(3, "broker-1", commits).comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(delivered.contains("it is there, below the high watermark 2: it was not delivered"), "{delivered}");

    let follows = |epoch| Event::BecameFollower { partition: P, epoch, leader: BrokerId(2), log_end: Offset(2) };
    let truncated = Event::Truncated { partition: P, from: Offset(2), to: Offset(1) };
    let cut = written().says(19, "broker-1", follows(LeaderEpoch(2))).says(20, "broker-1", truncated);
    let cut = cut.comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(
        cut.contains(
            "it is on no replica: it was truncated. broker-1 cut its log from 2 to 1 to follow epoch 2 at 0.020 s"
        ),
        "{cut}"
    );

    let recovered = |start, end| {
        let (log_start, log_end) = (Offset(start), Offset(end));
        Event::Recovered { partition: P, log_start, log_end, cut_bytes: 0 }
    };
    let dark = written().what(20, "broker-1", What::PowerLost).says(21, "broker-1", recovered(0, 1));
    let dark = dark.comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(dark.contains("broker-1 recovered with 1 of 2 at 0.021 s"), "{dark}");

    let retained = Tale::begin().says(0, "broker-1", recovered(5, 9)).sends(0, 1).sends(0, 2).drains(10, 2, &[0]);
    let retained = retained.comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(retained.contains("it lies below the log's start: retention took it"), "{retained}");

    let nowhere = Tale::begin().says(0, "broker-1", appended(0)).sends(0, 1).sends(0, 2).drains(10, 2, &[0]);
    let nowhere = nowhere.comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(nowhere.contains("it is on no replica, and nobody cut it"), "{nowhere}");
}

#[test]
fn another_batch_at_the_offset_is_not_the_record() {
    let (first, second) = (LeaderEpoch(1), LeaderEpoch(2));
    let appended = |epoch, crc| Event::Appended { partition: P, epoch, base: Offset(0), end: Offset(2), crc };
    let acked = Event::Acked { partition: P, epoch: first, base: Offset(0), end: Offset(2), acks: 1 };
    let truncated = Event::Truncated { partition: P, from: Offset(2), to: Offset(0) };
    let tale = Tale::begin().says(0, "broker-1", appended(first, 5));
    let tale = tale.says(1, "broker-1", Event::Synced { partition: P, end: Offset(2) }).says(2, "broker-1", acked);
    let tale = tale.says(3, "broker-1", truncated).says(4, "broker-1", appended(second, 6));
    let detail = tale.sends(0, 2).sends(0, 2).polls(10, &[1]).comes_out(SURVIVE, Outcome::Broken).detail;
    assert!(detail.contains("it is on no replica: it was truncated"), "{detail}");
    assert!(detail.contains("broker-1 holds 0..2 of epoch 2 (crc 00000006) where 0..2 of epoch 1"), "{detail}");
}

#[test]
fn a_client_reads_what_is_committed_and_hears_what_a_broker_vouched_for() {
    const READ: &str = "clients read only what is committed";
    const HEARD: &str = "clients hear only what brokers vouched for";
    let epoch = LeaderEpoch(1);
    let leads = Event::BecameLeader { partition: P, epoch, log_end: Offset(0), high_watermark: Offset(0) };
    let appended = Event::Appended { partition: P, epoch, base: Offset(0), end: Offset(2), crc: 5 };
    let commits = |to| Event::HighWatermarkAdvanced { partition: P, epoch, to: Offset(to) };
    let acked = Event::Acked { partition: P, epoch, base: Offset(0), end: Offset(2), acks: 1 };
    let begin = || Tale::begin().says(0, "broker-1", leads.clone()).says(1, "broker-1", appended.clone());
    let synced = || begin().says(1, "broker-1", Event::Synced { partition: P, end: Offset(2) });

    begin().sends(0, 9).polls(5, &[0]).says(6, "broker-1", commits(2)).comes_out(READ, Outcome::Broken);
    begin().says(4, "broker-1", commits(2)).sends(0, 9).polls(5, &[0, 1]).comes_out(READ, Outcome::Kept);
    begin().comes_out(READ, Outcome::Unknown);

    synced().sends(2, 9).comes_out(HEARD, Outcome::Broken);
    synced().says(8, "broker-1", acked.clone()).sends(2, 9).sends(3, 9).comes_out(HEARD, Outcome::Kept);
    // Who asks again hears of what is deleted by now; of what lies beyond the deletion nothing was said.
    let deleted = Event::Recovered { partition: P, log_start: Offset(2), log_end: Offset(2), cut_bytes: 0 };
    let deleted = || Tale::begin().says(0, "broker-1", deleted.clone()).says(8, "broker-1", acked.clone());
    deleted().sends(2, 9).comes_out(HEARD, Outcome::Kept);
    deleted().sends(2, 9).sends(2, 9).sends(2, 9).comes_out(HEARD, Outcome::Broken);
    // With acks=1 an offset may be given away twice: the first record was lost with its leader.
    let again = Event::Appended { partition: P, epoch: LeaderEpoch(2), base: Offset(1), end: Offset(3), crc: 6 };
    let second = Event::Acked { partition: P, epoch: LeaderEpoch(2), base: Offset(1), end: Offset(3), acks: 1 };
    let tale = synced().says(8, "broker-1", acked).says(
        9,
        "broker-2",
        Event::Recovered { partition: P, log_start: Offset(0), log_end: Offset(1), cut_bytes: 0 },
    );
    let synced_again = Event::Synced { partition: P, end: Offset(3) };
    let tale = tale.says(10, "broker-2", again).says(10, "broker-2", synced_again).says(11, "broker-2", second);
    tale.sends(2, 9).sends(3, 9).sends(3, 12).comes_out(HEARD, Outcome::Kept);
}

#[test]
fn what_one_side_saw_and_the_other_missed_is_told() {
    let verdict = |promise, outcome| Verdict { promise, outcome, detail: String::new(), at: None };
    let inside = verdict("one leader an epoch", Outcome::Broken);
    let outside = verdict(SURVIVE, Outcome::Broken);
    let latent = compare(&[inside.clone(), verdict(SURVIVE, Outcome::Kept)]);
    assert_eq!((latent.latent, latent.missed.len()), (vec!["one leader an epoch"], 0));
    let missed = compare(&[verdict("one leader an epoch", Outcome::Kept), outside.clone()]);
    assert_eq!((missed.latent.len(), missed.missed), (0, vec![SURVIVE]));
    assert!(compare(&[inside, outside]).is_empty());
}
