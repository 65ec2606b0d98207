//! The message structures that server and client speak in, and how the model's nouns look on the wire.
//!
//! A structure is made with `default()` and its `with_…` methods. A field that the version at hand does not have must keep
//! its default where Kafka's schema does not call it ignorable, or encoding refuses.

use model::{DirectoryId, TopicId};
pub use proto_kafka::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, AllocateProducerIdsRequest, AllocateProducerIdsResponse,
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    AlterPartitionRequest, AlterPartitionResponse, ApiKey, ApiVersionsRequest, ApiVersionsResponse,
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BeginQuorumEpochRequest, BeginQuorumEpochResponse,
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest, BrokerRegistrationResponse,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest,
    DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, ElectLeadersRequest, ElectLeadersResponse,
    EndQuorumEpochRequest, EndQuorumEpochResponse, FetchRequest, FetchResponse, FetchSnapshotRequest,
    FetchSnapshotResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, InitProducerIdRequest,
    InitProducerIdResponse, ListConfigResourcesRequest, ListConfigResourcesResponse, ListOffsetsRequest,
    ListOffsetsResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, MetadataRequest,
    MetadataResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
    ProducerId as WireProducerId, RemoveRaftVoterRequest, RemoveRaftVoterResponse, TopicName, UnregisterBrokerRequest,
    UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse, UpdateRaftVoterRequest,
    UpdateRaftVoterResponse, VoteRequest, VoteResponse,
};
/// The parts of each message, by the message's name: `fetch_response::PartitionData`.
pub use proto_kafka::messages::{
    add_raft_voter_request, alter_configs_request, alter_configs_response, alter_partition_reassignments_request,
    alter_partition_reassignments_response, alter_partition_request, alter_partition_response, api_versions_request,
    api_versions_response, assign_replicas_to_dirs_request, assign_replicas_to_dirs_response,
    begin_quorum_epoch_request, begin_quorum_epoch_response, broker_heartbeat_request, broker_heartbeat_response,
    broker_registration_request, broker_registration_response, create_partitions_request, create_partitions_response,
    create_topics_request, create_topics_response, delete_records_request, delete_records_response,
    delete_topics_request, delete_topics_response, describe_cluster_request, describe_cluster_response,
    describe_configs_request, describe_configs_response, describe_log_dirs_request, describe_log_dirs_response,
    describe_producers_request, describe_producers_response, describe_quorum_request, describe_quorum_response,
    describe_topic_partitions_request, describe_topic_partitions_response, elect_leaders_request,
    elect_leaders_response, end_quorum_epoch_request, end_quorum_epoch_response, fetch_request, fetch_response,
    fetch_snapshot_request, fetch_snapshot_response, incremental_alter_configs_request,
    incremental_alter_configs_response, list_config_resources_request, list_config_resources_response,
    list_offsets_request, list_offsets_response, list_partition_reassignments_request,
    list_partition_reassignments_response, metadata_request, metadata_response, offset_for_leader_epoch_request,
    offset_for_leader_epoch_response, produce_request, produce_response, update_features_request,
    update_features_response, update_raft_voter_request, update_raft_voter_response, vote_request, vote_response,
};
pub use proto_kafka::protocol::StrBytes;
pub use uuid::Uuid;

pub use crate::request_message::RequestMessage;

/// A topic's identity as the wire says it.
pub fn uuid(id: TopicId) -> Uuid {
    Uuid::from_u128(id.0)
}

/// A data directory's identity as the wire says it: nil if there is none.
pub fn directory_uuid(directory: Option<DirectoryId>) -> Uuid {
    Uuid::from_u128(directory.map_or(0, |directory| directory.0))
}

/// A data directory's identity from the wire.
pub fn directory_id(uuid: Uuid) -> Option<DirectoryId> {
    Some(DirectoryId(uuid.as_u128())).filter(|directory| directory.0 != 0)
}

/// A topic's identity from the wire; the nil id means "none given".
pub fn topic_id(uuid: Uuid) -> TopicId {
    TopicId(uuid.as_u128())
}

/// A string of the wire.
pub fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name of the wire.
pub fn topic_name(text: &str) -> TopicName {
    TopicName(string(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_keeps_its_bits_over_the_wire() {
        let id = TopicId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        assert_eq!(topic_id(uuid(id)), id);
        assert_eq!(uuid(id).as_bytes()[..2], [0x01, 0x23]);
    }
}
