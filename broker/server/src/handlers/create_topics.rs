//! CreateTopics: decided by the active controller; any other node passes the request on, and answers once it knows the topics itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use model::BrokerId;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::create_topics_response::CreatableTopicResult;
use protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, string, topic_name, uuid};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Command, CreateTopics, CreatedTopic, NewTopic, Refusal, Reply};

use crate::errors::{controller_code, submit_code};
use crate::metadata::SubmitError;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 7;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: CreateTopicsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let wait_max = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
        let response = create(&node, request).await;
        wait_until_known(&node, &response, wait_max).await;
        Response::CreateTopics(in_version(version, response))
    })
}

/// Creates a topic that somebody asked the metadata of (`auto.create.topics.enable`). Whoever asked asks again.
pub(super) fn create_by_default<H: Host>(node: &Arc<Node<H>>, name: &str) {
    let topic =
        CreatableTopic::default().with_name(topic_name(name)).with_num_partitions(-1).with_replication_factor(-1);
    let timeout_ms = i32::try_from(node.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(timeout_ms);
    let creator = node.clone();
    node.host.spawn_detached(async move {
        for refused in create(&creator, request).await.topics.iter().filter(|topic| topic.error_code != NO_ERROR) {
            tracing::debug!(topic = refused.name.as_str(), code = refused.error_code, "cannot create the topic");
        }
    });
}

async fn create<H: Host>(node: &Node<H>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let command = Command::CreateTopics(CreateTopics {
        topics: request.topics.iter().map(new_topic).collect(),
        validate_only: request.validate_only,
    });
    match node.metadata.submit(command).await {
        Ok(Reply::TopicsCreated(created)) => {
            let results = created.into_iter().map(|(name, result)| outcome(&name, result));
            CreateTopicsResponse::default().with_topics(results.collect())
        }
        Ok(_) => refuse_all(&request, ErrorCode::UnknownServerError.code()),
        Err(SubmitError::NotController) => match node.controller.call(VERSION, &request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%error, "cannot pass a request on to the controller");
                refuse_all(&request, ErrorCode::NotController.code())
            }
        },
        Err(error) => refuse_all(&request, submit_code(&error)),
    }
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let brokers = |ids: &[protocol::messages::BrokerId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    let assignments: BTreeMap<i32, Vec<BrokerId>> =
        topic.assignments.iter().map(|each| (each.partition_index, brokers(&each.broker_ids))).collect();
    let config = |each: &protocol::messages::create_topics_request::CreatableTopicConfig| {
        (each.name.to_string(), each.value.as_ref().map(ToString::to_string))
    };
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments,
        configs: topic.configs.iter().map(config).collect(),
    }
}

fn outcome(name: &str, result: Result<CreatedTopic, Refusal>) -> CreatableTopicResult {
    let answer = CreatableTopicResult::default().with_name(topic_name(name));
    match result {
        Ok(created) => answer
            .with_topic_id(created.id.map_or_else(Default::default, uuid))
            .with_num_partitions(created.partitions)
            .with_replication_factor(created.replication_factor)
            .with_configs(Some(Vec::new())),
        Err(refusal) => answer
            .with_error_code(controller_code(&refusal))
            .with_error_message(Some(string(&refusal.to_string())))
            .with_num_partitions(-1)
            .with_replication_factor(-1),
    }
}

fn refuse_all(request: &CreateTopicsRequest, code: i16) -> CreateTopicsResponse {
    let refused =
        |topic: &CreatableTopic| CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(code);
    CreateTopicsResponse::default().with_topics(request.topics.iter().map(refused).collect())
}

/// The controller has the topics; whoever asks this node next should find them here too, each with its leaders.
async fn wait_until_known<H: Host>(node: &Node<H>, response: &CreateTopicsResponse, wait_max: Duration) {
    let mut applied = node.applied.subscribe();
    let names: Vec<&str> = response
        .topics
        .iter()
        .filter(|topic| topic.error_code == NO_ERROR && !topic.topic_id.is_nil())
        .map(|topic| topic.name.as_str())
        .collect();
    let known = applied.wait_for(|image| names.iter().all(|name| image.topic_ids.contains_key(*name)));
    if host::timeout(&node.host, wait_max, known).await.is_err() {
        tracing::debug!("created topics are not known here yet");
    }
}

/// Older versions cannot say everything.
fn in_version(version: i16, mut response: CreateTopicsResponse) -> CreateTopicsResponse {
    if version < 5 {
        for topic in &mut response.topics {
            *topic = CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(topic.error_code)
                .with_error_message(topic.error_message.clone());
        }
    }
    response
}
