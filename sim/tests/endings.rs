//! How connections end: what a peer sees of a process that dies, a machine that goes dark, and a partition over either.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{LATENCY, Notes, at, bytes, ended, in_a_world, start, start_deaf, start_echo};
use host::{Connection, Host, Listener, Reader, Writer, timeout};
use sim::{LinkSettings, Links, Node, World};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A client that waits for bytes from `server` and notes how the wait ends.
fn start_waiter(world: &World, notes: &Notes) -> Node {
    let client = world.node("client");
    let notes = notes.clone();
    start(&client, move |host| {
        let notes = notes.clone();
        async move {
            host.sleep(LATENCY).await;
            let (mut reader, _writer) = host.connect(&at("server")).await.unwrap().split();
            let text = match reader.read(&mut BytesMut::new()).await {
                Ok(0) => "end".to_owned(),
                Ok(length) => format!("{length} bytes"),
                Err(error) => error.kind().to_string(),
            };
            notes.add(&host, text);
        }
    });
    client
}

#[test]
fn a_crash_closes_the_sockets_and_the_peer_reads_the_end() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = start_waiter(&world, &notes);
        world.sleep(seconds(1)).await;
        server.crash();
        ended(&world, &client).await;
    });
    let time = seen.time_of("end").unwrap();
    assert!(time.abs_diff(seconds(1) + LATENCY) < Duration::from_micros(10), "{time:?}");
}

#[test]
fn a_crash_behind_a_partition_is_not_seen_through_it() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = start_waiter(&world, &notes);
        world.sleep(seconds(1)).await;
        let fault = world.network().partition(&Links::both_ways(&[server.index()], &[client.index()]));
        server.crash();
        world.sleep(seconds(20)).await;
        assert!(notes.texts().is_empty(), "nothing passes");
        world.network().lift(fault);
        ended(&world, &client).await;
    });
    let time = seen.time_of("end").unwrap();
    assert!(time > seconds(21) && time < Duration::from_millis(22_100), "{time:?}");
}

#[test]
fn a_crash_with_unread_bytes_resets_the_peer() {
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            writer.write(&bytes("never read")).await.unwrap();
            let error = reader.read(&mut BytesMut::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert_eq!(writer.write(&bytes("x")).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
        world.sleep(seconds(1)).await;
        server.crash();
        ended(&world, &client).await;
    });
}

#[test]
fn a_loss_of_power_says_nothing() {
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            host.sleep(seconds(2)).await;
            writer.write(&bytes("anybody there?")).await.unwrap();
            assert!(timeout(&host, seconds(600), reader.read(&mut BytesMut::new())).await.is_err());
            assert!(timeout(&host, seconds(60), host.connect(&at("server"))).await.is_err(), "nor does it refuse");
        });
        world.sleep(seconds(1)).await;
        server.power_loss();
        ended(&world, &client).await;
    });
}

#[test]
fn a_machine_that_is_back_resets_old_connections_at_the_next_bytes() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = world.node("client");
        let notes = notes.clone();
        start(&client, move |host| {
            let notes = notes.clone();
            async move {
                host.sleep(LATENCY).await;
                let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
                host.sleep(seconds(5)).await;
                // The machine is back for a second, but has no reason to say anything.
                assert!(timeout(&host, seconds(5), reader.read(&mut BytesMut::new())).await.is_err(), "half open");
                writer.write(&bytes("x")).await.unwrap();
                notes.add(&host, "wrote");
                let error = reader.read(&mut BytesMut::new()).await.unwrap_err();
                notes.add(&host, error.kind().to_string());
            }
        });
        world.sleep(seconds(1)).await;
        server.power_loss();
        world.sleep(seconds(3)).await;
        server.restart();
        ended(&world, &client).await;
    });
    let took = seen.time_of("connection reset").unwrap() - seen.time_of("wrote").unwrap();
    assert!(took.abs_diff(LATENCY * 2) < Duration::from_micros(10), "{took:?}");
}

#[test]
fn bytes_sent_to_a_dark_machine_are_answered_with_a_reset_once_it_is_back() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start_deaf(&server);
        let client = world.node("client");
        let notes = notes.clone();
        start(&client, move |host| {
            let notes = notes.clone();
            async move {
                host.sleep(LATENCY).await;
                let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
                host.sleep(seconds(2)).await;
                writer.write(&bytes("x")).await.unwrap();
                let error = reader.read(&mut BytesMut::new()).await.unwrap_err();
                notes.add(&host, error.kind().to_string());
            }
        });
        world.sleep(seconds(1)).await;
        server.power_loss();
        world.sleep(seconds(9)).await;
        server.restart();
        ended(&world, &client).await;
    });
    let time = seen.time_of("connection reset").unwrap();
    assert!(time > seconds(10) && time < Duration::from_millis(11_100), "{time:?}");
}

#[test]
fn what_was_written_is_delivered_even_if_its_writer_ends_at_once() {
    in_a_world(|world| async move {
        let server = world.node("server");
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (_reader, mut writer) = listener.accept().await.unwrap().split();
            writer.write(&[Bytes::from(vec![1; 300_000])]).await.unwrap();
        });
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, _writer) = host.connect(&at("server")).await.unwrap().split();
            let mut received = BytesMut::new();
            while reader.read(&mut received).await.unwrap() > 0 {}
            assert_eq!(received.len(), 300_000);
        });
        ended(&world, &client).await;
    });
}

#[test]
fn a_shutdown_is_seen_after_what_was_written_before_it() {
    in_a_world(|world| async move {
        let server = world.node("server");
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (mut reader, mut writer) = listener.accept().await.unwrap().split();
            let mut question = BytesMut::new();
            while reader.read(&mut question).await.unwrap() > 0 {}
            assert_eq!(&question[..], b"question");
            writer.write(&bytes("answer")).await.unwrap();
        });
        let client = world.node("client");
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            writer.write(&bytes("question")).await.unwrap();
            writer.shutdown().await.unwrap();
            let mut answer = BytesMut::new();
            while reader.read(&mut answer).await.unwrap() > 0 {}
            assert_eq!(&answer[..], b"answer");
        });
        ended(&world, &client).await;
    });
}

#[test]
fn bytes_that_had_not_left_are_lost_with_the_power() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let server = world.node("server");
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (_reader, mut writer) = listener.accept().await.unwrap().split();
            host.sleep(seconds(1)).await;
            writer.write(&bytes("into the partition")).await.unwrap();
            host.sleep(seconds(1_000)).await;
        });
        let client = start_waiter(&world, &notes);
        world.sleep(Duration::from_millis(500)).await;
        let fault = world.network().partition(&Links::one_way(&[server.index()], &[client.index()]));
        world.sleep(seconds(2)).await;
        server.power_loss();
        world.network().lift(fault);
        world.sleep(seconds(100)).await;
    });
    assert!(seen.texts().is_empty());
}

#[test]
fn a_restart_frees_ports_and_serves_again() {
    in_a_world(|world| async move {
        let server = world.node("server");
        start_echo(&server);
        for _ in 0..5 {
            world.sleep(seconds(1)).await;
            server.restart();
            let client = world.node("client");
            start(&client, |host| async move {
                host.sleep(LATENCY).await;
                let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
                writer.write(&bytes("x")).await.unwrap();
                assert_eq!(reader.read(&mut BytesMut::new()).await.unwrap(), 1);
            });
            ended(&world, &client).await;
        }
        assert!(server.is_running(), "its port was free each time");
    });
}

#[test]
fn a_paused_process_keeps_its_connections_and_answers_late() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        world.network().set_default(LinkSettings::constant(LATENCY));
        let server = world.node("server");
        start_echo(&server);
        let client = world.node("client");
        let notes = notes.clone();
        start(&client, move |host| {
            let notes = notes.clone();
            async move {
                host.sleep(LATENCY).await;
                let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
                host.sleep(seconds(2)).await;
                writer.write(&bytes("x")).await.unwrap();
                assert_eq!(reader.read(&mut BytesMut::new()).await.unwrap(), 1);
                notes.add(&host, "answered");
            }
        });
        world.sleep(seconds(1)).await;
        server.pause();
        world.sleep(seconds(9)).await;
        assert!(server.is_running() && server.is_paused());
        server.resume();
        ended(&world, &client).await;
    });
    let time = seen.time_of("answered").unwrap();
    assert!(time.abs_diff(seconds(10) + LATENCY) < Duration::from_micros(10), "{time:?}");
}
