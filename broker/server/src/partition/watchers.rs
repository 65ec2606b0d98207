//! Whoever waits for a partition to change: each is told once, and nobody is kept who stopped waiting.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Read;

/// What a fetch that waits learns meanwhile, and a session between its fetches: which partitions must be looked at again, and when.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// By their numbers in the fetch, or in the session.
    partitions: Mutex<BTreeSet<usize>>,
    called: Notify,
}

impl Changes {
    /// Waits until a partition has what the fetch waits for, or may not have it any more.
    pub(crate) async fn called(&self) {
        self.called.notified().await;
    }

    /// A partition changed: whoever waits is called for it at once, or finds out when it is called for another.
    pub(crate) fn tell(&self, number: usize, calls: bool) {
        self.partitions.lock().insert(number);
        if calls {
            self.called.notify_one();
        }
    }

    /// The partitions that changed since this was asked last.
    pub(crate) fn take(&self) -> BTreeSet<usize> {
        std::mem::take(&mut self.partitions.lock())
    }

    /// The same for whoever did not wait to be called, and is not called for them any more.
    pub(crate) fn take_uncalled(&self) -> BTreeSet<usize> {
        let _was_called = self.called.notified().now_or_never();
        self.take()
    }
}

/// A partition of a fetch that waits until there is enough to read.
#[derive(Clone, Copy)]
pub(crate) struct Watcher<'a> {
    pub(crate) changes: &'a Arc<Changes>,
    /// The partition's in the fetch, or in the session.
    pub(crate) number: usize,
    pub(crate) bytes_min: usize,
    /// Called when more is committed, whatever else is read.
    pub(crate) awaits_commits: bool,
}

/// What changed of a partition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The log grew.
    End,
    /// More is committed.
    Commit,
    /// The log begins elsewhere.
    Start,
    /// Somebody else leads, or nobody, or the partition is given up.
    Leader,
    /// Each follower's next word matters, though it says nothing new.
    Doubt,
}

/// The fetches that wait for one partition.
#[derive(Default)]
pub(super) struct Fetches(Vec<Waiting>);

struct Waiting {
    changes: Weak<Changes>,
    number: usize,
    /// What the fetch reads up to.
    reads_to: Change,
    awaits_commits: bool,
}

impl Fetches {
    /// Keeps a fetch that found too little when it read up to the log's end, or to what is committed. True if it did.
    pub(super) fn watch_if_too_little(&mut self, watcher: Option<Watcher<'_>>, reads_to: Change, read: &Read) -> bool {
        let Some(watcher) = watcher.filter(|watcher| read.records.len() < watcher.bytes_min || watcher.awaits_commits)
        else {
            return false;
        };
        self.watch(watcher, reads_to);
        true
    }

    fn watch(&mut self, watcher: Watcher<'_>, reads_to: Change) {
        let Watcher { changes, number, awaits_commits, .. } = watcher;
        // Whoever stopped waiting is gone.
        self.0.retain(|known| {
            let is_same = known.number == number && known.changes.as_ptr() == Arc::as_ptr(changes);
            known.changes.strong_count() > 0 && !is_same
        });
        self.0.push(Waiting { changes: Arc::downgrade(changes), number, reads_to, awaits_commits });
    }

    /// Calls those that wait for this change. For the others it is one more partition to look at when they are called.
    pub(super) fn tell(&mut self, change: Change) {
        self.0.retain(|waiting| {
            let Some(changes) = waiting.changes.upgrade() else { return false };
            let is_called = match change {
                Change::End => waiting.reads_to == Change::End,
                Change::Commit => waiting.reads_to == Change::Commit || waiting.awaits_commits,
                Change::Start | Change::Doubt => false,
                Change::Leader => true,
            };
            changes.tell(waiting.number, is_called);
            !is_called
        });
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().filter(|waiting| waiting.changes.strong_count() > 0).count()
    }
}

/// Whoever waits for the start of a log: the same, with nothing to look at.
pub(super) fn watch(watchers: &mut Vec<Weak<Notify>>, notify: &Arc<Notify>) {
    watchers.retain(|watcher| watcher.strong_count() > 0 && watcher.as_ptr() != Arc::as_ptr(notify));
    watchers.push(Arc::downgrade(notify));
}

pub(super) fn wake(watchers: &mut Vec<Weak<Notify>>) {
    for watcher in watchers.drain(..).filter_map(|watcher| watcher.upgrade()) {
        watcher.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(changes: &Arc<Changes>, number: usize) -> Watcher<'_> {
        Watcher { changes, number, bytes_min: 1, awaits_commits: false }
    }

    fn is_called(changes: &Changes) -> bool {
        changes.called().now_or_never().is_some()
    }

    #[test]
    fn nobody_is_kept_who_stopped_waiting() {
        let (mut fetches, mut watchers) = (Fetches::default(), Vec::new());
        for _ in 0..100 {
            fetches.watch(watcher(&Arc::default(), 0), Change::End);
            watch(&mut watchers, &Arc::default());
        }
        let (changes, waiting) = (Arc::default(), Arc::default());
        for _ in 0..2 {
            fetches.watch(watcher(&changes, 0), Change::End);
            watch(&mut watchers, &waiting);
        }
        assert_eq!((fetches.0.len(), watchers.len()), (1, 1), "one who waits is kept once, and no other");
    }

    #[tokio::test]
    async fn whoever_waits_is_told_once() {
        let (mut watchers, waiting) = (Vec::new(), Arc::<Notify>::default());
        watch(&mut watchers, &waiting);
        wake(&mut watchers);
        waiting.notified().await;
        assert!(watchers.is_empty());
    }

    #[test]
    fn a_fetch_is_called_by_what_it_waits_for_and_looks_at_all_that_changed() {
        let changes = Arc::default();
        let mut partitions: [Fetches; 3] = Default::default();
        for (number, fetches) in partitions.iter_mut().enumerate() {
            fetches.watch(watcher(&changes, number), Change::End);
        }
        partitions[2].tell(Change::Commit);
        partitions[2].tell(Change::Start);
        assert!(!is_called(&changes), "it waits for the end of a log");
        partitions[0].tell(Change::End);
        assert!(is_called(&changes));
        assert_eq!(changes.take(), BTreeSet::from([0, 2]), "and finds out what else is new");
        assert!(changes.take().is_empty());
        let left: Vec<usize> = partitions.iter().map(Fetches::count).collect();
        assert_eq!(left, [0, 1, 1], "of those two it still waits");
        partitions[1].tell(Change::Leader);
        assert!(is_called(&changes));
        partitions[2].tell(Change::End);
        assert_eq!(changes.take_uncalled(), BTreeSet::from([1, 2]));
        assert!(!is_called(&changes), "who looks without being called is not called for it");
    }

    #[test]
    fn a_fetch_that_awaits_commits_is_called_by_them() {
        let (consumer, follower) = (Arc::default(), Arc::default());
        let mut fetches = Fetches::default();
        fetches.watch(watcher(&consumer, 0), Change::Commit);
        fetches.watch(Watcher { awaits_commits: true, ..watcher(&follower, 0) }, Change::End);
        fetches.tell(Change::Commit);
        assert!(is_called(&consumer) && is_called(&follower));
        fetches.watch(watcher(&consumer, 0), Change::Commit);
        fetches.tell(Change::End);
        assert!(!is_called(&consumer), "what is not committed is not for it");
    }
}
