//! The trace of a run as it grows: shown to the observer, charged to the digest, and kept if somebody asked for it.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::task::{Poll, Waker};

use crate::confined::Confined;
use evidence::{Entry, NodeName, What};

use crate::clock::Clock;
use crate::digest::{Digest, Kind, NodeIndex, fingerprint};
use crate::run::Observer;

pub(crate) struct Trace {
    clock: Clock,
    digest: Digest,
    written: Confined<Written>,
}

struct Written {
    count: u64,
    /// What nodes are called, by index: lent to each entry while it is shown, for to copy one costs as much as to show it.
    names: Vec<Option<NodeName>>,
    /// None if nobody asked for them.
    entries: Option<Vec<Entry>>,
    observer: Option<Observer>,
    /// The observer has seen enough.
    stopped: bool,
    waiting: Vec<Waker>,
}

impl Trace {
    pub(crate) fn new(clock: Clock, digest: Digest, observer: Observer, keep: bool) -> Trace {
        let (entries, observer) = (keep.then(Vec::new), Some(observer));
        let written = Written { count: 0, names: Vec::new(), entries, observer, stopped: false, waiting: Vec::new() };
        Trace { clock, digest, written: Confined::new(written) }
    }

    pub(crate) fn write(&self, node: NodeIndex, name: &NodeName, what: What) {
        let written = &mut *self.written.lock();
        let index = written.count;
        written.count += 1;
        let time = self.clock.now();
        match &what {
            What::Witnessed(event) => self.digest.event_at(time, Kind::Witnessed, node, fingerprint(event), index),
            // Many numbers, which need no words.
            What::LogStored { directory, start, end, batches } => {
                let stored = fingerprint(&(directory, start, end, batches));
                self.digest.event_at(time, Kind::Noted, node, stored, index);
            }
            other => self.digest.event_at(time, Kind::Noted, node, fingerprint(&format!("{other:?}")), index),
        }
        let place = usize::from(node.0);
        if written.names.len() <= place {
            written.names.resize(place + 1, None);
        }
        let name = written.names[place].take().unwrap_or_else(|| name.clone());
        let entry = Entry { index, time, node: name, what };
        let verdict = written.observer.as_mut().map_or(ControlFlow::Continue(()), |observer| observer(&entry));
        match &mut written.entries {
            Some(entries) => entries.push(entry),
            None => written.names[place] = Some(entry.node),
        }
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
        written.entries.take().unwrap_or_default()
    }
}
