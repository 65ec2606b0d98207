//! AlterPartition: a leader proposes in-sync sets to the active controller (KIP-497, KIP-903).

use std::sync::Arc;

use host::Host;
use model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch, PartitionId};
use protocol::messages::alter_partition_request::PartitionData as Asked;
use protocol::messages::alter_partition_response::{PartitionData, TopicData};
use protocol::messages::{AlterPartitionRequest, AlterPartitionResponse, topic_id, uuid};
use protocol::{ErrorCode, Response};
use roles::controller::{AlterPartition, Command, InSyncChange, PartitionState, Refusal, Reply};

use super::{wire_id, wire_ids};
use crate::errors::{controller_code, submit_code};
use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: AlterPartitionRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let partitions = request.topics.iter().flat_map(|topic| {
            let id = topic_id(topic.topic_id);
            topic
                .partitions
                .iter()
                .map(move |asked| change(PartitionId { topic: id, index: asked.partition_index }, asked))
        });
        let command = Command::AlterPartition(AlterPartition {
            broker: BrokerId(request.broker_id.0),
            broker_epoch: BrokerEpoch(request.broker_epoch),
            partitions: partitions.collect(),
        });
        let answer = AlterPartitionResponse::default();
        Response::AlterPartition(match node.metadata.submit(command).await {
            Ok(Reply::PartitionsAltered(altered)) => answer.with_topics(topics(altered)),
            Ok(_) => answer.with_error_code(ErrorCode::UnknownServerError.code()),
            Err(error) => answer.with_error_code(submit_code(&error)),
        })
    })
}

fn change(partition: PartitionId, asked: &Asked) -> InSyncChange {
    let without_epochs = asked.new_isr.iter().map(|id| (BrokerId(id.0), None));
    let with_epochs = asked.new_isr_with_epochs.iter().map(|member| {
        let epoch = Some(BrokerEpoch(member.broker_epoch)).filter(|epoch| 0 <= epoch.0);
        (BrokerId(member.broker_id.0), epoch)
    });
    InSyncChange {
        partition,
        leader_epoch: LeaderEpoch(asked.leader_epoch),
        partition_epoch: PartitionEpoch(asked.partition_epoch),
        in_sync: without_epochs.chain(with_epochs).collect(),
    }
}

fn topics(altered: Vec<(PartitionId, Result<PartitionState, Refusal>)>) -> Vec<TopicData> {
    let mut topics: Vec<TopicData> = Vec::new();
    for (id, result) in altered {
        let answer = PartitionData::default().with_partition_index(id.index);
        let partition = match result {
            Ok(state) => answer
                .with_leader_id(wire_id(state.leader))
                .with_leader_epoch(state.leader_epoch.0)
                .with_isr(wire_ids(&state.in_sync))
                .with_partition_epoch(state.partition_epoch.0),
            Err(refusal) => answer.with_error_code(controller_code(&refusal)),
        };
        match topics.last_mut().filter(|topic| topic.topic_id == uuid(id.topic)) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                topics.push(TopicData::default().with_topic_id(uuid(id.topic)).with_partitions(vec![partition]));
            }
        }
    }
    topics
}
