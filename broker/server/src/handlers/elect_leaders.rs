//! ElectLeaders: decided by the active controller; any other node passes the request on, and answers once it knows the leaders itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use host::Host;
use protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, string, topic_name};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Command, ElectLeaders, Election, Image, Reply};

use super::decided::{decide, patience, wait_until_applied};
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 2;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: ElectLeadersRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let mut response = match election(request.election_type) {
            Some(election) => elect(&node, &request, election).await,
            None => ElectLeadersResponse::default().with_error_code(ErrorCode::InvalidRequest.code()),
        };
        let elected: Vec<(String, i32)> = elected(&response).collect();
        wait_until_applied(&node, patience(request.timeout_ms), |image| {
            elected.iter().all(|(topic, index)| is_led(image, topic, *index))
        })
        .await;
        if version == 0 {
            // It has no code of its own.
            response.error_code = NO_ERROR;
        }
        Response::ElectLeaders(response)
    })
}

fn election(kind: i8) -> Option<Election> {
    match kind {
        PREFERRED => Some(Election::Preferred),
        UNCLEAN => Some(Election::Unclean),
        _ => None,
    }
}

async fn elect<H: Host>(node: &Node<H>, request: &ElectLeadersRequest, election: Election) -> ElectLeadersResponse {
    let named = request.topic_partitions.as_ref().map(|topics| {
        let partitions =
            topics.iter().flat_map(|asked| asked.partitions.iter().map(|&index| (asked.topic.to_string(), index)));
        partitions.collect()
    });
    let command = Command::ElectLeaders(ElectLeaders { election, partitions: named });
    let decided = decide(node, VERSION, request, command, |reply| {
        let Reply::LeadersElected(results) = reply else { return None };
        let mut topics: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
        for ((topic, index), result) in results {
            let outcome = PartitionResult::default().with_partition_id(index).with_error_message(None);
            topics.entry(topic).or_default().push(match result {
                Ok(()) => outcome,
                Err(refusal) => outcome
                    .with_error_code(controller_code(&refusal))
                    .with_error_message(Some(string(&refusal.to_string()))),
            });
        }
        let result = |(topic, partitions): (String, _)| {
            ReplicaElectionResult::default().with_topic(topic_name(&topic)).with_partition_result(partitions)
        };
        Some(ElectLeadersResponse::default().with_replica_election_results(topics.into_iter().map(result).collect()))
    });
    decided.await.unwrap_or_else(|undecided| ElectLeadersResponse::default().with_error_code(undecided.code))
}

fn elected(response: &ElectLeadersResponse) -> impl Iterator<Item = (String, i32)> {
    response.replica_election_results.iter().flat_map(|topic| {
        let elected = topic.partition_result.iter().filter(|partition| partition.error_code == NO_ERROR);
        elected.map(|partition| (topic.topic.to_string(), partition.partition_id))
    })
}

fn is_led(image: &Image, topic: &str, index: i32) -> bool {
    let partition = image.topic_by_name(topic).and_then(|topic| topic.partitions.get(usize::try_from(index).ok()?));
    partition.is_none_or(|partition| partition.leader.is_some())
}
