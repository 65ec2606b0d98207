//! The text form of a history: what is written is read back, and what is not of the contract is refused with a remedy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use evidence::history::{Line, Lines, Offsets};
use evidence::{
    Acks, Action, Claims, History, Isolation, Key, Membership, MicroOperation, Operation, Outcome, Process, Value,
};
use model::Time;
use proptest::prelude::*;

const HEADER: &str = "{\"history\":1,\"claims\":{\"acks\":\"all\"}}\n";

fn refused(line: &str) -> String {
    History::read(format!("{HEADER}{line}\n").as_bytes()).unwrap_err().to_string()
}

#[test]
fn absent_claims_are_the_strictest() {
    let history = History::read("{\"history\":1}\n".as_bytes()).unwrap();
    assert_eq!(history.claims, Claims::default());
    assert_eq!(history.claims.acks, Acks::All);
    assert!(history.claims.idempotent && !history.claims.unclean_election);
    assert_eq!(history.claims.isolation, Isolation::ReadCommitted);
    let loose = History::read("{\"history\":1,\"claims\":{\"acks\":\"0\",\"idempotent\":false}}".as_bytes()).unwrap();
    assert_eq!((loose.claims.acks, loose.claims.idempotent), (Acks::None, false));
}

#[test]
fn the_contract_s_own_lines_are_read() {
    let text = concat!(
        "{\"history\":1,\"claims\":{\"acks\":\"1\",\"idempotent\":true,\"isolation\":\"read_uncommitted\",",
        "\"unclean_election\":true,\"min_insync_replicas\":2,\"crash_budget\":1}}\n",
        "{\"index\":0,\"process\":\"laptop\",\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"send\",\"a/0\",1],[\"poll\"]]}\n",
        "\n",
        "{\"index\":4,\"process\":\"laptop\",\"type\":\"ok\",\"f\":\"txn\",\"value\":[[\"send\",\"a/0\",[3,1]],",
        "[\"poll\",{\"a/0\":[[2,\"x\"],[3,1]]}]],\"rebalance_log\":[\"none\"]}\n",
        "{\"index\":5,\"process\":7,\"type\":\"ok\",\"f\":\"assigned\",\"value\":{\"group\":\"g\",\"generation\":3,\"keys\":[\"a/0\"]}}\n",
        "{\"index\":6,\"process\":7,\"type\":\"info\",\"f\":\"crash\",\"value\":null}\n",
        "{\"holes\":{\"a/0\":[[4,6]]}}\n",
    );
    let history = History::read(text.as_bytes()).unwrap();
    assert_eq!(history.claims.crash_budget, Some(1));
    assert_eq!(history.operations.len(), 4);
    assert_eq!(history.operations[0].process, Process::Name("laptop".into()));
    let records = BTreeMap::from([(Key::from("a/0"), vec![(2, Value::from("x")), (3, Value::from(1))])]);
    let micros = vec![MicroOperation::sent(&"a/0".into(), 3, 1), MicroOperation::Polled(records)];
    assert_eq!(history.operations[1].action, Action::Txn(micros));
    assert_eq!(history.holes[&Key::from("a/0")], [(4, 6)]);
    let lines: Vec<_> = Lines::new(text.as_bytes()).unwrap().map(Result::unwrap).collect();
    assert!(matches!(lines.last(), Some(Line::Holes(_))));
}

#[test]
fn every_wrong_line_is_refused_with_its_number_and_a_remedy() {
    for (line, remedy) in [
        ("nonsense", "a line has index, process, type"),
        (
            "{\"index\":0,\"process\":1,\"type\":\"maybe\",\"f\":\"poll\",\"value\":[]}",
            "write invoke, ok, fail or info",
        ),
        ("{\"index\":0,\"process\":1,\"type\":\"ok\",\"f\":\"poll\",\"value\":[[\"poll\"]]}", "write its invoke first"),
        ("{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[]}", "write send, poll, txn"),
        (
            "{\"index\":0,\"process\":-1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[]}",
            "a number from zero on nor a name",
        ),
        ("{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"poll\"]]}", "write f txn"),
        (
            "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",\"a/0\",1.5]]}",
            "whole number",
        ),
        (
            "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",\"a/0\",[-1,5]]]}",
            "from zero on",
        ),
        (
            "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\",\"value\":[[\"send\",\"a/0\"]]}",
            "write [\"send\",key",
        ),
        (
            "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"end\",\"value\":{\"a/0\":[5,2]}}",
            "write [start,end]",
        ),
        ("{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[],\"colour\":1}", "unknown field"),
        ("{\"holes\":{\"a/0\":[[3]]}}", "to exclusive"),
        ("{\"holes\":{\"a/0\":[[1,2]]},\"index\":3}", "no other"),
    ] {
        let why = refused(line);
        assert!(why.starts_with("line 2: ") && why.contains(remedy), "{line}\n  gives: {why}");
    }
    assert!(History::read("".as_bytes()).unwrap_err().to_string().contains("empty"));
    assert!(History::read("{\"history\":2}".as_bytes()).unwrap_err().to_string().contains("version 2"));
    assert!(History::read("{\"index\":0}".as_bytes()).unwrap_err().to_string().contains("begin with"));
}

#[test]
fn lines_out_of_order_and_acts_after_info_are_refused() {
    let line = |index: u64, process: u64, kind: &str| {
        format!(
            "{{\"index\":{index},\"process\":{process},\"type\":\"{kind}\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
        )
    };
    assert!(refused(&(line(1, 1, "invoke") + &line(1, 2, "invoke"))).contains("line 3: index 1 follows 1"));
    assert!(refused(&(line(1, 1, "invoke") + &line(2, 1, "invoke"))).contains("waits for an answer"));
    let after = line(1, 1, "invoke") + &line(2, 1, "info") + &line(3, 1, "invoke");
    assert!(refused(&after).contains("acts after its info"));
}

fn key() -> impl Strategy<Value = Key> {
    (0..3usize, 0..2).prop_map(|(topic, partition)| Key::new(["orders", "clicks", "a/b"][topic], partition))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![any::<i64>().prop_map(Value::Integer), "\\PC{0,4}".prop_map(|text| Value::from(&*text))]
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    prop::collection::vec(key(), 0..3)
}

fn sends() -> impl Strategy<Value = Vec<MicroOperation>> {
    let send = (key(), value(), prop::option::of(0..i64::MAX));
    prop::collection::vec(send.prop_map(|(key, value, offset)| MicroOperation::Send { key, value, offset }), 0..4)
}

fn polls() -> impl Strategy<Value = Vec<MicroOperation>> {
    let records = prop::collection::btree_map(key(), prop::collection::vec((0..i64::MAX, value()), 0..3), 0..3);
    let poll = prop_oneof![Just(MicroOperation::Poll), records.prop_map(MicroOperation::Polled)];
    prop::collection::vec(poll, 0..3)
}

fn membership() -> impl Strategy<Value = Membership> {
    ("[a-z]{0,3}", any::<i64>(), keys()).prop_map(|(group, generation, keys)| Membership {
        group: group.into(),
        generation,
        keys,
    })
}

fn offsets() -> impl Strategy<Value = Offsets> {
    ("[a-z]{0,3}", prop::collection::btree_map(key(), any::<i64>(), 0..3))
        .prop_map(|(group, offsets)| Offsets { group: group.into(), offsets })
}

fn action() -> impl Strategy<Value = Action> {
    let ends = prop::collection::btree_map(key(), (0i64..9, 9i64..99), 0..3);
    prop_oneof![
        sends().prop_map(Action::Send),
        polls().prop_map(Action::Poll),
        (sends(), polls()).prop_map(|(sends, polls)| Action::Txn([sends, polls].concat())),
        keys().prop_map(Action::Assign),
        keys().prop_map(Action::Subscribe),
        membership().prop_map(Action::Assigned),
        membership().prop_map(Action::Revoked),
        membership().prop_map(Action::Lost),
        offsets().prop_map(Action::Commit),
        offsets().prop_map(Action::Committed),
        ends.prop_map(Action::End),
        Just(Action::Crash),
    ]
}

fn history() -> impl Strategy<Value = History> {
    let claims = (0..3usize, any::<bool>(), any::<bool>(), prop::option::of(0u32..4)).prop_map(
        |(acks, idempotent, unclean_election, crash_budget)| Claims {
            acks: [Acks::All, Acks::Leader, Acks::None][acks],
            idempotent,
            isolation: if idempotent { Isolation::ReadCommitted } else { Isolation::ReadUncommitted },
            unclean_election,
            min_insync_replicas: crash_budget,
            crash_budget,
        },
    );
    let step = (action(), action(), 1u64..3, prop::option::of(Just("broken pipe".to_owned())), 0..3usize);
    let holes = prop::collection::btree_map(key(), prop::collection::vec((0i64..9, 9i64..99), 1..3), 0..2);
    (claims, prop::collection::vec(step, 0..8), holes).prop_map(|(claims, steps, holes)| {
        let mut history = History { claims, operations: Vec::new(), holes };
        let mut index = 0;
        // Each step is a process of its own that asks one thing and is answered.
        for (process, (asked, told, gap, error, outcome)) in steps.into_iter().enumerate() {
            let told = if asked.name() == told.name() { told } else { asked.clone() };
            let process =
                if gap == 1 { Process::Number(process as u64) } else { Process::Name(format!("p{process}").into()) };
            let outcome = [Outcome::Ok, Outcome::Fail, Outcome::Info][outcome];
            for (outcome, action, error) in [(Outcome::Invoke, asked, None), (outcome, told, error)] {
                index += gap;
                history.operations.push(Operation {
                    index,
                    time: (gap == 1).then_some(Time(index)),
                    process: process.clone(),
                    outcome,
                    action,
                    error,
                    rebalance_log: (gap == 2).then(|| serde_json::json!(["orders/0", index])),
                });
            }
        }
        history
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(history in history()) {
        let mut text = Vec::new();
        history.write(&mut text).unwrap();
        let read = History::read(&*text).unwrap();
        prop_assert_eq!(read, history);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in "[\\[\\]{}\":,a-z0-9 -]{0,60}") {
        let _ = History::read(format!("{HEADER}{line}\n").as_bytes());
    }
}
