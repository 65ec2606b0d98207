//! The simulated network: latency, faults, back-pressure.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{LATENCY, Notes, at, bytes, ended, in_a_world, start, start_deaf, start_echo};
use host::{Connection, Host, Listener, Reader, Writer, timeout};
use sim::{LinkSettings, Links, World};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client that sends one byte a second to `server` and notes when each comes back.
fn start_pinger(world: &World, notes: &Notes) -> sim::Node {
    let client = world.node("client");
    let notes = notes.clone();
    start(&client, move |host| {
        let notes = notes.clone();
        async move {
            host.sleep(Duration::from_millis(1)).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            let mut buffer = BytesMut::new();
            for number in 0.. {
                writer.write(&bytes("x")).await.unwrap();
                assert_eq!(reader.read(&mut buffer).await.unwrap(), 1);
                notes.add(&host, format!("echo {number}"));
                host.sleep(seconds(1)).await;
            }
        }
    });
    client
}

#[test]
fn a_round_trip_takes_two_latencies_and_no_more() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        start_echo(&world.node("server"));
        start_pinger(&world, &notes);
        world.sleep(seconds(1)).await;
    });
    // Started after 1 ms, connected after a round trip, echoed after another.
    let time = seen.time_of("echo 0").unwrap();
    assert!(time.abs_diff(LATENCY * 5) < Duration::from_micros(20), "{time:?}");
}

#[test]
fn each_link_has_its_own_latency() {
    in_a_world(|world| async move {
        let [near, far, client] = ["near", "far", "client"].map(|name| world.node(name));
        start_echo(&near);
        start_echo(&far);
        let slow = LinkSettings::constant(Duration::from_millis(50));
        world.network().set_links(&Links::one_way(&[client.index()], &[far.index()]), slow);
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            for (name, expected) in [("near", LATENCY * 2), ("far", LATENCY * 51)] {
                let (mut reader, mut writer) = host.connect(&at(name)).await.unwrap().split();
                let sent = host.now();
                writer.write(&bytes("x")).await.unwrap();
                reader.read(&mut BytesMut::new()).await.unwrap();
                assert!((host.now() - sent).abs_diff(expected) < Duration::from_micros(10));
            }
        });
        ended(&world, &client).await;
    });
}

#[test]
fn connecting_where_nobody_listens_is_refused_after_a_round_trip() {
    in_a_world(|world| async move {
        world.node("server");
        let client = world.node("client");
        start(&client, |host| async move {
            let asked = host.now();
            let error = host.connect(&at("server")).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            assert!((host.now() - asked).abs_diff(LATENCY * 2) < Duration::from_micros(10));
        });
        ended(&world, &client).await;
    });
}

#[test]
fn connecting_across_a_partition_times_out_and_is_not_refused() {
    in_a_world(|world| async move {
        let [server, client] = ["server", "client"].map(|name| world.node(name));
        let _lasting = world.network().partition(&Links::both_ways(&[server.index()], &[client.index()]));
        start(&client, |host| async move {
            assert!(timeout(&host, seconds(60), host.connect(&at("server"))).await.is_err(), "no answer for a minute");
            let error = host.connect(&at("server")).await.err().unwrap();
            assert_eq!(error.kind(), ErrorKind::TimedOut, "the system gives up in the end");
        });
        ended(&world, &client).await;
        assert!(Duration::from_nanos(world.now().0) > seconds(150));
    });
}

#[test]
fn a_blocked_way_back_is_enough_to_keep_a_connection_from_being_made() {
    in_a_world(|world| async move {
        let [server, client] = ["server", "client"].map(|name| world.node(name));
        start_echo(&server);
        let fault = world.network().partition(&Links::one_way(&[server.index()], &[client.index()]));
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            assert!(timeout(&host, seconds(9), host.connect(&at("server"))).await.is_err());
            let patient = timeout(&host, seconds(3), host.connect(&at("server"))).await.unwrap();
            patient.unwrap();
        });
        world.sleep(seconds(10)).await;
        world.network().lift(fault);
        ended(&world, &client).await;
    });
}

#[test]
fn what_waited_through_a_partition_arrives_soon_after_it_is_healed() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_echo(&server);
        let client = start_pinger(&world, &notes);
        world.sleep(Duration::from_millis(500)).await;
        let fault = world.network().partition(&Links::both_ways(&[server.index()], &[client.index()]));
        world.sleep(seconds(30)).await;
        world.network().lift(fault);
        world.sleep(seconds(3)).await;
    });
    assert!(seen.time_of("echo 0").unwrap() < seconds(1));
    let healed = Duration::from_millis(30_500);
    let late = seen.time_of("echo 1").unwrap();
    assert!(late > healed && late < healed + Duration::from_millis(1_100), "{late:?}");
}

#[test]
fn bytes_in_flight_do_not_pass_a_partition_that_begins_under_way() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_echo(&server);
        world.network().set_default(LinkSettings::constant(seconds(1)));
        let client = start_pinger(&world, &notes);
        // The first byte leaves after two seconds and a millisecond, and is under way for one.
        world.sleep(Duration::from_millis(2_500)).await;
        let fault = world.network().partition(&Links::one_way(&[client.index()], &[server.index()]));
        world.sleep(seconds(7)).await;
        world.network().lift(fault);
        world.sleep(seconds(5)).await;
    });
    let time = seen.time_of("echo 0").unwrap();
    assert!(time > seconds(11) && time < Duration::from_millis(12_600), "{time:?}");
}

#[test]
fn a_one_way_partition_lets_the_other_way_through() {
    in_a_world(|world| async move {
        let [server, client] = ["server", "client"].map(|name| world.node(name));
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (mut reader, mut writer) = listener.accept().await.unwrap().split();
            host.sleep(seconds(1)).await;
            writer.write(&bytes("heard")).await.unwrap();
            assert!(timeout(&host, seconds(5), reader.read(&mut BytesMut::new())).await.is_err());
        });
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            host.sleep(Duration::from_millis(500)).await;
            writer.write(&bytes("not heard")).await.unwrap();
            assert_eq!(timeout(&host, seconds(1), reader.read(&mut BytesMut::new())).await.unwrap().unwrap(), 5);
            host.sleep(seconds(10)).await;
        });
        world.sleep(Duration::from_millis(100)).await;
        let _lasting = world.network().partition(&Links::one_way(&[client.index()], &[server.index()]));
        ended(&world, &server).await;
    });
}

#[test]
fn two_partitions_over_one_link_both_have_to_heal() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_echo(&server);
        let client = start_pinger(&world, &notes);
        world.sleep(Duration::from_millis(500)).await;
        let links = Links::both_ways(&[server.index()], &[client.index()]);
        let [one, other] = [(); 2].map(|()| world.network().partition(&links));
        world.sleep(seconds(5)).await;
        world.network().lift(one);
        world.sleep(seconds(5)).await;
        assert_eq!(notes.texts().len(), 1);
        world.network().lift(other);
        world.sleep(seconds(2)).await;
    });
    assert!(seen.texts().len() > 1);
}

#[test]
fn what_was_held_arrives_in_one_burst() {
    in_a_world(|world| async move {
        let [server, client] = ["server", "client"].map(|name| world.node(name));
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (mut reader, _writer) = listener.accept().await.unwrap().split();
            let mut buffer = BytesMut::new();
            assert_eq!(reader.read(&mut buffer).await.unwrap(), 20, "all at once");
            assert!(host.world_time().0.abs_diff(10_001_000_000) < 10_000, "as soon as it may");
        });
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (_reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            host.sleep(seconds(1)).await;
            for _ in 0..10 {
                writer.write(&bytes("xy")).await.unwrap();
                host.sleep(Duration::from_millis(300)).await;
            }
            host.sleep(seconds(60)).await;
        });
        world.sleep(Duration::from_millis(500)).await;
        let hold = world.network().hold(&Links::one_way(&[client.index()], &[server.index()]));
        world.sleep(Duration::from_millis(9_500)).await;
        world.network().lift(hold);
        ended(&world, &server).await;
    });
}

#[test]
fn sixty_four_mebibytes_to_a_peer_that_never_reads_stop_at_the_window() {
    in_a_world(|world| async move {
        start_deaf(&world.node("server"));
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (_reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            let chunk = [Bytes::from(vec![0; 64 * 1024])];
            let mut written = 0;
            while timeout(&host, seconds(60), writer.write(&chunk)).await.is_ok() {
                written += chunk[0].len();
                assert!(written < 64 << 20);
            }
            assert_eq!(written, sim::WINDOW);
        });
        ended(&world, &client).await;
    });
}

#[test]
fn a_loss_is_a_delay_and_never_a_gap() {
    in_a_world(|world| async move {
        start_echo(&world.node("server"));
        world.network().set_default(LinkSettings { loss: 0.2, ..LinkSettings::constant(LATENCY) });
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            let mut received = BytesMut::new();
            let sent: Vec<u8> = (0..200).collect();
            for &byte in &sent {
                writer.write(&[Bytes::from(vec![byte])]).await.unwrap();
            }
            let begin = host.now();
            while received.len() < sent.len() {
                assert!(reader.read(&mut received).await.unwrap() > 0);
            }
            assert_eq!(received, sent);
            assert!(host.now() - begin > Duration::from_millis(200));
        });
        ended(&world, &client).await;
    });
}

#[test]
fn bandwidth_bounds_what_arrives_in_a_second() {
    in_a_world(|world| async move {
        start_echo(&world.node("server"));
        let client = world.node("client");
        let links = Links::one_way(&[client.index()], &[world.node("server").index()]);
        let settings = LinkSettings { bandwidth: Some(1 << 20), ..LinkSettings::constant(LATENCY) };
        world.network().set_links(&links, settings);
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            host.spawn_detached(async move {
                let part = Bytes::from(vec![0; 1 << 18]);
                let _sent = writer.write(&vec![part; 16]).await;
                let _shut = writer.shutdown().await;
            });
            let begin = host.now();
            let mut received = BytesMut::new();
            while received.len() < 4 << 20 {
                assert!(reader.read(&mut received).await.unwrap() > 0);
            }
            assert!((host.now() - begin).abs_diff(seconds(4)) < Duration::from_millis(100));
        });
        ended(&world, &client).await;
    });
}
