//! The trace of a run as it grows: kept, shown to the observer, charged to the digest.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::{Poll, Waker};

use evidence::{Entry, NodeName, What};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::digest::{Digest, Kind, NodeIndex, fingerprint};
use crate::run::Observer;

pub(crate) struct Trace {
    clock: Clock,
    digest: Digest,
    written: Mutex<Written>,
}

struct Written {
    entries: Vec<Entry>,
    observer: Option<Observer>,
    /// The observer has seen enough.
    stopped: bool,
    waiting: Vec<Waker>,
}

impl Trace {
    pub(crate) fn new(clock: Clock, digest: Digest, observer: Observer) -> Trace {
        let written =
            Mutex::new(Written { entries: Vec::new(), observer: Some(observer), stopped: false, waiting: Vec::new() });
        Trace { clock, digest, written }
    }

    pub(crate) fn write(&self, node: NodeIndex, name: &NodeName, what: What) {
        let written = &mut *self.written.lock();
        let index = written.entries.len() as u64;
        let time = self.clock.now();
        match &what {
            What::Witnessed(event) => self.digest.event_at(time, Kind::Witnessed, node, fingerprint(event), index),
            other => self.digest.event_at(time, Kind::Noted, node, fingerprint(&format!("{other:?}")), index),
        }
        let entry = Entry { index, time, node: name.clone(), what };
        let verdict = written.observer.as_mut().map_or(ControlFlow::Continue(()), |observer| observer(&entry));
        written.entries.push(entry);
        if verdict.is_break() {
            written.observer = None;
            written.stopped = true;
            written.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// Waits until the observer has seen enough.
    pub(crate) async fn stopped(&self) {
        poll_fn(|context| {
            let written = &mut *self.written.lock();
            if written.stopped {
                return Poll::Ready(());
            }
            if !written.waiting.iter().any(|known| known.will_wake(context.waker())) {
                written.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    pub(crate) fn take_entries(&self) -> Vec<Entry> {
        let written = &mut *self.written.lock();
        written.observer = None;
        written.waiting.clear();
        std::mem::take(&mut written.entries)
    }
}
