//! Same seed, same digest: in any process, thread or order of runs. And how runs fail.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{at, start_echo};
use evidence::What;
use host::{Connection, Disk, File, Host, Reader, Writer, timeout};
use sim::{Failure, LinkSettings, Links, Options, Outcome, Reason, SimHost, World};

/// A world in which much happens: talk, disks, crashes, losses of power, partitions, pauses.
fn busy(seed: u64, record: bool) -> Outcome<u64> {
    sim::run(Options { record, ..Options::new(seed) }, live_busily).unwrap()
}

async fn live_busily(world: World) -> u64 {
    let names = ["one", "two", "three"];
    let servers = names.map(|name| world.node(name));
    let indexes = servers.clone().map(|server| server.index());
    servers.iter().for_each(start_echo);
    world.network().set_default(LinkSettings { loss: 0.01, ..LinkSettings::LOCAL });
    for number in 0..3 {
        world.node(&format!("client-{number}")).start(move |host| async move {
            loop {
                let name = names[(host.entropy() % 3) as usize];
                let _lost = timeout(&host, Duration::from_secs(2), talk(&host, name)).await;
                host.sleep(Duration::from_micros(host.entropy() % 5_000)).await;
            }
        });
    }
    let mut chance = world.stream("faults");
    for _ in 0..20 {
        world.sleep(chance.duration(Duration::from_millis(50)..Duration::from_millis(500))).await;
        let victim = &servers[chance.below(3) as usize];
        match chance.below(5) {
            0 => victim.restart(),
            1 => {
                victim.power_loss();
                world.sleep(Duration::from_millis(300)).await;
                victim.restart();
            }
            2 => {
                victim.pause();
                world.sleep(Duration::from_millis(300)).await;
                victim.resume();
            }
            3 => {
                let fault = world.network().partition(&Links::both_ways(&[victim.index()], &indexes));
                world.sleep(Duration::from_millis(700)).await;
                world.network().lift(fault);
            }
            _ => victim.set_clock_offset(chance.below(1_000) as i64),
        }
    }
    chance.bits()
}

async fn talk(host: &SimHost, name: &str) -> std::io::Result<()> {
    let (mut reader, mut writer) = host.connect(&at(name)).await?.split();
    let file = match host.disk().open("log") {
        Ok(file) => file,
        Err(_) => host.disk().create("log")?,
    };
    for _ in 0..10 {
        let message = Bytes::from(vec![7; (host.entropy() % 2_000 + 1) as usize]);
        writer.write(std::slice::from_ref(&message)).await?;
        let mut buffer = BytesMut::new();
        while buffer.len() < message.len() {
            if reader.read(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        file.write_at(file.length()?, &buffer)?;
        file.sync().await?;
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_run_after_other_runs_and_on_other_threads() {
    let first = busy(1, true);
    assert!(first.events > 1_000, "{} events", first.events);
    let others: Vec<u64> = (2..12).map(|seed| busy(seed, false).digest).collect();
    let again = busy(1, true);
    let difference = first.recording.as_ref().unwrap().first_difference(again.recording.as_ref().unwrap());
    assert_eq!(difference.map(|difference| difference.to_string()), None);
    assert_eq!((first.digest, first.events, first.world_time), (again.digest, again.events, again.world_time));
    assert_eq!(first.entries, again.entries);
    let (sender, receiver) = channel();
    let threads = [2, 1, 3, 1].map(|seed| {
        let sender = sender.clone();
        std::thread::Builder::new().spawn(move || sender.send((seed, busy(seed, false).digest)).unwrap()).unwrap()
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for (seed, digest) in receiver.try_iter() {
        assert_eq!(digest, if seed == 1 { first.digest } else { others[seed as usize - 2] });
    }
}

/// Asks a fresh process for the digest of a seed.
fn digest_in_another_process(seed: u64) -> u64 {
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "the_same_seed_gives_the_same_digest_in_another_process", "--nocapture"]);
    let output = process.env(ASKED_SEED, seed.to_string()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let digest = text.lines().find_map(|line| line.strip_prefix("digest ")).unwrap_or_else(|| panic!("{text}"));
    digest.parse().unwrap()
}

/// The seed that another process asks for.
const ASKED_SEED: &str = "SIM_TEST_DIGEST_OF_SEED";

#[test]
fn the_same_seed_gives_the_same_digest_in_another_process() {
    if let Ok(seed) = std::env::var(ASKED_SEED) {
        println!("\ndigest {}", busy(seed.parse().unwrap(), false).digest);
        return;
    }
    for seed in [8, 9] {
        assert_eq!(digest_in_another_process(seed), busy(seed, false).digest);
    }
}

#[test]
fn another_seed_gives_another_run() {
    let mut digests: Vec<u64> = (0..10).map(|seed| busy(seed, false).digest).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 10);
}

#[test]
fn recording_changes_nothing() {
    assert_eq!(busy(5, true).digest, busy(5, false).digest);
}

#[test]
fn the_first_differing_event_of_two_runs_has_a_name() {
    let recordings = [1, 2].map(|seed| busy(seed, true).recording.unwrap());
    let difference = recordings[0].first_difference(&recordings[1]).unwrap();
    let text = difference.to_string();
    assert!(text.starts_with("the runs part at event "), "{text}");
    let copy = sim::Recording::from_bytes(&recordings[0].to_bytes()).unwrap();
    assert_eq!(copy, recordings[0]);
}

fn failure<W, T>(options: Options, scenario: impl FnOnce(World) -> W + Send + 'static) -> Failure
where
    W: Future<Output = T> + 'static,
    T: Send + 'static,
{
    sim::run(options, scenario).err().unwrap()
}

#[test]
fn a_panic_in_a_process_ends_that_process_and_tells_its_place() {
    for in_task in [false, true] {
        let outcome = sim::run(Options::new(77), move |world| async move {
            let bystander = world.node("bystander");
            bystander.start(|host| async move {
                host.sleep(Duration::from_secs(60)).await;
                Ok(())
            });
            let node = world.node("node");
            node.start(move |host| async move {
                host.sleep(Duration::from_secs(3)).await;
                if in_task {
                    host.spawn_detached(async { panic!("an invariant broke") });
                    std::future::pending::<()>().await;
                }
                panic!("an invariant broke");
            });
            world.sleep(Duration::from_secs(10)).await;
            assert!(bystander.is_running() && !node.is_running());
        });
        let outcome = outcome.unwrap();
        assert_eq!(outcome.world_time.0 / 1_000_000_000, 10, "the run goes on");
        let last = outcome.entries.last().unwrap();
        assert_eq!((&*last.node.0, last.time.0 / 1_000_000_000), ("node", 3));
        let What::NodeStopped { error: Some(error) } = &last.what else { panic!("{last:?}") };
        assert!(error.starts_with("panicked at sim/tests/determinism.rs:"), "{error}");
        assert!(error.ends_with(": an invariant broke"), "{error}");
    }
}

#[test]
fn a_panic_in_the_scenario_is_an_error_too() {
    let failure = failure(Options::new(1), |_world| async move { panic!("no such thing") });
    assert_eq!(failure.reason, Reason::Panicked("no such thing".to_owned()));
}

#[test]
fn a_run_that_takes_too_long_is_ended() {
    let options = Options { time_limit: Duration::from_secs(60), ..Options::new(1) };
    let failure = failure(options, |_world| std::future::pending::<()>());
    assert_eq!(failure.reason, Reason::TimeLimit(Duration::from_secs(60)));
}

#[test]
fn the_watchdog_reports_a_task_that_never_waits() {
    let (sender, receiver) = channel();
    let is_told = Arc::new(AtomicBool::new(false));
    let tell = is_told.clone();
    let options = Options {
        patience: Duration::from_millis(300),
        stuck: Box::new(move |seed| {
            sender.send(seed).unwrap();
            tell.store(true, Ordering::Relaxed);
        }),
        ..Options::new(42)
    };
    let failure = failure(options, |world| async move {
        world.sleep(Duration::from_secs(1)).await;
        // Ends after all, so that the test leaves no thread at work.
        while !is_told.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    assert!(matches!(failure.reason, Reason::Stuck(_)));
    assert_eq!(receiver.try_recv().unwrap(), 42);
}

/// A value that many tasks of one node watch: `watch` wakes them in an order of its own.
fn watched(seed: u64) -> u64 {
    let outcome = sim::run(Options::new(seed), |world| async move {
        let node = world.node("node");
        node.start(|host| async move {
            let (sender, receiver) = tokio::sync::watch::channel(0);
            for number in 1..21 {
                let (mut receiver, host) = (receiver.clone(), host.clone());
                host.clone().spawn_detached(async move {
                    while receiver.changed().await.is_ok() {
                        host.sleep(Duration::from_micros(number)).await;
                    }
                });
            }
            for value in 0..20 {
                host.sleep(Duration::from_millis(1)).await;
                let _watched = sender.send(value);
            }
            Ok(())
        });
        while node.is_running() {
            world.sleep(Duration::from_millis(1)).await;
        }
    });
    outcome.unwrap().digest
}

#[test]
fn an_order_of_waking_that_no_seed_chose_is_not_seen() {
    let first = watched(1);
    for seed in 1..5 {
        assert_eq!(watched(1), first);
        watched(seed);
    }
}
