//! Requests: bytes of a frame to a header and one message.

use bytes::{Buf, Bytes};
use model::MetadataVersion;
use proto_kafka::messages::RequestHeader;
use proto_kafka::protocol::{Decodable, HeaderVersion};
use thiserror::Error;

use crate::apis;
use crate::bounded::Bounded;
use crate::fetch_plain;
use crate::limits::STRUCTURE_BYTES_MAX;
use crate::messages::*;

/// What stands before a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub api_key: i16,
    pub version: i16,
    /// Chosen by the client and given back with the answer.
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// Why a frame is not a request that we can serve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Close the connection.
    #[error("the request is malformed: {0}")]
    Malformed(String),
    /// Close the connection.
    #[error("API key {} is unknown", header.api_key)]
    UnknownApi { header: Header },
    /// Close the connection, unless it is ApiVersions: see [`crate::refuse_api_versions`].
    #[error("version {} of API key {} is not served", header.version, header.api_key)]
    UnsupportedVersion { header: Header },
}

macro_rules! requests {
    ($($name:ident($message:ident)),* $(,)?) => {
        /// One request.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "moved a few times at most; a box would cost each request more")]
        pub enum Request {
            $($name($message),)*
        }

        /// Version of the request header (KIP-482): 2 has tagged fields.
        fn header_version(key: ApiKey, version: i16) -> i16 {
            match key {
                $(ApiKey::$name => $message::header_version(version),)*
                _ => 1,
            }
        }

        fn decode_body(key: ApiKey, version: i16, body: &mut Bounded) -> Result<Request, RequestError> {
            match key {
                $(ApiKey::$name => $message::decode(body, version).map(Request::$name).map_err(malformed),)*
                _ => Err(RequestError::Malformed(format!("API key {} has no decoder", key as i16))),
            }
        }
    };
}

requests! {
    Produce(ProduceRequest),
    Fetch(FetchRequest),
    ListOffsets(ListOffsetsRequest),
    Metadata(MetadataRequest),
    ApiVersions(ApiVersionsRequest),
    CreateTopics(CreateTopicsRequest),
    DeleteTopics(DeleteTopicsRequest),
    DeleteRecords(DeleteRecordsRequest),
    InitProducerId(InitProducerIdRequest),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest),
    DescribeProducers(DescribeProducersRequest),
    DescribeConfigs(DescribeConfigsRequest),
    DescribeLogDirs(DescribeLogDirsRequest),
    AlterConfigs(AlterConfigsRequest),
    CreatePartitions(CreatePartitionsRequest),
    ElectLeaders(ElectLeadersRequest),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest),
    ListPartitionReassignments(ListPartitionReassignmentsRequest),
    Vote(VoteRequest),
    BeginQuorumEpoch(BeginQuorumEpochRequest),
    EndQuorumEpoch(EndQuorumEpochRequest),
    DescribeQuorum(DescribeQuorumRequest),
    FetchSnapshot(FetchSnapshotRequest),
    AlterPartition(AlterPartitionRequest),
    DescribeCluster(DescribeClusterRequest),
    BrokerRegistration(BrokerRegistrationRequest),
    BrokerHeartbeat(BrokerHeartbeatRequest),
    UpdateFeatures(UpdateFeaturesRequest),
    UnregisterBroker(UnregisterBrokerRequest),
    AddRaftVoter(AddRaftVoterRequest),
    RemoveRaftVoter(RemoveRaftVoterRequest),
    UpdateRaftVoter(UpdateRaftVoterRequest),
    AllocateProducerIds(AllocateProducerIdsRequest),
    AssignReplicasToDirs(AssignReplicasToDirsRequest),
    ListConfigResources(ListConfigResourcesRequest),
    DescribeTopicPartitions(DescribeTopicPartitionsRequest),
}

/// Reads one frame. Strings and records are slices of it.
///
/// # Errors
/// See [`RequestError`]; each says what to do with the connection.
pub fn decode_request(frame: Bytes) -> Result<(Header, Request), RequestError> {
    decode_request_as(MetadataVersion::NEWEST, frame)
}

/// Reads one frame as a program does that knows metadata up to `newest`, and the requests that came with it.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_request_as(newest: MetadataVersion, frame: Bytes) -> Result<(Header, Request), RequestError> {
    let mut header = prefix(&frame)?;
    let Some((api, max)) = apis::api(header.api_key).and_then(|api| Some((api, api.newest(newest)?))) else {
        return Err(RequestError::UnknownApi { header });
    };
    if !(api.min..=max).contains(&header.version) {
        return Err(RequestError::UnsupportedVersion { header });
    }
    let mut body = Bounded::new(frame, STRUCTURE_BYTES_MAX);
    let whole = RequestHeader::decode(&mut body, header_version(api.key, header.version)).map_err(malformed)?;
    header.client_id = whole.client_id;
    // Bytes that follow are nobody's, as with Kafka: librdkafka 2.16 sends three too many when it asks for all topics.
    let plain = match api.key {
        ApiKey::Fetch => fetch_plain::decode_request(body.bytes(), header.version),
        _ => None,
    };
    let request = match plain {
        Some(fetch) => Request::Fetch(fetch),
        None => decode_body(api.key, header.version, &mut body)?,
    };
    Ok((header, request))
}

/// What can be read of a request whose version we may not know.
fn prefix(mut frame: &[u8]) -> Result<Header, RequestError> {
    let api_key = frame.try_get_i16().map_err(malformed)?;
    let version = frame.try_get_i16().map_err(malformed)?;
    let correlation_id = frame.try_get_i32().map_err(malformed)?;
    Ok(Header { api_key, version, correlation_id, client_id: None })
}

fn malformed(error: impl std::fmt::Display) -> RequestError {
    RequestError::Malformed(error.to_string())
}
