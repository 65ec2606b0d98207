//! Responses: one message to the parts of a frame.

use bytes::{BufMut, Bytes};
use proto_kafka::ProtoError;
use proto_kafka::protocol::{Encodable, HeaderVersion};
use thiserror::Error;

use crate::fetch_parts::{self, Piece};
use crate::fetch_plain;
use crate::messages::*;
use crate::request::Header;

/// Why a message cannot be written: a fault of ours, not of the peer.
#[derive(Debug, Error)]
pub enum EncodeError {
    #[error("the answer to API key {api_key} was given for another API")]
    OtherApi { api_key: i16 },
    #[error("version {version} of API key {api_key} cannot say it: {source}")]
    Message { api_key: i16, version: i16, source: ProtoError },
    #[error("the frame would have {0} bytes")]
    TooLarge(usize),
}

macro_rules! responses {
    ($($name:ident($message:ident)),* $(,)?) => {
        /// One response.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "moved a few times at most; a box would cost each response more")]
        pub enum Response {
            $($name($message),)*
        }

        fn key(response: &Response) -> ApiKey {
            match response {
                $(Response::$name(_) => ApiKey::$name,)*
            }
        }

        /// Version of the response header (KIP-482): 1 has tagged fields. That of ApiVersions is always 0 (KIP-511).
        fn header_version(response: &Response, version: i16) -> i16 {
            match response {
                $(Response::$name(_) => $message::header_version(version),)*
            }
        }

        fn encode_body(response: &Response, version: i16, out: &mut Vec<u8>) -> Result<(), ProtoError> {
            match response {
                $(Response::$name(message) => message.encode(out, version),)*
            }
        }
    };
}

responses! {
    Produce(ProduceResponse),
    Fetch(FetchResponse),
    ListOffsets(ListOffsetsResponse),
    Metadata(MetadataResponse),
    ApiVersions(ApiVersionsResponse),
    CreateTopics(CreateTopicsResponse),
    DeleteTopics(DeleteTopicsResponse),
    DeleteRecords(DeleteRecordsResponse),
    InitProducerId(InitProducerIdResponse),
    OffsetForLeaderEpoch(OffsetForLeaderEpochResponse),
    DescribeProducers(DescribeProducersResponse),
    DescribeConfigs(DescribeConfigsResponse),
    DescribeLogDirs(DescribeLogDirsResponse),
    AlterConfigs(AlterConfigsResponse),
    CreatePartitions(CreatePartitionsResponse),
    ElectLeaders(ElectLeadersResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsResponse),
    AlterPartitionReassignments(AlterPartitionReassignmentsResponse),
    ListPartitionReassignments(ListPartitionReassignmentsResponse),
    Vote(VoteResponse),
    BeginQuorumEpoch(BeginQuorumEpochResponse),
    EndQuorumEpoch(EndQuorumEpochResponse),
    DescribeQuorum(DescribeQuorumResponse),
    FetchSnapshot(FetchSnapshotResponse),
    AlterPartition(AlterPartitionResponse),
    DescribeCluster(DescribeClusterResponse),
    BrokerRegistration(BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatResponse),
    UpdateFeatures(UpdateFeaturesResponse),
    UnregisterBroker(UnregisterBrokerResponse),
    AddRaftVoter(AddRaftVoterResponse),
    RemoveRaftVoter(RemoveRaftVoterResponse),
    UpdateRaftVoter(UpdateRaftVoterResponse),
    AllocateProducerIds(AllocateProducerIdsResponse),
    AssignReplicasToDirs(AssignReplicasToDirsResponse),
    ListConfigResources(ListConfigResourcesResponse),
    DescribeTopicPartitions(DescribeTopicPartitionsResponse),
}

/// Writes the answer to the request of `header`, length included, as parts to send one after the other. Large records of a
/// Fetch response are parts of their own and are not copied; any other response is one part.
///
/// # Errors
/// If a field is set that the version does not have, or the answer belongs to another API.
pub fn encode_response(header: &Header, response: &Response) -> Result<Vec<Bytes>, EncodeError> {
    let pieces = encode_response_around(header, response, &[])?;
    Ok(pieces
        .into_iter()
        .filter_map(|piece| if let Piece::Bytes(bytes) = piece { Some(bytes) } else { None })
        .collect())
}

/// As [`encode_response`], of a Fetch response some of whose records somebody else sends, from where they lie: `apart` has their lengths
/// in bytes by partition, in the response's order; 0, or none: the partition's are in the response.
///
/// # Errors
/// As for [`encode_response`].
pub fn encode_response_around(
    header: &Header,
    response: &Response,
    apart: &[usize],
) -> Result<Vec<Piece>, EncodeError> {
    let key = key(response);
    if key as i16 != header.api_key {
        return Err(EncodeError::OtherApi { api_key: header.api_key });
    }
    let version = header.version;
    let failed = |source| EncodeError::Message { api_key: header.api_key, version, source };
    let tagged_fields = usize::from(header_version(response, version) >= 1);
    let mut out = begin_frame();
    out.put_i32(header.correlation_id);
    out.put_bytes(0, tagged_fields);
    match response {
        Response::Fetch(fetch) if !apart.is_empty() || fetch_parts::has_shared(fetch) => {
            let size = fetch.compute_size(version).map_err(failed)? + fetch_parts::length_apart(apart, version);
            put_length(&mut out, 4 + tagged_fields + size)?;
            fetch_parts::encode(fetch, apart, version, out).map_err(failed)
        }
        _ => {
            let is_written =
                matches!(response, Response::Fetch(fetch) if fetch_plain::encode_response(fetch, version, &mut out));
            if !is_written {
                encode_body(response, version, &mut out).map_err(failed)?;
            }
            Ok(vec![Piece::Bytes(end_frame(out)?)])
        }
    }
}

/// Bytes that most frames fit into: to find out how many they need costs as much as to write them.
const FRAME_BYTES: usize = 512;

/// A frame whose length is not known yet.
pub(crate) fn begin_frame() -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_BYTES);
    out.put_i32(0);
    out
}

/// The frame with its length.
pub(crate) fn end_frame(mut out: Vec<u8>) -> Result<Bytes, EncodeError> {
    let length = out.len() - 4;
    put_length(&mut out, length)?;
    Ok(out.into())
}

fn put_length(out: &mut [u8], length: usize) -> Result<(), EncodeError> {
    let told = i32::try_from(length).map_err(|_| EncodeError::TooLarge(length))?;
    out[..4].copy_from_slice(&told.to_be_bytes());
    Ok(())
}
