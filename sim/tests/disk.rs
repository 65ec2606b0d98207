//! What a simulated disk does that a broker cannot ask for: each fault shows where a process looks.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::time::Duration;

use common::{ended, in_a_world, start};
use evidence::{Harm, What};
use host::{Disk, File, Host};
use sim::{Node, Operation, Outcome, Scope, SimFile, World};

const SECTOR: usize = 512;

/// A file of eight sectors, each full of its own number, all of it safe.
async fn make_file(world: &World, node: &Node, path: &'static str) {
    start(node, move |host| async move {
        let disk = host.disk();
        disk.create_directory("data").unwrap();
        let file = disk.create(path).unwrap();
        file.write_at(0, &numbered()).unwrap();
        file.sync().await.unwrap();
        disk.sync_directory("").await.unwrap();
        disk.sync_directory("data").await.unwrap();
    });
    ended(world, node).await;
}

fn numbered() -> Vec<u8> {
    (0..8 * SECTOR).map(|at| (at / SECTOR) as u8).collect()
}

fn content(file: &SimFile) -> Vec<u8> {
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// What a new process reads of the file.
async fn look(world: &World, node: &Node, path: &'static str, check: fn(&SimFile)) {
    start(node, move |host| async move { check(&host.disk().open(path).unwrap()) });
    ended(world, node).await;
}

fn harms(outcome: &Outcome<()>) -> Vec<(Harm, String, u64)> {
    let harms = outcome.entries.iter().filter_map(|entry| match &entry.what {
        What::DiskHurt { harm, file, position, .. } => Some((*harm, file.clone(), *position)),
        _ => None,
    });
    harms.collect()
}

#[test]
fn rot_flips_one_bit_of_what_was_safe_and_can_be_undone() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().rot(&Scope::Everything, 1, &mut world.stream("rot"));
        assert!(node.disk().is_hurt("data") && !node.disk().is_hurt("dat"));
        look(&world, &node, "data/file", |file| {
            let seen = content(file);
            let flipped: u32 = seen.iter().zip(numbered()).map(|(one, other)| (one ^ other).count_ones()).sum();
            assert_eq!(flipped, 1);
        })
        .await;
        node.power_loss();
        node.disk().undo_damage();
        look(&world, &node, "data/file", |file| assert_eq!(content(file), numbered())).await;
    });
    assert!(matches!(&harms(&outcome)[..], [(Harm::Rotted, file, _)] if file == "data/file"));
}

#[test]
fn harm_keeps_to_its_scope() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().rot(&Scope::Directories(vec!["elsewhere".into()]), 3, &mut world.stream("rot"));
        node.disk().rot(&Scope::Directories(vec!["data".into()]), 3, &mut world.stream("rot"));
    });
    assert_eq!(harms(&outcome).len(), 3);
}

#[test]
fn a_latent_error_lasts_until_its_sector_is_written_whole() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().make_unreadable(&Scope::Everything, 1, &mut world.stream("latent"));
        look(&world, &node, "data/file", |file| {
            let mut sector = [0; SECTOR];
            let bad: Vec<u64> =
                (0..8).filter(|number| file.read_at(number * SECTOR as u64, &mut sector).is_err()).collect();
            let [bad] = bad[..] else { panic!("{bad:?} cannot be read") };
            let start = bad * SECTOR as u64;
            assert!(file.write_at(start + 1, b"part").is_err(), "a part cannot be written without reading the rest");
            file.write_at(start, &[9; SECTOR]).unwrap();
            assert_eq!(file.read_at(start, &mut sector).unwrap(), SECTOR);
            assert_eq!(sector, [9; SECTOR]);
        })
        .await;
        assert!(!node.disk().is_hurt("data"));
    });
    assert!(matches!(harms(&outcome)[..], [(Harm::Unreadable, _, _)]));
}

/// Writes the file anew on a disk that lies about every sector of it.
async fn write_under_lies(world: &World, node: &Node, harm: Harm) {
    make_file(world, node, "data/file").await;
    node.disk().lie(Scope::Everything, harm, 1.0, world.stream("lies"));
    start(node, |host| async move {
        let file = host.disk().open("data/file").unwrap();
        file.write_at(3 * SECTOR as u64, &[77; SECTOR]).unwrap();
        file.sync().await.unwrap();
        assert_eq!(content(&file)[3 * SECTOR], 77, "the page cache hides it");
    });
    ended(world, node).await;
    node.disk().tell_the_truth();
}

#[test]
fn a_lost_write_shows_when_the_page_cache_forgets() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        write_under_lies(&world, &node, Harm::Lost).await;
        node.disk().forget_cache();
        look(&world, &node, "data/file", |file| assert_eq!(content(file), numbered())).await;
        node.disk().undo_damage();
        look(&world, &node, "data/file", |file| assert_eq!(content(file)[3 * SECTOR], 77)).await;
    });
    assert_eq!(harms(&outcome), [(Harm::Lost, "data/file".to_owned(), 3 * SECTOR as u64)]);
}

#[test]
fn a_misdirected_write_destroys_another_sector_too() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        write_under_lies(&world, &node, Harm::Misdirected).await;
        node.power_loss();
        look(&world, &node, "data/file", |file| {
            let seen = content(file);
            let wrong: Vec<usize> = (0..8).filter(|number| seen[number * SECTOR] != *number as u8).collect();
            assert!(matches!(wrong[..], [victim] if victim != 3 && seen[victim * SECTOR] == 77), "{wrong:?}");
        })
        .await;
    });
    assert_eq!(harms(&outcome).len(), 2);
}

#[test]
fn a_lie_under_bytes_that_were_not_safe_yet_shows_with_the_power_and_can_be_undone() {
    for seed in 0..20 {
        in_a_world(move |world| async move {
            let node = world.node(&format!("node {seed}"));
            write_under_lies(&world, &node, Harm::Lost).await;
            start(&node, |host| async move {
                let file = host.disk().open("data/file").unwrap();
                file.write_at(3 * SECTOR as u64 + 1, &[78; 9]).unwrap();
            });
            ended(&world, &node).await;
            node.power_loss();
            let is_hurt = node.disk().is_hurt("data");
            node.disk().undo_damage();
            start(&node, move |host| async move {
                let seen = content(&host.disk().open("data/file").unwrap());
                assert_eq!(seen[3 * SECTOR], 77, "what was called safe is there");
                assert_eq!(seen[3 * SECTOR + 1], if is_hurt { 77 } else { 78 }, "all of the sector or nothing");
            });
            ended(&world, &node).await;
        });
    }
}

#[test]
fn what_is_written_again_is_right_again() {
    in_a_world(|world| async move {
        let node = world.node("node");
        write_under_lies(&world, &node, Harm::Lost).await;
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            file.write_at(3 * SECTOR as u64, &[78; SECTOR]).unwrap();
            file.sync().await.unwrap();
        });
        ended(&world, &node).await;
        node.power_loss();
        look(&world, &node, "data/file", |file| assert_eq!(content(file)[3 * SECTOR], 78)).await;
    });
}

#[test]
fn operations_fail_by_chance_until_they_work_again() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        for operation in [Operation::Read, Operation::Write, Operation::Sync] {
            node.disk().fail_by_chance(operation, 0.5, world.stream("errors"));
        }
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            let (mut reads, mut writes, mut syncs) = (0, 0, 0);
            for _ in 0..100 {
                reads += u32::from(file.read_at(0, &mut [0; 9]).is_err());
                writes += u32::from(file.write_at(0, b"bytes").is_err());
                syncs += u32::from(file.sync().await.is_err());
            }
            assert!([reads, writes, syncs].iter().all(|failed| (30..70).contains(failed)), "{reads} {writes} {syncs}");
        });
        ended(&world, &node).await;
        for operation in [Operation::Read, Operation::Write, Operation::Sync] {
            node.disk().fail_no_more(operation);
        }
        look(&world, &node, "data/file", |file| assert_eq!(&content(file)[..5], b"bytes")).await;
    });
}

#[test]
fn a_stalled_device_ends_no_sync_until_it_goes_on() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().stall();
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            file.write_at(0, b"written").unwrap();
            assert_eq!(&content(&file)[..7], b"written", "the page cache works");
            let begin = host.now();
            file.sync().await.unwrap();
            assert!(Duration::from_secs(4) < host.now() - begin);
        });
        world.sleep(Duration::from_secs(5)).await;
        assert!(node.is_running() && node.disk().has_unsynced_writes());
        node.disk().go_on();
        ended(&world, &node).await;
        assert!(!node.disk().has_unsynced_writes());
    });
}

#[test]
fn who_waits_for_a_write_is_woken_by_the_next_one() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        let (disk, before, begin) = (node.disk(), node.disk().changes(), world.now());
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            host.sleep(Duration::from_millis(5)).await;
            file.write_at(0, b"written").unwrap();
        });
        std::future::poll_fn(|context| disk.poll_written(before, context)).await;
        assert_eq!(world.now().since(begin).as_millis(), 5);
        assert!(disk.has_unsynced_writes());
        ended(&world, &node).await;
    });
}

#[test]
fn a_slow_disk_takes_so_many_times_longer() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().set_slowness(1_000);
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            let begin = host.now();
            file.sync().await.unwrap();
            assert!(Duration::from_millis(100) <= host.now() - begin);
        });
        ended(&world, &node).await;
    });
}

#[test]
fn a_sync_that_a_slow_disk_holds_up_ends_soon_once_it_is_slow_no_more() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().set_slowness(1_000_000);
        start(&node, |host| async move {
            let file = host.disk().open("data/file").unwrap();
            let begin = host.now();
            file.sync().await.unwrap();
            let waited = host.now() - begin;
            assert!(Duration::from_secs(4) < waited && waited < Duration::from_secs(6), "{waited:?}");
        });
        world.sleep(Duration::from_secs(5)).await;
        node.disk().set_slowness(1);
        ended(&world, &node).await;
    });
}

#[test]
fn a_wiped_disk_is_empty_and_works() {
    let outcome = in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().wipe();
        start(&node, |host| async move { assert!(host.disk().list("").unwrap().is_empty()) });
        ended(&world, &node).await;
        make_file(&world, &node, "data/file").await;
    });
    assert!(matches!(harms(&outcome)[..], [(Harm::Wiped, _, 0)]));
}

#[test]
fn a_directory_that_was_moved_away_does_not_come_back() {
    in_a_world(|world| async move {
        let node = world.node("node");
        make_file(&world, &node, "data/file").await;
        node.disk().remove_directory("data");
        node.power_loss();
        start(&node, |host| async move { assert!(host.disk().list("data").is_err()) });
        ended(&world, &node).await;
    });
}
