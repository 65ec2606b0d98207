//! BrokerRegistration: a broker's process makes itself known to the active controller (KIP-631).

use std::sync::Arc;

use host::Host;
use model::{BrokerEpoch, BrokerId, Endpoint, MetadataVersion, MetadataVersions};
use protocol::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse, directory_id};
use protocol::{ErrorCode, Response};
use roles::controller::{Command, Refusal, Registrant, Reply};

use super::api_versions::versions;
use crate::errors::submit_code;
use crate::metadata::SubmitError;
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
    let told = request.features.iter().find(|feature| feature.name.as_str() == MetadataVersion::FEATURE);
    let versions = match told {
        Some(told) => versions(told.min_supported_version, told.max_supported_version)
            .ok_or(ErrorCode::InvalidRegistration.code())?,
        None => MetadataVersions::default(),
    };
    let registrant = Registrant {
        broker: BrokerId(request.broker_id.0),
        incarnation: request.incarnation_id.as_u128(),
        endpoint: Endpoint::new(listener.host.to_string(), listener.port),
        rack: request.rack.map(|rack| rack.to_string()),
        versions,
        previous_epoch: Some(BrokerEpoch(request.previous_broker_epoch)).filter(|epoch| 0 <= epoch.0),
        directories: request.log_dirs.into_iter().filter_map(directory_id).collect(),
    };
    match node.metadata.submit(Command::RegisterBroker(registrant)).await {
        Ok(Reply::Registered { epoch }) => Ok(epoch.0),
        Ok(_) => Err(ErrorCode::UnknownServerError.code()),
        Err(error) => {
            if let SubmitError::Refused(Refusal::UnsupportedVersion(why)) = &error {
                tracing::warn!(why, "refused a broker");
            }
            Err(submit_code(&error))
        }
    }
}
