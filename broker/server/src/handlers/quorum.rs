//! The quorum's own requests: Vote, BeginQuorumEpoch, EndQuorumEpoch, FetchSnapshot, and Fetch of the metadata log.

use std::sync::Arc;

use host::Host;
use protocol::Request;

use crate::node::Node;
use crate::router::{Answer, Reply};

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: Request) -> Answer {
    let metadata = node.metadata.clone();
    Answer::Later(Box::pin(async move { metadata.handle(version, request).await.map(Reply::from) }))
}
