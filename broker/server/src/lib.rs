//! The shell: sockets and timers in, outputs done.
//!
//! ```text
//!  connection ─▶ router ─▶ handlers/produce ─▶ partition ─▶ roles::replica, storage::Log
//!      ▲                                          │
//!      └───────────── answer ◀── errands (sync) ◀─┘      fetcher ─▶ partition (followers)
//!  metadata: the quorum, the controller, the metadata log    lifecycle: registration, heartbeats
//! ```
//! [`run`] is the whole of a node, in production and in a trial: only its Host differs.
//!
//! Absent from here: decisions (roles make them), the outside world (the Host has it).

mod assignments;
mod cleaner;
mod config;
mod connection;
mod controller_channel;
mod data_directory;
mod directories;
mod errands;
mod errors;
mod fetch_sessions;
mod fetcher;
mod handlers;
mod lifecycle;
mod log_directories;
mod metadata;
mod metrics;
mod node;
mod own_voter;
mod partition;
mod presence;
mod producer_ids;
mod router;
mod throttle;
mod topic_settings;

use std::sync::Arc;
use std::time::Duration;

use host::{Host, Listener, Task, buggify, spawn, timeout};
use model::{Bug, Endpoint, Event};
use roles::controller::Image;
use thiserror::Error;
use tokio::sync::{mpsc, watch};

pub use config::{Config, FlushPolicy, ReplicaSelector, Voter};

/// The table of keys, and what their values may be.
pub mod keys {
    pub use roles::controller::{BROKER_SETTINGS, BrokerSetting, Kind, TOPIC_SETTINGS, TopicSetting, Unit};

    pub use crate::config::keys::{Draft, Key, Roles, Shape, keys};
}
pub use data_directory::DataDirectoryError;

use crate::lifecycle::Standing;
use crate::node::Node;

/// How late something is that a trial makes late: longer than a round trip, shorter than any patience.
const LATE: Duration = Duration::from_millis(300);

/// Why a node did not start, or did not go on.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    DataDirectory(#[from] DataDirectoryError),
    #[error("cannot listen at {endpoint}: {}", explain(.source))]
    Listen { endpoint: Endpoint, source: std::io::Error },
    #[error("cannot open the metadata log: {0}")]
    Metadata(String),
    #[error("a disk failed, and nothing that was written to it since can be trusted: {0}")]
    Storage(String),
    #[error("this release is too old for the cluster: {0}")]
    Release(String),
}

/// Why a node cannot go on.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Disk(String),
    /// The cluster says what this release does not know.
    Release(String),
}

fn explain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "somebody else listens there; stop it, or choose another port".into(),
        std::io::ErrorKind::AddrNotAvailable => "the address is not one of this machine's".into(),
        std::io::ErrorKind::PermissionDenied => "this user may not; choose a port above 1023".into(),
        _ => error.to_string(),
    }
}

/// Runs one node until `stop` resolves, then ends in order: leaders move first. `ready` is called once, when clients are served.
///
/// # Errors
/// If the node cannot start, or a disk failed for good.
pub async fn run<H: Host>(
    mut config: Config,
    host: H,
    stop: impl Future<Output = ()> + Send,
    ready: impl FnOnce(&Endpoint) + Send,
) -> Result<(), StartError> {
    let directories = data_directory::open(&config, &host).await?;
    let listener = listen(&host, &config.listener).await?;
    let metrics_listener = match &config.metrics_listener {
        Some(endpoint) => Some(listen(&host, endpoint).await?),
        None => None,
    };
    take_free_port(&mut config, listener.endpoint());
    let metadata =
        metadata::open(&config, &directories, &host).await.map_err(|error| StartError::Metadata(error.to_string()))?;
    let (errands, errands_to_run) = mpsc::unbounded_channel();
    let node = Arc::new(Node::new(config, &directories, host.clone(), metadata, errands));

    for (_, directory, _) in node.directories.each().filter(|(_, _, failure)| failure.is_some()) {
        node.host.witness(Event::LogDirectoryFailed { directory: directory.into(), replicas: Vec::new() });
    }
    let mut tasks: Vec<Task> = Vec::new();
    tasks.push(spawn(&host, connection::accept(node.clone(), listener)));
    if let Some(listener) = metrics_listener {
        tasks.push(spawn(&host, metrics::serve(node.clone(), listener)));
    }
    tasks.push(spawn(&host, apply_metadata(node.clone())));
    tasks.push(spawn(&host, presence::run(node.clone())));
    let (standing, mut stands) = watch::channel(Standing::Fenced);
    let (stopping, wants_to_stop) = watch::channel(false);
    if node.config.is_broker {
        tasks.push(spawn(&host, errands::run(node.clone(), errands_to_run)));
        tasks.push(spawn(&host, errands::tick(node.clone())));
        tasks.push(spawn(&host, errands::retain(node.clone())));
        tasks.push(spawn(&host, cleaner::run(node.clone())));
        tasks.push(spawn(&host, fetcher::run(node.clone())));
        tasks.push(spawn(&host, lifecycle::run(node.clone(), standing, wants_to_stop)));
        if node.directories.have_ids() {
            tasks.push(spawn(&host, assignments::run(node.clone())));
        }
    } else {
        standing.send_replace(Standing::Serving);
    }

    let mut failed = node.failed.subscribe();
    let mut metadata_failed = node.metadata.failed();
    let end = async {
        let _ = stands.wait_for(|standing| *standing == Standing::Serving).await;
        ready(node.config.advertised());
        stop.await;
        stopping.send_replace(true);
        if node.config.is_broker {
            let may_stop = async {
                tokio::select! {
                    biased;
                    _ = stands.wait_for(|standing| *standing == Standing::MayStop) => {}
                    () = presence::until_no_majority_is_left(&node) => {}
                }
            };
            let _ = timeout(&host, node.config.controlled_shutdown_wait_max, may_stop).await;
        }
        node.metadata.resign().await;
    };
    let failure = tokio::select! {
        biased;
        Ok(failure) = failed.wait_for(Option::is_some) => failure.clone(),
        Ok(failure) = metadata_failed.wait_for(Option::is_some) => failure.clone(),
        never = own_voter::keep_told(&node, directories.metadata_id) => match never {},
        () = end => None,
    };
    for task in tasks {
        task.end().await;
    }
    match failure {
        Some(Failure::Disk(failure)) => Err(StartError::Storage(failure)),
        Some(Failure::Release(failure)) => Err(StartError::Release(failure)),
        None => {
            let metadata_is_safe = node.metadata.close().await;
            node.close(metadata_is_safe).await;
            Ok(())
        }
    }
}

async fn listen<H: Host>(host: &H, endpoint: &Endpoint) -> Result<H::Listener, StartError> {
    host.listen(endpoint).await.map_err(|source| StartError::Listen { endpoint: endpoint.clone(), source })
}

/// Port 0 asks for any free one; everybody must be told which it became.
fn take_free_port(config: &mut Config, bound: Endpoint) {
    for endpoint in std::iter::once(&mut config.listener)
        .chain(&mut config.advertised)
        .chain(config.voters.iter_mut().filter(|voter| voter.id == config.node_id).map(|voter| &mut voter.endpoint))
    {
        if endpoint.port == 0 {
            endpoint.port = bound.port;
        }
    }
}

/// Brings committed metadata to this node's partitions, and then to everybody who asks.
///
/// Partitions hear nothing from before this process registered: until then metadata may still name it leader of an epoch in which
/// it has written, and lost with its page cache, other records at the same offsets.
async fn apply_metadata<H: Host>(node: Arc<Node<H>>) {
    let mut images = node.metadata.images();
    let mut held = Arc::new(Image::default());
    loop {
        let image = images.borrow_and_update().clone();
        let may_lead = node.is_registered_in(&image) || node.host.planted().has(Bug::ResumeOldEpoch);
        if node.config.is_broker && may_lead {
            if buggify!(node.host, "metadata came late to partitions", 0.1) {
                node.host.sleep(LATE).await;
            }
            node.apply(&held, &image).await;
            held = image.clone();
        }
        node.applied.send_replace(image);
        if images.changed().await.is_err() {
            return;
        }
    }
}
