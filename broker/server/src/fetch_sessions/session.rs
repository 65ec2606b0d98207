//! One fetch session: what its fetcher asks of each partition, and what it was told of it last.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use model::{Bug, LeaderEpoch, Planted, Time};
use protocol::NO_ERROR;

use super::vigil::Vigil;
use super::{Answered, Ask, Asked, Follower, Key};
use crate::handlers::fetch::PartitionAnswer;
use crate::partition::Changes;

/// What no partition's offsets are: the next answer speaks of it whatever it says.
const UNTOLD: i64 = -1;

#[derive(Debug)]
pub(crate) struct Session {
    /// Of the next request.
    pub(super) epoch: i32,
    pub(super) has_topic_ids: bool,
    partitions: BTreeMap<Key, Kept>,
    /// The last partition of which records were sent. Whoever comes behind it is first next time, so that none starves.
    served: Option<Key>,
    /// Which partitions must be looked at: a follower's alone. Others' fetches look at all.
    vigil: Option<Vigil>,
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    high_watermark: i64,
    log_start: i64,
    /// In the vigil, if there is one.
    number: usize,
}

impl Session {
    /// From what a request asked for and what is answered to it.
    pub(super) fn new(epoch: i32, has_topic_ids: bool, follower: Option<Follower>, answered: &[Answered]) -> Session {
        let mut session = Session { epoch, has_topic_ids, partitions: BTreeMap::new(), served: None, vigil: None };
        for Answered { key, asked, answer } in answered {
            let mut kept = Kept::untold(*asked);
            let _is_told_anyway = kept.is_news(answer);
            if !answer.records.is_empty() {
                session.served = Some(key.clone());
            }
            session.partitions.insert(key.clone(), kept);
        }
        (0..).zip(session.partitions.values_mut()).for_each(|(number, kept)| kept.number = number);
        session.vigil = follower.map(|follower| Vigil::new(follower, session.partitions.keys().cloned()));
        session
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// A fetch begins, of this follower if it is one's. All partitions must be looked at if nobody did for so long as `look_interval`.
    pub(super) fn begin(&mut self, now: Time, follower: Option<Follower>, look_interval: Duration) {
        match (&mut self.vigil, follower) {
            (Some(vigil), Some(follower)) => vigil.begin(now, follower, look_interval),
            (vigil, _) => *vigil = None,
        }
    }

    /// Takes what a request says anew.
    pub(super) fn name(&mut self, named: impl Iterator<Item = (Key, Asked)>) {
        for (key, asked) in named {
            match self.partitions.get_mut(&key) {
                Some(kept) => kept.asked = asked,
                None => {
                    let number = self.vigil.as_mut().map_or(0, |vigil| vigil.number(&key));
                    self.partitions.insert(key.clone(), Kept { number, ..Kept::untold(asked) });
                }
            }
            if let Some(vigil) = &mut self.vigil {
                vigil.unsettle(key);
            }
        }
    }

    pub(super) fn forget(&mut self, forgotten: impl Iterator<Item = Key>) {
        for key in forgotten {
            let gone = self.partitions.remove(&key);
            if let (Some(vigil), Some(kept)) = (&mut self.vigil, gone) {
                vigil.forget(&key, kept.number);
            }
        }
    }

    /// All that must be looked at, that first which has waited longest.
    pub(super) fn asked(&self, planted: Planted) -> Vec<Ask> {
        let is_unfenced = planted.has(Bug::SessionWithoutEpoch);
        let ask = |(place, (key, kept)): (usize, (&Key, &Kept))| {
            let leader_epoch = if is_unfenced { LeaderEpoch::NONE } else { kept.asked.leader_epoch };
            let number = if self.vigil.is_some() { kept.number } else { place };
            Ask { number, key: key.clone(), asked: Asked { leader_epoch, ..kept.asked } }
        };
        let behind = self.served.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = self.served.as_ref().map(|served| (Bound::Unbounded, Bound::Included(served)));
        match &self.vigil {
            Some(vigil) => {
                let restless = vigil.restless();
                let behind = restless.range((behind, Bound::Unbounded));
                let keys = behind.chain(until.into_iter().flat_map(|until| restless.range(until)));
                keys.filter_map(|key| self.partitions.get_key_value(key)).enumerate().map(ask).collect()
            }
            None => {
                let behind = self.partitions.range((behind, Bound::Unbounded));
                behind
                    .chain(until.into_iter().flat_map(|until| self.partitions.range(until)))
                    .enumerate()
                    .map(ask)
                    .collect()
            }
        }
    }

    /// What is asked of the partition of this number, which had been left out.
    pub(crate) fn ask(&self, number: usize) -> Option<Ask> {
        let key = self.vigil.as_ref()?.key(number)?;
        Some(Ask { number, key: key.clone(), asked: self.partitions.get(key)?.asked })
    }

    /// What partitions tell of what is asked of them, by these numbers.
    pub(super) fn changes(&self) -> Option<Arc<Changes>> {
        self.vigil.as_ref().map(Vigil::changes)
    }

    /// Has this partition's fetcher been told another high watermark than this?
    pub(crate) fn is_new_high_watermark(&self, key: &Key, high_watermark: i64) -> bool {
        self.partitions.get(key).is_some_and(|kept| kept.high_watermark != high_watermark)
    }

    /// Leaves the answers that say something new, and remembers that they were told.
    pub(super) fn retain_news(&mut self, answered: &mut Vec<Answered>) {
        if let Some(vigil) = &mut self.vigil {
            vigil.end();
        }
        answered.retain(|Answered { key, answer, .. }| {
            if !answer.records.is_empty() {
                self.served = Some(key.clone());
            }
            match &mut self.vigil {
                Some(vigil) if answer.is_settled => vigil.settle(key),
                Some(vigil) => vigil.unsettle(key.clone()),
                None => {}
            }
            self.partitions.get_mut(key).is_none_or(|kept| kept.is_news(answer))
        });
    }
}

impl Kept {
    fn untold(asked: Asked) -> Kept {
        Kept { asked, high_watermark: UNTOLD, log_start: UNTOLD, number: 0 }
    }

    /// True if `answer` must be told; then it is.
    fn is_news(&mut self, answer: &PartitionAnswer) -> bool {
        let has_moved = (self.high_watermark, self.log_start) != (answer.high_watermark, answer.log_start);
        // What follows an error is told though nothing else has changed: the error is over.
        let is_error = answer.error_code != NO_ERROR;
        self.high_watermark = if is_error { UNTOLD } else { answer.high_watermark };
        self.log_start = answer.log_start;
        has_moved || answer.is_urgent() || !answer.records.is_empty()
    }
}
