//! CreateTopics: decided by the active controller; any other node passes the request on, and answers once it knows the topics itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use model::{BrokerId, TopicId};
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, string, topic_id, topic_name, uuid};
use protocol::{NO_ERROR, Response};
use roles::controller::{Command, CreateTopics, CreatedTopic, NewTopic, Refusal, Reply};

use super::decided::{Undecided, decide, patience, wait_until_applied};
use super::describe_configs::describe_topic;
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 7;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: CreateTopicsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let wait_max = patience(request.timeout_ms);
        let response = create(&node, request).await;
        wait_until_known(&node, &response, wait_max).await;
        Response::CreateTopics(in_version(version, with_settings(&node, response)))
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
    let decided = decide(node, VERSION, &request, command, |reply| match reply {
        Reply::TopicsCreated(created) => {
            let results = created.into_iter().map(|(name, result)| outcome(&name, result));
            Some(CreateTopicsResponse::default().with_topics(results.collect()))
        }
        _ => None,
    });
    decided.await.unwrap_or_else(|undecided| refuse_all(&request, &undecided))
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

fn refuse_all(request: &CreateTopicsRequest, undecided: &Undecided) -> CreateTopicsResponse {
    let refused = |topic: &CreatableTopic| {
        CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_code(undecided.code)
            .with_error_message(Some(string(&undecided.message)))
    };
    CreateTopicsResponse::default().with_topics(request.topics.iter().map(refused).collect())
}

/// The controller has the topics; whoever asks this node next should find them here too, each with its leaders.
async fn wait_until_known<H: Host>(node: &Node<H>, response: &CreateTopicsResponse, wait_max: Duration) {
    let ids: Vec<TopicId> = created(response).map(|topic| topic_id(topic.topic_id)).collect();
    wait_until_applied(node, wait_max, |image| ids.iter().all(|id| image.topics.contains_key(id))).await;
}

fn created(response: &CreateTopicsResponse) -> impl Iterator<Item = &CreatableTopicResult> {
    response.topics.iter().filter(|topic| topic.error_code == NO_ERROR && !topic.topic_id.is_nil())
}

/// Tells of each topic that was made which settings it has (KIP-525).
fn with_settings<H: Host>(node: &Node<H>, mut response: CreateTopicsResponse) -> CreateTopicsResponse {
    let image = node.image();
    for topic in &mut response.topics {
        let Some(known) = image.topics.get(&topic_id(topic.topic_id)) else { continue };
        let settings = describe_topic(&node.config, &image, known).into_iter().map(|setting| {
            CreatableTopicConfigs::default()
                .with_name(setting.name)
                .with_value(setting.value)
                .with_config_source(setting.config_source)
        });
        topic.configs = Some(settings.collect());
    }
    response
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
