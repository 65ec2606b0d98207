//! Networks that are not cut but ill: slow cards, requests refused and lost, connections reset, forgotten, stranded, given up.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{LATENCY, Notes, at, bytes, ended, in_a_world, start, start_deaf, start_echo};
use host::{Connection, Host, Listener, Reader, Writer, timeout};
use sim::{GIVEN_UP_AFTER, Links, Node, World};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn told<T>(result: &io::Result<T>) -> String {
    result.as_ref().map_or_else(|error| format!("{:?}", error.kind()), |_| "fine".to_owned())
}

/// A client that connects at 1 ms, says a word, waits for it to come back, then reads on and notes how that ends. At
/// `says_more`, if given, it writes again and notes how that goes.
fn start_client(world: &World, notes: &Notes, says_more: Option<Duration>) -> Node {
    let client = world.node("client");
    let notes = notes.clone();
    start(&client, move |host| {
        let notes = notes.clone();
        async move {
            host.sleep(LATENCY).await;
            let (mut reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            let mut buffer = BytesMut::new();
            writer.write(&bytes("x")).await.unwrap();
            reader.read(&mut buffer).await.unwrap();
            let reading = async {
                let result = reader.read(&mut buffer).await;
                notes.add(&host, format!("read {}", told(&result)));
            };
            let writing = async {
                if let Some(when) = says_more {
                    host.sleep(when).await;
                    let result = writer.write(&bytes("more")).await;
                    notes.add(&host, format!("wrote {}", told(&result)));
                }
            };
            futures_util::future::join(reading, writing).await;
        }
    });
    client
}

fn between(world: &World) -> Links {
    Links::both_ways(&[world.node("server").index()], &[world.node("client").index()])
}

#[test]
fn a_slow_card_is_shared_by_all_links_of_its_machine_and_by_no_other() {
    in_a_world(|world| async move {
        let [server, one, other, bystander] = ["server", "one", "other", "bystander"].map(|name| world.node(name));
        for node in [&server, &bystander] {
            start(node, |host| async move {
                let listener = host.listen(&at(host.name())).await.unwrap();
                loop {
                    let (mut reader, mut writer) = listener.accept().await.unwrap().split();
                    host.spawn_detached(async move {
                        let mut buffer = BytesMut::new();
                        while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
                        let _told = writer.write(&bytes("done")).await;
                    });
                }
            });
        }
        world.network().set_card(server.index(), Some(1_000_000));
        let sends = |to: &'static str, takes: Duration| {
            move |host: sim::SimHost| async move {
                host.sleep(LATENCY).await;
                let (mut reader, mut writer) = host.connect(&at(to)).await.unwrap().split();
                let begin = host.now();
                writer.write(&[Bytes::from(vec![0; 500_000])]).await.unwrap();
                writer.shutdown().await.unwrap();
                reader.read(&mut BytesMut::new()).await.unwrap();
                let took = host.now() - begin;
                assert!(took.abs_diff(takes) < Duration::from_millis(20), "{took:?} to {to}");
            }
        };
        // Two halves of a megabyte through one megabyte a second: the second waits for the first.
        start(&one, sends("server", Duration::from_millis(500)));
        world.sleep(Duration::from_micros(1)).await;
        start(&other, sends("server", seconds(1)));
        ended(&world, &one).await;
        ended(&world, &other).await;
        let swift = world.node("swift");
        start(&swift, sends("bystander", Duration::from_millis(2)));
        ended(&world, &swift).await;
    });
}

#[test]
fn what_waits_for_a_slow_card_leaves_at_once_when_it_is_slow_no_more() {
    in_a_world(|world| async move {
        let [server, client] = ["server", "client"].map(|name| world.node(name));
        world.network().set_card(client.index(), Some(1_000));
        start(&server, |host| async move {
            let listener = host.listen(&at("server")).await.unwrap();
            let (mut reader, _writer) = listener.accept().await.unwrap().split();
            let mut buffer = BytesMut::new();
            while buffer.len() < 400_000 {
                assert!(reader.read(&mut buffer).await.unwrap() > 0);
            }
            assert!(host.world_time().0 < 10_100_000_000, "{}", host.world_time().0);
            assert!(buffer.chunks(1000).enumerate().all(|(index, part)| part.iter().all(|&byte| byte == index as u8)));
        });
        start(&client, |host| async move {
            host.sleep(LATENCY).await;
            let (_reader, mut writer) = host.connect(&at("server")).await.unwrap().split();
            for index in 0..400u32 {
                writer.write(&[Bytes::from(vec![index as u8; 1000])]).await.unwrap();
            }
            host.sleep(seconds(60)).await;
        });
        world.sleep(seconds(10)).await;
        assert!(server.is_running());
        world.network().set_card(client.index(), None);
        ended(&world, &server).await;
    });
}

#[test]
fn a_refused_request_is_answered_at_once_and_connections_go_on() {
    in_a_world(|world| async move {
        let notes = Notes::default();
        let server = world.node("server");
        start_echo(&server);
        start_client(&world, &notes, Some(seconds(3)));
        world.sleep(seconds(1)).await;
        let late = world.node("late");
        let fault = world.network().refuse(&Links::one_way(&[late.index()], &[server.index()]));
        start(&late, |host| async move {
            let asked = host.now();
            assert_eq!(host.connect(&at("server")).await.err().unwrap().kind(), ErrorKind::ConnectionRefused);
            assert!(host.now() - asked < LATENCY * 3);
        });
        ended(&world, &late).await;
        world.sleep(seconds(3)).await;
        assert_eq!(notes.texts(), ["wrote fine", "read fine"]);
        world.network().lift(fault);
        let later = world.node("later");
        start(&later, |host| async move {
            host.connect(&at("server")).await.unwrap();
        });
        ended(&world, &later).await;
    });
}

#[test]
fn a_request_that_is_lost_times_out_and_connections_go_on() {
    in_a_world(|world| async move {
        let notes = Notes::default();
        let server = world.node("server");
        start_echo(&server);
        let client = start_client(&world, &notes, Some(seconds(3)));
        world.sleep(seconds(1)).await;
        let late = world.node("late");
        let from = [late.index(), client.index()];
        let _lasting = world.network().ignore(&Links::one_way(&from, &[server.index()]));
        start(&late, |host| async move {
            assert!(timeout(&host, seconds(60), host.connect(&at("server"))).await.is_err(), "no answer for a minute");
            assert_eq!(host.connect(&at("server")).await.err().unwrap().kind(), ErrorKind::TimedOut);
        });
        ended(&world, &late).await;
        assert_eq!(notes.texts(), ["wrote fine", "read fine"]);
    });
}

#[test]
fn a_reset_tells_both_ends_and_new_connections_are_made() {
    in_a_world(|world| async move {
        let (notes, server_notes) = (Notes::default(), Notes::default());
        let server = world.node("server");
        let server_told = server_notes.clone();
        start(&server, move |host| {
            let notes = server_told.clone();
            async move {
                let listener = host.listen(&at("server")).await.unwrap();
                loop {
                    let (mut reader, mut writer) = listener.accept().await.unwrap().split();
                    let mut buffer = BytesMut::new();
                    while reader.read(&mut buffer).await.is_ok_and(|length| length > 0) {
                        let _sent = writer.write(&[buffer.split().freeze()]).await;
                    }
                    notes.add(&host, format!("server's read {}", told(&reader.read(&mut buffer).await)));
                }
            }
        });
        let client = start_client(&world, &notes, None);
        world.sleep(seconds(1)).await;
        world.network().reset(&between(&world));
        ended(&world, &client).await;
        assert_eq!(notes.texts(), ["read ConnectionReset"]);
        assert!(notes.time_of("read").unwrap() < seconds(1) + LATENCY * 2);
        assert_eq!(server_notes.texts(), ["server's read BrokenPipe"], "it was told by the read before");
        client.restart();
        world.sleep(seconds(1)).await;
        assert!(client.is_running(), "the second life waits for a second reset");
    });
}

#[test]
fn a_forgotten_connection_seems_alive_to_its_peer_until_that_sends() {
    for (says_more, notes_expected) in
        [(None, &[][..]), (Some(seconds(5)), &["wrote fine", "read ConnectionReset"][..])]
    {
        in_a_world(move |world| async move {
            let notes = Notes::default();
            start_echo(&world.node("server"));
            let client = start_client(&world, &notes, says_more);
            world.sleep(seconds(1)).await;
            let (server, peer) = (world.node("server").index(), client.index());
            world.network().forget(&Links::one_way(&[server], &[peer]));
            world.sleep(seconds(1_800)).await;
            assert_eq!(notes.texts(), notes_expected);
        });
    }
}

#[test]
fn nothing_passes_on_a_stranded_connection_and_new_ones_are_made() {
    in_a_world(|world| async move {
        let notes = Notes::default();
        start_echo(&world.node("server"));
        let client = start_client(&world, &notes, Some(seconds(5)));
        world.sleep(seconds(1)).await;
        world.network().strand(&between(&world));
        let late = world.node("client's twin");
        start(&late, |host| async move {
            host.connect(&at("server")).await.unwrap();
        });
        ended(&world, &late).await;
        world.sleep(seconds(300)).await;
        assert_eq!(notes.texts(), ["wrote fine"]);
        ended(&world, &client).await;
        assert_eq!(notes.texts(), ["wrote fine", "read TimedOut"]);
        let patience = notes.time_of("read").unwrap() - notes.time_of("wrote").unwrap();
        assert_eq!(patience, GIVEN_UP_AFTER);
    });
}

#[test]
fn who_hears_no_answer_gives_up_after_a_quarter_of_an_hour_and_not_before() {
    for (cut_for, expected) in [
        (GIVEN_UP_AFTER - seconds(10), &["wrote fine", "read fine"][..]),
        (GIVEN_UP_AFTER + seconds(10), &["wrote fine", "read TimedOut"][..]),
    ] {
        for way in ["there", "back"] {
            in_a_world(move |world| async move {
                let notes = Notes::default();
                let server = world.node("server");
                start_echo(&server);
                let client = start_client(&world, &notes, Some(seconds(2)));
                world.sleep(seconds(1)).await;
                let [there, back] = [(&client, &server), (&server, &client)]
                    .map(|(from, to)| Links::one_way(&[from.index()], &[to.index()]));
                let fault = world.network().partition(if way == "there" { &there } else { &back });
                world.sleep(cut_for).await;
                world.network().lift(fault);
                world.sleep(seconds(10)).await;
                assert_eq!(notes.texts(), expected, "{way}, cut for {cut_for:?}");
            });
        }
    }
}

#[test]
fn who_gave_up_resets_a_peer_that_speaks_later() {
    in_a_world(|world| async move {
        let notes = Notes::default();
        let server = world.node("server");
        let server_told = notes.clone();
        start(&server, move |host| {
            let notes = server_told.clone();
            async move {
                let listener = host.listen(&at("server")).await.unwrap();
                let (mut reader, mut writer) = listener.accept().await.unwrap().split();
                let mut buffer = BytesMut::new();
                reader.read(&mut buffer).await.unwrap();
                writer.write(&bytes("x")).await.unwrap();
                host.sleep(GIVEN_UP_AFTER + seconds(60)).await;
                writer.write(&bytes("anybody there?")).await.unwrap();
                notes.add(&host, format!("server's read {}", told(&reader.read(&mut buffer).await)));
            }
        });
        start_client(&world, &notes, Some(seconds(2)));
        world.sleep(seconds(1)).await;
        let fault = world.network().partition(&between(&world));
        world.sleep(GIVEN_UP_AFTER + seconds(30)).await;
        world.network().lift(fault);
        ended(&world, &server).await;
        assert_eq!(notes.texts(), ["wrote fine", "read TimedOut", "server's read ConnectionReset"]);
    });
}

#[test]
fn who_waits_for_nothing_waits_through_any_partition() {
    in_a_world(|world| async move {
        let notes = Notes::default();
        start_deaf(&world.node("server"));
        let client = world.node("client");
        let seen = notes.clone();
        start(&client, move |host| {
            let notes = seen.clone();
            async move {
                host.sleep(LATENCY).await;
                let (mut reader, _writer) = host.connect(&at("server")).await.unwrap().split();
                notes.add(&host, format!("read {}", told(&reader.read(&mut BytesMut::new()).await)));
            }
        });
        world.sleep(seconds(1)).await;
        let fault = world.network().partition(&between(&world));
        world.sleep(seconds(3_000)).await;
        world.network().lift(fault);
        world.sleep(seconds(60)).await;
        assert_eq!(notes.texts(), Vec::<String>::new());
        assert!(client.is_running());
    });
}
