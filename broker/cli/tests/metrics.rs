//! What a node tells those who watch over it, as Prometheus and a prober ask for it.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Running, printed, run, run_with};

/// A node with metrics, its address and the one of its metrics.
struct Watched {
    _directory: tempfile::TempDir,
    node: Running,
    address: String,
    metrics: String,
}

fn watched() -> Watched {
    let directory = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = directory.path().join("broker.toml");
    let data = directory.path().join("data");
    let text = format!("\"listeners\" = \"127.0.0.1:0\"\n\"metrics.listener\" = \"{free}\"\n\"log.dirs\" = {data:?}\n");
    std::fs::write(&config, text).unwrap();
    let node = Running::start(&["serve", "--config", config.to_str().unwrap()]);
    let ready = node.says("ready");
    let address = ready.split_whitespace().find(|word| word.starts_with("127.0.0.1:")).unwrap();
    let address = address.trim_end_matches(',').to_owned();
    Watched { _directory: directory, node, address, metrics: free.to_string() }
}

/// Status line and body of what is answered to these bytes.
fn asked(address: &str, request: &[u8]) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

fn get(address: &str, path: &str) -> (String, String) {
    asked(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
}

/// The sum of all samples of a name.
fn sum(page: &str, name: &str) -> f64 {
    let samples = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (series.split('{').next()? == name).then(|| value.parse::<f64>().unwrap())
    });
    samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value)).unwrap_or_else(|| panic!("no {name}:\n{page}"))
}

fn write_records(address: &str, count: usize) {
    printed(run(&["topic", "create", "orders", "--partitions", "3", "--bootstrap", address]));
    let input: String = (0..count).map(|number| format!("record {number}\n")).collect();
    let written = run_with(&["produce", "orders", "--bootstrap", address], &input);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    printed(run(&["consume", "orders", "--bootstrap", address]));
}

#[test]
fn what_was_written_read_and_synced_is_counted() {
    let watched = watched();
    write_records(&watched.address, 2_000);
    let (status, page) = get(&watched.metrics, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    assert!(page.ends_with("# EOF\n"), "OpenMetrics end so");
    assert!((sum(&page, "kafka_server_brokertopicmetrics_messagesin_total") - 2_000.0).abs() < 0.5);
    assert!((sum(&page, "kafka_log_log_logendoffset") - 2_000.0).abs() < 0.5);
    let (bytes_in, size) =
        (sum(&page, "kafka_server_brokertopicmetrics_bytesin_total"), sum(&page, "kafka_log_log_size"));
    assert!(2_000.0 < bytes_in && (bytes_in - size).abs() < 0.5, "the log is what came in: {bytes_in} and {size}");
    assert!(bytes_in <= sum(&page, "kafka_server_brokertopicmetrics_bytesout_total"), "all of it was read");
    assert!(1.0 <= sum(&page, "kafka_log_logflushstats_logflush_seconds_count"));
    assert!(page.contains("kafka_network_requestmetrics_totaltime_seconds_count{request=\"Produce\"}"));
    for (name, value) in [
        ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
        ("kafka_controller_kafkacontroller_globalpartitioncount", 3.0),
        ("kafka_server_replicamanager_leadercount", 3.0),
        ("kafka_server_replicamanager_underreplicatedpartitions", 0.0),
    ] {
        assert!((sum(&page, name) - value).abs() < 0.5, "{name} is {value}:\n{page}");
    }
    watched.node.stop();
}

#[test]
fn a_node_that_serves_is_healthy_and_ready() {
    let watched = watched();
    for path in ["/health", "/ready"] {
        assert_eq!(get(&watched.metrics, path), ("HTTP/1.1 200 OK".into(), "ok\n".into()), "{path}");
    }
    let head = asked(&watched.metrics, b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert_eq!(head, ("HTTP/1.1 200 OK".into(), String::new()));
    let (status, said) = get(&watched.metrics, "/");
    assert!(status.contains("404") && said.contains("/metrics"), "{status}: {said}");
    let (status, said) = asked(&watched.metrics, b"\0\0\0\x0e\0\x12\0\0\0\0\0\x01\0\x04kcat");
    assert!(status.contains("400") && said.contains("listeners"), "{status}: {said}");
}

#[test]
fn a_node_without_a_majority_is_healthy_but_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let taken: Vec<_> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = taken.iter().map(|port| port.local_addr().unwrap().port()).collect();
    drop(taken);
    let config = directory.path().join("broker.toml");
    let text = format!(
        "\"listeners\" = \"127.0.0.1:{}\"\n\"metrics.listener\" = \"127.0.0.1:{}\"\n\"cluster.id\" = \"three\"\n\"log.dirs\" = {:?}\n\
         \"controller.quorum.voters\" = [\"1@127.0.0.1:{}\", \"2@127.0.0.1:{}\", \"3@127.0.0.1:{}\"]\n",
        ports[0],
        ports[3],
        directory.path().join("data"),
        ports[0],
        ports[1],
        ports[2]
    );
    std::fs::write(&config, text).unwrap();
    let _node = Running::start(&["serve", "--config", config.to_str().unwrap()]);
    let metrics = format!("127.0.0.1:{}", ports[3]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&metrics).is_err() {
        assert!(Instant::now() < deadline, "nobody listens at {metrics}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(get(&metrics, "/health").0.contains("200"));
    let (status, said) = get(&metrics, "/ready");
    assert!(status.contains("503") && said.contains("majority"), "{status}: {said}");
}

#[test]
fn the_dashboard_shows_nothing_that_a_node_does_not_tell() {
    let watched = watched();
    write_records(&watched.address, 10);
    let (_, page) = get(&watched.metrics, "/metrics");
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let told: BTreeSet<&str> = series.filter_map(|line| line.split(['{', ' ']).next()).collect();
    let dashboard =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dashboards/cluster.json")).unwrap();
    let words = dashboard.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let shown: BTreeSet<&str> = words.filter(|word| word.starts_with("kafka_")).collect();
    assert!(15 < shown.len(), "{shown:?}");
    let missing: Vec<_> = shown.difference(&told).collect();
    assert!(missing.is_empty(), "{missing:?} of {told:#?}");
}
