//! ListOffsets: where a partition begins and ends, and where it was at a given time.

use std::sync::Arc;

use host::{Host, buggify};
use model::{LeaderEpoch, Offset, PartitionId, Timestamp, TopicId};
use protocol::messages::list_offsets_request::ListOffsetsPartition;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use protocol::{ErrorCode, Response};

use crate::errors::error_code;
use crate::node::Node;
use crate::partition::PartitionError;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The record with the highest timestamp (KIP-734), from version 7.
const MAX_TIMESTAMP: i64 = -3;
/// The earliest on local disks (KIP-405), from version 8: we have no others.
const EARLIEST_LOCAL: i64 = -4;
/// The latest on remote storage (KIP-1005), from version 9: there is none.
const LATEST_TIERED: i64 = -5;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: ListOffsetsRequest) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let id = node.applied.borrow().topic_ids.get(topic.name.as_str()).copied();
        let partitions = topic.partitions.iter().map(|asked| one(node, version, id, asked)).collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    Response::ListOffsets(ListOffsetsResponse::default().with_topics(topics.collect()))
}

fn one<H: Host>(
    node: &Arc<Node<H>>,
    version: i16,
    topic: Option<TopicId>,
    asked: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let answer = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    let refused = |code: i16| answer.clone().with_error_code(code).with_timestamp(-1).with_offset(-1);
    let partition = match node.held(topic.map(|topic| PartitionId { topic, index: asked.partition_index })) {
        Ok(partition) => partition,
        Err(code) => return refused(code.code()),
    };
    if buggify!(node.host, "a leader did not say yet where its partition ends") {
        return refused(ErrorCode::OffsetNotAvailable.code());
    }
    let epoch = LeaderEpoch(asked.current_leader_epoch);
    let found: Result<Option<(Offset, Timestamp, LeaderEpoch)>, PartitionError> = match asked.timestamp {
        LATEST => partition
            .committed_end(epoch)
            .map(|(end, leader_epoch)| Some((end, Timestamp(-1), leader_epoch)))
            .map_err(PartitionError::from),
        EARLIEST | EARLIEST_LOCAL => partition
            .start(epoch)
            .map(|(start, leader_epoch)| Some((start, Timestamp(-1), leader_epoch)))
            .map_err(PartitionError::from),
        MAX_TIMESTAMP => partition.offset_of_latest_time(epoch),
        LATEST_TIERED => Ok(None),
        time if time < 0 => return refused(ErrorCode::UnsupportedVersion.code()),
        time => partition.offset_for_time(epoch, Timestamp(time)),
    };
    match found {
        Ok(Some((offset, timestamp, leader_epoch))) => {
            let answer = answer.with_offset(offset.0).with_timestamp(timestamp.0);
            if version < 4 { answer } else { answer.with_leader_epoch(leader_epoch.0) }
        }
        Ok(None) => answer.with_offset(-1).with_timestamp(-1),
        Err(error) => {
            node.note(partition.id, &error);
            refused(error_code(&error))
        }
    }
}
