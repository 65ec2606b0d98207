//! Fetch sessions (KIP-227): what each fetcher reads is kept here, so that its requests name only what changed, and answers only what
//! is new.
//!
//! ```text
//!   epoch 0         everything is named, and kept under a new id; the session that the request names is over
//!   epoch 1, 2, …   what changed is named, what is not read any more is forgotten; the rest is asked for as before
//!   epoch -1        everything is named, nothing is kept: what a client sends that knows no sessions, or ends its own
//! ```
//! A request that comes a second time, too late, or after one that was lost has another epoch than is expected, and is refused:
//! its sender believes that something is known here which may not be. A session belongs to nobody but who knows its id, which is
//! drawn by chance; that it is a follower's word is told by each request itself.
//!
//! What a fetch of a follower costs goes by what changed, not by how many partitions it follows: see `vigil.rs`.

mod session;
mod vigil;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, Planted, Time, TopicId};
use parking_lot::Mutex;
use protocol::ErrorCode;
use protocol::messages::fetch_request::FetchPartition;
use protocol::messages::{FetchRequest, TopicName, topic_id};

use self::session::Session;
use crate::handlers::fetch::PartitionAnswer;
use crate::partition::Changes;

/// First version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 13;
/// Epoch of a request that names everything and begins a session.
const FIRST_EPOCH: i32 = 0;
/// Epoch of a request that names everything and begins none.
const LAST_EPOCH: i32 = -1;
/// No session has it.
const NO_SESSION: i32 = 0;
/// A session that nobody used for so long makes room for any other, and one that is younger makes none for a consumer's. Kafka's.
const EVICTION_AGE: Duration = Duration::from_secs(120);
/// Partitions that all sessions keep together, so that memory has a bound: some 60 MB of it.
const PARTITIONS_MAX: usize = 200_000;

/// All that a follower follows is looked at so often at least, though nothing changes: Kafka's wait of a fetch (`replica.fetch.wait.max.ms`).
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(500);
/// And so often before it would fall out of sync for having said nothing.
const LOOKS_BEFORE_LAG: u32 = 8;

/// Who follows, and under which registration.
pub(crate) type Follower = (BrokerId, BrokerEpoch);

/// A topic as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Id(TopicId),
    Name(TopicName),
}

/// A partition as the request names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) topic: Topic,
    pub(crate) index: i32,
}

/// What is asked of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    /// Of the record before `offset`.
    pub(crate) last_epoch: LeaderEpoch,
    /// Where a follower's log begins.
    pub(crate) log_start: Offset,
    pub(crate) bytes_max: i32,
}

impl Asked {
    fn of(partition: &FetchPartition) -> Asked {
        Asked {
            offset: Offset(partition.fetch_offset),
            leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            last_epoch: LeaderEpoch(partition.last_fetched_epoch),
            log_start: Offset(partition.log_start_offset),
            bytes_max: partition.partition_max_bytes,
        }
    }
}

/// One partition that a fetch must look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// In its session, if that is a follower's; else in the fetch.
    pub(crate) number: usize,
    pub(crate) key: Key,
    pub(crate) asked: Asked,
}

/// A fetch that may be looked for.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) context: Context,
    pub(crate) asks: Vec<Ask>,
    /// What its partitions tell it, by their numbers; they tell it also what happens until the session's next fetch.
    pub(crate) changes: Arc<Changes>,
}

/// What was asked of a partition, and what is answered.
pub(crate) struct Answered {
    pub(crate) key: Key,
    pub(crate) asked: Asked,
    pub(crate) answer: PartitionAnswer,
}

/// What a request means for its session.
#[derive(Debug)]
pub(crate) enum Context {
    /// There is none.
    Sessionless,
    /// One begins with the answer, if there is room.
    Full { follower: Option<Follower>, has_topic_ids: bool },
    /// The session goes on; its epoch must still be this when the answer leaves.
    Incremental { id: i32, session: Arc<Mutex<Session>>, epoch: i32 },
}

impl Context {
    /// Would this high watermark be news to a fetcher that leaves unsaid what it was told?
    pub(crate) fn is_new_high_watermark(&self, key: &Key, high_watermark: i64) -> bool {
        match self {
            Context::Sessionless | Context::Full { .. } => false,
            Context::Incremental { session, .. } => session.lock().is_new_high_watermark(key, high_watermark),
        }
    }

    /// What is asked of the partition of this number, which had been left out because nothing had happened to it.
    pub(crate) fn ask(&self, number: usize) -> Option<Ask> {
        match self {
            Context::Sessionless | Context::Full { .. } => None,
            Context::Incremental { session, .. } => session.lock().ask(number),
        }
    }

    /// True if the fetch waits for partitions that need not be looked at.
    pub(crate) fn keeps_partitions(&self) -> bool {
        matches!(self, Context::Incremental { .. })
    }
}

/// Every session of a node.
pub(crate) struct FetchSessions {
    planted: Planted,
    /// `max.incremental.fetch.session.cache.slots`
    slots_max: usize,
    look_interval: Duration,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_id: BTreeMap<i32, Slot>,
    /// Over all sessions.
    partitions: usize,
}

/// A session, and what decides whether it makes room for another.
struct Slot {
    is_followers: bool,
    size: usize,
    created: Time,
    used: Time,
    session: Arc<Mutex<Session>>,
}

impl FetchSessions {
    /// A follower that was not heard of for `lag_max` falls out of sync.
    pub(crate) fn new(slots_max: usize, lag_max: Duration, planted: Planted) -> FetchSessions {
        let look_interval = LOOK_INTERVAL_MAX.min(lag_max / LOOKS_BEFORE_LAG);
        FetchSessions { planted, slots_max, look_interval, slots: Mutex::default() }
    }

    /// What `request` asks for, as far as it must be looked at, and what it means for its session.
    ///
    /// # Errors
    /// `FetchSessionIdNotFound`; `InvalidFetchSessionEpoch`; `FetchSessionTopicIdError` if a session that names topics by id is
    /// gone on with by name, or the other way round.
    pub(crate) fn begin(
        &self,
        now: Time,
        version: i16,
        request: &FetchRequest,
        follower: Option<Follower>,
    ) -> Result<Begun, ErrorCode> {
        let has_topic_ids = TOPIC_IDS_SINCE <= version;
        let (id, epoch) = (request.session_id, request.session_epoch);
        if epoch == FIRST_EPOCH || epoch == LAST_EPOCH {
            if id != NO_SESSION {
                self.slots.lock().remove(id);
            }
            let is_last = epoch == LAST_EPOCH;
            let context = if is_last { Context::Sessionless } else { Context::Full { follower, has_topic_ids } };
            let named = named(request, has_topic_ids).enumerate();
            let asks = named.map(|(number, (key, asked))| Ask { number, key, asked }).collect();
            return Ok(Begun { context, asks, changes: Arc::default() });
        }
        let slots = &mut *self.slots.lock();
        let Some(slot) = slots.by_id.get_mut(&id) else {
            model::reached!("a fetch went on with a session that is not kept");
            return Err(ErrorCode::FetchSessionIdNotFound);
        };
        let shared = slot.session.clone();
        let mut session = shared.lock();
        if session.epoch != epoch {
            model::reached!("a fetch had another epoch than its session");
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.has_topic_ids != has_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.begin(now, follower, self.look_interval);
        session.name(named(request, has_topic_ids));
        session.forget(forgotten(request, has_topic_ids));
        slots.partitions = slots.partitions + session.len() - slot.size;
        slot.size = session.len();
        slot.used = now;
        if session.len() == 0 {
            slots.remove(id);
            return Ok(Begun { context: Context::Sessionless, asks: Vec::new(), changes: Arc::default() });
        }
        if PARTITIONS_MAX < slots.partitions {
            slots.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        session.epoch = next_epoch(epoch);
        let (asks, changes, epoch) =
            (session.asked(self.planted), session.changes().unwrap_or_default(), session.epoch);
        drop(session);
        Ok(Begun { context: Context::Incremental { id, session: shared, epoch }, asks, changes })
    }

    /// Keeps what the session needs, and leaves in `answered` what must be told. Gives the session's id for the answer.
    ///
    /// # Errors
    /// `InvalidFetchSessionEpoch` if another request of the session came meanwhile, and the session's id.
    pub(crate) fn end(
        &self,
        now: Time,
        context: &Context,
        answered: &mut Vec<Answered>,
        entropy: impl FnMut() -> u64,
    ) -> Result<i32, (ErrorCode, i32)> {
        match context {
            Context::Sessionless => Ok(NO_SESSION),
            Context::Full { follower, has_topic_ids } => {
                let (slots, is_followers) = (&mut *self.slots.lock(), follower.is_some());
                if !slots.has_room(now, is_followers, answered.len(), self.slots_max) {
                    model::reached!("no fetch session was begun for want of room");
                    return Ok(NO_SESSION);
                }
                let session = Session::new(next_epoch(FIRST_EPOCH), *has_topic_ids, *follower, answered);
                let (id, size) = (slots.free_id(entropy), session.len());
                slots.partitions += size;
                let session = Arc::new(Mutex::new(session));
                slots.by_id.insert(id, Slot { is_followers, size, created: now, used: now, session });
                Ok(id)
            }
            Context::Incremental { id, session, epoch } => {
                let mut session = session.lock();
                if session.epoch != *epoch {
                    model::reached!("a fetch was overtaken by the next of its session");
                    return Err((ErrorCode::InvalidFetchSessionEpoch, *id));
                }
                session.retain_news(answered);
                Ok(*id)
            }
        }
    }

    /// Drops every session, as a restart would.
    pub(crate) fn clear(&self) {
        *self.slots.lock() = Slots::default();
    }
}

impl Slots {
    fn remove(&mut self, id: i32) {
        if let Some(slot) = self.by_id.remove(&id) {
            self.partitions -= slot.size;
        }
    }

    /// Makes room for a session of `size` partitions, if it is worth more than one that is there: one that nobody uses goes first;
    /// then consumers' for followers', and, once they are old enough, small ones for larger ones.
    fn has_room(&mut self, now: Time, is_followers: bool, size: usize, slots_max: usize) -> bool {
        if PARTITIONS_MAX < self.partitions + size {
            return false;
        }
        if self.by_id.len() < slots_max {
            return true;
        }
        let is_old = |time: Time| EVICTION_AGE < now.since(time);
        let idle = self.by_id.iter().min_by_key(|(_, slot)| slot.used).filter(|(_, slot)| is_old(slot.used));
        let evicted = idle.map(|(&id, _)| id).or_else(|| {
            let may_go = |slot: &Slot| is_old(slot.created) || (is_followers && !slot.is_followers);
            let worth = |id: i32, slot: &Slot| (slot.is_followers, slot.size, id);
            let slots = self.by_id.iter().filter(|(_, slot)| may_go(slot)).map(|(&id, slot)| worth(id, slot));
            slots.min().filter(|least| *least <= (is_followers, size, NO_SESSION)).map(|(_, _, id)| id)
        });
        if let Some(id) = evicted {
            model::reached!("a fetch session made room for another");
            self.remove(id);
        }
        evicted.is_some()
    }

    /// Positive, and nobody's.
    fn free_id(&self, mut entropy: impl FnMut() -> u64) -> i32 {
        loop {
            let id = (entropy() >> 33) as i32;
            if id != NO_SESSION && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn named(request: &FetchRequest, has_topic_ids: bool) -> impl Iterator<Item = (Key, Asked)> {
    request.topics.iter().flat_map(move |topic| {
        let name = if has_topic_ids { Topic::Id(topic_id(topic.topic_id)) } else { Topic::Name(topic.topic.clone()) };
        let key = move |index| Key { topic: name.clone(), index };
        topic.partitions.iter().map(move |partition| (key(partition.partition), Asked::of(partition)))
    })
}

fn forgotten(request: &FetchRequest, has_topic_ids: bool) -> impl Iterator<Item = Key> {
    request.forgotten_topics_data.iter().flat_map(move |topic| {
        let name = if has_topic_ids { Topic::Id(topic_id(topic.topic_id)) } else { Topic::Name(topic.topic.clone()) };
        topic.partitions.iter().map(move |&index| Key { topic: name.clone(), index })
    })
}

#[cfg(test)]
mod tests;
