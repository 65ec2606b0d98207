//! Tasks that end with their owner, and waits that end in time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::task::AtomicWaker;
use tokio::sync::oneshot;

use crate::Host;

/// A running task; dropping it ends the task at its next wait.
#[must_use = "dropping a task ends it"]
pub struct Task {
    leash: Arc<Leash>,
    over: oneshot::Receiver<()>,
}

/// By which its owner ends a task. As `futures_util::future::Abortable`, which takes the waker anew with every poll: that is as much as what
/// many tasks do in one.
#[derive(Default)]
struct Leash {
    is_ended: AtomicBool,
    waker: AtomicWaker,
}

impl Leash {
    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Polls the task's future, unless its owner has ended it. `known` is the waker that [`Leash::end`] would wake.
    fn poll(
        &self,
        future: Pin<&mut impl Future<Output = ()>>,
        known: &mut Option<Waker>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let waker = context.waker();
        if known.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            self.waker.register(waker);
            *known = Some(waker.clone());
        }
        if self.is_ended() || future.poll(context).is_ready() || self.is_ended() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Task {
    /// True once the task has been told to end.
    pub fn is_ended(&self) -> bool {
        self.leash.is_ended()
    }

    /// Ends the task, and returns when nothing of it is left.
    pub async fn end(mut self) {
        self.leash.end();
        // Nobody says it: it is over when its sender is gone.
        let _over = (&mut self.over).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.leash.end();
    }
}

/// Runs `future` beside its caller for as long as the returned [`Task`] is held.
pub fn spawn<H: Host>(host: &H, future: impl Future<Output = ()> + Send + 'static) -> Task {
    let leash = Arc::<Leash>::default();
    let held = leash.clone();
    // In its place once and for all: a task's future is large, and what is put around it would move it again and again.
    let mut future = Box::pin(future);
    let (running, over) = oneshot::channel();
    host.spawn_detached(async move {
        let mut known = None;
        poll_fn(|context| held.poll(future.as_mut(), &mut known, context)).await;
        drop(future);
        // Or the task would hold itself.
        held.waker.take();
        drop(running);
    });
    Task { leash, over }
}

/// The time given to [`timeout`] ran out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Waits for `future`, but no longer than `duration`.
pub async fn timeout<H: Host, T>(
    host: &H,
    duration: Duration,
    future: impl Future<Output = T> + Send,
) -> Result<T, Elapsed> {
    match select(pin!(future), pin!(host.sleep(duration))).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(Elapsed),
    }
}
