//! BrokerRegistration: a broker's process makes itself known to the active controller (KIP-631).

use std::sync::Arc;

use host::Host;
use model::{BrokerId, Endpoint};
use protocol::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};
use protocol::{ErrorCode, Response};
use roles::controller::{Command, Registrant, Reply};

use crate::errors::submit_code;
use crate::node::Node;
use crate::router::Answer;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: BrokerRegistrationRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let answer = BrokerRegistrationResponse::default().with_broker_epoch(-1);
        Response::BrokerRegistration(match register(&node, request).await {
            Ok(epoch) => answer.with_broker_epoch(epoch),
            Err(code) => answer.with_error_code(code),
        })
    })
}

async fn register<H: Host>(node: &Node<H>, request: BrokerRegistrationRequest) -> Result<i64, i16> {
    if request.cluster_id.as_str() != node.cluster_id.0 {
        return Err(ErrorCode::InconsistentClusterId.code());
    }
    let listener = request.listeners.first().ok_or(ErrorCode::InvalidRegistration.code())?;
    let registrant = Registrant {
        broker: BrokerId(request.broker_id.0),
        incarnation: request.incarnation_id.as_u128(),
        endpoint: Endpoint::new(listener.host.to_string(), listener.port),
        rack: request.rack.map(|rack| rack.to_string()),
    };
    match node.metadata.submit(Command::RegisterBroker(registrant)).await {
        Ok(Reply::Registered { epoch }) => Ok(epoch.0),
        Ok(_) => Err(ErrorCode::UnknownServerError.code()),
        Err(error) => Err(submit_code(&error)),
    }
}
