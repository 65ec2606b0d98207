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

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use madsim::runtime::NodeHandle;
use madsim::time::TimeHandle;
use model::Time;

use crate::confined::Confined;

/// World time runs slower than madsim's by this factor.
const DILATION: u64 = 1_000;

/// The shortest wait: what is due already happens this much later, so that a loop of empty waits lets time pass.
const WAIT_MIN: Duration = Duration::from_micros(1);

/// Deadlines nearer than this are madsim's.
const NEAR: Duration = Duration::from_millis(10);

/// Of madsim's time: longer than any world, and no more than its nanoseconds can count a few of.
const AGES: Duration = Duration::from_secs(1 << 32);

/// Nanoseconds of deadlines that stand on one page of the book.
const PAGE: u64 = NEAR.as_nanos() as u64;

/// World time: nanoseconds since the run began. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<Shared>);

struct Shared {
    time: TimeHandle,
    /// madsim's time in nanoseconds while a task is polled, which takes none; else [`NO_POLL`].
    polled_at: AtomicU64,
    /// Asks madsim for one timer after another.
    alarm: Confined<Alarm>,
    book: Confined<Book>,
}

/// Nobody is polled: time moves, and madsim must be asked for it.
const NO_POLL: u64 = u64::MAX;

struct Alarm {
    /// When madsim's time began.
    base: Instant,
    sleep: Pin<Box<madsim::time::Sleep>>,
}

/// A wait in the book: its number in the order of writing, and its place in `wakers`, which is another's once this one is over.
type Written = (u64, usize);

/// The waits that are not near yet. Nearly all are called off, so that must be cheap: it leaves the line in the book, without a waker,
/// until its page is the first.
#[derive(Default)]
struct Book {
    /// Deadline and entry; those on one page in no order.
    pages: BTreeMap<u64, Vec<(Time, Written)>>,
    /// Pages that are over, for the next ones.
    empty_pages: Vec<Vec<(Time, Written)>>,
    wakers: Vec<Option<Waits>>,
    /// Places in `wakers` of which no line speaks, and at which nobody waits.
    free: Vec<usize>,
    sequence: u64,
    housekeeper: Option<Waker>,
    /// When the housekeeper will look next.
    next_look: Option<Time>,
}

/// Who waits for a line of the book, until it is called off.
struct Waits {
    sequence: u64,
    waker: Waker,
    /// It was near, and has no line any more.
    is_handed_on: bool,
}

impl Book {
    fn write(&mut self, deadline: Time, waker: Waker) -> Written {
        let place = self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            self.wakers.len() - 1
        });
        let written = (self.sequence, place);
        self.sequence += 1;
        self.wakers[place] = Some(Waits { sequence: written.0, waker, is_handed_on: false });
        let page = self.pages.entry(deadline.0 / PAGE);
        page.or_insert_with(|| self.empty_pages.pop().unwrap_or_default()).push((deadline, written));
        written
    }

    /// Nobody waits for it any more. Gives its waker, for whoever lets go of the book first.
    fn call_off(&mut self, (sequence, place): Written) -> Option<Waker> {
        let waits = self.wakers.get_mut(place)?.take_if(|waits| waits.sequence == sequence)?;
        if waits.is_handed_on {
            self.free.push(place);
        }
        Some(waits.waker)
    }

    /// Will this line wake the same as `waker`?
    fn wakes(&self, (sequence, place): Written, waker: &Waker) -> bool {
        let waits = self.wakers.get(place).and_then(Option::as_ref);
        waits.is_some_and(|waits| waits.sequence == sequence && waits.waker.will_wake(waker))
    }

    /// The soonest deadline that somebody waits for.
    fn soonest(&mut self) -> Option<Time> {
        while let Some(mut first) = self.pages.first_entry() {
            first.get_mut().retain(|&(_, (_, place))| {
                let is_waited_for = self.wakers[place].is_some();
                if !is_waited_for {
                    self.free.push(place);
                }
                is_waited_for
            });
            if let Some((deadline, _)) = first.get().iter().min() {
                return Some(*deadline);
            }
            self.empty_pages.push(first.remove());
        }
        None
    }

    /// Takes the line of the soonest wait out, if it is not later than `latest`.
    fn take(&mut self, latest: Time) -> Option<(Time, &Waker)> {
        let _there_is_one = self.soonest().filter(|deadline| *deadline <= latest)?;
        let first = self.pages.first_entry()?.into_mut();
        let soonest = (0..first.len()).min_by_key(|&line| first[line])?;
        let (deadline, (_, place)) = first.swap_remove(soonest);
        let waits = self.wakers[place].as_mut()?;
        waits.is_handed_on = true;
        Some((deadline, &waits.waker))
    }
}

impl Clock {
    /// The clock of the madsim runtime that we are in. Its housekeeper runs on `keeper`.
    pub(crate) fn new(keeper: &NodeHandle) -> Clock {
        let time = TimeHandle::current();
        let alarm = Alarm { base: time.now_instant() - time.elapsed(), sleep: Box::pin(time.sleep(Duration::ZERO)) };
        let (polled_at, alarm, book) = (AtomicU64::new(NO_POLL), Confined::new(alarm), Confined::default());
        let clock = Clock(Arc::new(Shared { time, polled_at, alarm, book }));
        keeper.spawn(Housekeeper(clock.clone()));
        clock
    }

    /// On the thread of its world: see [`Clock::now_elsewhere`].
    #[inline]
    pub fn now(&self) -> Time {
        Time(self.elapsed() / DILATION)
    }

    /// On any thread.
    pub(crate) fn now_elsewhere(&self) -> Time {
        Time(self.asked() / DILATION)
    }

    #[inline]
    fn elapsed(&self) -> u64 {
        match self.0.polled_at.load(Ordering::Relaxed) {
            NO_POLL => self.asked(),
            elapsed => elapsed,
        }
    }

    fn asked(&self) -> u64 {
        let elapsed = self.0.time.elapsed();
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    /// A task is polled from now on. Time stands still meanwhile, so it is asked for once.
    pub(crate) fn begin_poll(&self) {
        self.0.polled_at.store(self.asked(), Ordering::Relaxed);
    }

    pub(crate) fn end_poll(&self) {
        self.0.polled_at.store(NO_POLL, Ordering::Relaxed);
    }

    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        Sleep { clock: self.clone(), deadline, waiting: None }
    }

    /// The same, for who has a clock for as long: most waits are called off, and would cost no more than the copy of it.
    pub(crate) fn wait_until(&self, deadline: Time) -> Sleep<&Clock> {
        Sleep { clock: self, deadline, waiting: None }
    }

    /// Wakes at `deadline`, or in a moment if that has passed. Cannot be called off: for what is near and sure to matter.
    pub(crate) fn wake_at(&self, deadline: Time, waker: &Waker) {
        let elapsed = self.elapsed();
        let wait = deadline.0.saturating_sub(elapsed / DILATION).max(WAIT_MIN.as_nanos() as u64);
        let Alarm { base, sleep } = &mut *self.0.alarm.lock();
        sleep.as_mut().reset(*base + Duration::from_nanos(elapsed + wait * DILATION));
        let _pending = sleep.as_mut().poll(&mut Context::from_waker(waker));
    }

    /// The world is over. Forgets all waits, and with them the tasks that they hold, which hold this clock: the far ones, and those that
    /// madsim forgets only when their time has come.
    pub(crate) fn clear(&self) {
        let book = std::mem::take(&mut *self.0.book.lock());
        drop(book);
        self.0.time.advance(AGES);
    }

    fn write_down(&self, deadline: Time, waker: &Waker) -> Written {
        let mut book = self.0.book.lock();
        let written = book.write(deadline, waker.clone());
        let look = Time(deadline.0.saturating_sub(NEAR.as_nanos() as u64));
        if book.next_look.is_none_or(|next_look| look < next_look) {
            book.next_look = Some(look);
            if let Some(housekeeper) = &book.housekeeper {
                self.wake_at(look, housekeeper);
            }
        }
        written
    }
}

/// Hands waits on to madsim when they come near.
struct Housekeeper(Clock);

impl Future for Housekeeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = &self.0;
        let mut book = clock.0.book.lock();
        let now = clock.now();
        // Twice as far as needed, so that looks are at least `NEAR` apart.
        let near = now + 2 * NEAR;
        while let Some((deadline, waker)) = book.take(near) {
            clock.wake_at(deadline, waker);
        }
        let look = book.soonest().map(|deadline| Time(deadline.0 - NEAR.as_nanos() as u64));
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
pub struct Sleep<C: Borrow<Clock> + Unpin = Clock> {
    clock: C,
    deadline: Time,
    waiting: Option<Waiting>,
}

enum Waiting {
    /// madsim will wake it, whatever comes.
    Near(Waker),
    Far(Written),
}

impl<C: Borrow<Clock> + Unpin> Sleep<C> {
    fn call_off(&mut self) {
        if let Some(Waiting::Far(written)) = self.waiting.take() {
            let waker = self.clock.borrow().0.book.lock().call_off(written);
            drop(waker);
        }
    }
}

impl<C: Borrow<Clock> + Unpin> Future for Sleep<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let now = self.clock.borrow().now();
        if let Some(waiting) = &self.waiting {
            if now >= self.deadline {
                return Poll::Ready(());
            }
            let wakes = match waiting {
                Waiting::Near(waker) => waker.will_wake(context.waker()),
                Waiting::Far(written) => self.clock.borrow().0.book.lock().wakes(*written, context.waker()),
            };
            if wakes {
                return Poll::Pending;
            }
            self.call_off();
        }
        self.deadline = self.deadline.max(now + WAIT_MIN);
        let waiting = if self.deadline.since(now) > NEAR {
            Waiting::Far(self.clock.borrow().write_down(self.deadline, context.waker()))
        } else {
            self.clock.borrow().wake_at(self.deadline, context.waker());
            Waiting::Near(context.waker().clone())
        };
        self.waiting = Some(waiting);
        Poll::Pending
    }
}

impl<C: Borrow<Clock> + Unpin> Drop for Sleep<C> {
    fn drop(&mut self) {
        self.call_off();
    }
}
