//! A voter that came back elsewhere tells the leader of the quorum where it listens now (UpdateRaftVoter, KIP-853).

use std::time::Duration;

use host::Host;
use model::{DirectoryId, Endpoint};
use protocol::messages::update_raft_voter_request::{KRaftVersionFeature, Listener};
use protocol::messages::{UpdateRaftVoterRequest, directory_uuid, string};
use protocol::{ErrorCode, NO_ERROR};
use roles::quorum::{ChangeRefusal, Voter, VoterChange};
use std::sync::Arc;

use crate::node::Node;

const VERSION: i16 = 0;
/// How long to wait before saying it again.
const PAUSE: Duration = Duration::from_millis(500);
/// Voters are told by records (KIP-853).
const KRAFT_VERSION: i16 = 1;

/// Where this node is looked for as a voter, if it does not listen there.
pub(crate) fn is_elsewhere<H: Host>(node: &Node<H>) -> bool {
    entry(node).is_some_and(|known| known.endpoint != own(node))
}

/// Says it until the log does.
pub(crate) async fn tell<H: Host>(node: Arc<Node<H>>, directory: Option<DirectoryId>) {
    while let Some(known) = entry(&node).filter(|known| known.endpoint != own(&node)) {
        if node.image().metadata_version().has_voters() {
            let voter = Voter { id: known.id, directory: known.directory.and(directory), endpoint: own(&node) };
            match node.metadata.change_voters(VoterChange::Update(voter.clone())).await {
                Ok(()) => tracing::info!(at = %voter.endpoint, "the quorum knows where this voter listens now"),
                Err(ChangeRefusal::NotLeader) => tell_leader(&node, &voter).await,
                Err(refusal) => tracing::debug!(?refusal, "the quorum does not take note of where this voter listens"),
            }
        }
        node.host.sleep(PAUSE).await;
    }
}

async fn tell_leader<H: Host>(node: &Node<H>, voter: &Voter) {
    let listener = Listener::default()
        .with_name(string("PLAINTEXT"))
        .with_host(string(&voter.endpoint.host))
        .with_port(voter.endpoint.port);
    let versions =
        KRaftVersionFeature::default().with_min_supported_version(0).with_max_supported_version(KRAFT_VERSION);
    let request = UpdateRaftVoterRequest::default()
        .with_cluster_id(Some(string(&node.cluster_id.0)))
        .with_current_leader_epoch(node.metadata.epoch().0)
        .with_voter_id(voter.id.0)
        .with_voter_directory_id(directory_uuid(voter.directory))
        .with_listeners(vec![listener])
        .with_k_raft_version_feature(versions);
    match node.controller.call(VERSION, &request).await {
        Ok(answer) if answer.error_code == NO_ERROR => {
            tracing::info!(at = %voter.endpoint, "the quorum knows where this voter listens now");
        }
        Ok(answer) => {
            let error = ErrorCode::try_from_code(answer.error_code);
            tracing::debug!(?error, "the leader does not take note of where this voter listens");
        }
        Err(error) => tracing::debug!(%error, "cannot tell the leader where this voter listens"),
    }
}

fn entry<H: Host>(node: &Node<H>) -> Option<Voter> {
    node.metadata.voters().get(node.config.node_id).cloned()
}

/// Where it listens: for a configured voter, where its own file says that voters look for it.
fn own<H: Host>(node: &Node<H>) -> Endpoint {
    let configured = node.config.voters.iter().find(|voter| voter.id == node.config.node_id);
    configured.map_or(node.config.advertised(), |voter| &voter.endpoint).clone()
}
