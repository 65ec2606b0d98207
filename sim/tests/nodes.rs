//! Nodes: lives, clocks, chance, and what the trace says of them.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::{Notes, at, ended, in_a_world, start, start_echo};
use evidence::What;
use host::{Disk, File, Host};
use model::{BrokerId, Event, LeaderEpoch, Time};
use sim::{Options, WORLD_EPOCH};

#[test]
fn waits_are_right_below_a_millisecond() {
    in_a_world(|world| async move {
        let node = world.node("node");
        start(&node, |host| async move {
            for micros in [1, 7, 100, 999, 1_001, 9_999, 10_001, 25_000, 600_000_000] {
                let wait = Duration::from_micros(micros);
                let begin = host.now();
                host.sleep(wait).await;
                let late = (host.now() - begin) - wait;
                assert!(late < Duration::from_micros(1), "{wait:?} and {late:?}");
            }
            let begin = host.now();
            host.sleep_until(begin).await;
            assert!(host.now() > begin, "an empty wait lets time pass");
        });
        ended(&world, &node).await;
    });
}

#[test]
fn waits_that_are_called_off_wake_nobody_and_are_forgotten() {
    in_a_world(|world| async move {
        let node = world.node("node");
        start(&node, |host| async move {
            for _ in 0..10_000 {
                let long = host.sleep(Duration::from_secs(30));
                let result = host::timeout(&host, Duration::from_micros(3), long).await;
                assert!(result.is_err());
            }
            assert!(host.world_time() < Time(100_000_000));
        });
        ended(&world, &node).await;
        world.sleep(Duration::from_secs(60)).await;
    });
}

#[test]
fn each_node_has_its_own_clocks() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        let [one, other] = ["one", "other"].map(|name| world.node(name));
        one.set_clock_offset(-250);
        for node in [&one, &other] {
            let notes = notes.clone();
            start(node, move |host| {
                let notes = notes.clone();
                async move {
                    host.sleep(Duration::from_secs(1)).await;
                    notes.add(&host, format!("{} {}", host.name(), host.wall_clock().0 - WORLD_EPOCH.0));
                    notes.add(&host, format!("monotonic {}", host.now().0));
                }
            });
        }
        ended(&world, &other).await;
        world.sleep(Duration::from_secs(1)).await;
    });
    let mut texts = seen.texts();
    texts.sort();
    assert_ne!(texts[0], texts[1], "one node's monotonic time means nothing to another");
    assert_eq!(texts[2..], ["one 750", "other 1000"]);
}

#[test]
fn each_process_has_its_own_chance() {
    let notes = Notes::default();
    let seen = notes.clone();
    in_a_world(|world| async move {
        for name in ["one", "other"] {
            let node = world.node(name);
            for _ in 0..2 {
                let notes = notes.clone();
                start(&node, move |host| {
                    let notes = notes.clone();
                    async move { notes.add(&host, format!("{:x}", host.entropy())) }
                });
                ended(&world, &node).await;
            }
        }
    });
    let mut draws = seen.texts();
    draws.sort();
    draws.dedup();
    assert_eq!(draws.len(), 4);
}

#[test]
fn all_tasks_of_a_process_end_with_it() {
    let ticks = Arc::new(AtomicU32::new(0));
    let counted = ticks.clone();
    in_a_world(|world| async move {
        let node = world.node("node");
        let ticks = counted.clone();
        start(&node, move |host| {
            let ticks = ticks.clone();
            async move {
                let ticking = host.clone();
                host.spawn_detached(async move {
                    loop {
                        ticking.sleep(Duration::from_secs(1)).await;
                        ticks.fetch_add(1, Ordering::Relaxed);
                    }
                });
                host.sleep(Duration::from_millis(3_500)).await;
            }
        });
        world.sleep(Duration::from_secs(10)).await;
        assert_eq!(counted.load(Ordering::Relaxed), 3, "the main future has ended, and the task with it");
        node.restart();
        world.sleep(Duration::from_millis(1_500)).await;
        node.crash();
        world.sleep(Duration::from_secs(10)).await;
        assert_eq!(counted.load(Ordering::Relaxed), 4);
    });
    assert_eq!(Arc::strong_count(&ticks), 1, "the world is gone and holds nothing");
}

#[test]
fn the_trace_tells_lives_in_order() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        start_echo(&node);
        world.sleep(Duration::from_secs(1)).await;
        node.pause();
        node.resume();
        node.crash();
        node.crash();
        node.restart();
        node.power_loss();
        node.start(|host| async move {
            host.witness(Event::VoteCast { epoch: LeaderEpoch(1), candidate: BrokerId(2) });
            Err("nothing to do".to_owned())
        });
        ended(&world, &node).await;
        world.note(What::Note { text: "done".to_owned() });
    });
    let lives: Vec<_> = outcome.entries.iter().map(|entry| (entry.index, &*entry.node.0, &entry.what)).collect();
    let vote = What::Witnessed(Event::VoteCast { epoch: LeaderEpoch(1), candidate: BrokerId(2) });
    let expected = [
        What::NodeStarted,
        What::NodePaused,
        What::NodeResumed,
        What::NodeCrashed,
        What::NodeStarted,
        What::PowerLost,
        What::NodeStarted,
        vote,
        What::NodeStopped { error: Some("nothing to do".to_owned()) },
    ];
    for (index, what) in expected.iter().enumerate() {
        assert_eq!(lives[index], (index as u64, "node", what));
    }
    assert_eq!(lives[9], (9, "world", &What::Note { text: "done".to_owned() }));
    assert_eq!(lives.len(), 10);
}

#[test]
fn an_observer_can_stop_the_run() {
    let options = Options {
        observer: Box::new(|entry| match entry.what {
            What::NodeCrashed => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }),
        ..Options::new(3)
    };
    let outcome = sim::run(options, |world| async move {
        let node = world.node("node");
        start_echo(&node);
        let crashing = node.clone();
        let clock = world.clone();
        world.spawn(async move {
            clock.sleep(Duration::from_secs(7)).await;
            crashing.crash();
        });
        world.stopped().await;
        world.now()
    });
    let stopped = outcome.unwrap().value;
    assert!(stopped.0.abs_diff(7_000_000_000) < 1_000);
}

#[test]
fn a_disk_outlives_its_processes() {
    in_a_world(|world| async move {
        let node = world.node("node");
        start(&node, |host| async move {
            let disk = host.disk();
            match disk.open("file") {
                Ok(file) => assert_eq!(file.length().unwrap(), 5),
                Err(_) => disk.create("file").unwrap().write_at(0, b"bytes").unwrap(),
            }
            let _held_to_the_end = disk.lock("lock").unwrap();
            host.sleep(Duration::from_secs(1_000)).await;
        });
        world.sleep(Duration::from_secs(1)).await;
        node.restart();
        world.sleep(Duration::from_secs(1)).await;
        assert!(node.is_running(), "it found its file, and its lock was free");
    });
}

#[test]
fn a_name_that_no_node_has_is_not_found() {
    in_a_world(|world| async move {
        let node = world.node("node");
        start(&node, |host| async move {
            let error = host.connect(&at("nobody")).await.err().unwrap();
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        });
        ended(&world, &node).await;
    });
}
