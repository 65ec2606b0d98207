//! DescribeQuorum: answered by the leader of the metadata quorum; any other node passes the request on.

use std::sync::Arc;

use host::Host;
use protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, directory_uuid, string};
use protocol::{ErrorCode, Response};

use crate::controller_channel::ControllerError;
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 2;
/// From here on the answer says where the voters listen, and on which disk each replica is.
const NODES_VERSION: i16 = 2;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: DescribeQuorumRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let mut described = match node.metadata.describe(&request).await {
            Some(response) => response,
            None => node.controller.call(VERSION, &request).await.unwrap_or_else(|error| unanswered(&error)),
        };
        if version < NODES_VERSION {
            described.nodes.clear();
            let partitions = described.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            for replica in partitions.flat_map(|each| each.current_voters.iter_mut().chain(&mut each.observers)) {
                replica.replica_directory_id = directory_uuid(None);
            }
        }
        Response::DescribeQuorum(described)
    })
}

fn unanswered(error: &ControllerError) -> DescribeQuorumResponse {
    tracing::debug!(%error, "cannot ask the leader of the quorum");
    let code = match error {
        ControllerError::Unknown | ControllerError::Unreachable(_) => ErrorCode::NotController,
        ControllerError::InDoubt(_) => ErrorCode::RequestTimedOut,
    };
    DescribeQuorumResponse::default().with_error_code(code.code()).with_error_message(Some(string(&error.to_string())))
}
