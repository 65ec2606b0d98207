//! Real processes hand the quorum over: a second node is added, the first one is removed and goes, and comes back as an observer.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use support::{Running, printed, refused, run};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The configuration of a node, whose quorum was node 1 alone in the beginning.
fn configure(directory: &Path, node: i32, roles: &str, ports: [u16; 2]) -> String {
    let own = ports[usize::from(node != 1)];
    let data = directory.join(format!("data-{node}"));
    let text = format!(
        "node.id = {node}\ncluster.id = \"voters\"\nprocess.roles = \"{roles}\"\nlisteners = \"127.0.0.1:{own}\"\n\
         controller.quorum.voters = \"1@127.0.0.1:{}\"\nlog.dirs = \"{}\"\n",
        ports[0],
        data.display()
    );
    let path = directory.join(format!("node-{node}-{}.toml", roles.len()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn serve(file: &str) -> Running {
    let node = Running::start(&["serve", "--config", file]);
    node.says("ready");
    node
}

/// Asks until the quorum is told as `expected`: each node's number, and what it is.
fn until_described(bootstrap: &str, expected: &[(&str, &str)]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let output = run(&["quorum", "describe", "--bootstrap", bootstrap]);
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<(&str, &str)> = text
            .lines()
            .skip(2)
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                Some((words.next()?, words.next()?))
            })
            .collect();
        // Beside them the leader may remember a disk that a node had before.
        if expected.iter().all(|expected| words.contains(expected)) {
            return;
        }
        assert!(Instant::now() < deadline, "the quorum is still {text}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_quorum_is_handed_over_from_one_node_to_another() {
    let directory = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port()];
    let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
    let first_file = configure(directory.path(), 1, "broker,controller", ports);
    let first = serve(&first_file);
    let quorum =
        |arguments: &[&str], at: usize| run(&[&["quorum"], arguments, &["--bootstrap", &addresses[at]]].concat());

    let told = refused(quorum(&["add", "2"], 0), 1);
    assert!(told.contains("node 2 is no broker of the cluster") && told.contains("--at"), "{told}");
    let told = refused(quorum(&["remove", "1"], 0), 1);
    assert!(told.contains("it is the last voter"), "{told}");
    let told = refused(quorum(&["remove", "2"], 0), 1);
    assert!(told.contains("no such node votes"), "{told}");

    let mere_broker = serve(&configure(directory.path(), 2, "broker", ports));
    let told = refused(quorum(&["add", "2", "--at", &addresses[1]], 0), 1);
    assert!(told.contains("process.roles"), "{told}");
    mere_broker.stop();
    let second = serve(&configure(directory.path(), 2, "broker,controller", ports));
    assert_eq!(printed(quorum(&["add", "2", "--at", &addresses[1]], 1)), "node 2 votes on the metadata\n");
    until_described(&addresses[0], &[("1", "leader"), ("2", "voter")]);
    let told = refused(quorum(&["add", "2", "--at", &addresses[1]], 0), 1);
    assert!(told.contains("votes already"), "{told}");

    assert_eq!(printed(quorum(&["remove", "1"], 0)), "node 1 votes on the metadata no more\n");
    until_described(&addresses[1], &[("1", "observer"), ("2", "leader")]);
    first.stop();
    printed(run(&["topic", "create", "orders", "--replicas", "1", "--bootstrap", &addresses[1]]));

    // What its file says of voters is where it begins to look, and no more.
    let first = serve(&first_file);
    until_described(&addresses[0], &[("1", "observer"), ("2", "leader")]);
    first.stop();
    second.stop();
}

#[test]
fn a_voter_that_comes_back_elsewhere_is_looked_for_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut ports = [free_port(), free_port()];
    let address = |port: u16| format!("127.0.0.1:{port}");
    let first_file = configure(directory.path(), 1, "broker,controller", ports);
    let first = serve(&first_file);
    let second = serve(&configure(directory.path(), 2, "broker,controller", ports));
    let at_first = address(ports[0]);
    let nowhere = address(free_port());
    let told = refused(run(&["quorum", "add", "2", "--at", &nowhere, "--bootstrap", &at_first]), 1);
    assert!(told.contains(&format!("nobody answers at {nowhere}")), "{told}");
    // Somebody else answers there; the new voter says itself where it is.
    printed(run(&["quorum", "add", "2", "--at", &at_first, "--bootstrap", &at_first]));
    second.stop();
    ports[1] = free_port();
    let second = serve(&configure(directory.path(), 2, "broker,controller", ports));
    let at_second = address(ports[1]);
    let deadline = Instant::now() + Duration::from_secs(30);
    // Until the log says where it is, the change before is perhaps not committed.
    while !run(&["quorum", "remove", "1", "--bootstrap", &at_second]).status.success() {
        assert!(Instant::now() < deadline, "the voters cannot be changed");
    }
    until_described(&at_second, &[("1", "observer"), ("2", "leader")]);
    first.stop();
    // Its file names only itself, so what leads it to the quorum is the log.
    let first = serve(&first_file);
    until_described(&at_first, &[("1", "observer"), ("2", "leader")]);
    first.stop();
    second.stop();
}
