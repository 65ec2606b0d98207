//! AssignReplicasToDirs: a broker says in which of its log directories its replicas lie (KIP-858).

use std::sync::Arc;

use host::Host;
use model::{BrokerEpoch, BrokerId, DirectoryId, PartitionId};
use protocol::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use protocol::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, topic_id};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{AssignDirectories, Command, Refusal, Reply};

use crate::errors::{controller_code, submit_code};
use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: AssignReplicasToDirsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let command = Command::AssignDirectories(AssignDirectories {
            broker: BrokerId(request.broker_id.0),
            broker_epoch: BrokerEpoch(request.broker_epoch),
            replicas: replicas(&request),
        });
        let answer = AssignReplicasToDirsResponse::default();
        Response::AssignReplicasToDirs(match node.metadata.submit(command).await {
            Ok(Reply::DirectoriesAssigned(results)) => answer.with_directories(told(&request, &results)),
            Ok(_) => answer.with_error_code(ErrorCode::UnknownServerError.code()),
            Err(error) => answer.with_error_code(submit_code(&error)),
        })
    })
}

fn replicas(request: &AssignReplicasToDirsRequest) -> Vec<(PartitionId, DirectoryId)> {
    let mut replicas = Vec::new();
    for directory in &request.directories {
        for topic in &directory.topics {
            let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
            let ids = indexes.map(|index| PartitionId { topic: topic_id(topic.topic_id), index });
            replicas.extend(ids.map(|id| (id, DirectoryId(directory.id.as_u128()))));
        }
    }
    replicas
}

/// The results in the shape of the request.
fn told(request: &AssignReplicasToDirsRequest, results: &[Result<(), Refusal>]) -> Vec<DirectoryData> {
    let mut codes = results.iter().map(|result| result.as_ref().map_or_else(controller_code, |()| NO_ERROR));
    let directories = request.directories.iter().map(|directory| {
        let topics = directory.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                PartitionData::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(codes.next().unwrap_or(ErrorCode::UnknownServerError.code()))
            });
            TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions.collect())
        });
        DirectoryData::default().with_id(directory.id).with_topics(topics.collect())
    });
    directories.collect()
}
