//! Three real processes in one command: one is killed, nothing acknowledged is lost, one signal stops the rest.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::fmt::Write;
use std::net::TcpListener;

use support::{Running, printed, run, run_with, signal};

/// Three ports in a row that are free now.
fn ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let mut first = 20_000 + (std::process::id() % 1_000) as u16 * 20;
    while !(first..first + 3).all(is_free) {
        first += 3;
    }
    first
}

#[test]
fn a_cluster_of_three_survives_the_kill_of_any_one() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let port = ports();
    let arguments = ["cluster", "--data", data, "--port", &port.to_string()];
    let cluster = Running::start(&arguments);
    let first: u32 = process(&cluster.says("broker 1 is process"));
    cluster.says("ready: a cluster of 3");

    let bootstrap = format!("localhost:{port},localhost:{},localhost:{}", port + 1, port + 2);
    let to = ["--bootstrap", &bootstrap];
    let call = |arguments: &[&str]| printed(run(&[arguments, &to].concat()));
    call(&["topic", "create", "orders"]);
    let described = call(&["topic", "describe", "orders"]);
    assert_eq!(described.lines().count(), 5, "three partitions by default, and a minimum: {described}");
    let quorum = call(&["quorum", "describe"]);
    assert!(quorum.starts_with("leader ") && quorum.lines().count() == 5, "three voters, no observer: {quorum}");
    let lines = |from: u32, to: u32| {
        (from..to).fold(String::new(), |mut lines, number| {
            writeln!(lines, "{number}:value {number}").unwrap();
            lines
        })
    };
    let produce = |input: &str| {
        let arguments = [&["produce", "orders", "--key-separator", ":"][..], &to].concat();
        let output = run_with(&arguments, input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    produce(&lines(0, 500));
    signal("KILL", first);
    let told = cluster.says("broker 1 ended");
    assert!(told.contains("broker serve --config"), "{told}");
    produce(&lines(500, 1_000));

    let restarted = Running::start(&["serve", "--config", &format!("{data}/broker-1/broker.toml")]);
    restarted.says("ready");
    let mut read: Vec<String> =
        call(&["consume", "orders", "--key-separator", ":"]).lines().map(str::to_owned).collect();
    read.sort_unstable();
    read.dedup();
    let expected = lines(0, 1_000);
    let mut expected: Vec<&str> = expected.lines().collect();
    expected.sort_unstable();
    assert_eq!(read, expected);
    let moved = call(&["reassign", "start", "orders", "--to", "2,3,1", "--throttle", "1000000", "--wait"]);
    assert!(moved.ends_with("all are where they should be\norders is not throttled any more\n"), "{moved}");
    restarted.kill();
    cluster.stop();

    // The same command on the same directory is the same cluster.
    let cluster = Running::start(&arguments);
    cluster.says("ready: a cluster of 3");
    assert_eq!(call(&["consume", "orders", "--count", "1000"]).lines().count(), 1_000);
    cluster.stop();
}

fn process(line: &str) -> u32 {
    let words = line.split_whitespace().skip_while(|word| *word != "process").nth(1).unwrap();
    words.trim_end_matches(',').parse().unwrap()
}
