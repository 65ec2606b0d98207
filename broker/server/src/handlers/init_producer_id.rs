//! InitProducerId: an idempotent producer begins, and gets an id that nobody else has (KIP-98).

use std::sync::Arc;

use host::Host;
use protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, WireProducerId};
use protocol::{ErrorCode, Response};

use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: InitProducerIdRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        // What a producer of before was called does not matter without transactions: it gets another id.
        let id = match request.transactional_id {
            None => node.producer_ids.next(&node).await,
            Some(_) => Err(ErrorCode::InvalidRequest.code()),
        };
        let answer = InitProducerIdResponse::default();
        Response::InitProducerId(match id {
            Ok(id) => answer.with_producer_id(WireProducerId(id.0)).with_producer_epoch(0),
            Err(code) => answer.with_error_code(code).with_producer_id(WireProducerId(-1)).with_producer_epoch(-1),
        })
    })
}
