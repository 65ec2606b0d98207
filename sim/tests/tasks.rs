//! The tasks of processes: who goes on when several could.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod common;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use common::{Notes, in_a_world};
use host::Host;
use parking_lot::Mutex;
use sim::{Options, World};

/// Lets others have their turn, and is ready at once.
async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut gave_way, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn waker() -> Waker {
    poll_fn(|context| Poll::Ready(context.waker().clone())).await
}

#[test]
fn a_process_that_is_always_busy_gives_way_to_another() {
    let outcome = in_a_world(|world| async move {
        let was_there = Arc::new(AtomicBool::new(false));
        let seen = was_there.clone();
        world.node("busy").start(move |host| {
            let seen = seen.clone();
            async move {
                // Two, so that one of them is ready whenever the other was polled.
                for _ in 0..2 {
                    let seen = seen.clone();
                    host.spawn_detached(async move {
                        while !seen.load(Ordering::Relaxed) {
                            give_way().await;
                        }
                    });
                }
                std::future::pending().await
            }
        });
        world.node("other").start(move |_host| {
            let was_there = was_there.clone();
            async move {
                give_way().await;
                was_there.store(true, Ordering::Relaxed);
                Ok(())
            }
        });
        world.sleep(Duration::from_millis(1)).await;
        (world.node("busy").is_running(), world.node("other").is_running())
    });
    assert_eq!(outcome.value, (true, false));
}

/// In which order three tasks go on that one wakes.
fn order_of_waking(seed: u64) -> Vec<String> {
    let outcome = sim::run(Options::new(seed), |world: World| async move {
        let notes = Notes::default();
        let noted = notes.clone();
        world.node("one").start(move |host| {
            let noted = noted.clone();
            async move {
                let bell = Arc::new(tokio::sync::Notify::new());
                for name in ["a", "b", "c"] {
                    let (bell, notes, host) = (bell.clone(), noted.clone(), host.clone());
                    host.clone().spawn_detached(async move {
                        bell.notified().await;
                        notes.add(&host, name);
                    });
                }
                host.sleep(Duration::from_millis(1)).await;
                bell.notify_waiters();
                host.sleep(Duration::from_millis(1)).await;
                Ok(())
            }
        });
        world.sleep(Duration::from_millis(10)).await;
        notes.texts()
    });
    outcome.unwrap().value
}

#[test]
fn which_task_of_a_process_goes_on_is_chance_and_the_seed_s() {
    let orders: BTreeSet<Vec<String>> = (1..60).map(order_of_waking).collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
    assert_eq!(order_of_waking(7), order_of_waking(7));
}

#[test]
fn a_waker_that_strayed_into_another_world_wakes_nobody_there() {
    let stray = in_a_world(|world| async move {
        let kept = Arc::new(Mutex::new(None));
        let slot = kept.clone();
        world.node("one").start(move |_host| {
            let slot = slot.clone();
            async move {
                *slot.lock() = Some(waker().await);
                Ok(())
            }
        });
        world.sleep(Duration::from_millis(1)).await;
        kept.lock().take()
    });
    let polls = |stray: Option<Waker>| {
        let polls = in_a_world(|world| async move {
            let polls = Arc::new(Mutex::new(0));
            let counted = polls.clone();
            world.node("one").start(move |_host| {
                let counted = counted.clone();
                poll_fn(move |_context| {
                    *counted.lock() += 1;
                    Poll::Pending
                })
            });
            for _ in 0..10 {
                world.sleep(Duration::from_millis(1)).await;
                if let Some(stray) = &stray {
                    stray.wake_by_ref();
                }
            }
            *polls.lock()
        });
        polls.value
    };
    let stray = stray.value;
    assert!(stray.is_some());
    assert_eq!((polls(None), polls(stray)), (1, 1));
}
