//! DescribeCluster: the cluster's identity and its nodes.

use std::sync::Arc;

use host::Host;
use protocol::messages::describe_cluster_response::DescribeClusterBroker;
use protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, string};
use protocol::{ErrorCode, Response};

use super::metadata::some_live_broker;
use super::wire_id;
use crate::node::Node;

/// Endpoint types (KIP-919).
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: &DescribeClusterRequest) -> Response {
    let endpoint_type = if version < 1 { BROKERS } else { request.endpoint_type };
    let answer = DescribeClusterResponse::default()
        .with_cluster_id(string(&node.cluster_id.0))
        .with_cluster_authorized_operations(i32::MIN);
    let image = node.image();
    Response::DescribeCluster(match endpoint_type {
        BROKERS => {
            let is_asked = |fenced: bool| !fenced || request.include_fenced_brokers;
            let brokers = image.brokers.iter().filter(|(_, registration)| is_asked(registration.fenced));
            let describe = |(id, registration): (&model::BrokerId, &roles::controller::Registration)| {
                DescribeClusterBroker::default()
                    .with_broker_id(wire_id(Some(*id)))
                    .with_host(string(&registration.endpoint.host))
                    .with_port(i32::from(registration.endpoint.port))
                    .with_rack(registration.rack.as_deref().map(string))
                    .with_is_fenced(2 <= version && registration.fenced)
            };
            answer
                .with_endpoint_type(BROKERS)
                .with_controller_id(wire_id(some_live_broker(node, &image)))
                .with_brokers(brokers.map(describe).collect())
        }
        CONTROLLERS => {
            let describe = |voter: &roles::quorum::Voter| {
                DescribeClusterBroker::default()
                    .with_broker_id(wire_id(Some(voter.id)))
                    .with_host(string(&voter.endpoint.host))
                    .with_port(i32::from(voter.endpoint.port))
            };
            answer
                .with_endpoint_type(CONTROLLERS)
                .with_controller_id(wire_id(node.metadata.leader().map(|(id, _)| id)))
                .with_brokers(node.metadata.voters().iter().map(describe).collect())
        }
        _ => answer
            .with_error_code(ErrorCode::UnsupportedEndpointType.code())
            .with_error_message(Some(string("endpoint type must be 1 (brokers) or 2 (controllers)")))
            .with_controller_id(wire_id(None)),
    })
}
