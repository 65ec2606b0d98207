//! Followers' fetching: one task for each leader that this broker follows, over one connection, one fetch at a time.
//!
//! A fetch tells the leader that everything below its offset is safe here, so what came is synced before the next one leaves.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use client::{Ask, CallError, Channel, FetchSession};
use host::{Host, Task, buggify};
use model::{BrokerId, Bug, LeaderEpoch, Offset, PartitionId, Time};
use protocol::ErrorCode;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use protocol::messages::fetch_response::PartitionData;
use protocol::messages::{BrokerId as WireBrokerId, FetchRequest, FetchResponse, topic_id, uuid};
use roles::controller::Image;
use roles::replica::FetchPosition;
use tokio::sync::watch;

use crate::errands;
use crate::node::Node;
use crate::partition::{Errand, Fetched, Partition, PartitionError, Syncing};

/// Fetch with the follower's broker epoch (KIP-903) and topic ids.
const FETCH_VERSION: i16 = 15;
/// How long to wait after a leader could not be reached, and before a partition is asked for again that had an error.
const BACKOFF: Duration = Duration::from_millis(50);
/// How often all partitions are looked at, though nothing tells that any has moved.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What one answer may hold, over all partitions.
const RESPONSE_BYTES_MAX: i32 = 10 << 20;

/// Starts and ends fetchers as leaders come and go.
pub(crate) async fn run<H: Host>(node: Arc<Node<H>>) {
    let mut applied = node.applied.subscribe();
    let mut fetchers: BTreeMap<BrokerId, Task> = BTreeMap::new();
    loop {
        let image = applied.borrow_and_update().clone();
        let own = node.config.node_id;
        let leaders: BTreeSet<BrokerId> = image
            .topics
            .values()
            .flat_map(|topic| &topic.partitions)
            .filter(|partition| partition.replicas.contains(&own))
            .filter_map(|partition| partition.leader)
            .filter(|&leader| leader != own)
            .collect();
        // Who leads nothing any more has nothing to say: what it was asked dies with its fetcher.
        let hears_anybody = node.host.planted().has(Bug::StaleFetchAnswer);
        fetchers.retain(|leader, _| leaders.contains(leader) || hears_anybody);
        for leader in leaders {
            fetchers.entry(leader).or_insert_with(|| host::spawn(&node.host, follow(node.clone(), leader)));
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}

async fn follow<H: Host>(node: Arc<Node<H>>, leader: BrokerId) {
    let mut channel = None;
    let mut session = FetchSession::default();
    // Partitions that had an error, and when each is asked for again.
    let mut delayed: BTreeMap<PartitionId, Time> = BTreeMap::new();
    let mut all = Positions::new(&node, leader);
    loop {
        all.look(&node);
        if all.known.is_empty() {
            channel = None;
            session = FetchSession::default();
            all = Positions::new(&node, leader);
            node.host.sleep(BACKOFF).await;
            continue;
        }
        let now = node.host.now();
        delayed.retain(|_, until| now < *until);
        let held_back = held_back(&node, &all.known);
        let positions = all.without(|id| delayed.contains_key(id) || held_back.contains(id));
        if positions.is_empty() {
            node.host.sleep(BACKOFF).await;
            continue;
        }
        // Who is left out is not to wait for the others.
        let wait_max =
            if delayed.is_empty() && held_back.is_empty() { node.config.replica_fetch_wait_max } else { BACKOFF };
        let request = request(&node, session.ask(&positions), wait_max.min(node.config.replica_fetch_wait_max));
        match fetch(&node, leader, &mut channel, &request).await {
            Ok(response) => {
                if buggify!(node.host, "a fetcher gave up its connection", 0.05) {
                    channel = None;
                }
                if buggify!(node.host, "a fetcher paused before it took an answer", 0.05) {
                    node.host.sleep(BACKOFF).await;
                }
                let error = ErrorCode::try_from_code(response.error_code);
                if !session.answered(error, response.session_id) {
                    continue;
                }
                if error.is_some() {
                    node.host.sleep(BACKOFF).await;
                    continue;
                }
                node.hear(leader);
                let answered = named(&response);
                let failed = take(&node, &positions, response).await;
                drop(positions);
                all.look_at(&node, answered);
                let until = node.host.now() + BACKOFF;
                delayed.extend(failed.into_iter().map(|id| (id, until)));
            }
            Err(error) => {
                tracing::debug!(%leader, %error, "cannot fetch");
                channel = None;
                node.host.sleep(BACKOFF).await;
            }
        }
    }
}

/// Where each partition that follows a leader goes on. Within one epoch of that leader it moves by what the leader answers; whatever else
/// may move it is looked for when metadata has changed, and now and then: to look at ten thousand takes longer than a fetch.
struct Positions {
    leader: BrokerId,
    known: BTreeMap<PartitionId, FetchPosition>,
    /// When all of them were looked at.
    looked_at: Option<Time>,
    applied: watch::Receiver<Arc<Image>>,
}

impl Positions {
    fn new<H: Host>(node: &Node<H>, leader: BrokerId) -> Positions {
        Positions { leader, known: BTreeMap::new(), looked_at: None, applied: node.applied.subscribe() }
    }

    /// Looks at all, if it is time.
    fn look<H: Host>(&mut self, node: &Node<H>) {
        let now = node.host.now();
        let is_new = self.looked_at.is_some_and(|at| now.since(at) < LOOK_INTERVAL);
        if is_new && matches!(self.applied.has_changed(), Ok(false)) {
            return;
        }
        self.applied.mark_unchanged();
        let position = |partition: &Partition<H>| Some((partition.id, partition.fetch_position_at(self.leader)?));
        self.known = node.collect_partitions(position);
        self.looked_at = Some(now);
    }

    /// Looks at these.
    fn look_at<H: Host>(&mut self, node: &Node<H>, answered: Vec<PartitionId>) {
        for id in answered {
            match node.find_in_partition(id, |partition| partition.fetch_position_at(self.leader)) {
                Some(position) => _ = self.known.insert(id, position),
                None => _ = self.known.remove(&id),
            }
        }
    }

    fn without(&self, is_left_out: impl Fn(&PartitionId) -> bool) -> Cow<'_, BTreeMap<PartitionId, FetchPosition>> {
        if !self.known.keys().any(&is_left_out) {
            return Cow::Borrowed(&self.known);
        }
        let left = self.known.iter().filter(|(id, _)| !is_left_out(id));
        Cow::Owned(left.map(|(&id, &position)| (id, position)).collect())
    }
}

/// The partitions that an answer speaks of.
fn named(response: &FetchResponse) -> Vec<PartitionId> {
    let partitions = response.responses.iter().flat_map(|topic| {
        let topic_id = topic_id(topic.topic_id);
        topic.partitions.iter().map(move |data| PartitionId { topic: topic_id, index: data.partition_index })
    });
    partitions.collect()
}

/// Those that a throttle does not let fetch now: they are not in sync, and have had their share.
fn held_back<H: Host>(node: &Node<H>, positions: &BTreeMap<PartitionId, FetchPosition>) -> BTreeSet<PartitionId> {
    if node.throttles.follower.room(node.host.now()) != Some(0) {
        return BTreeSet::new();
    }
    let held_back = positions.keys().copied().filter(|&id| node.partition(id).is_some_and(|one| goes_by(node, &one)));
    let held_back: BTreeSet<PartitionId> = held_back.collect();
    if !held_back.is_empty() {
        model::reached!("a follower that was out of sync held itself back");
    }
    held_back.iter().for_each(|&id| node.held_back(id, node.config.node_id));
    held_back
}

/// Does this replica go by the throttle of what its node fetches?
fn goes_by<H: Host>(node: &Node<H>, partition: &Partition<H>) -> bool {
    partition.throttled().as_follower && node.may_hold_back(partition.id, node.config.node_id)
}

async fn fetch<H: Host>(
    node: &Node<H>,
    leader: BrokerId,
    channel: &mut Option<Channel<H>>,
    request: &FetchRequest,
) -> Result<FetchResponse, CallError> {
    let timeout = node.config.request_timeout;
    let channel = match channel {
        Some(channel) => channel,
        None => {
            let endpoint = node.endpoint(leader).ok_or(CallError::Closed)?;
            let client_id = format!("broker-{}-fetcher", node.config.node_id);
            channel.insert(Channel::connect(&node.host, &endpoint, &client_id, timeout).await?)
        }
    };
    channel.call(FETCH_VERSION, request, node.config.replica_fetch_wait_max + timeout).await
}

fn request<H: Host>(node: &Node<H>, ask: Ask<PartitionId, FetchPosition>, wait_max: Duration) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (id, position) in ask.named {
        let partition = FetchPartition::default()
            .with_partition(id.index)
            .with_current_leader_epoch(position.leader_epoch.0)
            .with_fetch_offset(position.offset.0)
            .with_last_fetched_epoch(position.last_epoch.0)
            .with_log_start_offset(position.log_start.0)
            .with_partition_max_bytes(node.config.replica_fetch_max_bytes);
        match topics.last_mut().filter(|topic| topic.topic_id == uuid(id.topic)) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(FetchTopic::default().with_topic_id(uuid(id.topic)).with_partitions(vec![partition])),
        }
    }
    let forgotten = ask
        .forgotten
        .into_iter()
        .map(|id| ForgottenTopic::default().with_topic_id(uuid(id.topic)).with_partitions(vec![id.index]));
    let broker_epoch = node.broker_epoch.lock().map_or(-1, |epoch| epoch.0);
    let replica =
        ReplicaState::default().with_replica_id(WireBrokerId(node.config.node_id.0)).with_replica_epoch(broker_epoch);
    let mut request = FetchRequest::default();
    request.replica_state = replica;
    request.max_wait_ms = i32::try_from(wait_max.as_millis()).unwrap_or(i32::MAX);
    request.min_bytes = 1;
    request.max_bytes = RESPONSE_BYTES_MAX;
    request.session_id = ask.id;
    request.session_epoch = ask.epoch;
    request.topics = topics;
    request.forgotten_topics_data = forgotten.collect();
    request
}

/// Takes what came and makes it safe. Partitions of which nothing came have nothing new. Gives those that had an error.
async fn take<H: Host>(
    node: &Arc<Node<H>>,
    positions: &BTreeMap<PartitionId, FetchPosition>,
    response: FetchResponse,
) -> Vec<PartitionId> {
    let mut syncs = Syncs { node, running: Vec::new() };
    let mut failed = Vec::new();
    for topic in response.responses {
        for data in topic.partitions {
            let id = PartitionId { topic: topic_id(topic.topic_id), index: data.partition_index };
            let Some(position) = positions.get(&id) else { continue };
            match take_one(node, id, position, data) {
                Ok(syncing) => syncs.running.extend(syncing.map(|syncing| (id, syncing))),
                Err(error) => {
                    tracing::debug!(%id, %error, "cannot follow");
                    node.note(id, &error);
                    failed.push(id);
                }
            }
        }
    }
    poll_fn(|context| syncs.poll(context)).await;
    failed
}

/// The syncs of what came in one answer. A fetcher ends the moment its leader is another; a sync that was begun must be seen to
/// its end even so: it becomes an errand.
struct Syncs<'a, H: Host> {
    node: &'a Arc<Node<H>>,
    running: Vec<(PartitionId, Syncing)>,
}

impl<H: Host> Syncs<'_, H> {
    /// Ready when none runs any more.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.running.retain_mut(|(id, syncing)| {
            let Poll::Ready(result) = syncing.as_mut().poll(context) else { return true };
            if let Some(next) = errands::synced(self.node, *id, result) {
                let _node_stops = self.node.errands.send(Errand::Sync(*id, next));
            }
            false
        });
        if self.running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<H: Host> Drop for Syncs<'_, H> {
    fn drop(&mut self) {
        if !self.node.host.planted().has(Bug::AbandonedSync) {
            for (id, syncing) in self.running.drain(..) {
                model::reached!("a sync outlived the fetcher that began it");
                let _node_stops = self.node.errands.send(Errand::Sync(id, syncing));
            }
        }
    }
}

fn take_one<H: Host>(
    node: &Node<H>,
    id: PartitionId,
    position: &FetchPosition,
    data: PartitionData,
) -> Result<Option<Syncing>, PartitionError> {
    let Some(partition) = node.partition(id) else { return Ok(None) };
    if let Some(error) = ErrorCode::try_from_code(data.error_code) {
        if error == ErrorCode::OffsetOutOfRange && 0 <= data.log_start_offset {
            partition.out_of_range(position.leader_epoch, position.offset, Offset(data.log_start_offset))?;
        }
        tracing::debug!(%id, ?error, leader = %position.leader, "the leader refused the fetch");
        return Err(roles::replica::Refusal::NotLeaderOrFollower.into());
    }
    if 0 <= data.diverging_epoch.end_offset {
        let end = Offset(data.diverging_epoch.end_offset);
        let leader_start = (0 <= data.log_start_offset).then_some(Offset(data.log_start_offset));
        let epoch = LeaderEpoch(data.diverging_epoch.epoch);
        return partition.diverging(position.leader_epoch, epoch, end, leader_start);
    }
    let records = data.records.unwrap_or_default();
    if goes_by(node, &partition) {
        node.throttles.follower.passed(node.host.now(), records.len());
    }
    partition.take_fetched(&Fetched {
        leader_epoch: position.leader_epoch,
        offset: position.offset,
        records,
        leader_high_watermark: Offset(data.high_watermark),
        leader_start: Offset(data.log_start_offset),
    })
}
