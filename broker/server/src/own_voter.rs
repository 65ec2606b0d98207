//! A voter that listens elsewhere than the quorum looks for it tells the leader where (UpdateRaftVoter, KIP-853).
//!
//! It moved while it was down, or whoever had it vote named another address. What the cluster's level is says which requests it knows, so the
//! range of `kraft.version` that goes with each is the same for every node that speaks of voters at all.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use host::Host;
use model::{DirectoryId, Endpoint};
use protocol::messages::update_raft_voter_request::{KRaftVersionFeature, Listener};
use protocol::messages::{UpdateRaftVoterRequest, directory_uuid, string};
use protocol::{ErrorCode, NO_ERROR};
use roles::quorum::{ChangeRefusal, Replica, Voter, VoterChange, VoterSet};

use crate::metadata::LISTENER;
use crate::node::Node;

const VERSION: i16 = 0;
/// How long to wait before saying it again.
const PAUSE: Duration = Duration::from_millis(500);
/// Voters are told by records.
pub(crate) const KRAFT_VERSION: i16 = 1;

/// Says where this node listens, whenever the voters of its log have it elsewhere, until they do not.
pub(crate) async fn keep_told<H: Host>(node: &Node<H>, directory: Option<DirectoryId>) -> Infallible {
    let mut voters = node.metadata.watch_voters();
    loop {
        let moved = moved(node, directory, &voters.borrow_and_update());
        match moved {
            Some(voter) => {
                tell(node, voter).await;
                node.host.sleep(PAUSE).await;
            }
            None if voters.changed().await.is_ok() => {}
            None => pending().await, // The node is ending.
        }
    }
}

/// This node as it should stand among the voters, if they have it elsewhere.
fn moved<H: Host>(node: &Node<H>, directory: Option<DirectoryId>, voters: &VoterSet) -> Option<Voter> {
    let id = node.config.node_id;
    let own = own(node);
    let known = voters.get(id).filter(|known| known.is(Replica { id, directory }) && known.endpoint != own)?;
    Some(Voter { endpoint: own, ..known.clone() })
}

/// Where it listens: for a configured voter, where its own file says that voters look for it.
fn own<H: Host>(node: &Node<H>) -> Endpoint {
    let configured = node.config.voters.iter().find(|voter| voter.id == node.config.node_id);
    configured.map_or(node.config.advertised(), |voter| &voter.endpoint).clone()
}

async fn tell<H: Host>(node: &Node<H>, voter: Voter) {
    if !node.image().metadata_version().has_voters() {
        return;
    }
    let at = voter.endpoint.clone();
    let told = match node.metadata.change_voters(VoterChange::Update(voter.clone())).await {
        Err(ChangeRefusal::NotLeader) => tell_leader(node, &voter).await,
        other => other.map_err(|refusal| format!("{refusal:?}")),
    };
    match told {
        Ok(()) => {
            model::reached!("the quorum heard that a voter listens elsewhere");
            tracing::info!(%at, "the quorum knows where this voter listens now");
        }
        Err(why) => tracing::debug!(%at, why, "the quorum does not take note of where this voter listens"),
    }
}

async fn tell_leader<H: Host>(node: &Node<H>, voter: &Voter) -> Result<(), String> {
    let listener = Listener::default()
        .with_name(string(LISTENER))
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
    let answer = node.controller.call(VERSION, &request).await.map_err(|error| error.to_string())?;
    if answer.error_code == NO_ERROR {
        Ok(())
    } else {
        Err(format!("{:?}", ErrorCode::try_from_code(answer.error_code)))
    }
}
