//! One node as people use it: serve, produce, consume, stop, and every way to be told no.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;

use support::{Running, printed, refused, resident_bytes, run, run_with, single};

fn directory() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_owned();
    (directory, data)
}

/// A request without a client id, framed.
fn frame(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = (10 + body.len() as i32).to_be_bytes().to_vec();
    frame.extend([api_key.to_be_bytes(), version.to_be_bytes()].concat());
    frame.extend([7_i32.to_be_bytes().as_slice(), &(-1_i16).to_be_bytes(), body].concat());
    frame
}

fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn metadata_that_waits_behind_another_answer_is_of_when_it_leaves() {
    let (_directory, data) = directory();
    let (_node, address) = single(&data);
    let create = |topic| printed(run(&["topic", "create", topic, "--bootstrap", &address]));
    create("orders");
    let mut stream = TcpStream::connect(&address).unwrap();
    // Waits for two seconds for the first record of orders/0.
    let (nobody, wait_ms, bytes_min, bytes_max) = (-1_i32, 2_000_i32, 1_i32, 1_i32 << 20);
    let mut fetch: Vec<u8> =
        [nobody, wait_ms, bytes_min, bytes_max].iter().flat_map(|field| field.to_be_bytes()).collect();
    fetch.extend([&[0][..], &1_i32.to_be_bytes(), &6_i16.to_be_bytes(), b"orders", &1_i32.to_be_bytes()].concat());
    fetch.extend([&0_i32.to_be_bytes()[..], &0_i64.to_be_bytes(), &bytes_max.to_be_bytes()].concat());
    let every_topic = [&(-1_i32).to_be_bytes()[..], &[0]].concat();
    stream.write_all(&[frame(1, 4, &fetch), frame(3, 4, &every_topic)].concat()).unwrap();
    create("payments");
    let _fetched = answer(&mut stream);
    let metadata = answer(&mut stream);
    assert!(metadata.windows(8).any(|name| name == b"payments"), "it is older than the answer before it");
}

#[test]
fn a_cluster_is_measured() {
    let (_directory, data) = directory();
    let (_node, address) = single(&data);
    let bench = |arguments: &[&str]| run(&[&["bench"], arguments, &["--bootstrap", &address]].concat());
    let figures = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&printed(bench(&[arguments, &["--json"]].concat()))).unwrap()
    };
    assert!(refused(bench(&["produce", "orders"]), 1).contains("broker topic create orders"));
    printed(run(&["topic", "create", "orders", "--partitions", "2", "--bootstrap", &address]));
    assert!(refused(bench(&["produce", "orders", "--partition", "2"]), 2).contains("no partition 2"));

    let written = figures(&["produce", "orders", "--records", "500", "--warmup", "100", "--size", "200"]);
    assert_eq!((&written["records"], &written["bytes"]), (&500.into(), &100_000.into()));
    let [half, most] = ["p50", "max"].map(|name| written["latency_ms"][name].as_f64().unwrap());
    assert!(0.0 < half && half <= most, "{written}");
    // What is due later is not written before.
    let steady = figures(&["produce", "orders", "--records", "100", "--rate", "200", "--acks", "1", "--size", "200"]);
    assert!(0.49 < steady["seconds"].as_f64().unwrap(), "{steady}");

    let read = figures(&["consume", "orders"]);
    assert_eq!((&read["records"], &read["bytes"]), (&700.into(), &140_000.into()), "{read}");
    assert!(printed(bench(&["consume", "orders"])).starts_with("700 records in "));
}

#[test]
fn what_was_produced_is_consumed_in_order_and_again_after_a_kill() {
    let (_directory, data) = directory();
    let (node, address) = single(&data);
    let to = ["--bootstrap", &address];
    let with = |arguments: &[&str]| -> Vec<String> { arguments.iter().chain(&to).map(ToString::to_string).collect() };
    let call = |arguments: &[&str]| {
        let arguments = with(arguments);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert_eq!(printed(call(&["topic", "create", "orders", "--partitions", "3"])), "created orders\n");
    let said = refused(call(&["topic", "create", "orders"]), 1);
    assert!(said.contains("refused"), "{said}");
    assert_eq!(printed(call(&["topic", "list"])), "orders  partitions 3, replicas 1\n");
    assert!(printed(call(&["topic", "describe", "orders"])).contains("partition 2  leader 1"));

    let input = (0..2_000).fold(String::new(), |mut input, number| {
        writeln!(input, "key-{}={number}", number % 50).unwrap();
        input
    });
    let arguments = with(&["produce", "orders", "--key-separator", "="]);
    let output = run_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &input);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("2000 records written"), "{said}");

    let read = || printed(call(&["consume", "orders", "--key-separator", "="]));
    let check = |read: &str| {
        let mut lines: Vec<&str> = read.lines().collect();
        for key in 0..50 {
            let prefix = format!("key-{key}=");
            let numbers: Vec<u32> = lines.iter().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
            assert!(numbers.is_sorted(), "order within a key");
        }
        lines.sort_unstable();
        let mut expected: Vec<&str> = input.lines().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    };
    check(&read());
    let one = printed(call(&["consume", "orders", "--partition", "1", "--from", "5", "--count", "1", "--places"]));
    assert!(one.starts_with("1\t5\t") && one.lines().count() == 1, "{one}");
    assert_eq!(printed(call(&["consume", "orders", "--from", "latest"])), "");
    assert_eq!(printed(call(&["consume", "orders", "--from", "2020-01-01"])).lines().count(), 2_000);

    node.kill();
    let node = Running::start(&["serve", "--listen", &address, "--data", &data]);
    node.says("ready");
    check(&read());
    node.stop();
}

#[test]
fn what_memory_has_no_room_for_is_sent_from_its_file_as_it_was() {
    let (_directory, data) = directory();
    let (_node, address) = single(&data);
    let to = ["--bootstrap", &address];
    printed(run(&["topic", "create", "orders", to[0], to[1]]));
    // Three times what is kept in memory.
    let input = (0..120_000).fold(String::new(), |mut input, number| {
        writeln!(input, "{number:0100}").unwrap();
        input
    });
    let output = run_with(&["produce", "orders", to[0], to[1]], &input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = printed(run(&["consume", "orders", to[0], to[1]]));
    assert!(read == input, "{} bytes of {}", read.len(), input.len());
}

#[test]
fn deleted_records_are_gone_for_good_and_offsets_stay() {
    let (_directory, data) = directory();
    let (node, address) = single(&data);
    let call = |arguments: &[&str]| run(&[arguments, &["--bootstrap", &address]].concat());
    printed(call(&["topic", "create", "orders", "--partitions", "1"]));
    let produced = run_with(&["produce", "orders", "--bootstrap", &address], "one\ntwo\nthree\nfour\n");
    assert!(produced.status.success());
    let delete = |before: &[&str]| call(&[&["topic", "delete-records", "orders", "--partition", "0"], before].concat());
    assert_eq!(printed(delete(&["--before", "2"])), "orders/0 begins at 2\n");
    assert_eq!(printed(delete(&["--before", "1"])), "orders/0 begins at 2\n");
    let said = refused(delete(&["--before", "5"]), 1);
    assert!(said.contains("out of range") || said.contains("OffsetOutOfRange"), "{said}");
    let read = || printed(call(&["consume", "orders", "--places"]));
    assert_eq!(read(), "0\t2\tthree\n0\t3\tfour\n");
    assert_eq!(printed(call(&["consume", "orders", "--from", "2020-01-01"])), "three\nfour\n");

    node.kill();
    let node = Running::start(&["serve", "--listen", &address, "--data", &data]);
    node.says("ready");
    assert_eq!(read(), "0\t2\tthree\n0\t3\tfour\n");
    assert_eq!(printed(delete(&[])), "orders/0 begins at 4\n");
    assert_eq!(read(), "");
    let produced = run_with(&["produce", "orders", "--bootstrap", &address], "five\n");
    assert!(produced.status.success());
    assert_eq!(read(), "0\t4\tfive\n");
    let said = refused(call(&["topic", "delete-records", "orders", "--partition", "1"]), 1);
    assert!(said.lines().count() == 1, "{said}");
    node.stop();
    // An orderly stop leaves what spares the next start the walk.
    let left = |name: &str| std::fs::exists(format!("{data}/orders-0/{name}")).unwrap();
    assert!(left("00000000000000000004.index") && left("00000000000000000004.timeindex"));
    assert!(left("leader-epoch-checkpoint") && left("recovery-point-checkpoint"));
}

#[test]
fn an_idle_node_is_small_and_stops_in_order() {
    let (_directory, data) = directory();
    let (node, _address) = single(&data);
    let bytes = resident_bytes(node.id());
    assert!(bytes < 40 << 20, "{bytes} bytes");
    node.stop();
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let (_directory, data) = directory();
    let (_node, address) = single(&data);
    let (_other, elsewhere) = directory();
    let said = refused(run(&["serve", "--listen", &address, "--data", &elsewhere]), 1);
    assert!(said.starts_with(&format!("error: cannot listen at {address}: ")) && said.lines().count() == 1, "{said}");
}

#[test]
fn a_data_directory_in_use_is_one_clear_line() {
    let (_directory, data) = directory();
    let (_node, _address) = single(&data);
    let said = refused(run(&["serve", "--listen", "127.0.0.1:0", "--data", &data]), 1);
    assert!(
        said.starts_with(&format!("error: the data directory {data} is in use")) && said.lines().count() == 1,
        "{said}"
    );
}

#[test]
fn a_data_directory_of_another_cluster_or_node_is_refused() {
    let (directory, data) = directory();
    let (node, _address) = single(&data);
    node.stop();
    let refuses = |text: &str| {
        let file = directory.path().join("broker.toml");
        std::fs::write(&file, text).unwrap();
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", &data, "--config", file.to_str().unwrap()];
        refused(run(&arguments), 1)
    };
    let said = refuses("cluster.id = \"another\"\n");
    assert!(said.contains(&format!("{data} belongs to cluster")) && said.contains("another"), "{said}");
    let said = refuses("node.id = 7\n");
    assert!(said.contains(&format!("{data} belongs to node 1, and this is node 7")), "{said}");
}

#[test]
fn wrong_usage_and_wrong_input_exit_with_2() {
    let (directory, _data) = directory();
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, "node.id = 1\nlog.segmnt.bytes = 1\n").unwrap();
    let said = refused(run(&["serve", "--config", file.to_str().unwrap()]), 2);
    assert!(said.contains("wrong.toml:2:") && said.contains("did you mean \"log.segment.bytes\"?"), "{said}");
    let said = refused(run(&["serve", "--config", "no-such-file.toml"]), 2);
    assert!(said.contains("cannot read the configuration no-such-file.toml"), "{said}");
    refused(run(&["serve", "--listen", "nowhere"]), 2);
    refused(run(&["frobnicate"]), 2);
    refused(run(&["consume", "orders", "--from", "yesterday"]), 2);
    refused(run(&["produce", "orders", "--bootstrap", "no-port"]), 2);
    refused(run(&["cluster", "--brokers", "0"]), 2);
    refused(run(&["cluster", "--brokers", "9", "--port", "65530"]), 2);
}

#[test]
fn a_topic_that_is_not_there_and_a_cluster_that_is_not_there_are_told_apart() {
    let (_directory, data) = directory();
    let (node, address) = single(&data);
    let said = refused(run(&["consume", "absent", "--bootstrap", &address]), 1);
    assert_eq!(said, "error: there is no topic \"absent\": make it with `broker topic create absent`\n");
    node.kill();
    let said = refused(run(&["topic", "list", "--bootstrap", &address]), 1);
    assert!(said.starts_with("error: no broker of the cluster answers") && said.contains("`broker serve`"), "{said}");
}

#[test]
fn shells_learn_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(run(&["completion", shell])).contains("consume"));
    }
}
