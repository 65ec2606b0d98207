//! Responses: what a server writes is what a client reads, in every version.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what does not hold here fails the test, as it should")]

use bytes::{Bytes, BytesMut};
use model::MetadataVersion;
use proptest::prelude::*;
use proto_kafka::protocol::Encodable;
use protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use protocol::messages::*;
use protocol::{
    EncodeError, Header, Piece, Response, SUPPORTED, api_versions_response, correlation_id, decode_response,
    encode_response, encode_response_around, next_frame, refuse_api_versions,
};

fn header(key: ApiKey, version: i16) -> Header {
    Header { api_key: key as i16, version, correlation_id: 41, client_id: None }
}

fn frame(header: &Header, response: &Response) -> Bytes {
    let mut stream = BytesMut::from(&encode_response(header, response).unwrap().concat()[..]);
    let frame = next_frame(&mut stream, 1 << 30).unwrap().expect("the length fits");
    assert!(stream.is_empty());
    frame
}

fn comes_through<R: RequestMessage>(response: Response, message: R::Response)
where
    R::Response: PartialEq + std::fmt::Debug,
{
    for api in SUPPORTED.iter().filter(|api| api.key as i16 == R::KEY) {
        for version in api.min..=api.max {
            let frame = frame(&header(api.key, version), &response);
            assert_eq!(correlation_id(&frame).unwrap(), 41);
            let read =
                decode_response::<R>(version, frame.clone()).unwrap_or_else(|error| panic!("{version}: {error}"));
            assert_eq!(read, message, "version {version}");
            for end in 0..frame.len() {
                assert!(decode_response::<R>(version, frame.slice(..end)).is_err(), "version {version} cut at {end}");
            }
        }
    }
}

macro_rules! every_response_comes_through {
    ($($name:ident($request:ident, $response:ident)),* $(,)?) => {
        #[test]
        fn every_response_of_every_version_comes_through() {
            $(comes_through::<$request>(Response::$name($response::default()), $response::default());)*
        }
    };
}

every_response_comes_through! {
    Produce(ProduceRequest, ProduceResponse),
    Fetch(FetchRequest, FetchResponse),
    ListOffsets(ListOffsetsRequest, ListOffsetsResponse),
    Metadata(MetadataRequest, MetadataResponse),
    ApiVersions(ApiVersionsRequest, ApiVersionsResponse),
    CreateTopics(CreateTopicsRequest, CreateTopicsResponse),
    DeleteRecords(DeleteRecordsRequest, DeleteRecordsResponse),
    DeleteTopics(DeleteTopicsRequest, DeleteTopicsResponse),
    InitProducerId(InitProducerIdRequest, InitProducerIdResponse),
    OffsetForLeaderEpoch(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse),
    DescribeProducers(DescribeProducersRequest, DescribeProducersResponse),
    AllocateProducerIds(AllocateProducerIdsRequest, AllocateProducerIdsResponse),
    AssignReplicasToDirs(AssignReplicasToDirsRequest, AssignReplicasToDirsResponse),
    CreatePartitions(CreatePartitionsRequest, CreatePartitionsResponse),
    DescribeTopicPartitions(DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse),
    DescribeLogDirs(DescribeLogDirsRequest, DescribeLogDirsResponse),
    DescribeConfigs(DescribeConfigsRequest, DescribeConfigsResponse),
    AlterConfigs(AlterConfigsRequest, AlterConfigsResponse),
    ElectLeaders(ElectLeadersRequest, ElectLeadersResponse),
    AlterPartitionReassignments(AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse),
    ListPartitionReassignments(ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse),
    UpdateFeatures(UpdateFeaturesRequest, UpdateFeaturesResponse),
    UnregisterBroker(UnregisterBrokerRequest, UnregisterBrokerResponse),
    AddRaftVoter(AddRaftVoterRequest, AddRaftVoterResponse),
    RemoveRaftVoter(RemoveRaftVoterRequest, RemoveRaftVoterResponse),
    UpdateRaftVoter(UpdateRaftVoterRequest, UpdateRaftVoterResponse),
    IncrementalAlterConfigs(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
    ListConfigResources(ListConfigResourcesRequest, ListConfigResourcesResponse),
    Vote(VoteRequest, VoteResponse),
    BeginQuorumEpoch(BeginQuorumEpochRequest, BeginQuorumEpochResponse),
    EndQuorumEpoch(EndQuorumEpochRequest, EndQuorumEpochResponse),
    DescribeQuorum(DescribeQuorumRequest, DescribeQuorumResponse),
    FetchSnapshot(FetchSnapshotRequest, FetchSnapshotResponse),
    AlterPartition(AlterPartitionRequest, AlterPartitionResponse),
    DescribeCluster(DescribeClusterRequest, DescribeClusterResponse),
    BrokerRegistration(BrokerRegistrationRequest, BrokerRegistrationResponse),
    BrokerHeartbeat(BrokerHeartbeatRequest, BrokerHeartbeatResponse),
}

#[test]
fn the_answer_to_api_versions_never_has_tagged_fields_in_its_header() {
    for version in 0..=4 {
        let frame = frame(
            &header(ApiKey::ApiVersions, version),
            &Response::ApiVersions(api_versions_response(MetadataVersion::NEWEST)),
        );
        // Right behind the correlation id stands the error, and behind it the length of the list.
        let count = u8::try_from(api_versions_response(MetadataVersion::NEWEST).api_keys.len()).unwrap();
        let list_length = if version >= 3 { vec![count + 1] } else { vec![0, 0, 0, count] };
        let expected = [&[0, 0, 0, 41, 0, 0], &list_length[..]].concat();
        assert!(frame.starts_with(&expected), "version {version}");
        let read = decode_response::<ApiVersionsRequest>(version, frame).unwrap();
        assert_eq!(read, api_versions_response(MetadataVersion::NEWEST));
    }
}

#[test]
fn a_client_that_asked_too_new_a_version_reads_the_refusal() {
    let asked = header(ApiKey::ApiVersions, 4);
    let (answered, response) = refuse_api_versions(MetadataVersion::NEWEST, &asked);
    let read = decode_response::<ApiVersionsRequest>(4, frame(&answered, &response)).unwrap();
    assert_eq!(read.error_code, 35);
    assert!(read.api_keys.iter().any(|api| api.api_key == 18 && api.max_version == 4));
}

#[test]
fn an_answer_for_another_api_is_refused() {
    let response = Response::Fetch(FetchResponse::default());
    let result = encode_response(&header(ApiKey::Produce, 9), &response);
    assert!(matches!(result, Err(EncodeError::OtherApi { api_key: 0 })));
}

#[test]
fn large_records_of_a_fetch_are_not_copied() {
    let large = Bytes::from(vec![7; 100_000]);
    let partition = PartitionData::default().with_records(Some(large.clone()));
    let topic = FetchableTopicResponse::default().with_topic(topic_name("orders")).with_partitions(vec![partition]);
    let response = Response::Fetch(FetchResponse::default().with_responses(vec![topic]));
    let parts = encode_response(&header(ApiKey::Fetch, 12), &response).unwrap();
    assert!(parts.iter().any(|part| part.as_ptr() == large.as_ptr() && part.len() == large.len()));
}

fn partition() -> impl Strategy<Value = PartitionData> {
    let records = prop_oneof![Just(None), (0_usize..40_000).prop_map(|size| Some(Bytes::from(vec![0xab; size])))];
    let aborted =
        prop_oneof![Just(None), (0_usize..200).prop_map(|count| Some(vec![AbortedTransaction::default(); count]))];
    (any::<i32>(), any::<i64>(), records, aborted, any::<bool>()).prop_map(
        |(index, high_watermark, records, aborted, moved)| {
            let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(if moved { 3 } else { -1 }));
            PartitionData::default()
                .with_partition_index(index)
                .with_high_watermark(high_watermark)
                .with_records(records)
                .with_aborted_transactions(aborted)
                .with_current_leader(leader)
        },
    )
}

fn topic() -> impl Strategy<Value = FetchableTopicResponse> {
    ("[a-z]{0,200}", any::<u128>(), prop::collection::vec(partition(), 0..4)).prop_map(|(name, id, partitions)| {
        FetchableTopicResponse::default()
            .with_topic(topic_name(&name))
            .with_topic_id(Uuid::from_u128(id))
            .with_partitions(partitions)
    })
}

proptest! {
    #[test]
    fn a_fetch_response_in_parts_says_the_same_as_in_one_piece(
        topics in prop::collection::vec(topic(), 0..4),
        version in 4_i16..=16,
    ) {
        let fetch = FetchResponse::default().with_responses(topics);
        let parts = encode_response(&header(ApiKey::Fetch, version), &Response::Fetch(fetch.clone())).unwrap().concat();
        let mut body = BytesMut::new();
        fetch.encode(&mut body, version).unwrap();
        let header_size = if version >= 12 { 9 } else { 8 };
        prop_assert!(parts[header_size..] == body[..]);
        prop_assert_eq!(i32::from_be_bytes(parts[..4].try_into().unwrap()) as usize, parts.len() - 4);

        // The same if somebody else has the records of every third partition.
        let (mut left, mut apart) = (fetch, Vec::new());
        for (number, partition) in left.responses.iter_mut().flat_map(|topic| &mut topic.partitions).enumerate() {
            let taken = partition.records.as_mut().filter(|_| number % 3 == 0).map(std::mem::take);
            apart.push(taken.unwrap_or_default());
        }
        let lengths: Vec<usize> = apart.iter().map(Bytes::len).collect();
        let pieces = encode_response_around(&header(ApiKey::Fetch, version), &Response::Fetch(left), &lengths).unwrap();
        let bytes_of = |piece| match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Apart(number) => apart[number].clone(),
        };
        prop_assert!(pieces.into_iter().map(bytes_of).collect::<Vec<_>>().concat() == parts);
    }
}
