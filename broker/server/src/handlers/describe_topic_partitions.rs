//! DescribeTopicPartitions: topics page by page, so that no answer grows with the cluster (KIP-966).

use std::sync::Arc;

use host::Host;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, topic_name, uuid};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Image, Partition, check_topic_name};

use super::metadata::offline_replicas;
use super::{wire_id, wire_ids};
use crate::node::Node;

/// Partitions in one answer, whatever the request says (`max.request.partition.size.limit`).
const PARTITIONS_MAX: usize = 2000;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: &DescribeTopicPartitionsRequest) -> Response {
    let image = node.image();
    let mut room = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    let mut names: Vec<&str> = match request.topics.as_slice() {
        [] => image.topic_ids.keys().map(String::as_str).collect(),
        asked => asked.iter().map(|topic| topic.name.as_str()).collect(),
    };
    names.sort_unstable();
    names.dedup();
    let (from, mut first) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), usize::try_from(cursor.partition_index).unwrap_or(0)),
        None => ("", 0),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| from <= *name) {
        if name != from {
            first = 0;
        }
        if room == 0 {
            return Response::DescribeTopicPartitions(response.with_next_cursor(Some(cursor(name, first))));
        }
        let Some(topic) = image.topic_by_name(name) else {
            let is_name = check_topic_name(name).is_ok();
            let error = if is_name { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            let unknown = DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(name)));
            response.topics.push(unknown.with_error_code(error.code()));
            continue;
        };
        let page = topic.partitions.iter().enumerate().skip(first).take(room);
        let described: Vec<_> = page.map(|(index, partition)| describe(&image, index, partition)).collect();
        let end = first + described.len();
        room -= described.len();
        response.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(topic_name(name)))
                .with_topic_id(uuid(topic.id))
                .with_partitions(described),
        );
        if end < topic.partitions.len() {
            return Response::DescribeTopicPartitions(response.with_next_cursor(Some(cursor(name, end))));
        }
    }
    Response::DescribeTopicPartitions(response)
}

fn cursor(topic: &str, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(topic_name(topic))
        .with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
}

fn describe(image: &Image, index: usize, partition: &Partition) -> DescribeTopicPartitionsResponsePartition {
    let error = if partition.leader.is_none() { ErrorCode::LeaderNotAvailable.code() } else { NO_ERROR };
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error)
        .with_partition_index(i32::try_from(index).unwrap_or(i32::MAX))
        .with_leader_id(wire_id(partition.leader))
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(wire_ids(&partition.replicas))
        .with_isr_nodes(wire_ids(&partition.in_sync))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(wire_ids(&offline_replicas(image, partition)))
}
