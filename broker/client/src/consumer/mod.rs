//! A consumer by assignment: it reads the partitions that it is told to, from where it is told to. No task runs behind it.
//!
//! One fetch is under way to each leader at a time; connections and look-ups are under way beside it, so that a broker which
//! is away holds up nobody else. All of it stays under way between polls: the answer that the next poll finds may have
//! arrived long ago. An answer for a position that has moved since is dropped.

mod errands;
mod fetch;
mod positions;

use std::collections::BTreeMap;
use std::time::Duration;

use host::Host;
use model::{BrokerId, Endpoint, LeaderEpoch, Offset, Time, Timestamp};
use protocol::records::{DecodeError, StoredRecord};
use thiserror::Error;

use crate::backoff::Backoff;
use crate::{ClientConfig, ClientError, Cluster, TopicPartition};
use errands::Errands;
use fetch::{Link, Session};

/// Where to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The oldest record that is still there.
    Earliest,
    /// Only what is written from now on.
    Latest,
    /// The first record whose timestamp is this or later; the end if there is none.
    Time(Timestamp),
    Offset(Offset),
}

/// What to do with a position that the log does not have (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    Earliest,
    Latest,
    /// Tell the caller of `poll`, who may seek.
    Fail,
}

/// Which records of transactions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

/// How a consumer fetches. Names are those of Kafka's consumer configuration.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    pub client: ClientConfig,
    /// `auto.offset.reset`
    pub out_of_range: OutOfRange,
    /// `isolation.level`
    pub isolation: Isolation,
    /// `fetch.max.wait.ms`: how long a broker may hold a fetch that finds too little.
    pub fetch_wait_max: Duration,
    /// `fetch.min.bytes`
    pub fetch_bytes_min: i32,
    /// `fetch.max.bytes`
    pub fetch_bytes_max: i32,
    /// `max.partition.fetch.bytes`
    pub partition_bytes_max: i32,
}

impl ConsumerConfig {
    pub fn new(client: ClientConfig) -> ConsumerConfig {
        ConsumerConfig {
            client,
            out_of_range: OutOfRange::Earliest,
            isolation: Isolation::ReadCommitted,
            fetch_wait_max: Duration::from_millis(500),
            fetch_bytes_min: 1,
            fetch_bytes_max: 50 << 20,
            partition_bytes_max: 1 << 20,
        }
    }
}

/// Records of one partition, in order, none empty; offsets may have holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    pub partition: TopicPartition,
    pub records: Vec<StoredRecord>,
    /// Every record below it is safe from any loss that the cluster promises to survive.
    pub high_watermark: Offset,
}

/// Why a poll has to tell its caller. What other partitions had is kept for the next poll.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConsumeError {
    #[error("{partition} has no offset {}: seek to one that it has", position.0)]
    OutOfRange { partition: TopicPartition, position: Offset },
    /// An unclean election gave up what this consumer had read, from `agreed` on; others may stand there now. It goes on from `agreed`
    /// (KIP-320).
    #[error("{partition} was read up to offset {}, and its log holds what was read only below {}: an unclean election gave up the rest", position.0, agreed.0)]
    Truncated { partition: TopicPartition, position: Offset, agreed: Offset },
    #[error("{partition} at offset {}: {error}", position.0)]
    Corrupt { partition: TopicPartition, position: Offset, error: DecodeError },
    #[error("{partition}: {error}")]
    Partition { partition: TopicPartition, error: ClientError },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// An assigned partition.
#[derive(Debug)]
struct Assigned {
    position: Position,
    /// Of the last record before `position` that was read; NONE if none was.
    last_epoch: LeaderEpoch,
    /// An offset that a leader did not have: it is gone on from there all the same if another leader has it.
    lost: Option<Offset>,
    /// The follower that its leader named to read from, and until when that holds (KIP-392).
    reader: Option<(BrokerId, Time)>,
    /// The leader is to serve it until then: a follower did not.
    by_leader_until: Time,
    /// No attempt before this.
    retry_at: Time,
}

impl Assigned {
    fn at(position: Position) -> Assigned {
        Assigned {
            position,
            last_epoch: LeaderEpoch::NONE,
            lost: None,
            reader: None,
            by_leader_until: Time::ZERO,
            retry_at: Time::ZERO,
        }
    }

    /// What is to be looked up before it can be fetched.
    fn sought(&self) -> Option<Sought> {
        let word = match self.position {
            Position::Offset(_) => return None,
            word => word,
        };
        Some(Sought { word, lost: self.lost })
    }
}

/// A position that is to be looked up, and the offset that was lost for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sought {
    word: Position,
    lost: Option<Offset>,
}

/// Reads records. Everything that it has under way ends when it is dropped.
pub struct Consumer<H: Host> {
    host: H,
    config: ConsumerConfig,
    cluster: Cluster<H>,
    assigned: BTreeMap<TopicPartition, Assigned>,
    links: BTreeMap<Endpoint, Link<H>>,
    /// They outlive connections, so that the next ends what the last has left with its leader.
    sessions: BTreeMap<Endpoint, Session>,
    errands: Errands<H>,
    /// Found, and not yet given to the caller.
    found: Vec<Result<Polled, ConsumeError>>,
    backoff: Backoff,
    refresh_needed: bool,
    refresh_at: Time,
}

impl<H: Host> Consumer<H> {
    pub fn new(host: H, config: ConsumerConfig) -> Consumer<H> {
        let cluster = Cluster::new(host.clone(), config.client.clone());
        Consumer {
            host,
            config,
            backoff: cluster.backoff(),
            cluster,
            assigned: BTreeMap::new(),
            links: BTreeMap::new(),
            sessions: BTreeMap::new(),
            errands: Errands::default(),
            found: Vec::new(),
            refresh_needed: false,
            refresh_at: Time::ZERO,
        }
    }

    /// Reads these partitions and no others. One that was assigned before and is again begins anew where it is told to.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = (TopicPartition, Position)>) {
        self.assigned =
            partitions.into_iter().map(|(partition, position)| (partition, Assigned::at(position))).collect();
        self.found.clear();
    }

    /// Goes on from another place in an assigned partition. False if it is not assigned.
    pub fn seek(&mut self, partition: &TopicPartition, position: Position) -> bool {
        let Some(assigned) = self.assigned.get_mut(partition) else { return false };
        *assigned = Assigned::at(position);
        self.found.retain(|found| !matches!(found, Ok(polled) if polled.partition == *partition));
        true
    }

    /// The offset that the next record of an assigned partition has at least; none before a position in words was looked up.
    pub fn position(&self, partition: &TopicPartition) -> Option<Offset> {
        match self.assigned.get(partition)?.position {
            Position::Offset(offset) => Some(offset),
            Position::Earliest | Position::Latest | Position::Time(_) => None,
        }
    }

    /// What is assigned, in order.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.assigned.keys()
    }

    /// Waits until any partition has records, but no longer than `wait_max`; what it gives counts as read. Brokers that are
    /// away and leaders that move are waited for in silence. May be cancelled without loss.
    ///
    /// # Errors
    /// See [`ConsumeError`]; the consumer goes on at the next poll.
    pub async fn poll(&mut self, wait_max: Duration) -> Result<Vec<Polled>, ConsumeError> {
        let deadline = self.host.now() + wait_max;
        loop {
            if !self.found.is_empty() {
                return self.give();
            }
            self.advance(deadline).await;
            if self.found.is_empty() && deadline <= self.host.now() {
                return Ok(Vec::new());
            }
        }
    }

    /// Hands out what was found up to the first error, or the error itself if it comes first.
    fn give(&mut self) -> Result<Vec<Polled>, ConsumeError> {
        if matches!(self.found.first(), Some(Err(_))) {
            return self.found.remove(0).map(|polled| vec![polled]);
        }
        let good = self.found.iter().take_while(|found| found.is_ok()).count();
        self.found.drain(..good).collect()
    }

    /// No attempt on `partition` for a while, new metadata before the next, and that at the leader.
    fn pause(&mut self, partition: &TopicPartition) {
        let pause = self.backoff.next(self.host.entropy());
        self.refresh_needed = true;
        if let Some(assigned) = self.assigned.get_mut(partition) {
            let now = self.host.now();
            assigned.retry_at = now + pause;
            if assigned.reader.take().is_some() {
                model::reached!("a consumer went back from a follower to the leader");
                assigned.by_leader_until = now + 2 * self.config.client.retry_backoff_max;
            }
        }
    }
}
