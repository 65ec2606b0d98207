//! The quorum's own requests: Vote, BeginQuorumEpoch, EndQuorumEpoch, DescribeQuorum, and Fetch of the metadata log.

use std::sync::Arc;

use host::Host;
use protocol::Request;

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(_node: &Arc<Node<H>>, _version: i16, _request: Request) -> Answer {
    Answer::Never
}
