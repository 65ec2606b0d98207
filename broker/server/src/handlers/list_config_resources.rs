//! ListConfigResources: what has settings (KIP-1142). Version 0 asked for client metrics alone, of which there are none.

use std::sync::Arc;

use host::Host;
use protocol::messages::list_config_resources_response::ConfigResource;
use protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse, string};
use protocol::{ErrorCode, Response};

use super::config_resource::{BROKER, TOPIC};
use crate::node::Node;

const CLIENT_METRICS: i8 = 16;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: &ListConfigResourcesRequest) -> Response {
    let image = node.image();
    let answer = ListConfigResourcesResponse::default();
    let types: &[i8] = match (version, request.resource_types.as_slice()) {
        (0, _) => &[CLIENT_METRICS],
        (_, []) => &[TOPIC, BROKER],
        (_, asked) => asked,
    };
    if types.iter().any(|kind| ![TOPIC, BROKER, CLIENT_METRICS].contains(kind)) {
        return Response::ListConfigResources(answer.with_error_code(ErrorCode::UnsupportedVersion.code()));
    }
    let named = |kind: i8, name: &str| {
        let resource = ConfigResource::default().with_resource_name(string(name));
        // Version 0 has no types.
        if version == 0 { resource } else { resource.with_resource_type(kind) }
    };
    let topics = image.topic_ids.keys().map(|name| named(TOPIC, name)).filter(|_| types.contains(&TOPIC));
    let brokers = image.brokers.keys().map(|id| named(BROKER, &id.to_string())).filter(|_| types.contains(&BROKER));
    Response::ListConfigResources(answer.with_config_resources(topics.chain(brokers).collect()))
}
