//! A run made by hand, and what its reports say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Entry, NodeName, What};
use invariants::{Outcome, Verdict};
use model::{
    BrokerEpoch, BrokerId, Event, LeaderEpoch, MetadataVersions, Offset, PartitionEpoch, PartitionId, Time, TopicId,
};
use reports::{Run, Stats, View, json, page, terminal};
use scenarios::{Reach, catalogue};

const ORDERS: PartitionId = PartitionId { topic: TopicId(0xabc), index: 0 };

/// Builds a trace line by line.
struct Trace(Vec<Entry>);

impl Trace {
    fn at(&mut self, milliseconds: u64, node: &str, what: What) {
        let (index, time) = (self.0.len() as u64, Time(milliseconds * 1_000_000));
        self.0.push(Entry { index, time, node: NodeName(node.into()), what });
    }

    fn saw(&mut self, milliseconds: u64, node: &str, event: Event) {
        self.at(milliseconds, node, What::Witnessed(event));
    }
}

fn changed(leader: Option<i32>, epoch: i32, in_sync: &[i32]) -> Event {
    Event::PartitionChanged {
        partition: ORDERS,
        leader: leader.map(BrokerId),
        leader_epoch: LeaderEpoch(epoch),
        partition_epoch: PartitionEpoch(epoch),
        in_sync: in_sync.iter().copied().map(BrokerId).collect(),
    }
}

/// The leader loses power, another leads, the first comes back and cuts its tail.
fn entries() -> Vec<Entry> {
    let (epoch, offset) = (LeaderEpoch, Offset);
    let leads = |term, end, high| Event::BecameLeader {
        partition: ORDERS,
        epoch: epoch(term),
        log_end: offset(end),
        high_watermark: offset(high),
    };
    let follows = |term, leader, end| Event::BecameFollower {
        partition: ORDERS,
        epoch: epoch(term),
        leader: BrokerId(leader),
        log_end: offset(end),
    };
    let appended = |term, base, end| Event::Appended {
        partition: ORDERS,
        epoch: epoch(term),
        base: offset(base),
        end: offset(end),
        crc: 0xbeef,
    };
    let mut trace = Trace(Vec::new());
    for broker in 1..=3 {
        trace.at(0, &format!("broker {broker}"), What::NodeStarted);
    }
    trace.at(0, "consumer 1", What::NodeStarted);
    trace.saw(412, "broker 2", Event::VoteCast { epoch: epoch(1), candidate: BrokerId(3) });
    trace.saw(430, "broker 3", Event::QuorumLeader { epoch: epoch(1), log_end: offset(0) });
    trace.saw(431, "broker 1", Event::QuorumFollower { epoch: epoch(1), leader: BrokerId(3) });
    trace.saw(431, "broker 2", Event::QuorumFollower { epoch: epoch(1), leader: BrokerId(3) });
    trace.saw(
        440,
        "broker 3",
        Event::BrokerRegistered { broker: BrokerId(1), epoch: BrokerEpoch(2), versions: MetadataVersions::default() },
    );
    trace.saw(700, "broker 1", changed(Some(1), 0, &[1, 2, 3]));
    trace.saw(701, "broker 1", leads(0, 0, 0));
    trace.saw(702, "broker 2", changed(Some(1), 0, &[1, 2, 3]));
    trace.saw(702, "broker 2", follows(0, 1, 0));
    trace.at(1000, "run", What::Note { text: "the workload begins".into() });
    trace.saw(1010, "broker 1", appended(0, 0, 40));
    trace.saw(1013, "broker 1", Event::Synced { partition: ORDERS, end: offset(40) });
    trace.saw(1015, "broker 2", appended(0, 0, 40));
    let high = |term, to| Event::HighWatermarkAdvanced { partition: ORDERS, epoch: epoch(term), to: offset(to) };
    trace.saw(1020, "broker 1", high(0, 40));
    let acked = Event::Acked { partition: ORDERS, epoch: epoch(0), base: offset(0), end: offset(40), acks: -1 };
    trace.saw(1021, "broker 1", acked);
    trace.saw(3990, "broker 1", appended(0, 40, 55));
    trace.at(4000, "world", What::FaultBegan { id: 1, text: "power loss of leader of orders/0".into() });
    trace.at(4000, "broker 1", What::PowerLost);
    trace.at(5200, "consumer 1", What::NodePaused);
    trace.saw(7100, "broker 3", Event::BrokerFenced { broker: BrokerId(1) });
    trace.saw(7104, "broker 2", changed(Some(2), 1, &[2, 3]));
    trace.saw(7105, "broker 2", leads(1, 40, 40));
    trace.saw(7300, "broker 2", appended(1, 40, 90));
    trace.saw(7320, "broker 2", high(1, 90));
    trace.at(8200, "consumer 1", What::NodeResumed);
    trace.at(10_000, "world", What::FaultEnded { id: 1 });
    trace.at(10_000, "broker 1", What::NodeStarted);
    let recovered = Event::Recovered { partition: ORDERS, log_start: offset(0), log_end: offset(48), cut_bytes: 311 };
    trace.saw(10_300, "broker 1", recovered);
    trace.saw(10_410, "broker 1", follows(1, 2, 48));
    trace.saw(10_415, "broker 1", Event::Truncated { partition: ORDERS, from: offset(48), to: offset(40) });
    trace.at(12_000, "broker 3", What::NodeStopped { error: Some("the disk\nis gone".into()) });
    trace.0
}

fn run() -> Run {
    let tale = catalogue().iter().find(|tale| tale.name() == "leader-loses-power").unwrap();
    Run {
        scenario: tale.scenario().unwrap(),
        source: tale.path.into(),
        seed: 42,
        digest: "9f86d081884c7d65".into(),
        replay: "trial run replication/leader-loses-power.toml --seed 42".into(),
        verdicts: vec![
            Verdict {
                promise: "acknowledged records survive",
                outcome: Outcome::Kept,
                detail: "40 acknowledged, all read".into(),
                at: None,
            },
            Verdict { promise: "one leader an epoch", outcome: Outcome::Kept, detail: String::new(), at: None },
            Verdict {
                promise: "order within a partition",
                outcome: Outcome::Unknown,
                detail: "nobody read twice".into(),
                at: None,
            },
        ],
        entries: entries(),
        topics: BTreeMap::from([(ORDERS.topic, "orders".into())]),
        reached: vec![Reach::LeaderChanged, Reach::LogRecovered, Reach::ConsumerSlept],
        points: [("a follower's log parted from its leader's", 2)].into(),
        missed: Vec::new(),
        stats: Stats {
            simulated: Duration::from_millis(12_500),
            wall: Duration::from_millis(31),
            events: 91_234,
            acknowledged: 40,
            consumed: 90,
        },
    }
}

fn broken() -> Run {
    let mut run = run();
    run.verdicts[1] = Verdict {
        promise: "one leader an epoch",
        outcome: Outcome::Broken,
        detail: "broker 1 and broker 2 lead orders/0 in epoch 1".into(),
        at: Some(24),
    };
    run.reached.pop();
    run.missed = vec!["orders/0 took no record for 14s, 12s were allowed".into()];
    run
}

#[test]
fn the_terminal_shows_one_aligned_line_a_transition() {
    insta::assert_snapshot!(terminal(&run(), View::Transitions));
}

#[test]
fn the_terminal_shows_every_event_when_asked() {
    insta::assert_snapshot!(terminal(&run(), View::Everything));
}

#[test]
fn a_broken_promise_is_named_with_its_event_and_all_that_was_missed() {
    insta::assert_snapshot!(reports::verdicts(&broken()));
}

#[test]
fn one_object_tells_a_program_everything() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&json(&broken())).unwrap());
}

#[test]
fn a_promise_that_must_break_and_does_is_as_expected() {
    let mut run = broken();
    run.missed.clear();
    run.scenario.expect.reach.clear();
    run.scenario.expect.broken = vec!["one leader an epoch".into()];
    assert_eq!(run.disappointments(), Vec::<String>::new());
    run.verdicts[1].outcome = Outcome::Allowed;
    assert_eq!(run.disappointments(), Vec::<String>::new());
    run.verdicts[1].outcome = Outcome::Kept;
    assert_eq!(run.disappointments(), ["this tale must break a promise and did not: one leader an epoch"]);
}

#[test]
fn a_run_without_evidence_is_not_as_expected() {
    let mut run = run();
    run.verdicts.iter_mut().for_each(|verdict| verdict.outcome = Outcome::Unknown);
    assert_eq!(run.disappointments(), ["the run gave no evidence for any promise"]);
}

#[test]
fn the_page_fetches_nothing_and_is_always_the_same() {
    let html = page(&run());
    for reach in ["http", "src=", "@import", "url(", "<link"] {
        assert!(!html.contains(reach), "the page reaches out: {reach}");
    }
    assert_eq!(html, page(&run()));
}

#[test]
fn the_page_holds_the_verdict_the_replay_command_and_a_link_to_the_bad_event() {
    let html = page(&broken());
    for part in [
        "Not as expected",
        "a promise is broken: one leader an epoch",
        "never reached: consumer slept",
        "trial run replication/leader-loses-power.toml --seed 42",
        "<code>9f86d081884c7d65</code>",
        "<a href=\"#e=24\">event 24</a>",
        "acks=all; 3 replicas, 2 in sync; synced before it counts",
        "power loss of leader of orders/0 (4.000s to 10.000s)",
        "broker 2, epoch 1 (7.104s to 12.500s)",
    ] {
        assert!(html.contains(part), "the page lacks: {part}");
    }
}

#[test]
fn the_time_line_has_a_golden_form() {
    let html = page(&run());
    let svg = &html[html.find("<svg").unwrap()..html.find("</svg>").unwrap() + 6];
    insta::assert_snapshot!(svg.replace("<a ", "\n<a ").replace("<text class=\"name\"", "\n<text class=\"name\""));
}

#[test]
fn no_text_of_a_run_becomes_markup() {
    let mut run = run();
    let hostile = "</script><script>alert(1)</script><b title=\"'&";
    run.scenario.title = hostile.into();
    run.missed = vec![hostile.into()];
    run.verdicts[0].detail = hostile.into();
    for entry in &mut run.entries {
        match &mut entry.what {
            What::Note { text } | What::FaultBegan { text, .. } => *text = hostile.into(),
            _ => {}
        }
        if &*entry.node.0 == "world" {
            entry.node.0 = hostile.into();
        }
    }
    let html = page(&run);
    assert!(!html.contains("<script>alert") && !html.contains("<b title"));
    assert_eq!(html.matches("</script>").count(), 1);
}

#[test]
fn a_page_that_leaves_events_out_says_so_and_keeps_those_before_the_bad_one() {
    let mut run = broken();
    let first = run.entries.len() as u64;
    for index in first..first + 30_000 {
        let event = Event::Synced { partition: ORDERS, end: Offset(index as i64) };
        let time = Time(13_000_000_000 + index);
        run.entries.push(Entry { index, time, node: NodeName("broker 2".into()), what: What::Witnessed(event) });
    }
    run.verdicts[1].at = Some(20_000);
    let html = page(&run);
    assert!(html.contains("too many for one page: 28"));
    assert!(html.contains("\n") && html.contains("[20000,") && html.contains("[18000,") && !html.contains("[17999,"));
    let all = page(&self::run());
    assert!(!all.contains("left out"));
}

#[test]
fn a_run_without_events_still_has_its_reports() {
    let mut run = run();
    run.entries.clear();
    assert!(page(&run).contains("</html>"));
    assert!(terminal(&run, View::Everything).contains("As expected."));
}

#[test]
fn the_promises_of_scenarios_are_those_that_are_judged() {
    let strict = invariants::Expectations {
        claims: evidence::Claims::default(),
        flush_on_commit: true,
        producers_retry: false,
        unavailable_at_most: Some(Duration::from_secs(1)),
    };
    let history = evidence::History::new(strict.claims.clone());
    let verdicts = invariants::Watch::new(strict).finish(&history).unwrap();
    let judged: BTreeSet<&str> = verdicts.iter().map(|verdict| verdict.promise).collect();
    assert_eq!(judged, scenarios::PROMISES.iter().copied().collect());
}

fn written() -> Vec<u8> {
    let recorder = evidence::Recorder::new(evidence::Claims::default());
    let key = evidence::Key::new("orders", 0);
    let process = recorder.process();
    let sent = |offset| evidence::Action::Send(vec![evidence::MicroOperation::sent(&key, offset, 7)]);
    recorder.invoke(Time(5), process, sent(0));
    recorder.ok(Time(9), process, sent(0));
    let mut bytes = Vec::new();
    reports::write(&broken(), &recorder.into_history(), &mut bytes).unwrap();
    bytes
}

#[test]
fn a_run_that_was_written_is_read_as_it_was() {
    let (run, history) = reports::read(written().as_slice()).unwrap();
    // Points of this test are none of the program's.
    assert_eq!(run, Run { points: BTreeMap::new(), ..broken() });
    assert_eq!(history.operations.len(), 2);
    assert_eq!(page(&run), page(&broken()));
}

#[test]
fn a_file_that_no_run_left_is_refused() {
    let whole = String::from_utf8(written()).unwrap();
    let head = whole.lines().next().unwrap();
    for (text, why) in [
        (String::new(), "cut short"),
        ("once upon a time".into(), "line 1 is not what a run leaves"),
        (head.to_owned(), "cut short"),
        (format!("{head}\n{{\"index\":0}}\n"), "line 2"),
        (whole.replace("{\"run\":1,", "{\"run\":2,"), "form 2"),
        (whole.replace("acknowledged records survive", "nothing ever happens"), "nobody promises"),
    ] {
        let error = reports::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error}: {why}");
    }
}

#[test]
fn a_viewer_of_traces_gets_a_track_for_each_node_and_every_event() {
    let run = broken();
    let trace = reports::perfetto(&run);
    let events = trace["traceEvents"].as_array().unwrap();
    let of = |kind: &str| events.iter().filter(|event| event["ph"] == kind).count();
    let tracks: BTreeSet<&str> = events.iter().filter_map(|event| event["args"]["name"].as_str()).collect();
    assert!(tracks.contains("faults") && tracks.contains("broker 1"), "{tracks:?}");
    let witnessed = run.entries.iter().filter(|entry| matches!(entry.what, What::Witnessed(_))).count();
    assert!(of("i") >= witnessed && of("X") > 0, "{events:?}");
    assert!(events.iter().all(|event| event["dur"].as_f64().is_none_or(|lasts| lasts >= 0.0)));
}
