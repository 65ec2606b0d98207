//! A broker's life with its controller: registration, heartbeats, an orderly end (KIP-631).

use std::sync::Arc;
use std::time::Duration;

use host::{Host, buggify};
use model::{BrokerEpoch, Bug, MetadataVersion, MetadataVersions};
use protocol::messages::broker_registration_request::{Feature, Listener};
use protocol::messages::{
    BrokerHeartbeatRequest, BrokerId as WireBrokerId, BrokerRegistrationRequest, Uuid, directory_uuid, string,
};
use protocol::{ErrorCode, NO_ERROR};
use tokio::sync::watch;

use crate::Failure;
use crate::handlers::api_versions::on_the_wire;
use crate::node::Node;

/// What a broker says that has nothing to tell of its log directories, one that has (KIP-858), and one that was left in order (KIP-966).
const REGISTRATION_VERSIONS: [i16; 3] = [1, 2, 3];
/// The same of log directories that were lost.
const HEARTBEAT_VERSIONS: [i16; 2] = [0, 1];
/// How long to wait before asking a controller again that did not answer, or is not one.
const BACKOFF: Duration = Duration::from_millis(50);
/// While fenced or stopping, a broker asks more often: somebody waits for it.
const EAGER_INTERVAL: Duration = Duration::from_millis(100);

/// Where a broker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Fenced,
    /// The controller counts on it: it may lead.
    Serving,
    /// It leads nothing any more.
    MayStop,
}

/// Registers and keeps the session for as long as the node lives. `stopping` turns true when the node wants to end in order.
pub(crate) async fn run<H: Host>(
    node: Arc<Node<H>>,
    standing: watch::Sender<Standing>,
    mut stopping: watch::Receiver<bool>,
) {
    let incarnation = (u128::from(node.host.entropy()) << 64) | u128::from(node.host.entropy());
    loop {
        let epoch = register(&node, incarnation).await;
        *node.broker_epoch.lock() = Some(epoch);
        keep_session(&node, epoch, &standing, &mut stopping).await;
    }
}

async fn register<H: Host>(node: &Node<H>, incarnation: u128) -> BrokerEpoch {
    let advertised = node.config.advertised();
    let listener = Listener::default()
        .with_name(string("PLAINTEXT"))
        .with_host(string(&advertised.host))
        .with_port(advertised.port);
    let known = MetadataVersions::up_to(node.config.metadata_version_max);
    let feature = Feature::default()
        .with_name(string(MetadataVersion::FEATURE))
        .with_min_supported_version(on_the_wire(known.oldest))
        .with_max_supported_version(on_the_wire(known.newest));
    let directories: Vec<Uuid> = node.directories.online_ids().into_iter().map(|id| directory_uuid(Some(id))).collect();
    let previous = node.left_in_order;
    let version = REGISTRATION_VERSIONS[if previous.is_some() { 2 } else { usize::from(!directories.is_empty()) }];
    let request = BrokerRegistrationRequest::default()
        .with_broker_id(WireBrokerId(node.config.node_id.0))
        .with_cluster_id(string(&node.cluster_id.0))
        .with_incarnation_id(Uuid::from_u128(incarnation))
        .with_listeners(vec![listener])
        .with_features(vec![feature])
        .with_rack(node.config.rack.as_deref().map(string))
        .with_log_dirs(directories)
        .with_previous_broker_epoch(previous.map_or(-1, |epoch| epoch.0));
    loop {
        match node.controller.call(version, &request).await {
            Ok(response) if response.error_code == NO_ERROR => return BrokerEpoch(response.broker_epoch),
            Ok(response) if response.error_code == ErrorCode::UnsupportedVersion.code() => {
                node.fail(Failure::Release(format!(
                    "the controller refuses this broker, since it knows metadata.version {known} and the cluster is at another: run a newer release here"
                )));
                std::future::pending().await
            }
            Ok(response) => {
                let error = ErrorCode::try_from_code(response.error_code);
                tracing::debug!(?error, "the controller refused our registration");
                node.controller.forget().await;
            }
            Err(error) => tracing::debug!(%error, "cannot register"),
        }
        node.host.sleep(BACKOFF).await;
    }
}

/// Returns when the registration is not the current one any more.
async fn keep_session<H: Host>(
    node: &Node<H>,
    epoch: BrokerEpoch,
    standing: &watch::Sender<Standing>,
    stopping: &mut watch::Receiver<bool>,
) {
    let mut failures = node.directories.failures();
    loop {
        let wants_to_stop = *stopping.borrow_and_update();
        failures.mark_unchanged();
        let is_silent = node.host.planted().has(Bug::OfflineDirectoryKeepsLeading);
        let lost = if is_silent { Vec::new() } else { node.directories.offline_ids() };
        let lost: Vec<Uuid> = lost.into_iter().map(|id| directory_uuid(Some(id))).collect();
        let version = HEARTBEAT_VERSIONS[usize::from(!lost.is_empty())];
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(WireBrokerId(node.config.node_id.0))
            .with_broker_epoch(epoch.0)
            .with_current_metadata_offset(node.applied.borrow().end.0)
            .with_want_shut_down(wants_to_stop)
            .with_offline_log_dirs(lost);
        let mut interval = BACKOFF;
        match node.controller.call(version, &request).await {
            Ok(response) => match ErrorCode::try_from_code(response.error_code) {
                None => {
                    let now = if response.should_shut_down {
                        Standing::MayStop
                    } else if response.is_fenced {
                        Standing::Fenced
                    } else {
                        Standing::Serving
                    };
                    standing.send_replace(now);
                    let is_settled = now == Standing::Serving && !wants_to_stop;
                    interval = if is_settled { node.config.broker_heartbeat_interval } else { EAGER_INTERVAL };
                }
                Some(ErrorCode::StaleBrokerEpoch | ErrorCode::BrokerIdNotRegistered) => {
                    model::reached!("a broker learned that its registration is void");
                    return;
                }
                Some(error) => {
                    tracing::debug!(?error, "the controller refused our heartbeat");
                    node.controller.forget().await;
                }
            },
            Err(error) => tracing::debug!(%error, "cannot send a heartbeat"),
        }
        if buggify!(node.host, "a heartbeat was sent late") {
            interval *= 3;
        }
        tokio::select! {
            biased;
            changed = stopping.changed(), if !wants_to_stop => if changed.is_err() { return },
            changed = failures.changed() => if changed.is_err() { return },
            () = node.host.sleep(interval) => {}
        }
    }
}
