//! AddRaftVoter, RemoveRaftVoter and UpdateRaftVoter (KIP-853): who votes on the metadata changes, one at a time, or where a voter listens. Done by
//! the leader of the quorum, which is the active controller; any other node passes the request on, but for what a voter says of itself.

use std::sync::Arc;

use host::Host;
use model::{BrokerId, Endpoint, LeaderEpoch};
use protocol::messages::update_raft_voter_response::CurrentLeader;
use protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, RequestMessage,
    StrBytes, UpdateRaftVoterRequest, UpdateRaftVoterResponse, directory_id, string,
};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::quorum::{ChangeRefusal, Replica, Voter, VoterChange};

use super::decided::{Undecided, pass_on};
use super::{api_versions, wire_id};
use crate::node::Node;
use crate::own_voter::KRAFT_VERSION;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 0;

pub(crate) fn handle_add<H: Host>(node: &Arc<Node<H>>, request: AddRaftVoterRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let added = match request.listeners.first() {
            Some(listener) => {
                let voter = Voter {
                    id: BrokerId(request.voter_id),
                    directory: directory_id(request.voter_directory_id),
                    endpoint: Endpoint::new(listener.host.as_str(), listener.port),
                };
                add(&node, &request, voter).await
            }
            None => Err(Undecided {
                code: ErrorCode::InvalidRequest.code(),
                message: "say where the new voter listens".into(),
            }),
        };
        let answer = AddRaftVoterResponse::default().with_error_message(None);
        Response::AddRaftVoter(added.map(|passed_on| passed_on.unwrap_or(answer.clone())).unwrap_or_else(|refused| {
            answer.with_error_code(refused.code).with_error_message(Some(string(&refused.message)))
        }))
    })
}

/// The others will look for it where it is said to listen: somebody must.
async fn add<H: Host>(
    node: &Node<H>,
    request: &AddRaftVoterRequest,
    voter: Voter,
) -> Result<Option<AddRaftVoterResponse>, Undecided> {
    if api_versions::leads(node)
        && let Err(error) = api_versions::ask(node, &voter.endpoint).await
    {
        let Voter { id, endpoint, .. } = &voter;
        return Err(Undecided {
            code: ErrorCode::RequestTimedOut.code(),
            message: format!("nobody answers at {endpoint} ({error}): start node {id}, or say where else it listens"),
        });
    }
    change(node, request.cluster_id.as_ref(), request, VoterChange::Add(voter)).await
}

pub(crate) fn handle_remove<H: Host>(node: &Arc<Node<H>>, request: RemoveRaftVoterRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let (id, directory) = (BrokerId(request.voter_id), directory_id(request.voter_directory_id));
        let removal = VoterChange::Remove(Replica { id, directory });
        let removed = change(&node, request.cluster_id.as_ref(), &request, removal).await;
        let answer = RemoveRaftVoterResponse::default().with_error_message(None);
        Response::RemoveRaftVoter(removed.map(|passed_on| passed_on.unwrap_or(answer.clone())).unwrap_or_else(
            |refused| answer.with_error_code(refused.code).with_error_message(Some(string(&refused.message))),
        ))
    })
}

/// A voter that came back elsewhere says where, to whom it takes for the leader.
pub(crate) fn handle_update<H: Host>(node: &Arc<Node<H>>, request: UpdateRaftVoterRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let epoch = node.metadata.epoch();
        let (leader, at) = node.metadata.leader().unzip();
        let current = CurrentLeader::default()
            .with_leader_id(wire_id(leader))
            .with_leader_epoch(epoch.0)
            .with_host(string(at.as_ref().map_or("", |at| at.host.as_str())))
            .with_port(at.as_ref().map_or(-1, |at| i32::from(at.port)));
        let code = match updated(&node, &request, epoch).await {
            Ok(()) => NO_ERROR,
            Err(code) => code,
        };
        let answer = UpdateRaftVoterResponse::default().with_error_code(code).with_current_leader(current);
        Response::UpdateRaftVoter(answer)
    })
}

async fn updated<H: Host>(node: &Node<H>, request: &UpdateRaftVoterRequest, epoch: LeaderEpoch) -> Result<(), i16> {
    if request.cluster_id.as_ref().is_some_and(|asked| asked.as_str() != node.cluster_id.0) {
        return Err(ErrorCode::InconsistentClusterId.code());
    }
    if request.current_leader_epoch < epoch.0 {
        return Err(ErrorCode::FencedLeaderEpoch.code());
    }
    if epoch.0 < request.current_leader_epoch {
        return Err(ErrorCode::UnknownLeaderEpoch.code());
    }
    let versions = &request.k_raft_version_feature;
    if !(versions.min_supported_version..=versions.max_supported_version).contains(&KRAFT_VERSION) {
        return Err(ErrorCode::InvalidRequest.code());
    }
    let listener = request.listeners.first().ok_or(ErrorCode::InvalidRequest.code())?;
    let voter = Voter {
        id: BrokerId(request.voter_id),
        directory: directory_id(request.voter_directory_id),
        endpoint: Endpoint::new(listener.host.as_str(), listener.port),
    };
    match node.metadata.change_voters(VoterChange::Update(voter)).await {
        Ok(()) => Ok(()),
        Err(ChangeRefusal::NotLeader) => Err(ErrorCode::NotLeaderOrFollower.code()),
        Err(refusal) => Err(refused(refusal).code),
    }
}

/// None once the change is committed; the answer of whoever leads, if that is another node.
async fn change<H: Host, R: RequestMessage + Sync>(
    node: &Node<H>,
    cluster_id: Option<&StrBytes>,
    request: &R,
    change: VoterChange,
) -> Result<Option<R::Response>, Undecided> {
    if cluster_id.is_some_and(|asked| asked.as_str() != node.cluster_id.0) {
        let message = format!("this is cluster {}", node.cluster_id);
        return Err(Undecided { code: ErrorCode::InconsistentClusterId.code(), message });
    }
    match node.metadata.change_voters(change).await {
        Ok(()) => Ok(None),
        Err(ChangeRefusal::NotLeader) => pass_on(node, VERSION, request).await.map(Some),
        Err(refusal) => Err(refused(refusal)),
    }
}

fn refused(refusal: ChangeRefusal) -> Undecided {
    let (code, message) = match refusal {
        ChangeRefusal::NotLeader => (ErrorCode::NotController, "another node leads the quorum"),
        ChangeRefusal::TooEarly => (
            ErrorCode::RequestTimedOut,
            "the controller has just been elected and has committed nothing yet: try again",
        ),
        ChangeRefusal::Pending => {
            (ErrorCode::RequestTimedOut, "another change of the voters is not committed yet: try again")
        }
        ChangeRefusal::AlreadyVotes => (ErrorCode::DuplicateVoter, "a node of this id votes already"),
        ChangeRefusal::DoesNotVote => (ErrorCode::VoterNotFound, "no such node votes"),
        ChangeRefusal::LagsBehind => (
            ErrorCode::RequestTimedOut,
            "the node does not follow the metadata, or has not caught up: start it, with the same cluster.id, and try again",
        ),
        ChangeRefusal::NoController => (
            ErrorCode::InvalidRequest,
            "the node is a broker and nothing else: give it process.roles = \"broker,controller\" and start it again",
        ),
        ChangeRefusal::BelowLevel => (
            ErrorCode::UnsupportedVersion,
            "metadata.version is below 2, which changes of the voters need: when every node runs this release, raise it with broker features upgrade",
        ),
        ChangeRefusal::LastVoter => (ErrorCode::InvalidRequest, "it is the last voter: add another one first"),
        ChangeRefusal::NoMajority => (
            ErrorCode::RequestTimedOut,
            "of the voters that there would be, no majority is there: start those that are down, or remove them first",
        ),
        ChangeRefusal::InDoubt => {
            (ErrorCode::RequestTimedOut, "the controller changed before it was committed: look whether it was done")
        }
    };
    Undecided { code: code.code(), message: message.into() }
}
