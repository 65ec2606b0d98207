//! OffsetForLeaderEpoch: where an epoch ends in the leader's log. A consumer whose leader changed learns from it whether what it
//! has read is still there (KIP-320).

use std::sync::Arc;

use host::Host;
use model::{LeaderEpoch, PartitionId, TopicId};
use protocol::Response;
use protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::errors::refusal_code;
use crate::node::Node;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: OffsetForLeaderEpochRequest) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let id = node.applied.borrow().topic_ids.get(topic.topic.as_str()).copied();
        let partitions = topic.partitions.iter().map(|asked| one(node, id, asked)).collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    Response::OffsetForLeaderEpoch(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
}

fn one<H: Host>(node: &Arc<Node<H>>, topic: Option<TopicId>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default().with_partition(asked.partition).with_leader_epoch(-1).with_end_offset(-1);
    let id = topic.map(|topic| PartitionId { topic, index: asked.partition });
    let found = match node.held(id) {
        Ok(partition) => partition
            .end_of_epoch(LeaderEpoch(asked.current_leader_epoch), LeaderEpoch(asked.leader_epoch))
            .map_err(refusal_code),
        Err(code) => Err(code.code()),
    };
    match found {
        Ok(Some((epoch, end))) => answer.with_leader_epoch(epoch.0).with_end_offset(end.0),
        // No error: nothing so old is known here.
        Ok(None) => answer,
        Err(code) => answer.with_error_code(code),
    }
}
