//! CreatePartitions: decided by the active controller; any other node passes the request on, and answers once it knows them itself.

use std::sync::Arc;

use host::Host;
use model::BrokerId;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, string};
use protocol::{NO_ERROR, Response};
use roles::controller::{Command, CreatePartitions, MorePartitions, Reply};

use super::decided::{decide, patience, wait_until_applied};
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 3;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: CreatePartitionsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let command = Command::CreatePartitions(CreatePartitions {
            topics: request.topics.iter().map(more).collect(),
            validate_only: request.validate_only,
        });
        let decided = decide(&node, VERSION, &request, command, |reply| {
            let Reply::PartitionsCreated(results) = reply else { return None };
            let outcomes = request.topics.iter().zip(results).map(|(topic, result)| {
                let outcome = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
                match result {
                    Ok(()) => outcome,
                    Err(refusal) => outcome
                        .with_error_code(controller_code(&refusal))
                        .with_error_message(Some(string(&refusal.to_string()))),
                }
            });
            Some(CreatePartitionsResponse::default().with_results(outcomes.collect()))
        });
        let response = decided.await.unwrap_or_else(|undecided| {
            let refused = |topic: &CreatePartitionsTopic| {
                CreatePartitionsTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(undecided.code)
                    .with_error_message(Some(string(&undecided.message)))
            };
            CreatePartitionsResponse::default().with_results(request.topics.iter().map(refused).collect())
        });
        if !request.validate_only {
            let made: Vec<_> = response
                .results
                .iter()
                .zip(&request.topics)
                .filter(|(result, _)| result.error_code == NO_ERROR)
                .collect();
            wait_until_applied(&node, patience(request.timeout_ms), |image| {
                made.iter().all(|(_, topic)| {
                    let known = image.topic_by_name(&topic.name).map_or(0, |topic| topic.partitions.len());
                    usize::try_from(topic.count).is_ok_and(|count| count <= known)
                })
            })
            .await;
        }
        Response::CreatePartitions(response)
    })
}

fn more(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let replicas = assignments.iter().map(|each| each.broker_ids.iter().map(|id| BrokerId(id.0)).collect());
        replicas.collect()
    });
    MorePartitions { name: topic.name.to_string(), count: topic.count, assignments }
}
