//! What every request is that a client can send.

use bytes::Bytes;
use proto_kafka::protocol::Request;

use crate::fetch_plain;
use crate::messages::*;

/// A request structure: it knows its key and its response. Where there is a shorter way to write it or to read its answer, it knows
/// that too.
pub trait RequestMessage: Request {
    /// Writes the request without the message encoder, if that can be.
    #[doc(hidden)]
    fn encode_plainly(&self, _version: i16, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// Reads an answer's body without the message decoder, if that can be.
    #[doc(hidden)]
    fn decode_plain_response(_body: &Bytes, _version: i16) -> Option<Self::Response> {
        None
    }
}

impl RequestMessage for FetchRequest {
    fn encode_plainly(&self, version: i16, out: &mut Vec<u8>) -> bool {
        fetch_plain::encode_request(self, version, out)
    }

    fn decode_plain_response(body: &Bytes, version: i16) -> Option<FetchResponse> {
        fetch_plain::decode_response(body, version)
    }
}

macro_rules! without_a_shorter_way {
    ($($message:ident),* $(,)?) => {
        $(impl RequestMessage for $message {})*
    };
}

without_a_shorter_way! {
    ProduceRequest,
    ListOffsetsRequest,
    MetadataRequest,
    ApiVersionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteRecordsRequest,
    InitProducerIdRequest,
    OffsetForLeaderEpochRequest,
    DescribeProducersRequest,
    DescribeConfigsRequest,
    DescribeLogDirsRequest,
    AlterConfigsRequest,
    CreatePartitionsRequest,
    ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
    AlterPartitionReassignmentsRequest,
    ListPartitionReassignmentsRequest,
    VoteRequest,
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    DescribeQuorumRequest,
    FetchSnapshotRequest,
    AlterPartitionRequest,
    DescribeClusterRequest,
    BrokerRegistrationRequest,
    BrokerHeartbeatRequest,
    UpdateFeaturesRequest,
    UnregisterBrokerRequest,
    AddRaftVoterRequest,
    RemoveRaftVoterRequest,
    UpdateRaftVoterRequest,
    AllocateProducerIdsRequest,
    AssignReplicasToDirsRequest,
    ListConfigResourcesRequest,
    DescribeTopicPartitionsRequest,
}
