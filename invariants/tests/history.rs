//! Each promise over the history is shown to fail on a bad history, and to hold on its legal twin.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use evidence::Outcome as Answer;
use evidence::{Acks, Action, Claims, History, Isolation, Key, Membership, MicroOperation, Operation, Process, Value};
use invariants::{Gravity, Outcome, Report, check};
use model::Time;

const SURVIVE: &str = "acknowledged records survive";
const ORDER: &str = "order within a partition";
const INVENTED: &str = "no invented or altered record";
const DUPLICATE: &str = "no duplicate when nothing was retried";
const REFUSED: &str = "refused records stay away";
const OFFSETS: &str = "acknowledged offsets are true";
const REAL_TIME: &str = "appends keep real-time order";

fn key() -> Key {
    Key::new("orders", 0)
}

/// What clients tell of one key; each line takes a microsecond.
struct Tale(History);

impl Tale {
    fn begin() -> Tale {
        Tale::with(Claims::default())
    }

    fn with(claims: Claims) -> Tale {
        Tale(History::new(claims))
    }

    fn line(mut self, process: u64, outcome: Answer, action: Action) -> Tale {
        let index = self.0.operations.len() as u64;
        self.0.operations.push(Operation {
            index,
            time: Some(Time(index * 1000)),
            process: Process::Number(process),
            outcome,
            action,
            error: None,
            rebalance_log: None,
        });
        self
    }

    fn asks(self, process: u64, value: i64) -> Tale {
        self.line(process, Answer::Invoke, Action::Send(vec![MicroOperation::send(&key(), value)]))
    }

    fn told(self, process: u64, value: i64, offset: i64) -> Tale {
        self.line(process, Answer::Ok, Action::Send(vec![MicroOperation::sent(&key(), offset, value)]))
    }

    fn refused(self, process: u64, value: i64) -> Tale {
        self.line(process, Answer::Fail, Action::Send(vec![MicroOperation::send(&key(), value)]))
    }

    fn in_doubt(self, process: u64, value: i64) -> Tale {
        self.line(process, Answer::Info, Action::Send(vec![MicroOperation::send(&key(), value)]))
    }

    /// Asked and told at once.
    fn sends(self, process: u64, value: i64, offset: i64) -> Tale {
        self.asks(process, value).told(process, value, offset)
    }

    fn polls(self, process: u64, records: &[(i64, i64)]) -> Tale {
        let records: Vec<_> = records.iter().map(|&(offset, value)| (offset, Value::from(value))).collect();
        let polled = if records.is_empty() { BTreeMap::new() } else { BTreeMap::from([(key(), records)]) };
        let asked = self.line(process, Answer::Invoke, Action::Poll(vec![MicroOperation::Poll]));
        asked.line(process, Answer::Ok, Action::Poll(vec![MicroOperation::Polled(polled)]))
    }

    fn assigns(self, process: u64) -> Tale {
        let keys = || Action::Assign(vec![key()]);
        self.line(process, Answer::Invoke, keys()).line(process, Answer::Ok, keys())
    }

    fn subscribes(self, process: u64) -> Tale {
        let keys = || Action::Subscribe(vec![key()]);
        self.line(process, Answer::Invoke, keys()).line(process, Answer::Ok, keys())
    }

    fn starts_at(self, process: u64, start: i64, end: i64) -> Tale {
        let ends = || Action::End(BTreeMap::from([(key(), (start, end))]));
        self.line(process, Answer::Invoke, ends()).line(process, Answer::Ok, ends())
    }

    fn report(self) -> Report {
        // What is judged is what anybody could have written down.
        let mut text = Vec::new();
        self.0.write(&mut text).unwrap();
        check(&History::read(&*text).unwrap())
    }

    #[track_caller]
    fn comes_out(self, promise: &str, outcome: Outcome) -> Report {
        let report = self.report();
        let verdict = report.verdicts.iter().find(|verdict| verdict.promise == promise).unwrap();
        assert_eq!(verdict.outcome, outcome, "{report:#?}");
        report
    }

    /// This promise is broken by this anomaly, and all others are kept.
    #[track_caller]
    fn breaks_only(self, promise: &str, anomaly: &str) -> Report {
        let report = self.comes_out(promise, Outcome::Broken);
        let others = report.verdicts.iter().filter(|verdict| verdict.promise != promise);
        assert!(others.clone().all(|verdict| verdict.outcome != Outcome::Broken), "{report:#?}");
        assert!(report.findings.iter().any(|finding| finding.anomaly == anomaly), "{report:#?}");
        assert_eq!(report.outcome(), Outcome::Broken);
        report
    }

    #[track_caller]
    fn keeps_all(self) -> Report {
        let report = self.report();
        assert!(report.verdicts.iter().all(|verdict| verdict.outcome == Outcome::Kept), "{report:#?}");
        assert_eq!(report.outcome(), Outcome::Kept);
        report
    }
}

fn claims(acks: Acks, idempotent: bool, unclean_election: bool) -> Claims {
    Claims { acks, idempotent, unclean_election, ..Claims::default() }
}

#[test]
fn a_history_without_evidence_is_unknown() {
    let report = Tale::begin().report();
    assert!(report.verdicts.iter().all(|verdict| verdict.outcome == Outcome::Unknown));
    assert_eq!(report.outcome(), Outcome::Unknown);
    // Sent and never read; read and never sent anything.
    Tale::begin().sends(1, 10, 0).comes_out(SURVIVE, Outcome::Unknown);
    Tale::begin().asks(1, 10).in_doubt(1, 10).assigns(2).polls(2, &[]).comes_out(SURVIVE, Outcome::Unknown);
}

#[test]
fn an_ordinary_history_keeps_every_promise() {
    Tale::begin().sends(1, 10, 0).sends(1, 11, 1).assigns(2).polls(2, &[(0, 10), (1, 11)]).keeps_all();
    // Holes are no skips; several readers at their own pace.
    let tale = Tale::begin().sends(1, 10, 0).sends(1, 11, 7).polls(2, &[(0, 10)]).sends(1, 12, 9);
    tale.polls(3, &[(0, 10), (7, 11), (9, 12)]).polls(2, &[(7, 11)]).polls(2, &[(9, 12)]).keeps_all();
}

#[test]
fn an_acknowledged_record_that_readers_passed_is_lost() {
    let lost = || Tale::begin().sends(1, 10, 0).sends(1, 11, 1).sends(1, 12, 2).polls(2, &[(0, 10), (2, 12)]);
    let report = lost().breaks_only(SURVIVE, "lost-write");
    assert!(report.findings[0].why.contains("11 was acknowledged at offset 1"), "{}", report.findings[0].why);
    assert_eq!(report.findings[0].operations, [2, 3]);
    lost().starts_at(3, 2, 3).comes_out(SURVIVE, Outcome::Kept);
    let mut hole = lost();
    hole.0.holes.insert(key(), vec![(1, 2)]);
    hole.keeps_all();
}

#[test]
fn an_acknowledged_record_that_later_readers_never_see_is_unseen() {
    let tale = || Tale::begin().sends(1, 10, 0).sends(1, 11, 1);
    tale().polls(2, &[(0, 10)]).breaks_only(SURVIVE, "unseen");
    tale().assigns(2).polls(2, &[(0, 10)]).polls(2, &[]).breaks_only(SURVIVE, "unseen");
    // Nobody looked after the answer.
    Tale::begin().sends(1, 10, 0).polls(2, &[(0, 10)]).sends(1, 11, 1).comes_out(SURVIVE, Outcome::Unknown);
    // A refused one and one in doubt may be missing.
    tale().asks(3, 12).refused(3, 12).asks(4, 13).in_doubt(4, 13).polls(2, &[(0, 10), (1, 11)]).keeps_all();
}

#[test]
fn claims_decide_whether_a_loss_is_allowed() {
    let lost = |claims| Tale::with(claims).sends(1, 10, 0).sends(1, 11, 1).polls(2, &[(0, 10)]);
    lost(claims(Acks::All, true, false)).comes_out(SURVIVE, Outcome::Broken);
    lost(claims(Acks::Leader, true, false)).comes_out(SURVIVE, Outcome::Allowed);
    lost(claims(Acks::None, true, false)).comes_out(SURVIVE, Outcome::Allowed);
    lost(claims(Acks::All, true, true)).comes_out(SURVIVE, Outcome::Allowed);
}

#[test]
fn a_record_in_doubt_may_surface_late() {
    let tale = Tale::begin().asks(1, 10).in_doubt(1, 10).sends(2, 11, 0).polls(3, &[(0, 11)]);
    tale.sends(2, 12, 2).polls(3, &[(1, 10), (2, 12)]).keeps_all();
}

#[test]
fn two_records_at_one_offset_contradict_each_other() {
    let two = |claims| Tale::with(claims).sends(1, 10, 0).sends(2, 11, 0).polls(3, &[(0, 10)]).polls(4, &[(0, 11)]);
    two(Claims::default()).comes_out(ORDER, Outcome::Broken);
    two(claims(Acks::Leader, true, false)).comes_out(ORDER, Outcome::Broken);
    two(claims(Acks::All, true, true)).comes_out(ORDER, Outcome::Allowed);
    // An acknowledgement with acks=1 is no proof: another record took the offset after the leader was gone.
    let tale = Tale::with(claims(Acks::Leader, true, false)).sends(1, 10, 0).sends(2, 11, 0).polls(3, &[(0, 11)]);
    let report = tale.comes_out(ORDER, Outcome::Kept);
    assert_eq!(report.outcome(), Outcome::Allowed);
}

#[test]
fn a_poll_neither_skips_nor_goes_back() {
    let sent = || Tale::begin().sends(1, 10, 0).sends(1, 11, 1).sends(1, 12, 2).polls(9, &[(0, 10), (1, 11), (2, 12)]);
    sent().polls(2, &[(0, 10), (2, 12)]).breaks_only(ORDER, "int-poll-skip");
    sent().polls(2, &[(1, 11), (0, 10)]).breaks_only(ORDER, "int-nonmonotonic-poll");
    sent().polls(2, &[(1, 11), (1, 11)]).breaks_only(ORDER, "int-nonmonotonic-poll");
    sent().polls(2, &[(0, 10)]).polls(2, &[(2, 12)]).breaks_only(ORDER, "poll-skip");
    sent().polls(2, &[(1, 11)]).polls(2, &[(0, 10)]).breaks_only(ORDER, "nonmonotonic-poll");
    // An assign keeps the position of what stays assigned.
    sent().assigns(2).polls(2, &[(1, 11)]).assigns(2).polls(2, &[(0, 10)]).breaks_only(ORDER, "nonmonotonic-poll");
    // Another process starts where it likes; what lies below the log's start may be skipped.
    sent().polls(2, &[(2, 12)]).polls(3, &[(1, 11)]).keeps_all();
    sent().polls(2, &[(0, 10)]).starts_at(4, 2, 3).polls(2, &[(2, 12)]).comes_out(ORDER, Outcome::Kept);
    // A subscription is at-least-once between polls, and in order inside one.
    sent().subscribes(2).polls(2, &[(1, 11)]).polls(2, &[(0, 10)]).comes_out(ORDER, Outcome::Allowed);
    sent().subscribes(2).polls(2, &[(1, 11), (0, 10)]).comes_out(ORDER, Outcome::Broken);
    let lost = Membership { group: "g".into(), generation: 1, keys: vec![key()] };
    let tale = sent().subscribes(2).polls(2, &[(1, 11)]).line(2, Answer::Ok, Action::Lost(lost));
    tale.polls(2, &[(0, 10)]).keeps_all();
}

#[test]
fn what_a_rebalance_log_names_is_not_judged() {
    let sent =
        Tale::begin().sends(1, 10, 0).sends(1, 11, 1).polls(9, &[(0, 10), (1, 11)]).polls(2, &[(1, 11), (0, 10)]);
    let mut sent = sent;
    sent.0.operations.last_mut().unwrap().rebalance_log = Some(serde_json::json!([{ "lost": ["orders/0"] }]));
    sent.keeps_all();
}

#[test]
fn a_producers_records_keep_their_order() {
    let together = |claims| {
        let asked = vec![MicroOperation::send(&key(), 10), MicroOperation::send(&key(), 11)];
        let told = vec![MicroOperation::sent(&key(), 1, 10), MicroOperation::sent(&key(), 0, 11)];
        let tale = Tale::with(claims).line(1, Answer::Invoke, Action::Send(asked));
        tale.line(1, Answer::Ok, Action::Send(told)).polls(2, &[(0, 11), (1, 10)])
    };
    together(Claims::default()).breaks_only(ORDER, "int-nonmonotonic-send");
    together(claims(Acks::All, false, false)).comes_out(ORDER, Outcome::Allowed);
    let apart = |claims| Tale::with(claims).sends(1, 10, 1).sends(1, 11, 0).polls(2, &[(0, 11), (1, 10)]);
    let report = apart(claims(Acks::All, false, false)).comes_out(ORDER, Outcome::Broken);
    assert!(report.findings.iter().any(|finding| finding.anomaly == "nonmonotonic-send"));
    apart(claims(Acks::Leader, false, false)).comes_out(ORDER, Outcome::Allowed);
}

#[test]
fn what_is_read_was_sent_before_and_there() {
    Tale::begin().sends(1, 10, 0).polls(2, &[(0, 10), (1, 99)]).breaks_only(INVENTED, "invented-record");
    Tale::begin()
        .sends(1, 10, 0)
        .polls(2, &[(0, 10), (1, 11)])
        .asks(1, 11)
        .told(1, 11, 1)
        .polls(3, &[(0, 10), (1, 11)])
        .breaks_only(INVENTED, "invented-record");
    let other = vec![MicroOperation::send(&Key::new("orders", 1), 11)];
    let tale = Tale::begin().sends(1, 10, 0).line(3, Answer::Invoke, Action::Send(other.clone()));
    let report = tale
        .line(3, Answer::Info, Action::Send(other))
        .polls(2, &[(0, 10), (1, 11)])
        .breaks_only(INVENTED, "invented-record");
    assert!(report.findings[0].why.contains("but was sent to orders/1"));
    // While it is being sent it may be read.
    Tale::begin().asks(1, 10).polls(2, &[(0, 10)]).told(1, 10, 0).keeps_all();
}

#[test]
fn a_value_stands_once_unless_it_was_retried_without_idempotence() {
    let twice = |claims| Tale::with(claims).sends(1, 10, 1).polls(2, &[(0, 10), (1, 10)]);
    twice(Claims::default()).breaks_only(DUPLICATE, "duplicate");
    let report = twice(claims(Acks::All, false, false)).comes_out(DUPLICATE, Outcome::Allowed);
    assert_eq!(report.findings.iter().filter(|finding| finding.verdict == Gravity::Allowed).count(), 1);
    // The same offset read again is no duplicate.
    Tale::begin().sends(1, 10, 0).polls(2, &[(0, 10)]).polls(3, &[(0, 10)]).keeps_all();
}

#[test]
fn what_was_refused_is_never_read() {
    let refused = || Tale::begin().sends(1, 10, 0).asks(1, 11).refused(1, 11);
    refused().polls(2, &[(0, 10), (1, 11)]).breaks_only(REFUSED, "aborted-read");
    refused().polls(2, &[(0, 10)]).keeps_all();
    let aborted = |isolation| {
        let body = || Action::Txn(vec![MicroOperation::send(&key(), 11)]);
        let tale =
            Tale::with(Claims { isolation, ..Claims::default() }).sends(1, 10, 0).line(1, Answer::Invoke, body());
        tale.line(1, Answer::Fail, body()).polls(2, &[(0, 10), (1, 11)])
    };
    aborted(Isolation::ReadCommitted).comes_out(REFUSED, Outcome::Broken);
    aborted(Isolation::ReadUncommitted).comes_out(REFUSED, Outcome::Allowed);
}

#[test]
fn a_record_is_found_where_its_producer_was_told() {
    let wrong = |claims| Tale::with(claims).sends(1, 10, 1).polls(2, &[(0, 10)]);
    wrong(Claims::default()).breaks_only(OFFSETS, "duplicate");
    wrong(claims(Acks::Leader, true, false)).comes_out(OFFSETS, Outcome::Broken);
    wrong(claims(Acks::Leader, false, false)).comes_out(OFFSETS, Outcome::Allowed);
}

#[test]
fn a_send_that_began_later_stands_later() {
    let tale = || Tale::begin().asks(1, 10).told(1, 10, 1).asks(2, 11).told(2, 11, 0).polls(3, &[(0, 11), (1, 10)]);
    let report = tale().breaks_only(REAL_TIME, "realtime-order");
    assert_eq!(report.findings[0].operations, [0, 1, 2, 3]);
    // Concurrent sends may stand in either order.
    Tale::begin().asks(1, 10).asks(2, 11).told(1, 10, 1).told(2, 11, 0).polls(3, &[(0, 11), (1, 10)]).keeps_all();
    // One in doubt may surface after what was sent later; but not before what was answered before it began.
    Tale::begin().asks(1, 10).in_doubt(1, 10).sends(2, 11, 0).polls(3, &[(0, 11), (1, 10)]).keeps_all();
    Tale::begin()
        .sends(2, 11, 1)
        .asks(1, 10)
        .in_doubt(1, 10)
        .polls(3, &[(0, 10), (1, 11)])
        .comes_out(REAL_TIME, Outcome::Broken);
    // Without times nobody knows.
    let mut untimed = tale();
    untimed.0.operations.iter_mut().for_each(|operation| operation.time = None);
    let report = untimed.report();
    assert!(report.verdicts.iter().all(|verdict| verdict.promise != REAL_TIME));
    assert_eq!(report.outcome(), Outcome::Kept);
}
