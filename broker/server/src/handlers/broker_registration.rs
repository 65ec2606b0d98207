//! BrokerRegistration: to the active controller.

use std::sync::Arc;

use host::Host;
use protocol::messages::BrokerRegistrationRequest;

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(_node: &Arc<Node<H>>, _request: BrokerRegistrationRequest) -> Answer {
    Answer::Never
}
