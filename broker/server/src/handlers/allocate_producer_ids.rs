//! AllocateProducerIds: a broker asks the active controller for producer ids to hand out (KIP-730).

use std::sync::Arc;

use host::Host;
use model::{BrokerEpoch, BrokerId};
use protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, WireProducerId};
use protocol::{ErrorCode, Response};
use roles::controller::{Command, Reply};

use crate::errors::submit_code;
use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: AllocateProducerIdsRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let command = Command::AllocateProducerIds {
            broker: BrokerId(request.broker_id.0),
            broker_epoch: BrokerEpoch(request.broker_epoch),
        };
        let answer = AllocateProducerIdsResponse::default();
        Response::AllocateProducerIds(match node.metadata.submit(command).await {
            Ok(Reply::ProducerIds { first, count }) => {
                answer.with_producer_id_start(WireProducerId(first.0)).with_producer_id_len(count)
            }
            Ok(_) => answer.with_error_code(ErrorCode::UnknownServerError.code()),
            Err(error) => answer.with_error_code(submit_code(&error)),
        })
    })
}
