//! DeleteTopics: decided by the active controller; any other node passes the request on, and answers once it has given them up itself.

use std::sync::Arc;

use host::Host;
use model::TopicId;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName, Uuid, string, topic_id, topic_name, uuid,
};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Command, Refusal, Reply, TopicReference};

use super::decided::{decide, patience, wait_until_applied};
use crate::errors::controller_code;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 6;

/// A topic as a request names it: by its name, or by its id.
type Named = (Option<TopicName>, Uuid);

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: DeleteTopicsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let (topics, names) = (request.topics.into_iter(), request.topic_names.into_iter());
        let named: Vec<Named> = if version < 6 {
            names.map(|name| (Some(name), Uuid::nil())).collect()
        } else {
            topics.map(|topic| (topic.name, topic.topic_id)).collect()
        };
        let known = node.image();
        let response = delete(&node, &named, request.timeout_ms).await;
        let gone: Vec<TopicId> = response
            .responses
            .iter()
            .filter(|topic| topic.error_code == NO_ERROR)
            .map(|topic| topic_id(topic.topic_id))
            .filter(|id| known.topics.contains_key(id))
            .collect();
        wait_until_applied(&node, patience(request.timeout_ms), |image| {
            gone.iter().all(|id| !image.topics.contains_key(id))
        })
        .await;
        Response::DeleteTopics(in_version(version, response))
    })
}

async fn delete<H: Host>(node: &Node<H>, named: &[Named], timeout_ms: i32) -> DeleteTopicsResponse {
    use protocol::messages::delete_topics_request::DeleteTopicState;

    let is_named_once = |(name, id): &Named| name.is_some() == id.is_nil();
    let reference = |(name, id): &Named| match name {
        Some(name) => TopicReference::Name(name.to_string()),
        None => TopicReference::Id(topic_id(*id)),
    };
    let command = Command::DeleteTopics(named.iter().filter(|named| is_named_once(named)).map(reference).collect());
    let state = |(name, id): &Named| DeleteTopicState::default().with_name(name.clone()).with_topic_id(*id);
    let request =
        DeleteTopicsRequest::default().with_topics(named.iter().map(state).collect()).with_timeout_ms(timeout_ms);
    let decided = decide(node, VERSION, &request, command, |reply| {
        let Reply::TopicsDeleted(results) = reply else { return None };
        let mut results = results.into_iter();
        let outcomes = named.iter().map(|each| {
            if !is_named_once(each) {
                let why = "name a topic by its name or by its id, and not by both".into();
                return Some(outcome(each, Err(Refusal::InvalidRequest(why))));
            }
            Some(outcome(each, results.next()?))
        });
        Some(DeleteTopicsResponse::default().with_responses(outcomes.collect::<Option<Vec<_>>>()?))
    });
    decided.await.unwrap_or_else(|undecided| {
        let refused = |(name, id): &Named| {
            DeletableTopicResult::default()
                .with_name(name.clone())
                .with_topic_id(*id)
                .with_error_code(undecided.code)
                .with_error_message(Some(string(&undecided.message)))
        };
        DeleteTopicsResponse::default().with_responses(named.iter().map(refused).collect())
    })
}

fn outcome((name, id): &Named, result: Result<(TopicId, String), Refusal>) -> DeletableTopicResult {
    match result {
        Ok((id, name)) => DeletableTopicResult::default().with_name(Some(topic_name(&name))).with_topic_id(uuid(id)),
        Err(refusal) => DeletableTopicResult::default()
            .with_name(name.clone())
            .with_topic_id(*id)
            .with_error_code(controller_code(&refusal))
            .with_error_message(Some(string(&refusal.to_string()))),
    }
}

/// Older versions cannot say everything: they know topics by name alone, and the oldest only codes.
fn in_version(version: i16, mut response: DeleteTopicsResponse) -> DeleteTopicsResponse {
    for topic in &mut response.responses {
        if version < 6 {
            topic.topic_id = Uuid::nil();
            if topic.error_code == ErrorCode::UnknownTopicId.code() {
                topic.error_code = ErrorCode::UnknownTopicOrPartition.code();
            }
        }
        if version < 5 {
            topic.error_message = None;
        }
    }
    response
}
