//! Tasks. A process is *one* task of madsim, and runs its own tasks within that, as a real process runs them on its runtime.
//!
//! madsim chooses by chance which process goes on, lets time pass, and stops, pauses and drops processes whole. Which of its tasks a
//! process polls is chance as well; it goes on while one of them is ready, but gives way to the others now and then, so that what another
//! does may come in between.
//!
//! A task has a number, by its birth, and its waker is this number: a copy of it counts nothing and holds nothing. Who is woken during one
//! poll is woken after it, in the order of birth: some primitives wake their waiters in an order that no seed chose
//! (`tokio::sync::watch` spreads them by a generator that is seeded from a counter of the whole program). The set is always the
//! same, so sorting it is enough. (Not enough for futures that share one task, as in `FuturesUnordered`: no two of them may
//! wait for one `watch`.)

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::ptr::without_provenance;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use madsim::runtime::NodeHandle;

use crate::clock::Clock;
use crate::confined::Confined;
use crate::life::Life;
use crate::panics::caught;
use crate::streams::Stream;

/// A process gives way after so many polls at most, though another of its tasks is ready.
const STRETCH_MAX: u64 = 16;

/// A waker has room for two numbers.
const _: () = assert!(usize::BITS == 64, "a world needs a machine of 64 bits");

/// All tasks of one world. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tasks(Arc<Shared>);

pub(crate) struct Shared {
    /// Tells worlds apart, for wakers that stray into another.
    world: u32,
    clock: Clock,
    state: Confined<State>,
}

/// The tasks of one process, among all crews of the world.
#[derive(Clone, Copy)]
pub(crate) struct Crew(usize);

struct State {
    /// By their births.
    tasks: Vec<Task>,
    crews: Vec<CrewState>,
    /// During a poll, who is to be woken after it.
    woken: Vec<u32>,
    is_polling: bool,
    polls: u64,
    chance: Stream,
}

struct Task {
    crew: Crew,
    is_ready: bool,
    future: Progress,
}

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

enum Progress {
    Waits(Body),
    /// Or it is polled where it is: see [`Tasks::alone`].
    IsPolled,
    Over,
}

struct CrewState {
    ready: Vec<u32>,
    /// madsim's; none before the first poll and after the last.
    waker: Option<Waker>,
    /// madsim will poll it, or does.
    is_called: bool,
}

thread_local! {
    /// The world that lives on this thread.
    static HERE: RefCell<Option<Tasks>> = const { RefCell::new(None) };
}

impl Tasks {
    /// Of a world that lives on this thread until [`Tasks::clear`].
    pub(crate) fn new(clock: Clock, chance: Stream) -> Tasks {
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let world = WORLDS.fetch_add(1, Ordering::Relaxed);
        let state = State { tasks: vec![], crews: vec![], woken: vec![], is_polling: false, polls: 0, chance };
        let tasks = Tasks(Arc::new(Shared { world, clock, state: Confined::new(state) }));
        HERE.set(Some(tasks.clone()));
        tasks
    }

    /// A crew that runs on `node` until that is killed. Once `life` has ended it polls nobody any more.
    pub(crate) fn begin(&self, node: &NodeHandle, life: Life, on_panic: OnPanic) -> Crew {
        let crew = self.0.state.lock().add_crew();
        node.spawn(Running { tasks: self.clone(), crew, life, on_panic });
        crew
    }

    pub(crate) fn spawn(&self, crew: Crew, future: impl Future<Output = ()> + Send + 'static) {
        let future = Progress::Waits(Box::pin(future));
        let state = &mut *self.0.state.lock();
        let birth = state.add_task(crew, future);
        state.call(birth);
    }

    /// `future`, as the only task of a crew that whoever polls it is.
    pub(crate) async fn alone<T>(self, future: impl Future<Output = T>) -> T {
        let (crew, birth) = {
            let state = &mut *self.0.state.lock();
            let crew = state.add_crew();
            (crew, state.add_task(crew, Progress::IsPolled))
        };
        let mut future = pin!(future);
        poll_fn(|context| {
            let _alone = self.enter(crew, context.waker());
            self.0.state.lock().begin_alone(birth);
            let poll = future.as_mut().poll(&mut Context::from_waker(&self.waker(birth)));
            self.0.state.lock().end_poll();
            self.leave(crew);
            poll
        })
        .await
    }

    /// The crew is polled. Gives how many of its tasks may be before it gives way.
    fn enter(&self, crew: Crew, waker: &Waker) -> u64 {
        self.0.clock.begin_poll();
        let state = &mut *self.0.state.lock();
        let CrewState { waker: known, is_called, .. } = &mut state.crews[crew.0];
        *is_called = true;
        if known.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        1 + state.chance.below(STRETCH_MAX)
    }

    fn leave(&self, crew: Crew) {
        self.0.clock.end_poll();
        let CrewState { ready, waker, is_called } = &mut self.0.state.lock().crews[crew.0];
        *is_called = !ready.is_empty();
        if let Some(waker) = waker
            && *is_called
        {
            waker.wake_by_ref();
        }
    }

    #[allow(unsafe_code, reason = "the functions of the table take a number, and nothing for a place in memory")]
    fn waker(&self, birth: u32) -> Waker {
        let number = u64::from(self.0.world) << 32 | u64::from(birth);
        unsafe { Waker::new(without_provenance(number as usize), &BY_NUMBER) }
    }

    /// Tells whether anything of the world is still held.
    pub(crate) fn ghost(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// Times that a task was polled so far.
    pub(crate) fn polls(&self) -> u64 {
        self.0.state.lock().polls
    }

    /// Forgets that somebody was polled and panicked, and whom that had woken.
    pub(crate) fn forget_poll(&self) {
        self.0.clock.end_poll();
        let state = &mut *self.0.state.lock();
        state.is_polling = false;
        state.woken.clear();
    }

    /// The world is over.
    pub(crate) fn clear(&self) {
        HERE.set(None);
        self.drop_tasks(|_| true);
    }

    fn drop_tasks(&self, which: impl Fn(Crew) -> bool) {
        let births = self.0.state.lock().tasks.len();
        for birth in 0..births {
            let future = self.0.state.lock().end_task(birth, &which);
            // Not under the lock: what it held may wake somebody.
            drop(future);
        }
    }
}

impl State {
    fn add_crew(&mut self) -> Crew {
        self.crews.push(CrewState { ready: vec![], waker: None, is_called: true });
        Crew(self.crews.len() - 1)
    }

    fn add_task(&mut self, crew: Crew, future: Progress) -> u32 {
        self.tasks.push(Task { crew, is_ready: false, future });
        u32::try_from(self.tasks.len() - 1).unwrap_or(u32::MAX)
    }

    fn wake(&mut self, birth: u32) {
        if self.is_polling { self.woken.push(birth) } else { self.call(birth) }
    }

    fn begin_poll(&mut self) {
        self.is_polling = true;
        self.polls += 1;
    }

    fn end_poll(&mut self) {
        self.is_polling = false;
        let mut woken = std::mem::take(&mut self.woken);
        if woken.len() > 1 {
            woken.sort_unstable();
        }
        woken.drain(..).for_each(|birth| self.call(birth));
        self.woken = woken;
    }

    /// Sees to it that the task is polled.
    fn call(&mut self, birth: u32) {
        let Some(task) = self.tasks.get_mut(birth as usize) else { return };
        if matches!(task.future, Progress::Over) || std::mem::replace(&mut task.is_ready, true) {
            return;
        }
        let crew = &mut self.crews[task.crew.0];
        crew.ready.push(birth);
        if let Some(waker) = &crew.waker
            && !std::mem::replace(&mut crew.is_called, true)
        {
            waker.wake_by_ref();
        }
    }

    /// It is polled now, and is the only one of its crew.
    fn begin_alone(&mut self, birth: u32) {
        let task = &mut self.tasks[birth as usize];
        task.is_ready = false;
        self.crews[task.crew.0].ready.clear();
        self.begin_poll();
    }

    /// One of the crew's tasks that are ready, to be polled now.
    fn next(&mut self, crew: Crew) -> Option<(u32, Body)> {
        loop {
            let ready = &mut self.crews[crew.0].ready;
            let place = match ready.len() {
                0 => return None,
                1 => 0,
                count => self.chance.below(count as u64) as usize,
            };
            let birth = ready.swap_remove(place);
            let task = &mut self.tasks[birth as usize];
            task.is_ready = false;
            match std::mem::replace(&mut task.future, Progress::IsPolled) {
                Progress::Waits(future) => {
                    self.begin_poll();
                    return Some((birth, future));
                }
                other => task.future = other,
            }
        }
    }

    /// It was polled, and this is left of it.
    fn put_back(&mut self, (birth, left): (u32, Progress)) {
        self.tasks[birth as usize].future = left;
        self.end_poll();
    }

    fn end_task(&mut self, birth: usize, which: impl Fn(Crew) -> bool) -> Progress {
        let task = &mut self.tasks[birth];
        if which(task.crew) { std::mem::replace(&mut task.future, Progress::Over) } else { Progress::Over }
    }
}

/// Told what a task said when it panicked, and where; without it the whole run panics.
pub(crate) type OnPanic = Option<Box<dyn Fn(String) + Send>>;

/// A crew, as a task of madsim.
struct Running {
    tasks: Tasks,
    crew: Crew,
    life: Life,
    on_panic: OnPanic,
}

impl Running {
    /// Polls one task, and says what is left of it.
    fn poll_one(&self, birth: u32, mut body: Body) -> Progress {
        let waker = self.tasks.waker(birth);
        let context = &mut Context::from_waker(&waker);
        let Some(on_panic) = &self.on_panic else { return after(body.as_mut().poll(context), body) };
        match caught(|| body.as_mut().poll(context)) {
            Ok(poll) => after(poll, body),
            Err(panic) => {
                on_panic(panic);
                Progress::Over
            }
        }
    }
}

fn after(poll: Poll<()>, body: Body) -> Progress {
    if poll.is_pending() { Progress::Waits(body) } else { Progress::Over }
}

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Running { tasks, crew, life, .. } = &*self;
        let stretch = tasks.enter(*crew, context.waker());
        let mut last = None;
        for _ in 0..stretch {
            let next = {
                let state = &mut *tasks.0.state.lock();
                if let Some(last) = last.take() {
                    state.put_back(last);
                }
                if life.is_on() { state.next(*crew) } else { None }
            };
            let Some((birth, body)) = next else { break };
            last = Some((birth, self.poll_one(birth, body)));
        }
        if let Some(last) = last {
            tasks.0.state.lock().put_back(last);
        }
        tasks.leave(*crew);
        Poll::Pending
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let waker = self.tasks.0.state.lock().crews[self.crew.0].waker.take();
        drop(waker);
        let crew = self.crew.0;
        self.tasks.drop_tasks(|of| of.0 == crew);
    }
}

/// Wakers that are numbers: the world's in the upper half, the task's in the lower.
static BY_NUMBER: RawWakerVTable =
    RawWakerVTable::new(|number| RawWaker::new(number, &BY_NUMBER), wake, wake, |_number| ());

fn wake(number: *const ()) {
    let number = number.addr() as u64;
    HERE.with_borrow(|here| {
        if let Some(tasks) = here
            && number >> 32 == u64::from(tasks.0.world)
        {
            tasks.0.state.lock().wake(number as u32);
        }
    });
}
