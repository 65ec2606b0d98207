//! World time: one clock behind all clocks, and the waits on it.
//!
//! madsim's sleeps have a floor of one millisecond and each poll costs 50 to 100 nanoseconds of its time. So the world runs
//! *dilated*: one world microsecond is one madsim millisecond. Waits are right to the microsecond, and a poll costs less than a
//! world nanosecond.
//!
//! The system's clocks, which madsim intercepts, run too fast by the same factor in here: nothing may read them.
//!
//! madsim never forgets a timer, even if nobody waits for it any more. So near deadlines go straight to madsim; far ones (mostly
//! time-outs that will be called off) stay in a book of ours, and a housekeeper hands them on when they come near.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use madsim::runtime::NodeHandle;
use madsim::time::TimeHandle;
use model::Time;
use parking_lot::Mutex;

/// World time runs slower than madsim's by this factor.
const DILATION: u64 = 1_000;

/// The shortest wait: what is due already happens this much later, so that a loop of empty waits lets time pass.
const WAIT_MIN: Duration = Duration::from_micros(1);

/// Deadlines nearer than this are madsim's.
const NEAR: Duration = Duration::from_millis(10);

/// World time: nanoseconds since the run began. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    time: TimeHandle,
    book: Arc<Mutex<Book>>,
}

/// The waits that are not near yet.
#[derive(Default)]
struct Book {
    waits: BTreeMap<Key, Waker>,
    sequence: u64,
    housekeeper: Option<Waker>,
    /// When the housekeeper will look next.
    next_look: Option<Time>,
}

type Key = (Time, u64);

impl Clock {
    /// The clock of the madsim runtime that we are in. Its housekeeper runs on `keeper`.
    pub(crate) fn new(keeper: &NodeHandle) -> Clock {
        let clock = Clock { time: TimeHandle::current(), book: Arc::default() };
        keeper.spawn(Housekeeper(clock.clone()));
        clock
    }

    pub fn now(&self) -> Time {
        let elapsed = self.time.elapsed();
        Time(elapsed.as_secs() * (1_000_000_000 / DILATION) + u64::from(elapsed.subsec_nanos()) / DILATION)
    }

    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep { clock: self.clone(), deadline, waiting: None }
    }

    /// Wakes at `deadline`, or in a moment if that has passed. Cannot be called off: for what is near and sure to matter.
    pub(crate) fn wake_at(&self, deadline: Time, waker: &Waker) {
        let wait = deadline.since(self.now()).max(WAIT_MIN);
        let mut sleep = self.time.sleep(wait * DILATION as u32);
        let _pending = Pin::new(&mut sleep).poll(&mut Context::from_waker(waker));
    }

    /// Forgets all far waits, and with them the tasks that they hold.
    pub(crate) fn clear(&self) {
        let book = std::mem::take(&mut *self.book.lock());
        drop(book);
    }

    fn write_down(&self, deadline: Time, waker: &Waker) -> Key {
        let mut book = self.book.lock();
        let key = (deadline, book.sequence);
        book.sequence += 1;
        book.waits.insert(key, waker.clone());
        let look = Time(deadline.0.saturating_sub(NEAR.as_nanos() as u64));
        if book.next_look.is_none_or(|next_look| look < next_look) {
            book.next_look = Some(look);
            if let Some(housekeeper) = &book.housekeeper {
                self.wake_at(look, housekeeper);
            }
        }
        key
    }
}

/// Hands waits on to madsim when they come near.
struct Housekeeper(Clock);

impl Future for Housekeeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = &self.0;
        let mut book = clock.book.lock();
        let now = clock.now();
        // Twice as far as needed, so that looks are at least `NEAR` apart.
        let near = now + 2 * NEAR;
        while let Some(entry) = book.waits.first_entry().filter(|entry| entry.key().0 <= near) {
            let ((deadline, _), waker) = entry.remove_entry();
            clock.wake_at(deadline, &waker);
        }
        let look = book.waits.first_key_value().map(|((deadline, _), _)| Time(deadline.0 - NEAR.as_nanos() as u64));
        let first_poll = book.housekeeper.is_none();
        if let Some(look) = look
            && (first_poll || book.next_look != Some(look))
        {
            clock.wake_at(look, context.waker());
        }
        book.next_look = look;
        if book.housekeeper.as_ref().is_none_or(|housekeeper| !housekeeper.will_wake(context.waker())) {
            book.housekeeper = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Waits until a deadline. Dropping it calls the wait off.
#[must_use = "a wait does nothing unless awaited"]
pub struct Sleep {
    clock: Clock,
    deadline: Time,
    waiting: Option<Waiting>,
}

struct Waiting {
    waker: Waker,
    far: Option<Key>,
}

impl Sleep {
    fn call_off(&mut self) {
        if let Some(Waiting { far: Some(key), .. }) = self.waiting.take() {
            let waker = self.clock.book.lock().waits.remove(&key);
            drop(waker);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.now();
        if let Some(waiting) = &self.waiting {
            if now >= self.deadline {
                return Poll::Ready(());
            }
            if waiting.waker.will_wake(context.waker()) {
                return Poll::Pending;
            }
            self.call_off();
        }
        let waker = context.waker().clone();
        self.deadline = self.deadline.max(now + WAIT_MIN);
        let far = if self.deadline.since(now) > NEAR {
            Some(self.clock.write_down(self.deadline, &waker))
        } else {
            self.clock.wake_at(self.deadline, &waker);
            None
        };
        self.waiting = Some(Waiting { waker, far });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.call_off();
    }
}
