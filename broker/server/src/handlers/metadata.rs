//! Metadata: which brokers there are, and who leads what.

use std::sync::Arc;
use std::time::Duration;

use host::Host;
use model::BrokerId;
use protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::{MetadataRequest, MetadataResponse, TopicName, string, topic_id, topic_name, uuid};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Image, Partition, Topic, check_topic_name};

use super::{create_topics, wire_id, wire_ids};
use crate::node::Node;
use crate::router::Answer;

/// How long a client is held that comes while the cluster starts, or this broker: told of no brokers, it would not ask again for long; told
/// of what was when this broker went down, it would look for leaders and topics that are others by now.
const START_WAIT_MAX: Duration = Duration::from_secs(5);

/// Told when the answer's turn to leave has come, not when the request is read: behind a produce request that waits for a replica it would
/// name a leader that has fallen meanwhile, to clients that heard of the next one elsewhere.
pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: MetadataRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let is_ready = |image: &Image| has_live_broker(image) && node.knows_the_cluster(image);
        if !is_ready(&node.image()) {
            model::reached!("a client asked a broker that did not know the cluster yet");
            let mut applied = node.applied.subscribe();
            let started = applied.wait_for(|image| is_ready(image));
            let _in_time = host::timeout(&node.host, START_WAIT_MAX, started).await.is_ok();
        }
        answer(&node, version, request)
    })
}

fn has_live_broker(image: &Image) -> bool {
    image.brokers.values().any(|registration| !registration.fenced)
}

fn answer<H: Host>(node: &Arc<Node<H>>, version: i16, request: MetadataRequest) -> Response {
    let image = node.image();
    // Before version 1 there was no null: an empty list asked for everything (KIP-4).
    let all = request.topics.is_none() || (version == 0 && request.topics.as_ref().is_some_and(Vec::is_empty));
    let topics = if all {
        image.topics.values().map(|topic| describe(&image, topic)).collect()
    } else {
        let asked = request.topics.unwrap_or_default();
        let may_create = node.config.auto_create_topics && (version < 4 || request.allow_auto_topic_creation);
        asked
            .into_iter()
            .map(|topic| match topic.name {
                Some(name) => by_name(node, &image, name, may_create),
                None => match image.topics.get(&topic_id(topic.topic_id)) {
                    Some(known) => describe(&image, known),
                    None => MetadataResponseTopic::default()
                        .with_error_code(ErrorCode::UnknownTopicId.code())
                        .with_topic_id(topic.topic_id),
                },
            })
            .collect()
    };
    let brokers = image.brokers.iter().filter(|(_, registration)| !registration.fenced).map(|(id, registration)| {
        MetadataResponseBroker::default()
            .with_node_id(wire_id(Some(*id)))
            .with_host(string(&registration.endpoint.host))
            .with_port(i32::from(registration.endpoint.port))
            .with_rack(registration.rack.as_deref().map(string))
    });
    Response::Metadata(
        MetadataResponse::default()
            .with_brokers(brokers.collect())
            .with_cluster_id(Some(string(&node.cluster_id.0)))
            .with_controller_id(wire_id(some_live_broker(node, &image)))
            .with_topics(topics),
    )
}

/// Whom clients should send administrative requests to: any live broker forwards them, this one with the fewest steps.
pub(super) fn some_live_broker<H: Host>(node: &Node<H>, image: &Image) -> Option<BrokerId> {
    let controller = node.metadata.leader().map(|(id, _)| id);
    let is_live = |id: &BrokerId| image.brokers.get(id).is_some_and(|registration| !registration.fenced);
    controller.filter(is_live).or_else(|| image.brokers.keys().copied().find(is_live))
}

fn by_name<H: Host>(node: &Arc<Node<H>>, image: &Image, name: TopicName, may_create: bool) -> MetadataResponseTopic {
    if let Some(topic) = image.topic_by_name(&name) {
        return describe(image, topic);
    }
    let error = if check_topic_name(&name).is_err() {
        ErrorCode::InvalidTopicException
    } else if !node.knows_the_cluster(image) {
        ErrorCode::LeaderNotAvailable
    } else if may_create {
        create_topics::create_by_default(node, &name);
        ErrorCode::LeaderNotAvailable
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    MetadataResponseTopic::default().with_error_code(error.code()).with_name(Some(name))
}

fn describe(image: &Image, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| describe_partition(image, index, partition));
    MetadataResponseTopic::default()
        .with_name(Some(topic_name(&topic.name)))
        .with_topic_id(uuid(topic.id))
        .with_partitions(partitions.collect())
}

fn describe_partition(image: &Image, index: i32, partition: &Partition) -> MetadataResponsePartition {
    let error = if partition.leader.is_none() { ErrorCode::LeaderNotAvailable.code() } else { NO_ERROR };
    MetadataResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(index)
        .with_leader_id(wire_id(partition.leader))
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(wire_ids(&partition.replicas))
        .with_isr_nodes(wire_ids(&partition.in_sync))
        .with_offline_replicas(wire_ids(&offline_replicas(image, partition)))
}

/// Who holds a replica and is not there, or whose disk that had it is not.
pub(super) fn offline_replicas(image: &Image, partition: &Partition) -> Vec<BrokerId> {
    let is_offline = |id: &BrokerId| {
        let is_gone = image.brokers.get(id).is_none_or(|registration| registration.fenced);
        is_gone || image.is_in_lost_directory(partition, *id)
    };
    partition.replicas.iter().copied().filter(is_offline).collect()
}
