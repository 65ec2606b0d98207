//! AlterPartitionReassignments and ListPartitionReassignments: partitions move to other brokers (KIP-455). Moves are decided by the
//! active controller; any node lists those that it knows of.

use std::sync::Arc;

use host::Host;
use model::BrokerId;
use protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, string, topic_name,
};
use protocol::{NO_ERROR, Response};
use roles::controller::{Command, Image, Reassign, Reassignment, Refusal, Reply, Topic};

use super::decided::{decide, patience, wait_until_applied};
use super::wire_ids;
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 1;

pub(crate) fn handle_alter<H: Host>(
    node: &Arc<Node<H>>,
    version: i16,
    mut request: AlterPartitionReassignmentsRequest,
) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        // Version 0 could not forbid it.
        request.allow_replication_factor_change |= version == 0;
        let partitions = request.topics.iter().flat_map(reassignments).collect();
        let allows_other_factor = request.allow_replication_factor_change;
        let command = Command::Reassign(Reassign { partitions, allows_other_factor });
        let answer = AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(allows_other_factor)
            .with_error_message(None);
        let decided = decide(&node, VERSION, &request, command, |reply| {
            let Reply::Reassigned(results) = reply else { return None };
            let mut results = results.into_iter();
            let topics = request.topics.iter().map(|topic| {
                let outcomes =
                    topic.partitions.iter().map(|asked| Some(outcome(asked.partition_index, results.next()?)));
                let outcomes: Option<Vec<_>> = outcomes.collect();
                Some(ReassignableTopicResponse::default().with_name(topic.name.clone()).with_partitions(outcomes?))
            });
            Some(answer.clone().with_responses(topics.collect::<Option<Vec<_>>>()?))
        });
        let mut response = decided.await.unwrap_or_else(|undecided| {
            answer.clone().with_error_code(undecided.code).with_error_message(Some(string(&undecided.message)))
        });
        if response.error_code == NO_ERROR {
            wait_until_applied(&node, patience(request.timeout_ms), |image| {
                let asked = request.topics.iter().flat_map(reassignments);
                asked.zip(accepted(&response)).all(|(asked, accepted)| !accepted || is_known(image, &asked))
            })
            .await;
        }
        if version == 0 {
            // It has no such field.
            response.allow_replication_factor_change = true;
        }
        Response::AlterPartitionReassignments(response)
    })
}

fn reassignments(topic: &ReassignableTopic) -> impl Iterator<Item = Reassignment> {
    topic.partitions.iter().map(|asked| Reassignment {
        topic: topic.name.to_string(),
        index: asked.partition_index,
        replicas: asked.replicas.as_ref().map(|ids| ids.iter().map(|id| BrokerId(id.0)).collect()),
    })
}

/// Of each partition, whether it was accepted.
fn accepted(response: &AlterPartitionReassignmentsResponse) -> impl Iterator<Item = bool> {
    response.responses.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code == NO_ERROR)
}

/// True once metadata here says what was asked for.
fn is_known(image: &Image, asked: &Reassignment) -> bool {
    let index = usize::try_from(asked.index).unwrap_or(usize::MAX);
    let partition = image.topic_by_name(&asked.topic).and_then(|topic| topic.partitions.get(index));
    partition.is_none_or(|partition| match &asked.replicas {
        Some(target) => partition.replicas.starts_with(target),
        None => !partition.is_moving(),
    })
}

fn outcome(index: i32, result: Result<(), Refusal>) -> ReassignablePartitionResponse {
    let outcome = ReassignablePartitionResponse::default().with_partition_index(index).with_error_message(None);
    match result {
        Ok(()) => outcome,
        Err(refusal) => {
            outcome.with_error_code(controller_code(&refusal)).with_error_message(Some(string(&refusal.to_string())))
        }
    }
}

pub(crate) fn handle_list<H: Host>(node: &Arc<Node<H>>, request: &ListPartitionReassignmentsRequest) -> Response {
    let image = node.image();
    let topics = match &request.topics {
        None => image.topics.values().filter_map(|topic| ongoing(topic, |_index| true)).collect(),
        Some(asked) => {
            let ongoing = asked.iter().filter_map(|asked| {
                let topic = image.topic_by_name(&asked.name)?;
                ongoing(topic, |index| asked.partition_indexes.contains(&index))
            });
            ongoing.collect()
        }
    };
    let response = ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics);
    Response::ListPartitionReassignments(response)
}

/// The partitions of a topic that move, of those that were asked about; none if none does.
fn ongoing(topic: &Topic, is_asked: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let moving = (0..).zip(&topic.partitions).filter(|(index, partition)| is_asked(*index) && partition.is_moving());
    let partitions: Vec<_> = moving
        .map(|(index, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(index)
                .with_replicas(wire_ids(&partition.replicas))
                .with_adding_replicas(wire_ids(&partition.adding))
                .with_removing_replicas(wire_ids(&partition.removing))
        })
        .collect();
    let is_moving = !partitions.is_empty();
    is_moving
        .then(|| OngoingTopicReassignment::default().with_name(topic_name(&topic.name)).with_partitions(partitions))
}
