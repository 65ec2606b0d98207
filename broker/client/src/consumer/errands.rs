//! What a consumer has under way beside its fetches: metadata, connections, offsets of positions in words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use host::{Host, buggify};
use model::{Endpoint, LeaderEpoch, Offset};

use super::fetch::Link;
use super::positions::{go_on, look_up_once};
use super::{Assigned, ConsumeError, Consumer, Position, Sought};
use crate::node::Node;
use crate::{CallError, ClientError, TopicPartition};

/// How an errand ended.
pub(super) enum Errand<H: Host> {
    /// Whether it helped shows at the next fetch.
    Refreshed,
    Connected(Endpoint, Result<Node<H>, CallError>),
    LookedUp(TopicPartition, Sought, Result<Offset, ClientError>),
}

/// The errands under way, at most one of a kind for one thing.
pub(super) struct Errands<H: Host> {
    running: FuturesUnordered<BoxFuture<'static, Errand<H>>>,
    refreshing: bool,
    connecting: BTreeSet<Endpoint>,
    looking_up: BTreeMap<TopicPartition, Sought>,
}

impl<H: Host> Default for Errands<H> {
    fn default() -> Self {
        Errands {
            running: FuturesUnordered::new(),
            refreshing: false,
            connecting: BTreeSet::new(),
            looking_up: BTreeMap::new(),
        }
    }
}

impl<H: Host> Errands<H> {
    pub(super) fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// The next one that ends; none if none is under way. May be cancelled without loss.
    pub(super) async fn next(&mut self) -> Option<Errand<H>> {
        let errand = self.running.next().await?;
        match &errand {
            Errand::Refreshed => self.refreshing = false,
            Errand::Connected(endpoint, _) => {
                self.connecting.remove(endpoint);
            }
            Errand::LookedUp(partition, sought, _) => {
                if self.looking_up.get(partition) == Some(sought) {
                    self.looking_up.remove(partition);
                }
            }
        }
        Some(errand)
    }
}

impl<H: Host> Consumer<H> {
    pub(super) fn start_refresh(&mut self) {
        if buggify!(self.host, "a consumer asked for metadata without need", 0.05) {
            self.refresh_needed = true;
        }
        if !self.refresh_needed || self.errands.refreshing || self.host.now() < self.refresh_at {
            return;
        }
        let mut topics: Vec<Arc<str>> = self.assigned.keys().map(|partition| Arc::clone(&partition.topic)).collect();
        topics.dedup();
        let cluster = self.cluster.clone();
        self.errands.refreshing = true;
        let refresh = async move {
            let _ = cluster.refresh(Some(&topics)).await;
            Errand::Refreshed
        };
        self.errands.running.push(refresh.boxed());
    }

    pub(super) fn start_connection(&mut self, endpoint: Endpoint) {
        if !self.errands.connecting.insert(endpoint.clone()) {
            return;
        }
        let cluster = self.cluster.clone();
        let connect = async move {
            let node = cluster.connect(&endpoint).await;
            Errand::Connected(endpoint, node)
        };
        self.errands.running.push(connect.boxed());
    }

    /// Looks up every assigned position that is a word.
    pub(super) fn start_look_ups(&mut self) {
        let now = self.host.now();
        for (partition, assigned) in &self.assigned {
            let Some(sought) = assigned.sought() else { continue };
            if now < assigned.retry_at || self.errands.looking_up.get(partition) == Some(&sought) {
                continue;
            }
            let (cluster, isolation, partition) = (self.cluster.clone(), self.config.isolation, partition.clone());
            self.errands.looking_up.insert(partition.clone(), sought);
            let look_up = async move {
                let found = match sought {
                    Sought { word, lost: None } => look_up_once(&cluster, isolation, &partition, word).await,
                    Sought { word, lost: Some(lost) } => go_on(&cluster, isolation, &partition, lost, word).await,
                };
                Errand::LookedUp(partition, sought, found)
            };
            self.errands.running.push(look_up.boxed());
        }
    }

    pub(super) fn finish(&mut self, errand: Errand<H>) {
        match errand {
            Errand::Refreshed => {
                self.refresh_needed = false;
                self.refresh_at = self.host.now() + self.config.client.retry_backoff;
            }
            Errand::Connected(endpoint, Ok(node)) => {
                self.links.insert(endpoint, Link::new(node));
            }
            Errand::Connected(endpoint, Err(_unreachable)) => {
                let is_read_there = |(partition, assigned): &(&TopicPartition, &Assigned)| {
                    self.source(partition, assigned).is_some_and(|source| source.endpoint == endpoint)
                };
                let partitions: Vec<_> =
                    self.assigned.iter().filter(is_read_there).map(|(partition, _)| partition.clone()).collect();
                partitions.iter().for_each(|partition| self.pause(partition));
            }
            Errand::LookedUp(partition, sought, found) => self.place(&partition, sought, found),
        }
    }

    fn place(&mut self, partition: &TopicPartition, asked: Sought, found: Result<Offset, ClientError>) {
        // Somebody may have sought elsewhere, or given the partition up, meanwhile.
        let is_wanted = |assigned: &&mut Assigned| assigned.sought() == Some(asked);
        let Some(assigned) = self.assigned.get_mut(partition).filter(is_wanted) else { return };
        match found {
            Ok(offset) => {
                if assigned.lost != Some(offset) {
                    assigned.last_epoch = LeaderEpoch::NONE;
                }
                (assigned.position, assigned.lost) = (Position::Offset(offset), None);
            }
            Err(error) => {
                if !error.is_retriable() {
                    self.found.push(Err(ConsumeError::Partition { partition: partition.clone(), error }));
                }
                self.pause(partition);
            }
        }
    }
}
