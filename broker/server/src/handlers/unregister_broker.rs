//! UnregisterBroker: a broker that is not to come back leaves the cluster. Decided by the active controller.

use std::sync::Arc;

use host::Host;
use model::BrokerId;
use protocol::Response;
use protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse, string};
use roles::controller::{Command, Reply};

use super::decided::decide;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 0;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: UnregisterBrokerRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let command = Command::UnregisterBroker(BrokerId(request.broker_id.0));
        let answer = UnregisterBrokerResponse::default().with_error_message(None);
        let decided =
            decide(&node, VERSION, &request, command, |reply| (reply == Reply::Unregistered).then(|| answer.clone()));
        Response::UnregisterBroker(decided.await.unwrap_or_else(|undecided| {
            answer.clone().with_error_code(undecided.code).with_error_message(Some(string(&undecided.message)))
        }))
    })
}
