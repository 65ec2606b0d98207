//! Of a follower's session, which partitions its next fetch must look at.
//!
//! Most of thousands have nothing new, and the follower said all it has to say of them. Such a partition is *settled*: it is not looked
//! at again until it changes, which it tells, or its follower names it. Now and then all are looked at: to be heard of, if only in silence,
//! is what keeps a follower in sync.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Time;

use super::{Follower, Key};
use crate::partition::Changes;

#[derive(Debug)]
pub(super) struct Vigil {
    follower: Follower,
    /// What partitions tell, by their numbers here.
    changes: Arc<Changes>,
    keys: BTreeMap<usize, Key>,
    /// What is not settled.
    restless: BTreeSet<Key>,
    looked_at_all: Time,
    /// A fetch is under way. If the next comes all the same, it was given up, and what it was told is lost.
    is_fetching: bool,
}

impl Vigil {
    pub(super) fn new(follower: Follower, keys: impl Iterator<Item = Key> + Clone) -> Vigil {
        Vigil {
            follower,
            changes: Arc::default(),
            keys: keys.clone().enumerate().collect(),
            restless: keys.collect(),
            looked_at_all: Time::ZERO,
            is_fetching: false,
        }
    }

    /// The number of a partition that is new.
    pub(super) fn number(&mut self, key: &Key) -> usize {
        let number = self.keys.last_key_value().map_or(0, |(last, _)| last + 1);
        self.keys.insert(number, key.clone());
        number
    }

    /// There is something to be said of it.
    pub(super) fn unsettle(&mut self, key: Key) {
        self.restless.insert(key);
    }

    pub(super) fn settle(&mut self, key: &Key) {
        self.restless.remove(key);
    }

    pub(super) fn forget(&mut self, key: &Key, number: usize) {
        self.restless.remove(key);
        self.keys.remove(&number);
    }

    pub(super) fn key(&self, number: usize) -> Option<&Key> {
        self.keys.get(&number)
    }

    /// A fetch begins. All must be looked at if nobody did for so long as `look_interval`.
    pub(super) fn begin(&mut self, now: Time, follower: Follower, look_interval: std::time::Duration) {
        let is_lost = std::mem::replace(&mut self.is_fetching, true);
        let is_another = std::mem::replace(&mut self.follower, follower) != follower;
        if is_lost {
            self.changes = Arc::default();
        }
        if is_lost || is_another || look_interval <= now.since(self.looked_at_all) {
            self.looked_at_all = now;
            self.changes.take_uncalled();
            self.restless = self.keys.values().cloned().collect();
            return;
        }
        for number in self.changes.take_uncalled() {
            self.restless.extend(self.keys.get(&number).cloned());
        }
    }

    pub(super) fn end(&mut self) {
        self.is_fetching = false;
    }

    pub(super) fn restless(&self) -> &BTreeSet<Key> {
        &self.restless
    }

    pub(super) fn changes(&self) -> Arc<Changes> {
        self.changes.clone()
    }
}
