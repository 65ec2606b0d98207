//! ApiVersions: what we speak, and which features we know and the cluster has (KIP-584).

use client::{CallError, Channel};
use host::Host;
use model::{Endpoint, MetadataVersion, MetadataVersions};
use protocol::messages::api_versions_response::{FinalizedFeatureKey, SupportedFeatureKey};
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, string};
use protocol::{ErrorCode, Response, api_versions_response};

use crate::node::Node;

/// From here on a request says who asks, and an answer tells features.
const FEATURES_VERSION: i16 = 3;

pub(crate) fn handle<H: Host>(node: &Node<H>, version: i16, request: &ApiVersionsRequest) -> Response {
    let newest = node.config.metadata_version_max;
    if version < FEATURES_VERSION {
        return Response::ApiVersions(api_versions_response(newest));
    }
    // KIP-511: a client says who it is in words that fit into metrics.
    if !(is_word(&request.client_software_name) && is_word(&request.client_software_version)) {
        let refused = ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
        return Response::ApiVersions(refused);
    }
    let known = MetadataVersions::up_to(newest);
    let supported = SupportedFeatureKey::default()
        .with_name(string(MetadataVersion::FEATURE))
        .with_min_version(on_the_wire(known.oldest))
        .with_max_version(on_the_wire(known.newest));
    let answer = api_versions_response(newest).with_supported_features(vec![supported]);
    let image = node.image();
    if image.end.0 == 0 {
        // Nobody has told this node what the cluster has.
        return Response::ApiVersions(answer);
    }
    let level = on_the_wire(image.metadata_version());
    let finalized = FinalizedFeatureKey::default()
        .with_name(string(MetadataVersion::FEATURE))
        .with_min_version_level(level)
        .with_max_version_level(level);
    Response::ApiVersions(answer.with_finalized_features_epoch(image.end.0).with_finalized_features(vec![finalized]))
}

/// The metadata that a node says it knows.
pub(super) fn versions_told(answer: &ApiVersionsResponse) -> MetadataVersions {
    let told = answer.supported_features.iter().find(|feature| feature.name.as_str() == MetadataVersion::FEATURE);
    told.and_then(|feature| versions(feature.min_version, feature.max_version)).unwrap_or_default()
}

/// Does this node lead the quorum?
pub(super) fn leads<H: Host>(node: &Node<H>) -> bool {
    node.metadata.leader().is_some_and(|(leader, _)| leader == node.config.node_id)
}

/// Asks the node that listens at `endpoint` what it speaks and knows.
pub(super) async fn ask<H: Host>(node: &Node<H>, endpoint: &Endpoint) -> Result<ApiVersionsResponse, CallError> {
    let (wait_max, client_id) = (node.config.request_timeout, format!("controller-{}", node.config.node_id));
    let request = ApiVersionsRequest::default()
        .with_client_software_name(string("broker"))
        .with_client_software_version(string(env!("CARGO_PKG_VERSION")));
    let mut channel = Channel::connect(&node.host, endpoint, &client_id, wait_max).await?;
    channel.call(FEATURES_VERSION, &request, wait_max).await
}

/// What stands on the wire, if it is a range of levels.
pub(super) fn versions(min: i16, max: i16) -> Option<MetadataVersions> {
    let level = |level: i16| u16::try_from(level).ok().map(MetadataVersion);
    Some(MetadataVersions { oldest: level(min)?, newest: level(max)? })
}

/// A level as the wire says it.
pub(crate) fn on_the_wire(level: MetadataVersion) -> i16 {
    i16::try_from(level.0).unwrap_or(i16::MAX)
}

fn is_word(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
}
