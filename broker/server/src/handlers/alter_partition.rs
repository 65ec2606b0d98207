//! AlterPartition: to the active controller.

use std::sync::Arc;

use host::Host;
use protocol::messages::AlterPartitionRequest;

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(_node: &Arc<Node<H>>, _request: AlterPartitionRequest) -> Answer {
    Answer::Never
}
