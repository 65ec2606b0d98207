//! Tasks that end with their owner, and waits that end in time.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{AbortHandle, Abortable, Either, select};
use tokio::sync::oneshot;

use crate::Host;

/// A running task; dropping it ends the task at its next wait.
#[must_use = "dropping a task ends it"]
pub struct Task {
    handle: AbortHandle,
    over: oneshot::Receiver<()>,
}

impl Task {
    /// True once the task has been told to end.
    pub fn is_ended(&self) -> bool {
        self.handle.is_aborted()
    }

    /// Ends the task, and returns when nothing of it is left.
    pub async fn end(mut self) {
        self.handle.abort();
        // Nobody says it: it is over when its sender is gone.
        let _over = (&mut self.over).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Runs `future` beside its caller for as long as the returned [`Task`] is held.
pub fn spawn<H: Host>(host: &H, future: impl Future<Output = ()> + Send + 'static) -> Task {
    let (handle, registration) = AbortHandle::new_pair();
    // In its place once and for all: a task's future is large, and what is put around it would move it again and again.
    let abortable = Abortable::new(Box::pin(future), registration);
    let (running, over) = oneshot::channel();
    host.spawn_detached(async move {
        let _ended_by_owner = abortable.await;
        drop(running);
    });
    Task { handle, over }
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
