//! BrokerHeartbeat: a broker keeps its session, asks to be unfenced, or to stop in order (KIP-631).

use std::sync::Arc;

use host::Host;
use model::{BrokerEpoch, BrokerId, Offset};
use protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse, directory_id};
use protocol::{ErrorCode, Response};
use roles::controller::{Command, Heartbeat, Reply};

use crate::errors::submit_code;
use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: BrokerHeartbeatRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let heartbeat = Heartbeat {
            broker: BrokerId(request.broker_id.0),
            epoch: BrokerEpoch(request.broker_epoch),
            metadata_end: Offset(request.current_metadata_offset),
            wants_fence: request.want_fence,
            wants_shut_down: request.want_shut_down,
            offline_directories: request.offline_log_dirs.into_iter().filter_map(directory_id).collect(),
        };
        let answer = BrokerHeartbeatResponse::default().with_is_fenced(true);
        Response::BrokerHeartbeat(match node.metadata.submit(Command::Heartbeat(heartbeat)).await {
            Ok(Reply::Heartbeat(reply)) => answer
                .with_is_caught_up(reply.is_caught_up)
                .with_is_fenced(reply.is_fenced)
                .with_should_shut_down(reply.should_shut_down),
            Ok(_) => answer.with_error_code(ErrorCode::UnknownServerError.code()),
            Err(error) => answer.with_error_code(submit_code(&error)),
        })
    })
}
