//! One fetch session: what its fetcher asks of each partition, and what it was told of it last.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::{Bug, LeaderEpoch, Planted};
use protocol::NO_ERROR;

use super::{Answered, Asked, Key};
use crate::handlers::fetch::PartitionAnswer;

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
}

#[derive(Debug)]
struct Kept {
    asked: Asked,
    high_watermark: i64,
    log_start: i64,
}

impl Session {
    /// From what a request asked for and what is answered to it.
    pub(super) fn new(epoch: i32, has_topic_ids: bool, answered: &[Answered]) -> Session {
        let mut session = Session { epoch, has_topic_ids, partitions: BTreeMap::new(), served: None };
        for Answered { key, asked, answer } in answered {
            let mut kept = Kept::untold(*asked);
            let _is_told_anyway = kept.is_news(answer);
            if !answer.records.is_empty() {
                session.served = Some(key.clone());
            }
            session.partitions.insert(key.clone(), kept);
        }
        session
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Takes what a request says anew.
    pub(super) fn name(&mut self, named: impl Iterator<Item = (Key, Asked)>) {
        for (key, asked) in named {
            self.partitions.entry(key).and_modify(|kept| kept.asked = asked).or_insert(Kept::untold(asked));
        }
    }

    pub(super) fn forget(&mut self, forgotten: impl Iterator<Item = Key>) {
        for key in forgotten {
            self.partitions.remove(&key);
        }
    }

    /// All that is asked for, those first that have waited longest.
    pub(super) fn asked(&self, planted: Planted) -> Vec<(Key, Asked)> {
        let is_unfenced = planted.has(Bug::SessionWithoutEpoch);
        let copy = |(key, kept): (&Key, &Kept)| {
            let leader_epoch = if is_unfenced { LeaderEpoch::NONE } else { kept.asked.leader_epoch };
            (key.clone(), Asked { leader_epoch, ..kept.asked })
        };
        match &self.served {
            None => self.partitions.iter().map(copy).collect(),
            Some(served) => {
                let behind = self.partitions.range((Bound::Excluded(served), Bound::Unbounded));
                behind.chain(self.partitions.range(..=served)).map(copy).collect()
            }
        }
    }

    /// Has this partition's fetcher been told another high watermark than this?
    pub(crate) fn is_new_high_watermark(&self, key: &Key, high_watermark: i64) -> bool {
        self.partitions.get(key).is_some_and(|kept| kept.high_watermark != high_watermark)
    }

    /// Leaves the answers that say something new, and remembers that they were told.
    pub(super) fn retain_news(&mut self, answered: &mut Vec<Answered>) {
        answered.retain(|Answered { key, answer, .. }| {
            if !answer.records.is_empty() {
                self.served = Some(key.clone());
            }
            self.partitions.get_mut(key).is_none_or(|kept| kept.is_news(answer))
        });
    }
}

impl Kept {
    fn untold(asked: Asked) -> Kept {
        Kept { asked, high_watermark: UNTOLD, log_start: UNTOLD }
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
