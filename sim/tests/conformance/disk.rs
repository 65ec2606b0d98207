//! What every disk does, real or simulated.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;

use host::{Disk, File, Host};

/// Everything in a file.
fn content(file: &impl File) -> Vec<u8> {
    let mut bytes = vec![0; file.length().unwrap() as usize];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

fn kind<T>(result: std::io::Result<T>) -> ErrorKind {
    result.err().unwrap().kind()
}

pub(crate) async fn what_is_written_is_read<H: Host>(host: H) {
    let file = host.disk().create("file").unwrap();
    file.write_at(0, b"hello").unwrap();
    file.write_at(5, b" world").unwrap();
    file.write_at(0, b"J").unwrap();
    assert_eq!(content(&file), b"Jello world");
    assert_eq!(content(&file.clone()), b"Jello world");
    assert_eq!(content(&host.disk().open("file").unwrap()), b"Jello world");
}

pub(crate) async fn a_read_past_the_end_is_short<H: Host>(host: H) {
    let file = host.disk().create("file").unwrap();
    file.write_at(0, b"hello").unwrap();
    let mut buffer = [7; 4];
    assert_eq!(file.read_at(3, &mut buffer).unwrap(), 2);
    assert_eq!(buffer, [b'l', b'o', 7, 7]);
    assert_eq!(file.read_at(5, &mut buffer).unwrap(), 0);
    assert_eq!(file.read_at(1 << 40, &mut buffer).unwrap(), 0);
}

pub(crate) async fn a_hole_reads_as_zeros<H: Host>(host: H) {
    let file = host.disk().create("file").unwrap();
    file.write_at(3, b"end").unwrap();
    assert_eq!(content(&file), b"\0\0\0end");
}

pub(crate) async fn a_file_is_cut_and_extended_with_zeros<H: Host>(host: H) {
    let file = host.disk().create("file").unwrap();
    file.write_at(0, b"hello").unwrap();
    file.set_length(2).unwrap();
    assert_eq!(content(&file), b"he");
    file.set_length(4).unwrap();
    assert_eq!(content(&file), b"he\0\0");
}

pub(crate) async fn a_sync_changes_nothing_that_is_seen<H: Host>(host: H) {
    let disk = host.disk();
    let file = disk.create("file").unwrap();
    file.write_at(0, b"hello").unwrap();
    file.sync().await.unwrap();
    disk.sync_directory("").await.unwrap();
    assert_eq!(content(&disk.open("file").unwrap()), b"hello");
}

pub(crate) async fn creating_a_file_twice_is_refused<H: Host>(host: H) {
    let disk = host.disk();
    disk.create("file").unwrap().write_at(0, b"kept").unwrap();
    assert_eq!(kind(disk.create("file")), ErrorKind::AlreadyExists);
    assert_eq!(content(&disk.open("file").unwrap()), b"kept");
}

pub(crate) async fn what_is_not_there_is_not_found<H: Host>(host: H) {
    let disk = host.disk();
    assert_eq!(kind(disk.open("file")), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove("file")), ErrorKind::NotFound);
    assert_eq!(kind(disk.rename("file", "other")), ErrorKind::NotFound);
    assert_eq!(kind(disk.list("directory")), ErrorKind::NotFound);
    assert_eq!(kind(disk.create("directory/file")), ErrorKind::NotFound);
    assert_eq!(kind(disk.sync_directory("directory").await), ErrorKind::NotFound);
    assert_eq!(kind(disk.remove_directory("directory")), ErrorKind::NotFound);
}

pub(crate) async fn a_rename_replaces<H: Host>(host: H) {
    let disk = host.disk();
    disk.create("old").unwrap().write_at(0, b"old").unwrap();
    disk.create("new").unwrap().write_at(0, b"new").unwrap();
    let held = disk.open("old").unwrap();
    disk.rename("new", "old").unwrap();
    assert_eq!(content(&disk.open("old").unwrap()), b"new");
    assert_eq!(kind(disk.open("new")), ErrorKind::NotFound);
    assert_eq!(content(&held), b"old", "an open file outlives its name");
}

pub(crate) async fn a_removed_file_is_gone_and_can_be_made_again<H: Host>(host: H) {
    let disk = host.disk();
    disk.create("file").unwrap().write_at(0, b"old").unwrap();
    disk.remove("file").unwrap();
    assert_eq!(kind(disk.open("file")), ErrorKind::NotFound);
    assert!(content(&disk.create("file").unwrap()).is_empty());
}

pub(crate) async fn a_list_has_the_names_in_order<H: Host>(host: H) {
    let disk = host.disk();
    disk.create_directory("logs/orders-0").unwrap();
    disk.create_directory("logs/orders-0").unwrap();
    for name in ["10", "9", "a", "A", "orders-00"] {
        disk.create(&format!("logs/{name}")).unwrap();
    }
    disk.create("logs/orders-0/inside").unwrap();
    assert_eq!(disk.list("logs").unwrap(), ["10", "9", "A", "a", "orders-0", "orders-00"]);
    assert_eq!(disk.list("logs/orders-0").unwrap(), ["inside"]);
    assert_eq!(disk.list("").unwrap(), ["logs"]);
}

pub(crate) async fn a_directory_is_removed_with_all_in_it<H: Host>(host: H) {
    let disk = host.disk();
    disk.create_directory("logs/orders-0/deep").unwrap();
    disk.create("logs/orders-0/deep/file").unwrap();
    disk.create("logs/orders-00").unwrap();
    disk.remove_directory("logs/orders-0").unwrap();
    assert_eq!(disk.list("logs").unwrap(), ["orders-00"]);
    assert_eq!(kind(disk.open("logs/orders-0/deep/file")), ErrorKind::NotFound);
}

pub(crate) async fn a_lock_is_held_by_one<H: Host>(host: H) {
    let disk = host.disk();
    let guard = disk.lock(".lock").unwrap();
    assert_eq!(kind(disk.lock(".lock")), ErrorKind::WouldBlock);
    let _other = disk.lock(".other").unwrap();
    drop(guard);
    drop(disk.lock(".lock").unwrap());
}

pub(crate) async fn space_is_left<H: Host>(host: H) {
    assert!(0 < host.disk().space("").unwrap().free);
}

/// What a process does before it is killed: nothing of it is synced.
fn live<H: Host>(host: &H) {
    let disk = host.disk();
    std::mem::forget(disk.lock(".lock").unwrap());
    disk.create_directory("logs").unwrap();
    let file = disk.create("logs/old").unwrap();
    file.write_at(0, b"written and not synced").unwrap();
    disk.rename("logs/old", "logs/new").unwrap();
}

/// What the next process finds.
fn live_again<H: Host>(host: &H) {
    let disk = host.disk();
    let _lock = disk.lock(".lock").unwrap();
    assert_eq!(disk.list("logs").unwrap(), ["new"]);
    assert_eq!(content(&disk.open("logs/new").unwrap()), b"written and not synced");
}

mod crashes {
    use std::io::Read;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;

    const ROOT: &str = "CONFORMANCE_DISK_ROOT";

    #[test]
    fn a_crashed_process_leaves_what_it_wrote_in_the_world() {
        let outcome = sim::run(sim::Options::new(1), |world| async move {
            let node = world.node("machine");
            node.start(|host| async move {
                if host.disk().list("").unwrap().is_empty() {
                    live(&host);
                    std::future::pending::<()>().await;
                }
                live_again(&host);
                Ok(())
            });
            world.sleep(Duration::from_millis(1)).await;
            node.restart();
            while node.is_running() {
                world.sleep(Duration::from_millis(1)).await;
            }
        });
        outcome.unwrap();
    }

    #[test]
    fn a_killed_process_leaves_what_it_wrote_on_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "disk::crashes::the_process_that_is_killed", "--nocapture"])
            .env(ROOT, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut output = child.stdout.take().unwrap();
        while !said.ends_with(b"written\n") {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&said));
            said.push(byte[0]);
        }
        // SIGKILL
        child.kill().unwrap();
        child.wait().unwrap();
        in_a_runtime(|| live_again(&host::real::RealHost::new(directory.path()).unwrap()));
    }

    /// Does nothing unless the test above starts it.
    #[test]
    fn the_process_that_is_killed() {
        let Some(root) = std::env::var_os(ROOT) else { return };
        in_a_runtime(|| {
            live(&host::real::RealHost::new(root).unwrap());
            println!("written");
            loop {
                std::thread::park();
            }
        });
    }

    fn in_a_runtime(body: impl FnOnce()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { body() });
    }
}

/// Only the simulated machine can be switched off.
mod power {
    use std::time::Duration;

    use sim::{Operation, SimHost};

    use super::*;

    /// Runs `before` until it waits for ever, cuts the power, and runs `after`.
    fn with_power_loss<B, A>(seed: u64, before: fn(SimHost) -> B, after: fn(SimHost) -> A)
    where
        B: Future<Output = ()> + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let outcome = sim::run(sim::Options::new(seed), move |world| async move {
            let node = world.node("machine");
            node.start(move |host| async move {
                before(host).await;
                std::future::pending().await
            });
            world.sleep(Duration::from_secs(1)).await;
            node.power_loss();
            node.start(move |host| async move {
                after(host).await;
                Ok(())
            });
            while node.is_running() {
                world.sleep(Duration::from_millis(1)).await;
            }
        });
        outcome.unwrap();
    }

    #[test]
    fn what_was_synced_outlives_a_loss_of_power() {
        for seed in 0..20 {
            with_power_loss(
                seed,
                |host| async move {
                    let disk = host.disk();
                    disk.create_directory("logs").unwrap();
                    let file = disk.create("logs/file").unwrap();
                    file.write_at(0, &[1; 5000]).unwrap();
                    file.sync().await.unwrap();
                    disk.sync_directory("logs").await.unwrap();
                    disk.sync_directory("").await.unwrap();
                    file.write_at(5000, &[2; 5000]).unwrap();
                    disk.create("logs/unsafe").unwrap();
                },
                |host| async move {
                    let bytes = content(&host.disk().open("logs/file").unwrap());
                    assert_eq!(bytes[..5000], [1; 5000]);
                    assert!(bytes.len() <= 10_000);
                    assert!(bytes[5000..].iter().all(|&byte| byte == 0 || byte == 2));
                },
            );
        }
    }

    #[test]
    fn a_file_in_a_directory_that_was_not_synced_may_be_gone() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static THERE: AtomicUsize = AtomicUsize::new(0);
        for seed in 0..40 {
            with_power_loss(
                seed,
                |host| async move {
                    let file = host.disk().create("file").unwrap();
                    file.write_at(0, b"synced, but nobody knows where").unwrap();
                    file.sync().await.unwrap();
                },
                |host| async move {
                    THERE.fetch_add(host.disk().list("").unwrap().len(), Ordering::Relaxed);
                },
            );
        }
        assert!((1..40).contains(&THERE.load(Ordering::Relaxed)));
    }

    #[test]
    fn changes_of_a_directory_happen_in_their_order() {
        for seed in 0..40 {
            with_power_loss(
                seed,
                |host| async move {
                    let disk = host.disk();
                    disk.create("state").unwrap();
                    disk.sync_directory("").await.unwrap();
                    disk.create("state.tmp").unwrap();
                    disk.rename("state.tmp", "state").unwrap();
                    disk.create("last").unwrap();
                },
                |host| async move {
                    let names = host.disk().list("").unwrap();
                    let may_be = [vec!["state"], vec!["state", "state.tmp"], vec!["last", "state"]];
                    assert!(may_be.iter().any(|may_be| names == *may_be), "{names:?}");
                },
            );
        }
    }

    #[test]
    fn a_sync_that_had_not_ended_promises_nothing() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static WHOLE: AtomicUsize = AtomicUsize::new(0);
        for seed in 0..40 {
            with_power_loss(
                seed,
                |host| async move {
                    let disk = host.disk();
                    let file = disk.create("file").unwrap();
                    disk.sync_directory("").await.unwrap();
                    file.write_at(0, &[1; 4096]).unwrap();
                    let mut sync = std::pin::pin!(file.sync());
                    assert!(futures_util::poll!(&mut sync).is_pending());
                    std::future::pending().await
                },
                |host| async move {
                    let is_whole = content(&host.disk().open("file").unwrap()) == [1; 4096];
                    WHOLE.fetch_add(usize::from(is_whole), Ordering::Relaxed);
                },
            );
        }
        assert!((1..40).contains(&WHOLE.load(Ordering::Relaxed)));
    }

    #[test]
    fn a_full_disk_takes_a_beginning_and_goes_on_when_there_is_room() {
        let outcome = sim::run(sim::Options::new(1), |world| async move {
            let node = world.node("machine");
            let disk_state = node.disk().clone();
            disk_state.set_capacity(10);
            node.start(move |host| {
                let disk_state = disk_state.clone();
                async move {
                    let disk = host.disk();
                    let file = disk.create("file").unwrap();
                    file.write_at(0, b"1234567").unwrap();
                    assert_eq!(disk.space("").unwrap().free, 3);
                    assert_eq!(kind(file.write_at(7, b"89abc")), ErrorKind::StorageFull);
                    assert_eq!(content(&file), b"123456789a");
                    file.set_length(7).unwrap();
                    disk_state.set_capacity(12);
                    file.write_at(7, b"89abc").unwrap();
                    disk.remove("file").unwrap();
                    assert_eq!(disk.space("").unwrap().free, 12);
                    Ok(())
                }
            });
            while node.is_running() {
                world.sleep(Duration::from_millis(1)).await;
            }
        });
        outcome.unwrap();
    }

    #[test]
    fn operations_that_are_told_to_fail_do_so() {
        let outcome = sim::run(sim::Options::new(1), |world| async move {
            let node = world.node("machine");
            let disk_state = node.disk().clone();
            node.start(move |host| {
                let disk_state = disk_state.clone();
                async move {
                    let file = host.disk().create("file").unwrap();
                    disk_state.fail_next(Operation::Write, 1);
                    assert!(file.write_at(0, b"lost").is_err());
                    file.write_at(0, b"kept").unwrap();
                    disk_state.fail_next(Operation::Sync, 2);
                    assert!(file.sync().await.is_err());
                    assert!(host.disk().sync_directory("").await.is_err());
                    file.sync().await.unwrap();
                    disk_state.fail_next(Operation::Read, 1);
                    assert!(file.read_at(0, &mut [0; 4]).is_err());
                    assert_eq!(content(&file), b"kept");
                    Ok(())
                }
            });
            while node.is_running() {
                world.sleep(Duration::from_millis(1)).await;
            }
        });
        outcome.unwrap();
    }
}
