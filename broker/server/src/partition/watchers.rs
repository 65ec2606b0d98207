//! Whoever waits for a partition to change: each is told once, and nobody is kept who stopped waiting.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::Read;

/// Whoever waits until there is enough to read.
#[derive(Clone, Copy)]
pub(crate) struct Watcher<'a> {
    /// Called once, when there may be more, or the leadership changes.
    pub(crate) changed: &'a Arc<Notify>,
    pub(crate) bytes_min: usize,
}

pub(super) fn watch_if_too_little(watchers: &mut Vec<Weak<Notify>>, watcher: Option<Watcher<'_>>, read: &Read) {
    if let Some(watcher) = watcher.filter(|watcher| read.records.len() < watcher.bytes_min) {
        watch(watchers, watcher.changed);
    }
}

pub(super) fn watch(watchers: &mut Vec<Weak<Notify>>, notify: &Arc<Notify>) {
    // Whoever stopped waiting is gone.
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

    #[test]
    fn nobody_is_kept_who_stopped_waiting() {
        let mut watchers = Vec::new();
        for _ in 0..100 {
            watch(&mut watchers, &Arc::default());
        }
        let waiting = Arc::default();
        watch(&mut watchers, &waiting);
        watch(&mut watchers, &waiting);
        assert_eq!(watchers.len(), 1, "one who waits is kept once, and no other");
    }

    #[tokio::test]
    async fn whoever_waits_is_told_once() {
        let (mut watchers, waiting) = (Vec::new(), Arc::<Notify>::default());
        watch(&mut watchers, &waiting);
        wake(&mut watchers);
        waiting.notified().await;
        assert!(watchers.is_empty());
    }
}
