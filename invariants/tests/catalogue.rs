//! Every promise of the catalogue has a violation that was planted for it, and a legal twin of that: one that has not fails here.
//!
//! Those over the trace have theirs below, in a sentence each; those over histories in histories/illegal and histories/legal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod tale;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use evidence::{Action, Claims, History, Key, MicroOperation, NodeName, Recorder, Table, Value, What};
use invariants::{Expectations, Outcome, Verdict, Watch, check};
use model::{
    BrokerEpoch, BrokerId, Event, LeaderEpoch, LogStartReason, MetadataVersion, MetadataVersions, Offset, PartitionId,
    Time,
};
use tale::{P, Tale, brokers, expectations};

/// A promise, what breaks it, and what is much like that and legal.
type Pair = (&'static str, fn() -> Tale, fn() -> Tale);

const PAIRS: &[Pair] = &[
    (
        "one leader an epoch",
        || Tale::begin().leads(1, 3, 0).leads(2, 3, 0),
        || Tale::begin().leads(1, 3, 0).leads(2, 4, 0),
    ),
    (
        "epochs never fall",
        || Tale::begin().votes(1, 5, 2).votes(1, 5, 3),
        || Tale::begin().votes(1, 5, 2).votes(1, 6, 3),
    ),
    (
        "the committed prefix never changes",
        || committed_by_one().leads(2, 2, 0).appends(2, 2, 0, 99).commits(2, 2, 2),
        || committed_by_one().appends(2, 1, 0, 10).leads(2, 2, 2).commits(2, 2, 2),
    ),
    (
        "replicas agree below the high watermark",
        || Tale::begin().appends(1, 1, 0, 10).appends(2, 1, 0, 11),
        || Tale::begin().appends(1, 1, 0, 10).appends(2, 2, 0, 11),
    ),
    (
        "an elected leader has every committed record",
        || Tale::replicated().commits(1, 1, 4).leads(3, 2, 2),
        || Tale::replicated().commits(1, 1, 4).leads(2, 2, 4),
    ),
    (
        "the high watermark waits for every in-sync replica",
        || Tale::replicated().appends(1, 1, 4, 12).commits(1, 1, 6),
        || Tale::replicated().appends(1, 1, 4, 12).commits(1, 1, 4),
    ),
    (
        "the in-sync set holds whom it should",
        || Tale::begin().state(1, 0, 3, 1, &[1, 2]),
        || Tale::begin().state(1, 0, 2, 1, &[1, 2]),
    ),
    (
        "leaders count what followers have",
        || Tale::replicated().counts(1, 1, 2, 4),
        || Tale::replicated().syncs(2, 4).counts(1, 1, 2, 4),
    ),
    (
        "throttles spare those in sync",
        || Tale::begin().state(1, 0, 1, 1, &[1, 2]).holds_back(1, 0, 2),
        || Tale::begin().state(1, 0, 1, 1, &[1, 2]).holds_back(1, 0, 3),
    ),
    (
        "a truncation spares what is committed",
        || Tale::replicated().truncates(2, 4, 0),
        || Tale::replicated().truncates(2, 4, 2),
    ),
    ("offsets keep their order", || Tale::replicated().syncs(2, 6), || Tale::replicated().syncs(2, 4)),
    (
        "nothing comes from nowhere",
        || Tale::begin().says(9, Event::BatchSent { partition: P, crc: 10 }).appends(1, 1, 0, 11),
        || Tale::begin().says(9, Event::BatchSent { partition: P, crc: 10 }).appends(1, 1, 0, 10),
    ),
    (
        "recovery keeps all that was synced",
        || Tale::replicated().loses_power(1).recovers(1, 2),
        || Tale::replicated().loses_power(2).recovers(2, 2),
    ),
    ("indexes equal a scan", || compared(false), || compared(true)),
    (
        "disks hold what logs say",
        || Tale::replicated().stores(1, 0, &[10, 12]),
        || Tale::replicated().stores(1, 0, &[10, 11]),
    ),
    (
        "compaction keeps the last value of each key",
        || one_key_three_times().compacts(1, 0, 4, &[1, 2]),
        || one_key_three_times().compacts(1, 0, 4, &[2, 3]),
    ),
    (
        "retention takes only what it may",
        || Tale::replicated().says(1, deleted(4)),
        || Tale::replicated().says(1, Event::DeletionAsked { partition: P, below: Offset(2) }).says(1, deleted(2)),
    ),
    (
        "producer state equals its rebuild",
        || Tale::begin().numbers(1, 0, 0).numbers(1, 2, 2).knows(1, &[(0, 0)]),
        || Tale::begin().numbers(1, 0, 0).numbers(1, 2, 2).knows(1, &[(0, 0), (2, 2)]),
    ),
    (
        "metadata agrees",
        || Tale::begin().applied(1, 5, 77).applied(2, 5, 78),
        || Tale::begin().applied(1, 5, 77).applied(2, 6, 78),
    ),
    (
        "snapshots stand for what was committed",
        || knows_committed(4).snapshot(1, 5, 77, 9),
        || knows_committed(4).snapshot(1, 4, 77, 9),
    ),
    ("the quorum commits by majority", || quorum(&[1]), || quorum(&[1, 2])),
    ("voters change one at a time", || changes_voters(1), || changes_voters(3)),
    ("every broker reads the metadata", || raises_to(1), || raises_to(2)),
    ("a deposed controller steps down", || deposed(false), || deposed(true)),
    ("what waits is answered", || owes(3), || owes(0)),
    (
        "acks are honest",
        || Tale::replicated().commits(1, 1, 4).acks(1, 1, 2, -1),
        || Tale::replicated().syncs(2, 4).commits(1, 1, 4).acks(1, 1, 2, -1),
    ),
    ("the cluster converges after healing", || quiet(77), || quiet(78)),
];

/// Broker 1 leads the quorum, and everything below `to` is committed.
fn knows_committed(to: i64) -> Tale {
    let (partition, epoch, to) = (PartitionId::METADATA, LeaderEpoch(1), Offset(to));
    Tale::begin().quorum_leader(1, 1).says(1, Event::HighWatermarkAdvanced { partition, epoch, to })
}

fn compared(are_equal: bool) -> Tale {
    Tale::begin().says(1, Event::IndexesCompared { partition: P, are_equal })
}

/// A client's wish moves a log's start.
fn deleted(to: i64) -> Event {
    Event::LogStartAdvanced { partition: P, from: Offset(0), to: Offset(to), reason: LogStartReason::Asked }
}

fn committed_by_one() -> Tale {
    Tale::begin().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).appends(1, 1, 0, 10).commits(1, 1, 2).state(2, 1, 2, 2, &[2])
}

/// The leader of a quorum of three commits what these have on their disks.
fn quorum(synced: &[i32]) -> Tale {
    let (partition, epoch, end) = (PartitionId::METADATA, LeaderEpoch(2), Offset(2));
    let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
    let begun = Tale::begin().says(1, joined).quorum_leader(1, 2);
    let appended = Event::Appended { partition, epoch, base: Offset(0), end, crc: 10 };
    let synced =
        synced.iter().fold(begun, |tale, &n| tale.says(n, appended.clone()).says(n, Event::Synced { partition, end }));
    synced.says(1, Event::HighWatermarkAdvanced { partition, epoch, to: end })
}

/// The level is raised to 2, and a broker is registered that reads versions up to `newest`.
fn raises_to(newest: u16) -> Tale {
    let versions = MetadataVersions::up_to(MetadataVersion(newest));
    let registered = Event::BrokerRegistered { broker: BrokerId(2), epoch: BrokerEpoch(4), versions };
    let raised = Event::LevelFinalized { level: MetadataVersion(2) };
    Tale::begin().says(1, registered).says(1, raised).applied(1, 5, 5)
}

/// The leader of a quorum of three removes a voter when so much of its log is committed, and another one when that is.
fn changes_voters(committed: i64) -> Tale {
    let (partition, epoch) = (PartitionId::METADATA, LeaderEpoch(2));
    let appended = |base| Event::Appended { partition, epoch, base: Offset(base), end: Offset(base + 1), crc: 10 };
    let begun = quorum(&[1, 2]).says(1, appended(2)).says(1, Event::VotersChanged { voters: brokers(&[1, 2]) });
    let synced = [1, 2].iter().fold(begun, |tale, &n| {
        let tale = if n == 1 { tale } else { tale.says(n, appended(2)) };
        tale.says(n, Event::Synced { partition, end: Offset(3) })
    });
    let committed = match committed {
        3 => synced.says(1, Event::HighWatermarkAdvanced { partition, epoch, to: Offset(3) }),
        _ => synced,
    };
    committed.says(1, appended(3)).says(1, Event::VotersChanged { voters: brokers(&[2]) })
}

/// Broker 1 controls in epoch 1, broker 2 in epoch 2; five seconds later broker 1 has noticed or has not.
fn deposed(notices: bool) -> Tale {
    let joined = Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 };
    let mut tale = Tale::begin().says(1, joined.clone()).says(2, joined).quorum_leader(1, 1).quorum_leader(2, 2);
    if notices {
        tale = tale.says(1, Event::QuorumUnattached { epoch: LeaderEpoch(2) });
    }
    tale.index += 5_000_000;
    tale.applied(2, 1, 1)
}

/// Some answers are owed when a quiet phase is long over.
fn owes(answers: u32) -> Tale {
    let core = vec![NodeName("broker-1".into())];
    let mut tale = Tale::begin().what(1, What::NodeStarted).what(1, What::QuietBegan { core });
    tale = tale.what(1, What::QuietEnded);
    tale.index += 5_000_000;
    tale.says(1, Event::Burden { answers, fetches: 0 })
}

/// Two brokers without a partition go through a quiet phase; the first has image 78.
fn quiet(digest: u64) -> Tale {
    let core = vec![NodeName("broker-1".into()), NodeName("broker-2".into())];
    let tale = Tale::begin().quorum_leader(1, 1).applied(1, 5, 78).applied(2, 4 + i64::from(digest == 78), digest);
    tale.what(1, What::QuietBegan { core }).what(1, What::QuietEnded)
}

/// Four committed records: the first three of one key, the last one of another.
fn one_key_three_times() -> Tale {
    Tale::replicated().keys(1, 1, 0, &[(1, false), (1, false), (1, false), (2, false)]).commits(1, 1, 4)
}

/// A broker and its client: what is told to whom, when. One record is sent from 0 to `answered` ms, and read or not.
fn both_sides(commits: bool, vouches: bool, answered: u64) -> Vec<Verdict> {
    let expectations = Expectations { unavailable_at_most: Some(Duration::from_secs(1)), ..expectations() };
    let mut tale = Tale::with(expectations).leads(1, 1, 0).appends(1, 1, 0, 10).syncs(1, 2);
    if commits {
        tale = tale.commits(1, 1, 2);
    }
    if vouches {
        tale = tale.acks(1, 1, 0, 1);
    }
    let recorder = Recorder::new(Claims::default());
    let key = Key::new("orders", 0);
    let at = |ms: u64| Time(ms * 1_000_000);
    let (producer, reader) = (recorder.process(), recorder.process());
    let sent = |offset| MicroOperation::Send { key: key.clone(), value: Value::from(7), offset };
    recorder.invoke(at(1), producer, Action::Send(vec![sent(None)]));
    recorder.ok(at(answered), producer, Action::Send(vec![sent(Some(0))]));
    recorder.invoke(at(answered), reader, Action::Poll(vec![MicroOperation::Poll]));
    let polled = MicroOperation::Polled([(key.clone(), vec![(0, Value::from(7))])].into_iter().collect());
    recorder.ok(at(answered + 1), reader, Action::Poll(vec![polled]));
    tale.watch.finish(&recorder.into_history()).unwrap()
}

/// The files of one side, judged.
fn histories(side: &str) -> Vec<Verdict> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(side);
    let mut verdicts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        #[allow(clippy::disallowed_methods, reason = "a test reads its own files")]
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        verdicts.extend(check(&Table::read(&*text).unwrap()).verdicts);
    }
    verdicts
}

#[test]
fn every_promise_has_a_planted_violation_and_a_legal_twin() {
    let (mut planted, mut twins) = (histories("illegal"), histories("legal"));
    for (promise, bad, twin) in PAIRS {
        let of = |tale: Tale| {
            let verdicts = tale.watch.finish(&History::default()).unwrap();
            verdicts.into_iter().find(|verdict| verdict.promise == *promise).unwrap()
        };
        let (bad, twin) = (of(bad()), of(twin()));
        assert_eq!(bad.outcome, Outcome::Broken, "{bad:?}");
        assert_eq!(twin.outcome, Outcome::Kept, "{twin:?}");
        planted.push(bad);
        twins.push(twin);
    }
    planted.extend(both_sides(false, false, 1500));
    twins.extend(both_sides(true, true, 900));

    let everything = Expectations { unavailable_at_most: Some(Duration::from_secs(1)), ..expectations() };
    let catalogue: BTreeSet<&str> =
        Watch::new(everything).finish(&History::default()).unwrap().iter().map(|verdict| verdict.promise).collect();
    let without = |verdicts: &[Verdict], outcome: Outcome| -> Vec<&str> {
        let have = |name: &&str| verdicts.iter().any(|one| one.promise == *name && one.outcome == outcome);
        catalogue.iter().copied().filter(|name| !have(name)).collect()
    };
    assert_eq!(without(&planted, Outcome::Broken), Vec::<&str>::new(), "have no planted violation");
    assert_eq!(without(&twins, Outcome::Kept), Vec::<&str>::new(), "have no legal twin");
}
