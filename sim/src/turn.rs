//! Turns: who is woken during one poll is woken after it, in the order in which tasks were born.
//!
//! Some primitives wake their waiters in an order that no seed chose: `tokio::sync::watch` spreads them by a generator that is
//! seeded from a counter of the whole process. The set is always the same, so sorting it is enough. (Not enough for futures
//! that share one task, as in `FuturesUnordered`: no two of them may wait for one `watch`.)

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use crate::clock::Clock;
use crate::confined::Confined;

/// The turn of whatever task of a world is polled now. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Turn(Arc<Shared>);

/// Numbers here are written by the world's thread alone.
pub(crate) struct Shared {
    clock: Clock,
    is_on: AtomicBool,
    polls: AtomicU64,
    /// madsim's waker of each task, by its birth; none before its first poll, and when it is over.
    wakers: Confined<Vec<Option<Waker>>>,
    /// By their births. A number, where a waker would be copied and dropped each time.
    woken: Confined<Vec<usize>>,
}

/// The waker of one task, in its world's order.
struct Ordered {
    birth: usize,
    turn: Turn,
}

/// A task's place among the wakers, for as long as it is there.
struct Seat {
    birth: usize,
    turn: Turn,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Not under the lock: a waker may be the last that holds its task.
        let waker = self.turn.0.wakers.lock().get_mut(self.birth).and_then(Option::take);
        drop(waker);
    }
}

impl Turn {
    pub(crate) fn new(clock: Clock) -> Turn {
        let (is_on, polls) = (AtomicBool::new(false), AtomicU64::new(0));
        Turn(Arc::new(Shared { clock, is_on, polls, wakers: Confined::default(), woken: Confined::default() }))
    }

    /// `future`, as a task that takes its turn.
    pub(crate) async fn take<T>(self, future: impl Future<Output = T>) -> T {
        let seat = self.seat();
        let mut future = pin!(future);
        let mut ordered: Option<Waker> = None;
        poll_fn(move |context| {
            let waker = ordered.get_or_insert_with(|| {
                self.0.wakers.lock()[seat.birth] = Some(context.waker().clone());
                Waker::from(Arc::new(Ordered { birth: seat.birth, turn: self.clone() }))
            });
            self.0.is_on.store(true, Ordering::Relaxed);
            self.0.polls.store(self.polls() + 1, Ordering::Relaxed);
            self.0.clock.begin_poll();
            let poll = future.as_mut().poll(&mut Context::from_waker(waker));
            self.end();
            poll
        })
        .await
    }

    fn seat(&self) -> Seat {
        let wakers = &mut *self.0.wakers.lock();
        wakers.push(None);
        Seat { birth: wakers.len() - 1, turn: self.clone() }
    }

    fn end(&self) {
        self.0.clock.end_poll();
        self.0.is_on.store(false, Ordering::Relaxed);
        let woken = &mut *self.0.woken.lock();
        if woken.len() > 1 {
            woken.sort_unstable();
            woken.dedup();
        }
        woken.drain(..).for_each(|birth| self.wake(birth));
    }

    fn wake(&self, birth: usize) {
        if let Some(Some(waker)) = self.0.wakers.lock().get(birth) {
            waker.wake_by_ref();
        }
    }

    /// Tells whether anything of the world is still held: every waker holds its turn.
    pub(crate) fn ghost(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// Times that a task was polled so far.
    pub(crate) fn polls(&self) -> u64 {
        self.0.polls.load(Ordering::Relaxed)
    }

    /// Lets go of all that was woken when a poll panicked, and of every task.
    pub(crate) fn clear(&self) {
        self.0.clock.end_poll();
        self.0.is_on.store(false, Ordering::Relaxed);
        self.0.woken.lock().clear();
        // Not under the lock, as above.
        let wakers: Vec<Option<Waker>> = self.0.wakers.lock().iter_mut().map(Option::take).collect();
        drop(wakers);
    }
}

impl Wake for Ordered {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.turn.0.is_on.load(Ordering::Relaxed) {
            self.turn.0.woken.lock().push(self.birth);
        } else {
            self.turn.wake(self.birth);
        }
    }
}
