//! Fetch: committed batches to consumers, everything to followers; both may wait for more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{Host, buggify, timeout};
use model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset, PartitionId, Time, TopicId};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use protocol::messages::{FetchRequest, FetchResponse, topic_id};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::replica::{FollowerFetch, Refusal};
use tokio::sync::Notify;

use super::wire_id;
use crate::errors::error_code;
use crate::node::Node;
use crate::partition::{PartitionError, Read};
use crate::router::Answer;

/// Bytes of records in one answer, whatever the request says: what one answer may cost in memory.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Who asks.
#[derive(Clone, Copy)]
enum Fetcher {
    Consumer,
    Follower { replica: BrokerId, broker_epoch: BrokerEpoch },
}

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: FetchRequest) -> Answer {
    if node.metadata.is_metadata_fetch(version, &request) {
        return super::quorum::handle(node, version, protocol::Request::Fetch(request));
    }
    if request.session_id != 0 {
        let refused = FetchResponse::default().with_error_code(ErrorCode::FetchSessionIdNotFound.code());
        return Answer::Now(Response::Fetch(refused));
    }
    let fetcher = fetcher(version, &request);
    let deadline = node.host.now() + Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    // Watch first, then look: a change in between is not missed.
    let changed = Arc::new(Notify::new());
    if 0 < request.max_wait_ms {
        watch(node, version, &request, fetcher, &changed);
    }
    match attempt(node, version, &request, fetcher, deadline) {
        Attempt::Enough(response) => Answer::Now(response),
        Attempt::TooLittle(response) => {
            let waiting = Waiting { node: node.clone(), version, request, fetcher, deadline, changed };
            Answer::later(waiting.until_there_is_enough(response))
        }
    }
}

fn fetcher(version: i16, request: &FetchRequest) -> Fetcher {
    let (replica, epoch) = if version < 15 {
        (request.replica_id.0, -1)
    } else {
        (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
    };
    if replica < 0 {
        Fetcher::Consumer
    } else {
        Fetcher::Follower { replica: BrokerId(replica), broker_epoch: BrokerEpoch(epoch) }
    }
}

/// A fetch that found too little.
struct Waiting<H: Host> {
    node: Arc<Node<H>>,
    version: i16,
    request: FetchRequest,
    fetcher: Fetcher,
    deadline: Time,
    changed: Arc<Notify>,
}

impl<H: Host> Waiting<H> {
    /// Tries again at every change of a partition that was asked for, until there is enough or the time is up.
    async fn until_there_is_enough(self, mut response: Response) -> Response {
        let Waiting { node, version, request, fetcher, deadline, changed } = self;
        loop {
            if buggify!(node.host, "a fetch was answered before there was enough", 0.05) {
                return response;
            }
            let rest = deadline.since(node.host.now());
            if timeout(&node.host, rest, changed.notified()).await.is_err() {
                model::reached!("a fetch waited until its time was up");
                return response;
            }
            watch(&node, version, &request, fetcher, &changed);
            response = match attempt(&node, version, &request, fetcher, deadline) {
                Attempt::Enough(response) => return response,
                Attempt::TooLittle(response) => {
                    model::reached!("a fetch was woken and found too little");
                    response
                }
            };
        }
    }
}

/// Has `changed` called at the next change of any partition that was asked for.
fn watch<H: Host>(node: &Arc<Node<H>>, version: i16, request: &FetchRequest, fetcher: Fetcher, changed: &Arc<Notify>) {
    for topic in &request.topics {
        let Some(id) = resolve(node, version, topic) else { continue };
        for asked in &topic.partitions {
            let Some(partition) = node.partition(PartitionId { topic: id, index: asked.partition }) else { continue };
            match fetcher {
                Fetcher::Consumer => partition.watch_commit(changed),
                Fetcher::Follower { .. } => partition.watch_end(changed),
            }
        }
    }
}

fn resolve<H: Host>(node: &Node<H>, version: i16, topic: &FetchTopic) -> Option<TopicId> {
    let image = node.applied.borrow();
    if version < 13 {
        image.topic_ids.get(topic.topic.as_str()).copied()
    } else {
        Some(topic_id(topic.topic_id)).filter(|id| image.topics.contains_key(id))
    }
}

enum Attempt {
    Enough(Response),
    TooLittle(Response),
}

fn attempt<H: Host>(
    node: &Arc<Node<H>>,
    version: i16,
    request: &FetchRequest,
    fetcher: Fetcher,
    deadline: Time,
) -> Attempt {
    let mut room = usize::try_from(request.max_bytes).unwrap_or(0).min(RESPONSE_BYTES_MAX);
    if buggify!(node.host, "a fetch was answered with one batch") {
        room = room.min(1);
    }
    let (mut found, mut has_news) = (0, false);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let id = resolve(node, version, topic);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let answer = match id {
                Some(topic) => one(node, PartitionId { topic, index: asked.partition }, asked, fetcher, room),
                None if version < 13 => refused(asked, ErrorCode::UnknownTopicOrPartition),
                None => refused(asked, ErrorCode::UnknownTopicId),
            };
            let size = answer.records.as_ref().map_or(0, Bytes::len);
            found += size;
            room = room.saturating_sub(size);
            // Errors and a parting of logs are news that must not wait.
            has_news |= answer.error_code != NO_ERROR || 0 <= answer.diverging_epoch.end_offset;
            partitions.push(answer);
        }
        topics.push(
            FetchableTopicResponse::default()
                .with_topic(topic.topic.clone())
                .with_topic_id(topic.topic_id)
                .with_partitions(partitions),
        );
    }
    let is_enough = usize::try_from(request.min_bytes).unwrap_or(0) <= found;
    let response = Response::Fetch(FetchResponse::default().with_responses(topics));
    if is_enough || has_news || request.topics.is_empty() || deadline <= node.host.now() {
        Attempt::Enough(response)
    } else {
        Attempt::TooLittle(response)
    }
}

fn one<H: Host>(
    node: &Arc<Node<H>>,
    id: PartitionId,
    asked: &FetchPartition,
    fetcher: Fetcher,
    room: usize,
) -> PartitionData {
    let Some(partition) = node.partition(id) else {
        let is_known = node.applied.borrow().partition(id).is_some();
        let code = if is_known { ErrorCode::NotLeaderOrFollower } else { ErrorCode::UnknownTopicOrPartition };
        return refused(asked, code);
    };
    let bytes_max = room.min(usize::try_from(asked.partition_max_bytes).unwrap_or(0));
    let (offset, leader_epoch) = (Offset(asked.fetch_offset), LeaderEpoch(asked.current_leader_epoch));
    let read = match fetcher {
        Fetcher::Consumer => partition.read(leader_epoch, offset, bytes_max),
        Fetcher::Follower { replica, broker_epoch } => {
            let (last_epoch, log_start) = (LeaderEpoch(asked.last_fetched_epoch), Offset(asked.log_start_offset));
            let fetch = FollowerFetch { replica, broker_epoch, leader_epoch, offset, last_epoch, log_start };
            partition.read_for_follower(fetch, bytes_max)
        }
    };
    let answer = PartitionData::default().with_partition_index(asked.partition).with_records(Some(Bytes::new()));
    match read {
        Ok(Read { records, high_watermark, log_start }) => answer
            .with_high_watermark(high_watermark.0)
            .with_last_stable_offset(high_watermark.0)
            .with_log_start_offset(log_start.0)
            .with_records(Some(records)),
        Err(PartitionError::Refused(Refusal::Diverging { epoch, end })) => answer
            .with_high_watermark(partition.high_watermark().0)
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end.0)),
        Err(error) => {
            node.note(id, &error);
            let image = node.applied.borrow();
            let leader = image.partition(id).map(|known| {
                LeaderIdAndEpoch::default()
                    .with_leader_id(wire_id(known.leader))
                    .with_leader_epoch(known.leader_epoch.0)
            });
            // Whoever follows must know where to go on.
            let is_out_of_range = matches!(error, PartitionError::Refused(Refusal::OffsetOutOfRange));
            let log_start = match fetcher {
                Fetcher::Follower { .. } if is_out_of_range => partition.log_start(),
                Fetcher::Follower { .. } | Fetcher::Consumer => Offset(-1),
            };
            answer
                .with_error_code(error_code(&error))
                .with_high_watermark(-1)
                .with_last_stable_offset(-1)
                .with_log_start_offset(log_start.0)
                .with_current_leader(leader.unwrap_or_default())
        }
    }
}

fn refused(asked: &FetchPartition, error: ErrorCode) -> PartitionData {
    PartitionData::default()
        .with_partition_index(asked.partition)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_records(Some(Bytes::new()))
}
