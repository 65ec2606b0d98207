//! BrokerHeartbeat: to the active controller.

use std::sync::Arc;

use host::Host;
use protocol::messages::BrokerHeartbeatRequest;

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(_node: &Arc<Node<H>>, _request: BrokerHeartbeatRequest) -> Answer {
    Answer::Never
}
