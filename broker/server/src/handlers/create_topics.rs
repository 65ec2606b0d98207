//! CreateTopics: decided by the active controller, forwarded by everybody else.

use std::sync::Arc;

use host::Host;
use protocol::messages::CreateTopicsRequest;

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(_node: &Arc<Node<H>>, _version: i16, _request: CreateTopicsRequest) -> Answer {
    Answer::Never
}

pub(super) fn create_by_default<H: Host>(_node: &Arc<Node<H>>, _name: &str) {}

/// Kafka's rule for names.
pub(super) fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 249
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}
