//! The quorum's messages as Kafka's own: Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch of `__cluster_metadata` (KIP-595), FetchSnapshot
//! (KIP-630).

use bytes::Bytes;
use model::{
    BatchError, BatchHeader, BrokerId, DirectoryId, Endpoint, LeaderEpoch, MetadataVersion, Offset, PartitionId,
    SnapshotId, TopicId, batches,
};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use protocol::messages::fetch_response::{EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use protocol::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId as WireBrokerId, EndQuorumEpochRequest,
    EndQuorumEpochResponse, FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse, StrBytes,
    VoteRequest, VoteResponse, begin_quorum_epoch_request, begin_quorum_epoch_response, directory_id, directory_uuid,
    end_quorum_epoch_request, end_quorum_epoch_response, fetch_response, fetch_snapshot_request,
    fetch_snapshot_response, string, topic_id, topic_name, uuid, vote_request, vote_response,
};
use protocol::records::{DecodeError, batch_records};
use protocol::{ErrorCode, NO_ERROR};
use roles::controller::{Record, RecordError};
use roles::quorum::{
    self, BeginEpochRequest, Body, EndEpochRequest, Piece, Refusal, Request, Response, Span, VoterSet,
};
use thiserror::Error;

/// The metadata log's topic, by name.
pub(super) const TOPIC: &str = "__cluster_metadata";
/// Versions that we ask our peers in; at a level at which voters are told apart by their disks (KIP-853), newer ones.
pub(super) const VOTE_VERSION: i16 = 2;
const FETCH_VERSION: i16 = 16;
/// From here on a fetch names topics by id.
const FETCH_BY_ID_VERSION: i16 = 13;
/// From here on answers say where the leader listens.
const VOTE_ENDPOINTS_VERSION: i16 = 1;
const FETCH_ENDPOINTS_VERSION: i16 = 16;
/// From here on a fetch says which directory its sender has.
const FETCH_DIRECTORY_VERSION: i16 = 17;
/// What nodes call the one listener that they have.
pub(crate) const LISTENER: &str = "PLAINTEXT";
/// From here on a fetch tells its sender's state.
const FETCH_REPLICA_STATE_VERSION: i16 = 15;
/// Bytes of metadata that one fetch asks for.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// Why a message of a peer says nothing.
#[derive(Debug, Error)]
pub(super) enum WireError {
    #[error("it speaks of another partition than the metadata log's")]
    NotMetadata,
    #[error("the peer belongs to another cluster")]
    OtherCluster,
    #[error("the peer answers with error {0:?}")]
    Error(Option<ErrorCode>),
    #[error("its snapshot makes no sense")]
    Snapshot,
    #[error("its records are damaged: {0}")]
    Batch(#[from] BatchError),
    #[error("who votes cannot be read: {0}")]
    Voters(#[from] VotersError),
}

/// Why a control batch does not say who votes.
#[derive(Debug, Error)]
pub(crate) enum VotersError {
    #[error(transparent)]
    Batch(#[from] DecodeError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("it is another control record, or names nobody")]
    Other,
}

/// An answer, and where the leader listens that it names: told of one whom the configured voters do not lead to.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) response: Response,
    pub(super) leader_at: Option<Endpoint>,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Answered {
        Answered { response, leader_at: None }
    }
}

/// A request in the words of the wire.
pub(super) enum PeerRequest {
    Vote(VoteRequest),
    BeginEpoch(BeginQuorumEpochRequest),
    EndEpoch(EndQuorumEpochRequest),
    Fetch(FetchRequest),
    FetchSnapshot(FetchSnapshotRequest),
}

/// The version of BeginQuorumEpoch, EndQuorumEpoch and FetchSnapshot that every peer has at this level.
pub(super) fn version_at(level: MetadataVersion) -> i16 {
    i16::from(level.has_voters())
}

/// The version to fetch in.
pub(super) fn fetch_version(request: &FetchRequest) -> i16 {
    let partition = request.topics.first().and_then(|topic| topic.partitions.first());
    let directory = partition.and_then(|partition| directory_id(partition.replica_directory_id));
    if directory.is_some() { FETCH_DIRECTORY_VERSION } else { FETCH_VERSION }
}

/// `leader_at` says where this node listens, if it leads and is not among the configured voters.
pub(super) fn request(
    cluster_id: &StrBytes,
    level: MetadataVersion,
    to: BrokerId,
    request: Request,
    leader_at: Option<&Endpoint>,
) -> PeerRequest {
    let cluster_id = Some(cluster_id.clone());
    let directory = |directory: Option<DirectoryId>| directory.filter(|_| level.has_voters());
    match request {
        Request::Vote(vote) => {
            let partition = vote_request::PartitionData::default()
                .with_partition_index(PartitionId::METADATA.index)
                .with_replica_epoch(vote.epoch.0)
                .with_replica_id(WireBrokerId(vote.candidate.0))
                .with_voter_directory_id(directory_uuid(vote.voter))
                .with_last_offset_epoch(vote.last_epoch.0)
                .with_last_offset(vote.log_end.0)
                .with_pre_vote(vote.pre_vote);
            let topic =
                vote_request::TopicData::default().with_topic_name(topic_name(TOPIC)).with_partitions(vec![partition]);
            let request = VoteRequest::default().with_cluster_id(cluster_id).with_voter_id(WireBrokerId(to.0));
            PeerRequest::Vote(request.with_topics(vec![topic]))
        }
        Request::BeginEpoch(begin) => {
            let partition = begin_quorum_epoch_request::PartitionData::default()
                .with_partition_index(PartitionId::METADATA.index)
                .with_leader_id(WireBrokerId(begin.leader.0))
                .with_leader_epoch(begin.epoch.0);
            let topic = begin_quorum_epoch_request::TopicData::default()
                .with_topic_name(topic_name(TOPIC))
                .with_partitions(vec![partition]);
            let listener = |at: &Endpoint| {
                begin_quorum_epoch_request::LeaderEndpoint::default()
                    .with_name(string(LISTENER))
                    .with_host(string(&at.host))
                    .with_port(at.port)
            };
            let request = BeginQuorumEpochRequest::default()
                .with_cluster_id(cluster_id)
                .with_leader_endpoints(leader_at.map(listener).into_iter().collect());
            PeerRequest::BeginEpoch(request.with_voter_id(WireBrokerId(to.0)).with_topics(vec![topic]))
        }
        Request::EndEpoch(end) => {
            let candidate =
                |id: &BrokerId| end_quorum_epoch_request::ReplicaInfo::default().with_candidate_id(WireBrokerId(id.0));
            let partition = end_quorum_epoch_request::PartitionData::default()
                .with_partition_index(PartitionId::METADATA.index)
                .with_leader_id(WireBrokerId(end.leader.0))
                .with_leader_epoch(end.epoch.0);
            let partition = if level.has_voters() {
                partition.with_preferred_candidates(end.successors.iter().map(candidate).collect())
            } else {
                partition.with_preferred_successors(end.successors.iter().map(|id| id.0).collect())
            };
            let topic = end_quorum_epoch_request::TopicData::default()
                .with_topic_name(topic_name(TOPIC))
                .with_partitions(vec![partition]);
            PeerRequest::EndEpoch(EndQuorumEpochRequest::default().with_cluster_id(cluster_id).with_topics(vec![topic]))
        }
        Request::Fetch(fetch) => {
            let partition = FetchPartition::default()
                .with_partition(PartitionId::METADATA.index)
                .with_current_leader_epoch(fetch.epoch.0)
                .with_fetch_offset(fetch.offset.0)
                .with_last_fetched_epoch(fetch.last_epoch.0)
                .with_replica_directory_id(directory_uuid(directory(fetch.directory)))
                .with_partition_max_bytes(FETCH_BYTES_MAX);
            let topic = FetchTopic::default().with_topic_id(uuid(TopicId::METADATA)).with_partitions(vec![partition]);
            let replica = ReplicaState::default().with_replica_id(WireBrokerId(fetch.replica.0));
            let request = FetchRequest::default().with_cluster_id(cluster_id).with_replica_state(replica);
            PeerRequest::Fetch(request.with_max_bytes(FETCH_BYTES_MAX).with_topics(vec![topic]))
        }
        Request::FetchSnapshot(fetch) => {
            let snapshot = fetch_snapshot_request::SnapshotId::default()
                .with_end_offset(fetch.snapshot.end.0)
                .with_epoch(fetch.snapshot.epoch.0);
            let partition = fetch_snapshot_request::PartitionSnapshot::default()
                .with_partition(PartitionId::METADATA.index)
                .with_current_leader_epoch(fetch.epoch.0)
                .with_replica_directory_id(directory_uuid(directory(fetch.directory)))
                .with_snapshot_id(snapshot)
                .with_position(i64::try_from(fetch.position).unwrap_or(i64::MAX));
            let topic = fetch_snapshot_request::TopicSnapshot::default()
                .with_name(topic_name(TOPIC))
                .with_partitions(vec![partition]);
            let request = FetchSnapshotRequest::default()
                .with_cluster_id(cluster_id)
                .with_replica_id(WireBrokerId(fetch.replica.0))
                .with_max_bytes(FETCH_BYTES_MAX);
            PeerRequest::FetchSnapshot(request.with_topics(vec![topic]))
        }
    }
}

pub(super) fn is_metadata_fetch(version: i16, request: &FetchRequest) -> bool {
    let is_metadata = |topic: &FetchTopic| {
        if version < FETCH_BY_ID_VERSION {
            topic.topic.as_str() == TOPIC
        } else {
            topic_id(topic.topic_id) == TopicId::METADATA
        }
    };
    request.topics.len() == 1 && request.topics.iter().all(is_metadata)
}

pub(super) fn vote_asked(request: &VoteRequest) -> Option<Request> {
    let topic = request.topics.first().filter(|topic| topic.topic_name.as_str() == TOPIC)?;
    let partition = topic.partitions.first().filter(|each| each.partition_index == PartitionId::METADATA.index)?;
    Some(Request::Vote(quorum::VoteRequest {
        epoch: LeaderEpoch(partition.replica_epoch),
        candidate: BrokerId(partition.replica_id.0),
        voter: directory_id(partition.voter_directory_id),
        last_epoch: LeaderEpoch(partition.last_offset_epoch),
        log_end: Offset(partition.last_offset),
        pre_vote: partition.pre_vote,
    }))
}

/// Where the leader listens that begins its epoch, if it says so.
pub(super) fn begins_at(request: &BeginQuorumEpochRequest) -> Option<Endpoint> {
    request.leader_endpoints.first().map(|at| Endpoint::new(at.host.as_str(), at.port))
}

pub(super) fn begin_asked(request: &BeginQuorumEpochRequest) -> Option<Request> {
    let topic = request.topics.first().filter(|topic| topic.topic_name.as_str() == TOPIC)?;
    let partition = topic.partitions.first().filter(|each| each.partition_index == PartitionId::METADATA.index)?;
    let (epoch, leader) = (LeaderEpoch(partition.leader_epoch), BrokerId(partition.leader_id.0));
    Some(Request::BeginEpoch(BeginEpochRequest { epoch, leader }))
}

pub(super) fn end_asked(request: &EndQuorumEpochRequest) -> Option<Request> {
    let topic = request.topics.first().filter(|topic| topic.topic_name.as_str() == TOPIC)?;
    let partition = topic.partitions.first().filter(|each| each.partition_index == PartitionId::METADATA.index)?;
    let candidates = partition.preferred_candidates.iter().map(|each| each.candidate_id.0);
    let successors = candidates.chain(partition.preferred_successors.iter().copied()).map(BrokerId).collect();
    let (epoch, leader) = (LeaderEpoch(partition.leader_epoch), BrokerId(partition.leader_id.0));
    Some(Request::EndEpoch(EndEpochRequest { epoch, leader, successors }))
}

/// None also for a consumer: only replicas read the metadata log.
pub(super) fn fetch_asked(version: i16, request: &FetchRequest) -> Option<Request> {
    let partition = request.topics.first()?.partitions.first()?;
    let replica =
        if version < FETCH_REPLICA_STATE_VERSION { request.replica_id } else { request.replica_state.replica_id };
    if partition.partition != PartitionId::METADATA.index || replica.0 < 0 {
        return None;
    }
    Some(Request::Fetch(quorum::FetchRequest {
        epoch: LeaderEpoch(partition.current_leader_epoch),
        replica: BrokerId(replica.0),
        directory: directory_id(partition.replica_directory_id),
        offset: Offset(partition.fetch_offset),
        last_epoch: LeaderEpoch(partition.last_fetched_epoch),
    }))
}

pub(super) fn fetch_snapshot_asked(request: &FetchSnapshotRequest) -> Option<Request> {
    let topic = request.topics.first().filter(|topic| topic.name.as_str() == TOPIC)?;
    let partition = topic.partitions.first().filter(|each| each.partition == PartitionId::METADATA.index)?;
    Some(Request::FetchSnapshot(quorum::FetchSnapshotRequest {
        epoch: LeaderEpoch(partition.current_leader_epoch),
        replica: BrokerId(request.replica_id.0),
        directory: directory_id(partition.replica_directory_id),
        snapshot: SnapshotId {
            end: Offset(partition.snapshot_id.end_offset),
            epoch: LeaderEpoch(partition.snapshot_id.epoch),
        },
        position: u64::try_from(partition.position).ok()?,
    }))
}

pub(super) fn vote_response(Answered { response, leader_at }: &Answered, version: i16) -> VoteResponse {
    let partition = vote_response::PartitionData::default()
        .with_partition_index(PartitionId::METADATA.index)
        .with_error_code(code(&response.body))
        .with_leader_id(wire_leader(response.leader))
        .with_leader_epoch(response.epoch.0)
        .with_vote_granted(response.body == Body::Vote { granted: true });
    let topic = vote_response::TopicData::default().with_topic_name(topic_name(TOPIC)).with_partitions(vec![partition]);
    let at = |at: &Endpoint| {
        vote_response::NodeEndpoint::default()
            .with_node_id(wire_leader(response.leader))
            .with_host(string(&at.host))
            .with_port(at.port)
    };
    VoteResponse::default()
        .with_topics(vec![topic])
        .with_node_endpoints(leader_at.iter().filter(|_| VOTE_ENDPOINTS_VERSION <= version).map(at).collect())
}

pub(super) fn begin_response(Answered { response, .. }: &Answered) -> BeginQuorumEpochResponse {
    let partition = begin_quorum_epoch_response::PartitionData::default()
        .with_partition_index(PartitionId::METADATA.index)
        .with_error_code(code(&response.body))
        .with_leader_id(wire_leader(response.leader))
        .with_leader_epoch(response.epoch.0);
    let topic = begin_quorum_epoch_response::TopicData::default()
        .with_topic_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    BeginQuorumEpochResponse::default().with_topics(vec![topic])
}

pub(super) fn end_response(Answered { response, .. }: &Answered) -> EndQuorumEpochResponse {
    let partition = end_quorum_epoch_response::PartitionData::default()
        .with_partition_index(PartitionId::METADATA.index)
        .with_error_code(code(&response.body))
        .with_leader_id(wire_leader(response.leader))
        .with_leader_epoch(response.epoch.0);
    let topic = end_quorum_epoch_response::TopicData::default()
        .with_topic_name(topic_name(TOPIC))
        .with_partitions(vec![partition]);
    EndQuorumEpochResponse::default().with_topics(vec![topic])
}

pub(super) fn fetch_response(Answered { response, leader_at }: Answered, version: i16) -> FetchResponse {
    let at = |at: Endpoint| {
        fetch_response::NodeEndpoint::default()
            .with_node_id(wire_leader(response.leader))
            .with_host(string(&at.host))
            .with_port(i32::from(at.port))
    };
    let endpoints = leader_at.filter(|_| FETCH_ENDPOINTS_VERSION <= version).map(at).into_iter().collect();
    let leader =
        LeaderIdAndEpoch::default().with_leader_id(wire_leader(response.leader)).with_leader_epoch(response.epoch.0);
    let answer = PartitionData::default()
        .with_partition_index(PartitionId::METADATA.index)
        .with_error_code(code(&response.body))
        .with_current_leader(leader)
        .with_high_watermark(-1)
        .with_records(Some(Bytes::new()));
    let partition = match response.body {
        Body::Records { high_watermark, records, .. } => {
            answer.with_high_watermark(high_watermark.0).with_records(Some(records))
        }
        Body::Diverging { epoch, end } => {
            answer.with_diverging_epoch(EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end.0))
        }
        Body::Snapshot(snapshot) => answer.with_snapshot_id(
            fetch_response::SnapshotId::default().with_end_offset(snapshot.end.0).with_epoch(snapshot.epoch.0),
        ),
        Body::Vote { .. } | Body::Noted | Body::Piece(_) | Body::Refused(_) => answer,
    };
    let topic = FetchableTopicResponse::default()
        .with_topic(topic_name(TOPIC))
        .with_topic_id(uuid(TopicId::METADATA))
        .with_partitions(vec![partition]);
    FetchResponse::default().with_responses(vec![topic]).with_node_endpoints(endpoints)
}

pub(super) fn fetch_snapshot_response(Answered { response, .. }: Answered) -> FetchSnapshotResponse {
    let leader = fetch_snapshot_response::LeaderIdAndEpoch::default()
        .with_leader_id(wire_leader(response.leader))
        .with_leader_epoch(response.epoch.0);
    let answer = fetch_snapshot_response::PartitionSnapshot::default()
        .with_index(PartitionId::METADATA.index)
        .with_error_code(code(&response.body))
        .with_current_leader(leader);
    let partition = match response.body {
        Body::Piece(Piece { snapshot, size, position, bytes }) => answer
            .with_snapshot_id(
                fetch_snapshot_response::SnapshotId::default()
                    .with_end_offset(snapshot.end.0)
                    .with_epoch(snapshot.epoch.0),
            )
            .with_size(i64::try_from(size).unwrap_or(i64::MAX))
            .with_position(i64::try_from(position).unwrap_or(i64::MAX))
            .with_unaligned_records(bytes),
        Body::Vote { .. }
        | Body::Noted
        | Body::Records { .. }
        | Body::Diverging { .. }
        | Body::Snapshot(_)
        | Body::Refused(_) => answer,
    };
    let topic =
        fetch_snapshot_response::TopicSnapshot::default().with_name(topic_name(TOPIC)).with_partitions(vec![partition]);
    FetchSnapshotResponse::default().with_topics(vec![topic])
}

pub(super) fn vote_answered(answer: &VoteResponse) -> Result<Answered, WireError> {
    whole(answer.error_code)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first()).ok_or(WireError::NotMetadata)?;
    let body = refused(partition.error_code)?.unwrap_or(Body::Vote { granted: partition.vote_granted });
    let at = answer.node_endpoints.iter().find(|at| at.node_id == partition.leader_id);
    let leader_at = at.map(|at| Endpoint::new(at.host.as_str(), at.port));
    Ok(Answered { response: response(partition.leader_epoch, partition.leader_id, body), leader_at })
}

pub(super) fn begin_answered(answer: &BeginQuorumEpochResponse) -> Result<Answered, WireError> {
    whole(answer.error_code)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first()).ok_or(WireError::NotMetadata)?;
    let body = refused(partition.error_code)?.unwrap_or(Body::Noted);
    Ok(response(partition.leader_epoch, partition.leader_id, body).into())
}

pub(super) fn end_answered(answer: &EndQuorumEpochResponse) -> Result<Answered, WireError> {
    whole(answer.error_code)?;
    let partition = answer.topics.first().and_then(|topic| topic.partitions.first()).ok_or(WireError::NotMetadata)?;
    let body = refused(partition.error_code)?.unwrap_or(Body::Noted);
    Ok(response(partition.leader_epoch, partition.leader_id, body).into())
}

/// `newest` is what this program knows of metadata.
pub(super) fn fetch_answered(answer: FetchResponse, newest: MetadataVersion) -> Result<Answered, WireError> {
    whole(answer.error_code)?;
    let endpoints = answer.node_endpoints;
    let partition = answer.responses.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
    let partition = partition.ok_or(WireError::NotMetadata)?;
    let leader = partition.current_leader;
    let body = match refused(partition.error_code)? {
        Some(refused) => refused,
        None if 0 <= partition.diverging_epoch.end_offset => Body::Diverging {
            epoch: LeaderEpoch(partition.diverging_epoch.epoch),
            end: Offset(partition.diverging_epoch.end_offset),
        },
        None if 0 <= partition.snapshot_id.end_offset => Body::Snapshot(SnapshotId {
            end: Offset(partition.snapshot_id.end_offset),
            epoch: LeaderEpoch(partition.snapshot_id.epoch),
        }),
        None => {
            let records = partition.records.unwrap_or_default();
            let spans = verified_spans(&records, newest)?;
            Body::Records { high_watermark: Offset(partition.high_watermark), spans, records }
        }
    };
    let at = endpoints.iter().find(|at| at.node_id == leader.leader_id);
    let leader_at = at.and_then(|at| Some(Endpoint::new(at.host.as_str(), u16::try_from(at.port).ok()?)));
    Ok(Answered { response: response(leader.leader_epoch, leader.leader_id, body), leader_at })
}

pub(super) fn fetch_snapshot_answered(answer: FetchSnapshotResponse) -> Result<Answered, WireError> {
    whole(answer.error_code)?;
    let partition = answer.topics.into_iter().next().and_then(|topic| topic.partitions.into_iter().next());
    let partition = partition.ok_or(WireError::NotMetadata)?;
    let leader = partition.current_leader;
    let body = match refused(partition.error_code)? {
        Some(refused) => refused,
        None => Body::Piece(Piece {
            snapshot: SnapshotId {
                end: Offset(partition.snapshot_id.end_offset),
                epoch: LeaderEpoch(partition.snapshot_id.epoch),
            },
            size: u64::try_from(partition.size).map_err(|_| WireError::Snapshot)?,
            position: u64::try_from(partition.position).map_err(|_| WireError::Snapshot)?,
            bytes: partition.unaligned_records,
        }),
    };
    Ok(response(leader.leader_epoch, leader.leader_id, body).into())
}

/// What each batch of `records` spans, once its checksum is proven.
fn verified_spans(records: &Bytes, newest: MetadataVersion) -> Result<Vec<Span>, WireError> {
    let verified = batches(records).map(|batch| {
        let batch = batch?.1;
        let header = BatchHeader::verify(batch)?;
        let voters = voters_of(&header, records.slice_ref(batch), newest)?;
        Ok(Span { epoch: header.leader_epoch, start: header.base_offset, end: header.end_offset(), voters })
    });
    verified.collect()
}

/// Who votes from this batch on, if it says so: a control batch does, of one record.
pub(super) fn voters_of(
    header: &BatchHeader,
    batch: Bytes,
    newest: MetadataVersion,
) -> Result<Option<VoterSet>, VotersError> {
    if !header.is_control() {
        return Ok(None);
    }
    let mut stored = Vec::new();
    batch_records(header, batch, &mut stored)?;
    let [control] = &stored[..] else { return Err(VotersError::Other) };
    match Record::decode(control.record.value.as_deref().unwrap_or_default(), newest)? {
        Record::Voters(voters) if !voters.is_empty() => Ok(Some(voters)),
        _ => Err(VotersError::Other),
    }
}

fn response(epoch: i32, leader: WireBrokerId, body: Body) -> Response {
    Response { epoch: LeaderEpoch(epoch), leader: (0 <= leader.0).then_some(BrokerId(leader.0)), body }
}

fn wire_leader(leader: Option<BrokerId>) -> WireBrokerId {
    WireBrokerId(leader.map_or(-1, |leader| leader.0))
}

/// The error of a whole answer, which then says nothing of an epoch.
fn whole(code: i16) -> Result<(), WireError> {
    match ErrorCode::try_from_code(code) {
        None if code == NO_ERROR => Ok(()),
        Some(ErrorCode::InconsistentClusterId) => Err(WireError::OtherCluster),
        error => Err(WireError::Error(error)),
    }
}

fn refused(code: i16) -> Result<Option<Body>, WireError> {
    let refusal = match ErrorCode::try_from_code(code) {
        None if code == NO_ERROR => return Ok(None),
        Some(ErrorCode::FencedLeaderEpoch) => Refusal::FencedLeaderEpoch,
        Some(ErrorCode::UnknownLeaderEpoch) => Refusal::UnknownLeaderEpoch,
        Some(ErrorCode::NotLeaderOrFollower) => Refusal::NotLeader,
        Some(ErrorCode::InvalidVoterKey) => Refusal::InvalidVoter,
        Some(ErrorCode::InvalidRequest) => Refusal::InvalidRequest,
        Some(ErrorCode::SnapshotNotFound) => Refusal::SnapshotNotFound,
        Some(ErrorCode::PositionOutOfRange) => Refusal::PositionOutOfRange,
        error => return Err(WireError::Error(error)),
    };
    Ok(Some(Body::Refused(refusal)))
}

fn code(body: &Body) -> i16 {
    match body {
        Body::Vote { .. }
        | Body::Noted
        | Body::Records { .. }
        | Body::Diverging { .. }
        | Body::Snapshot(_)
        | Body::Piece(_) => NO_ERROR,
        Body::Refused(Refusal::FencedLeaderEpoch) => ErrorCode::FencedLeaderEpoch.code(),
        Body::Refused(Refusal::UnknownLeaderEpoch) => ErrorCode::UnknownLeaderEpoch.code(),
        Body::Refused(Refusal::NotLeader) => ErrorCode::NotLeaderOrFollower.code(),
        Body::Refused(Refusal::InvalidVoter) => ErrorCode::InvalidVoterKey.code(),
        Body::Refused(Refusal::InvalidRequest) => ErrorCode::InvalidRequest.code(),
        Body::Refused(Refusal::SnapshotNotFound) => ErrorCode::SnapshotNotFound.code(),
        Body::Refused(Refusal::PositionOutOfRange) => ErrorCode::PositionOutOfRange.code(),
    }
}

#[cfg(test)]
mod tests;
