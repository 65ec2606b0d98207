//! The text form of a history: what is written is read back, and what is not of the contract is refused with a remedy.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use evidence::history::{Detail, Kind, LINE_BYTES_MAX, Offsets};
use evidence::{
    Acks, Action, Claims, History, Isolation, Key, Membership, MicroOperation, Operation, Outcome, Process, Recorder,
    Table, Value,
};
use model::Time;
use proptest::prelude::*;

const HEADER: &str = "{\"history\":1,\"claims\":{\"acks\":\"all\"}}\n";

fn read(text: &str) -> Table {
    Table::read(text.as_bytes()).unwrap()
}

fn refused(line: &str) -> String {
    Table::read(format!("{HEADER}{line}\n").as_bytes()).unwrap_err().to_string()
}

#[test]
fn absent_claims_are_the_strictest() {
    let claims = read("{\"history\":1}\n").claims;
    assert_eq!(claims, Claims::default());
    assert_eq!(claims.acks, Acks::All);
    assert!(claims.idempotent && !claims.unclean_election);
    assert_eq!(claims.isolation, Isolation::ReadCommitted);
    let loose = read("{\"history\":1,\"claims\":{\"acks\":\"0\",\"idempotent\":false}}").claims;
    assert_eq!((loose.acks, loose.idempotent), (Acks::None, false));
    // As Kafka's own configuration has them.
    for (said, meant) in [("-1", Acks::All), ("1", Acks::Leader), ("0", Acks::None), ("\"1\"", Acks::Leader)] {
        assert_eq!(read(&format!("{{\"history\":1,\"claims\":{{\"acks\":{said}}}}}")).claims.acks, meant);
    }
}

#[test]
fn one_value_that_is_acknowledged_twice_is_an_error_and_no_panic() {
    let recorder = Recorder::new(Claims::default());
    for offset in 0..2 {
        let process = recorder.process();
        let send = |offset| MicroOperation::Send { key: Key::new("orders", 0), value: Value::from(7), offset };
        recorder.invoke(Time(1), process, Action::Send(vec![send(None)]));
        recorder.ok(Time(2), process, Action::Send(vec![send(Some(offset))]));
    }
    let error = Table::of(&recorder.into_history()).unwrap_err().to_string();
    assert_eq!(error, "operation 2: 7 is sent to orders/0 a second time: give each record of a key a value of its own");
}

#[test]
fn the_contract_s_own_lines_are_read() {
    let table = read(concat!(
        "{\"history\":1,\"claims\":{\"acks\":\"1\",\"idempotent\":true,\"isolation\":\"read_uncommitted\",",
        "\"unclean_election\":true,\"min_insync_replicas\":2,\"crash_budget\":1}}\n",
        "{\"index\":0,\"process\":\"laptop\",\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"send\",\"a/0\",1],[\"poll\"]]}\n",
        "\n",
        "{\"index\":4,\"process\":\"laptop\",\"type\":\"ok\",\"f\":\"txn\",\"value\":[[\"send\",\"a/0\",[3,1]],",
        "[\"poll\",{\"a/0\":[[2,\"x\"],[3,1]]}]],\"rebalance_log\":[\"a/0, twice\"]}\n",
        "{\"index\":5,\"process\":7,\"type\":\"ok\",\"f\":\"assigned\",\"value\":{\"group\":\"g\",\"generation\":3,\"keys\":[\"a/0\"]}}\n",
        "{\"index\":6,\"process\":7,\"type\":\"info\",\"f\":\"crash\",\"value\":null}\n",
        "{\"holes\":{\"a/0\":[[4,6]]}}\n",
    ));
    assert_eq!(table.claims.crash_budget, Some(1));
    let [txn, assigned, crash] = table.rows() else { panic!("{table:?}") };
    assert_eq!(
        (txn.kind, txn.outcome, table.process(txn.process)),
        (Kind::Txn, Outcome::Ok, &Process::Name("laptop".into()))
    );
    assert_eq!(txn.operations().collect::<Vec<_>>(), [0, 4]);
    let sent = table.sends(txn)[0];
    assert_eq!((table.records.told(sent.record), sent.offset()), (Value::from(1), Some(3)));
    let lists: Vec<_> = table.lists(txn).collect();
    let records: Vec<_> = lists[0].1.iter().map(|read| (read.offset, table.records.told(read.record))).collect();
    assert_eq!(records, [(2, Value::from("x")), (3, Value::from(1))]);
    assert!(table.rebalances(0, lists[0].0) && !table.rebalances(1, lists[0].0));
    assert_eq!(table.detail(assigned), Some(&Detail::Membership { group: 0, generation: 3, keys: vec![0] }));
    assert_eq!((crash.kind, table.holes[&0].as_slice()), (Kind::Crash, [(4, 6)].as_slice()));
}

#[test]
fn fields_come_in_any_order_and_offsets_may_be_unknown() {
    let told = |what: &str| {
        let table = read(&format!(
            "{HEADER}{{\"value\":[[\"send\",\"a/0\",{{\"a\":1}}]],\"f\":\"send\",\"type\":\"invoke\",\"process\":1,\"index\":0}}\n\
             {{\"value\":[[\"send\",\"a/0\",{what}]],\"f\":\"send\",\"type\":\"ok\",\"process\":1,\"index\":1,\"error\":{{}}}}\n"
        ));
        let sent = table.sends(table.row(0))[0];
        assert_eq!(table.records.told(sent.record), Value::Json("{\"a\":1}".into()));
        sent.offset()
    };
    assert_eq!(told("[7,{\"a\" : 1}]"), Some(7));
    assert_eq!([told("[-1,{\"a\":1}]"), told("[null,{\"a\":1}]"), told("{\"a\":1}")], [None, None, None]);
}

#[test]
fn every_wrong_line_is_refused_with_its_place_and_a_remedy() {
    let asks =
        |value: &str| format!("{{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\",\"value\":{value}}}");
    let poll = |value: &str| {
        let line = |index: u64, kind: &str, value: &str| {
            format!("{{\"index\":{index},\"process\":1,\"type\":\"{kind}\",\"f\":\"poll\",\"value\":{value}}}")
        };
        format!("{}\n{}", line(0, "invoke", "[[\"poll\"]]"), line(1, "ok", value))
    };
    for (line, remedy) in [
        ("nonsense".to_owned(), "expected ident"),
        ("[]".into(), "a line of a history"),
        ("{\"index\":0".into(), "EOF"),
        (
            "{\"index\":0,\"process\":1,\"type\":\"maybe\",\"f\":\"poll\",\"value\":[]}".into(),
            "write invoke, ok, fail or info",
        ),
        (
            "{\"index\":0,\"process\":1,\"type\":\"ok\",\"f\":\"poll\",\"value\":[[\"poll\"]]}".into(),
            "write its invoke first",
        ),
        ("{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"read\",\"value\":[]}".into(), "write send, poll, txn"),
        (
            "{\"index\":0,\"process\":-1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[]}".into(),
            "a number from zero on, or a name",
        ),
        ("{\"process\":1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[]}".into(), "index is missing"),
        ("{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"send\"}".into(), "value is missing"),
        (
            "{\"index\":0,\"index\":1,\"process\":1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[]}".into(),
            "stands twice",
        ),
        (asks("[[\"poll\"]]"), "write f txn"),
        (asks("[[\"send\",\"a/0\",[-2,5]]]"), "from zero on"),
        (asks("[[\"send\",\"a/0\"]]"), "the value of send is a list"),
        (asks("[[\"send\",\"a/0\",1,2]]"), "the value of send is a list"),
        (asks("[[\"sent\",\"a/0\",1]]"), "write [\"send\",key"),
        (asks("[[\"send\",\"a/0\",1],[\"send\",\"a/0\",1]]"), "a second time"),
        (poll("[[\"poll\",{\"a/0\":[[-1,5]]}]]"), "from zero on"),
        (poll("[[\"poll\",{\"a/0\":[[0.5,5]]}]]"), "invalid type"),
        (poll("null"), "the value of poll is a list"),
        (
            "{\"index\":0,\"process\":1,\"type\":\"ok\",\"f\":\"lost\",\"value\":{\"group\":\"g\",\"keys\":[]}}".into(),
            "generation",
        ),
        (
            "{\"index\":0,\"process\":1,\"type\":\"invoke\",\"f\":\"poll\",\"value\":[],\"colour\":1}".into(),
            "\"colour\" is unknown",
        ),
        ("{\"holes\":{\"a/0\":[[3]]}}".into(), "invalid length"),
        ("{\"holes\":{\"a/0\":[[3,1]]}}".into(), "to exclusive"),
        ("{\"holes\":{\"a/0\":[[1,2]]},\"index\":3}".into(), "no other"),
        (format!("{{\"holes\":{}", "[".repeat(100_000)), "holes by key"),
        (asks(&format!("[[\"send\",\"a/0\",{}{}]]", "[".repeat(100_000), "]".repeat(100_000))), "recursion limit"),
    ] {
        let why = refused(&line);
        let line: String = line.chars().take(200).collect();
        assert!(why.starts_with("line ") && why.contains(remedy), "{line}\n  gives: {why}");
    }
    assert!(refused("{\"index\":0,\"process\":x}").starts_with("line 2, column "));
    assert!(Table::read("".as_bytes()).unwrap_err().to_string().contains("empty"));
    assert!(Table::read("{\"history\":2}".as_bytes()).unwrap_err().to_string().contains("version 2"));
    assert!(Table::read("{\"index\":0}".as_bytes()).unwrap_err().to_string().contains("begin with"));
    assert!(
        Table::read(&b"{\"history\":1}\n\xff\xfe"[..])
            .unwrap_err()
            .to_string()
            .contains("line 2, column 1: this is no text")
    );
    let long = std::io::BufReader::new(std::io::Read::take(std::io::repeat(b' '), LINE_BYTES_MAX as u64 * 2));
    assert!(Table::read(long).unwrap_err().to_string().contains("longer than 64 MiB"));
}

#[test]
fn lines_out_of_order_and_acts_after_the_end_are_refused() {
    let line = |index: u64, process: u64, kind: &str| {
        format!(
            "{{\"index\":{index},\"process\":{process},\"type\":\"{kind}\",\"f\":\"poll\",\"value\":[[\"poll\"]]}}\n"
        )
    };
    assert!(refused(&(line(1, 1, "invoke") + &line(1, 2, "invoke"))).contains("line 3: index 1 follows 1"));
    assert!(refused(&(line(1, 1, "invoke") + &line(2, 1, "invoke"))).contains("waits for an answer"));
    let after = line(1, 1, "invoke") + &line(2, 1, "info") + &line(3, 1, "invoke");
    assert!(refused(&after).contains("acts after its end"));
    let crash = "{\"index\":1,\"process\":1,\"type\":\"info\",\"f\":\"crash\",\"value\":null}\n";
    assert!(refused(&(crash.to_owned() + &line(3, 1, "invoke"))).contains("acts after its end"));
    let timed = |index: u64, process: u64, time: u64| {
        format!(
            "{{\"index\":{index},\"time\":{time},\"process\":{process},\"type\":\"ok\",\"f\":\"assigned\",\"value\":{{\"group\":\"g\",\"generation\":1,\"keys\":[]}}}}\n"
        )
    };
    assert!(refused(&(timed(1, 1, 9) + &timed(2, 1, 8))).contains("never goes back"));
    // Of two processes nobody knows how well their clocks agree.
    read(&(HEADER.to_owned() + &timed(1, 1, 9) + &timed(2, 2, 8)));
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
    ("[a-z]{0,3}", prop::collection::btree_map(key(), -1..i64::MAX, 0..3))
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
        let mut values = 0;
        // Each step is a process of its own that asks one thing and is answered. No value is sent twice.
        for (process, (mut asked, told, gap, error, outcome)) in steps.into_iter().enumerate() {
            if let Action::Send(list) | Action::Txn(list) = &mut asked {
                for micro in list {
                    if let MicroOperation::Send { value, .. } = micro {
                        values += 1;
                        *value = if gap == 1 { Value::from(values) } else { Value::Json(format!("[{values}]").into()) };
                    }
                }
            }
            let is_sent = matches!(asked, Action::Send(_) | Action::Txn(_));
            let told = if asked.name() == told.name() && !is_sent { told } else { asked.clone() };
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
        prop_assert_eq!(Table::read(&*text).unwrap(), Table::of(&history).unwrap());
        let mut again = Vec::new();
        History::read(&*text).unwrap().write(&mut again).unwrap();
        prop_assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(text).unwrap());
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in "[\\[\\]{}\":,a-z0-9 -]{0,60}") {
        let _ = Table::read(format!("{HEADER}{line}\n").as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Table::read(&*bytes);
        let _ = Table::read(&*[HEADER.as_bytes(), &bytes].concat());
    }

    #[test]
    fn no_change_to_a_history_makes_the_reader_panic(history in history(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut text = Vec::new();
        history.write(&mut text).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        if cut {
            text.truncate(at);
        }
        let _ = Table::read(&*text);
    }
}
