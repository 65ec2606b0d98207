//! This node's part in the metadata quorum: the shell around the quorum and controller roles.
//!
//! [`Metadata`] is what the rest of the server holds; one task owns everything (see `task`), one more task speaks with each other member of the quorum.
//! A node that is no voter has the same task: its quorum role only ever follows.

mod active;
mod applied;
mod describe;
mod log;
mod peers;
mod snapshot;
mod snapshots;
mod state_file;
mod task;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use host::{Host, Task, spawn, timeout};
use model::{BrokerId, Endpoint, Event, LeaderEpoch, Offset, PartitionId};
use protocol::messages::{
    BeginQuorumEpochResponse, DescribeQuorumRequest, DescribeQuorumResponse, EndQuorumEpochResponse, FetchRequest,
    FetchResponse, FetchSnapshotResponse, StrBytes, VoteResponse, string,
};
use protocol::{ErrorCode, Request, Response};
use roles::controller::{Command, Image, LeaderImbalance, Refusal, Reply, Settings};
use roles::quorum::{self, ChangeRefusal, Positions, Quorum, Recovered, VoterChange, VoterHistory, VoterSet};
use storage::StorageError;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

use self::log::{MetadataLog, ReadError};
use self::peers::Peers;
use self::snapshots::Snapshots;
use self::task::{Call, Leadership, MetadataTask, Parts};
use self::wire::Answered;
pub(crate) use self::wire::LISTENER;
use crate::Failure;
use crate::config::{Config, FlushPolicy};
use crate::data_directory::DataDirectories;

/// Calls that wait for the task; more callers wait to be let in.
const CALLS_MAX: usize = 1024;

/// Why a command has no reply.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// This node is not the active controller: nothing was done.
    NotController,
    /// Nothing was done.
    Refused(Refusal),
    /// Leadership was lost, or time ran out, before the decision was committed: it may still be.
    InDoubt,
}

/// Why a node cannot take part in the metadata.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the quorum's state in {path} cannot be read: {source}")]
    State { path: String, source: std::io::Error },
    #[error(
        "the quorum's state in {path} is damaged ({reason}): this node cannot know how it voted; if the other controllers are well, \
         empty this one's data directory and start it again"
    )]
    StateDamaged { path: String, reason: String },
    #[error(
        "the metadata log in {directory} begins at {start}, and no whole snapshot stands for what lies below: if the other controllers are \
         well, empty this one's data directory and start it again"
    )]
    SnapshotMissing { directory: String, start: Offset },
    #[error("this release is too old for its snapshot of the metadata: {0}")]
    SnapshotTooNew(String),
}

pub(crate) struct Metadata<H: Host> {
    host: H,
    cluster_id: StrBytes,
    voters: watch::Receiver<VoterSet>,
    request_timeout: Duration,
    calls: mpsc::Sender<Call>,
    images: watch::Receiver<Arc<Image>>,
    leadership: watch::Receiver<Leadership>,
    failed: watch::Receiver<Option<Failure>>,
    _task: Arc<Task>,
}

impl<H: Host> Clone for Metadata<H> {
    fn clone(&self) -> Self {
        Metadata {
            host: self.host.clone(),
            cluster_id: self.cluster_id.clone(),
            voters: self.voters.clone(),
            request_timeout: self.request_timeout,
            calls: self.calls.clone(),
            images: self.images.clone(),
            leadership: self.leadership.clone(),
            failed: self.failed.clone(),
            _task: self._task.clone(),
        }
    }
}

impl<H: Host> Metadata<H> {
    /// Committed metadata, applied in order.
    pub(crate) fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// Turns to a reason when this node's metadata cannot go on: its disk failed, or its log cannot be understood.
    pub(crate) fn failed(&self) -> watch::Receiver<Option<Failure>> {
        self.failed.clone()
    }

    /// The active controller, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<(BrokerId, Endpoint)> {
        let known = self.leadership.borrow();
        Some((known.leader?, known.leader_at.clone()?))
    }

    /// Who leads the quorum, as it changes.
    pub(crate) fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Who votes on the metadata, by this node's log.
    pub(crate) fn voters(&self) -> VoterSet {
        self.voters.borrow().clone()
    }

    /// The same, as it changes.
    pub(crate) fn watch_voters(&self) -> watch::Receiver<VoterSet> {
        self.voters.clone()
    }

    /// The quorum's epoch, as far as this node knows.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.leadership.borrow().epoch
    }

    /// Waits until a controller other than `id` is known.
    pub(crate) async fn leader_other_than(&self, id: BrokerId) {
        let mut leadership = self.leadership.clone();
        if leadership.wait_for(|known| known.leader.is_some_and(|leader| leader != id)).await.is_err() {
            std::future::pending().await // The node is ending.
        }
    }

    /// Does this Fetch ask for the metadata log?
    pub(crate) fn is_metadata_fetch(&self, version: i16, request: &FetchRequest) -> bool {
        wire::is_metadata_fetch(version, request)
    }

    /// Has the active controller, if it is this node, decide about `command`; answers once the decision is committed.
    pub(crate) async fn submit(&self, command: Command) -> Result<Reply, SubmitError> {
        let (submitter, answer) = oneshot::channel();
        let call = Call::Submit { command, submitter: Some(submitter) };
        if self.calls.send(call).await.is_err() {
            return Err(SubmitError::NotController);
        }
        match timeout(&self.host, self.request_timeout, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(SubmitError::InDoubt),
        }
    }

    /// Answers Vote, BeginQuorumEpoch, EndQuorumEpoch, FetchSnapshot and Fetch of the metadata log (a long poll). None if this node is ending,
    /// or the request is another.
    pub(crate) async fn handle(&self, version: i16, request: Request) -> Option<Response> {
        Some(match request {
            Request::Vote(vote) => {
                Response::Vote(match self.ask(vote.cluster_id.as_ref(), wire::vote_asked(&vote), None).await? {
                    Ok(answered) => wire::vote_response(&answered, version),
                    Err(code) => VoteResponse::default().with_error_code(code),
                })
            }
            Request::BeginQuorumEpoch(begin) => Response::BeginQuorumEpoch(
                match self.ask(begin.cluster_id.as_ref(), wire::begin_asked(&begin), wire::begins_at(&begin)).await? {
                    Ok(response) => wire::begin_response(&response),
                    Err(code) => BeginQuorumEpochResponse::default().with_error_code(code),
                },
            ),
            Request::EndQuorumEpoch(end) => {
                Response::EndQuorumEpoch(match self.ask(end.cluster_id.as_ref(), wire::end_asked(&end), None).await? {
                    Ok(response) => wire::end_response(&response),
                    Err(code) => EndQuorumEpochResponse::default().with_error_code(code),
                })
            }
            Request::Fetch(fetch) => Response::Fetch(
                match self.ask(fetch.cluster_id.as_ref(), wire::fetch_asked(version, &fetch), None).await? {
                    Ok(answered) => wire::fetch_response(answered, version),
                    Err(code) => FetchResponse::default().with_error_code(code),
                },
            ),
            Request::FetchSnapshot(fetch) => Response::FetchSnapshot(
                match self.ask(fetch.cluster_id.as_ref(), wire::fetch_snapshot_asked(&fetch), None).await? {
                    Ok(response) => wire::fetch_snapshot_response(response),
                    Err(code) => FetchSnapshotResponse::default().with_error_code(code),
                },
            ),
            _ => return None,
        })
    }

    /// The answer to DescribeQuorum, if this node leads the quorum or the request asks for something else; None if the leader must
    /// be asked.
    pub(crate) async fn describe(&self, request: &DescribeQuorumRequest) -> Option<DescribeQuorumResponse> {
        if !describe::is_of_metadata(request) {
            return Some(describe::unknown(request));
        }
        let (answer, described) = oneshot::channel();
        self.calls.send(Call::Describe { answer }).await.ok()?;
        let (description, now) = described.await.ok()??;
        Some(describe::response(&description, &self.voters.borrow(), now, self.host.wall_clock()))
    }

    /// Has somebody vote, or not, if this node leads the quorum; answers once that is committed.
    pub(crate) async fn change_voters(&self, change: VoterChange) -> Result<(), ChangeRefusal> {
        let (answer, changed) = oneshot::channel();
        if self.calls.send(Call::ChangeVoters { change, answer }).await.is_err() {
            return Err(ChangeRefusal::NotLeader);
        }
        match timeout(&self.host, self.request_timeout, changed).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(ChangeRefusal::InDoubt),
        }
    }

    /// Puts a peer's request to the quorum. `Some(Err)` is an error of the whole request; None means that this node is ending.
    async fn ask(
        &self,
        cluster_id: Option<&StrBytes>,
        request: Option<quorum::Request>,
        leader_at: Option<Endpoint>,
    ) -> Option<Result<Answered, i16>> {
        if cluster_id.is_some_and(|asked| *asked != self.cluster_id) {
            return Some(Err(ErrorCode::InconsistentClusterId.code()));
        }
        let Some(request) = request else {
            return Some(Err(ErrorCode::InvalidRequest.code()));
        };
        let (answer, answered) = oneshot::channel();
        self.calls.send(Call::Ask { request, leader_at, answer }).await.ok()?;
        answered.await.ok().map(Ok)
    }

    /// Ends for good, with a log that the next start need not check. False if nobody can tell what is safe of it.
    pub(crate) async fn close(&self) -> bool {
        let (done, closed) = oneshot::channel();
        self.calls.send(Call::Close { done }).await.is_ok() && closed.await.is_ok()
    }

    /// Gives up leadership before the node ends; returns when the other voters have heard of it, or soon.
    pub(crate) async fn resign(&self) {
        let (done, heard) = oneshot::channel();
        if self.calls.send(Call::Resign { done }).await.is_ok() {
            // A voter that cannot hear it will notice.
            let _ = timeout(&self.host, self.request_timeout, heard).await;
        }
    }
}

/// Opens the metadata log and takes part in the quorum from now on.
pub(crate) async fn open<H: Host>(
    config: &Config,
    directories: &DataDirectories,
    host: &H,
) -> Result<Metadata<H>, OpenError> {
    let (mut log, recovery) = MetadataLog::open(host, config).await?;
    let (snapshots, loaded) = Snapshots::open(config, host, &mut log).await?;
    log.witness_recovered(recovery);
    let mut image = Image::default();
    if let Some(content) = loaded {
        applied::replace(host, &mut image, content.image);
    }
    let state_path = state_file::path(config.metadata_directory());
    let state = state_file::read(host.disk(), &state_path)?;
    let configured = VoterSet::new(config.voters.iter().map(|voter| quorum::Voter {
        id: voter.id,
        directory: None,
        endpoint: voter.endpoint.clone(),
    }));
    let changes = log.voters_from(snapshots.newest_end()).inspect_err(|_| {
        host.witness(Event::StorageFailed { partition: PartitionId::METADATA });
    })?;
    let told = image.voters.as_deref().cloned();
    let recovered = Recovered {
        state,
        log: Positions::recovered(log.start(), log.end(), log.epochs(), snapshots.ids()),
        voters: VoterHistory::recovered(configured.clone(), told, changes),
    };
    let quorum_config = quorum::Config {
        id: config.node_id,
        directory: directories.metadata_id,
        election_timeout: config.quorum_election_timeout,
        fetch_timeout: config.quorum_fetch_timeout,
        planted: host.planted(),
    };
    // What an earlier life promised, and this one finds.
    host.witness(Event::EpochKept { epoch: state.epoch });
    if let Some(candidate) = state.voted_for {
        host.witness(Event::VoteCast { epoch: state.epoch, candidate });
    }
    host.witness(Event::QuorumJoined {
        voters: recovered.voters.current().ids().collect(),
        fetch_timeout_ms: u64::try_from(config.quorum_fetch_timeout.as_millis()).unwrap_or(u64::MAX),
    });
    let quorum = Quorum::new(quorum_config, recovered, host.now(), host.entropy());

    let cluster_id = string(&directories.cluster_id.0);
    // No request of the quorum is worth more than a follower's whole patience.
    let patience = config.quorum_fetch_timeout.min(config.request_timeout);
    let newest = config.metadata_version_max;
    let (mut peers, answers) = Peers::new(host, config.node_id, newest, cluster_id.clone(), patience);
    peers.speak(image.metadata_version());
    for voter in configured.iter().chain(quorum.voters().iter()) {
        peers.reach(voter.id, &voter.endpoint);
    }
    let own = configured.get(config.node_id).map_or(config.advertised(), |voter| &voter.endpoint).clone();
    let (voters, voters_seen) = watch::channel(quorum.voters().clone());
    let (images, images_seen) = watch::channel(Arc::new(image.clone()));
    let leader = quorum.leader();
    let leader_at = leader.and_then(|leader| peers.endpoint(leader).cloned());
    let (leadership, leadership_seen) = watch::channel(Leadership { leader, leader_at, epoch: quorum.epoch() });
    let (failed, failed_seen) = watch::channel(None);
    let (calls, called) = mpsc::channel(CALLS_MAX);
    let settings = Settings {
        default_partitions: config.default_partitions,
        default_replication_factor: config.default_replication_factor,
        session_timeout: config.broker_session_timeout,
        answers_after_sync: config.flush_policy == FlushPolicy::Commit,
        topic_defaults: config.topic_defaults.clone(),
        leader_imbalance: config.auto_leader_rebalance.then_some(LeaderImbalance {
            check_interval: config.leader_imbalance_check_interval,
            percentage_max: config.leader_imbalance_percentage,
        }),
        metadata_version_max: newest,
        planted: host.planted(),
    };
    let task = MetadataTask::new(Parts {
        host: host.clone(),
        node_id: config.node_id,
        settings,
        state_path,
        state,
        quorum,
        log,
        snapshots,
        image,
        peers,
        own,
        configured,
        voters,
        images,
        leadership,
    });
    Ok(Metadata {
        host: host.clone(),
        cluster_id,
        voters: voters_seen,
        request_timeout: config.request_timeout,
        calls,
        images: images_seen,
        leadership: leadership_seen,
        failed: failed_seen,
        _task: Arc::new(spawn(host, task.run(called, answers, failed))),
    })
}
