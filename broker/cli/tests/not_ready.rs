//! A node that came up and does not know its cluster yet: whoever asks it is told nothing for good.
#![allow(clippy::disallowed_methods, reason = "these tests run real processes on real files")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]
#![allow(dead_code, reason = "each test binary uses its part of the support")]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Running, printed, run, single};

/// A request without a client id, framed.
fn frame(api_key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = (10 + body.len() as i32).to_be_bytes().to_vec();
    frame.extend([api_key.to_be_bytes(), version.to_be_bytes()].concat());
    frame.extend([7_i32.to_be_bytes().as_slice(), &(-1_i16).to_be_bytes(), body].concat());
    frame
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn connect(address: &str) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_broker_that_is_not_registered_yet_denies_no_topic() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (node, address) = single(data.to_str().unwrap());
    printed(run(&["topic", "create", "orders", "--bootstrap", &address]));
    node.stop();

    // The other voter is not there: nothing of what this one has is known to be committed.
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (own, other) = (free(), free());
    let config = directory.path().join("broker.toml");
    let known = std::fs::read_to_string(data.join("meta.properties")).unwrap();
    let cluster = known.lines().find_map(|line| line.strip_prefix("cluster.id=")).unwrap();
    let text = format!(
        "\"cluster.id\" = \"{cluster}\"\n\"listeners\" = \"{own}\"\n\"log.dirs\" = {data:?}\n\"controller.quorum.voters\" = \"1@{own},2@{other}\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let _node = Running::start(&["serve", "--config", config.to_str().unwrap()]);
    let mut stream = connect(&own.to_string());
    let name = [&6_i16.to_be_bytes()[..], b"orders"].concat();

    let (nobody, one, index, earliest) = (-1_i32, 1_i32.to_be_bytes(), 0_i32.to_be_bytes(), (-2_i64).to_be_bytes());
    let look_up = [&nobody.to_be_bytes()[..], &one, &name, &one, &index, &earliest].concat();
    let answer = ask(&mut stream, &frame(2, 1, &look_up));
    let not_leader = 6_i16.to_be_bytes();
    let expected = [&name[..], &one, &index, &not_leader].concat();
    assert!(answer.windows(expected.len()).any(|part| part == expected), "{answer:?}");

    let asked = Instant::now();
    let answer = ask(&mut stream, &frame(3, 4, &[&one[..], &name, &[0]].concat()));
    assert!(Duration::from_secs(4) < asked.elapsed(), "it is held for a while");
    let leader_not_available = [&5_i16.to_be_bytes()[..], &name].concat();
    assert!(answer.windows(leader_not_available.len()).any(|part| part == leader_not_available), "{answer:?}");
}
