//! DescribeProducers: who writes to a partition, as this replica's log tells it (KIP-664).

use std::sync::Arc;

use host::Host;
use model::{PartitionId, Producers, TopicId};
use protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, WireProducerId};
use protocol::{ErrorCode, Response};

use crate::node::Node;

/// There are no transactions, and so no coordinators.
const NONE: i32 = -1;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: DescribeProducersRequest) -> Response {
    let topics = request.topics.into_iter().map(|topic| {
        let id = node.applied.borrow().topic_ids.get(topic.name.as_str()).copied();
        let partitions = topic.partition_indexes.iter().map(|&index| one(node, id, index)).collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    Response::DescribeProducers(DescribeProducersResponse::default().with_topics(topics.collect()))
}

fn one<H: Host>(node: &Arc<Node<H>>, topic: Option<TopicId>, index: i32) -> PartitionResponse {
    let answer = PartitionResponse::default().with_partition_index(index);
    let refused = |code: ErrorCode| answer.clone().with_error_code(code.code());
    let Some(id) = topic.map(|topic| PartitionId { topic, index }) else {
        return refused(ErrorCode::UnknownTopicOrPartition);
    };
    match node.held(id) {
        Ok(partition) => answer.with_active_producers(states(&partition.producers())),
        Err(code) => refused(code),
    }
}

fn states(producers: &Producers) -> Vec<ProducerState> {
    let state = |(id, producer): (model::ProducerId, &model::Producer)| {
        ProducerState::default()
            .with_producer_id(WireProducerId(id.0))
            .with_producer_epoch(i32::from(producer.epoch))
            .with_last_sequence(producer.batches.back().map_or(NONE, |last| last.last_sequence))
            .with_last_timestamp(producer.last_timestamp.0)
            .with_coordinator_epoch(NONE)
            .with_current_txn_start_offset(NONE.into())
    };
    producers.iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use model::{Offset, ProducerId, ProducerStamp, Timestamp};

    use super::*;

    #[test]
    fn a_producer_is_told_by_its_last_batch() {
        let mut producers = Producers::default();
        for (at, timestamp) in [(0, 700), (2, 900), (4, 800)] {
            let (first_sequence, timestamp) = (at as i32, Timestamp(timestamp));
            let last_sequence = first_sequence + 1;
            let stamp = ProducerStamp { id: ProducerId(7), epoch: 3, first_sequence, last_sequence, timestamp };
            producers.note(&stamp, Offset(at), Offset(at + 2));
        }
        let state = ProducerState::default()
            .with_producer_id(WireProducerId(7))
            .with_producer_epoch(3)
            .with_last_sequence(5)
            .with_last_timestamp(800)
            .with_coordinator_epoch(-1)
            .with_current_txn_start_offset(-1);
        assert_eq!(states(&producers), [state]);
    }
}
