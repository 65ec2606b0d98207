//! One request of every API with something in every list, as frames without their length, in every version we serve.
#![allow(clippy::unwrap_used, reason = "what does not hold here fails the test, as it should")]

use bytes::{Buf, Bytes};
use protocol::messages::*;
use protocol::records::{Compression, ProducerFields, Record, encode_batch};
use protocol::{SUPPORTED, encode_request};

/// A batch of three small records.
pub(crate) fn batch() -> Bytes {
    let record = |text: &'static str| Record { value: Some(Bytes::from_static(text.as_bytes())), ..Record::default() };
    encode_batch(&[record("one"), record("two"), record("three")], Compression::None, ProducerFields::default())
}

/// Every API in every version: key, version and frame.
pub(crate) fn every_request() -> Vec<(i16, i16, Bytes)> {
    let mut frames = Vec::new();
    for api in SUPPORTED {
        for version in api.min..=api.max {
            frames.push((api.key as i16, version, sample(api.key, version)));
        }
    }
    frames
}

fn sample(key: ApiKey, version: i16) -> Bytes {
    let name = topic_name("orders");
    match key {
        ApiKey::Produce => {
            let partition = produce_request::PartitionProduceData::default().with_index(1).with_records(Some(batch()));
            let topic =
                produce_request::TopicProduceData::default().with_name(name).with_partition_data(vec![partition]);
            frame(version, &ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]))
        }
        ApiKey::Fetch => {
            let partition = fetch_request::FetchPartition::default().with_partition(3).with_fetch_offset(1 << 40);
            let topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
            let topic = if version < 13 { topic.with_topic(name) } else { topic.with_topic_id(Uuid::from_u128(7)) };
            frame(version, &FetchRequest::default().with_max_wait_ms(500).with_topics(vec![topic]))
        }
        ApiKey::ListOffsets => {
            let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
            let topic =
                list_offsets_request::ListOffsetsTopic::default().with_name(name).with_partitions(vec![partition]);
            frame(version, &ListOffsetsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::Metadata => {
            let topic = metadata_request::MetadataRequestTopic::default().with_name(Some(name));
            frame(version, &MetadataRequest::default().with_topics(Some(vec![topic])))
        }
        ApiKey::ApiVersions => {
            let request = ApiVersionsRequest::default();
            let named =
                request.clone().with_client_software_name(string("trial")).with_client_software_version(string("1"));
            frame(version, if version >= 3 { &named } else { &request })
        }
        ApiKey::CreateTopics => {
            let config =
                create_topics_request::CreatableTopicConfig::default().with_name(string("min.insync.replicas"));
            let assignment = create_topics_request::CreatableReplicaAssignment::default()
                .with_broker_ids(vec![BrokerId(1), BrokerId(2)]);
            let topic = create_topics_request::CreatableTopic::default()
                .with_name(name)
                .with_assignments(vec![assignment])
                .with_configs(vec![config.with_value(Some(string("2")))]);
            frame(version, &CreateTopicsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::DeleteRecords => {
            let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(99);
            let topic =
                delete_records_request::DeleteRecordsTopic::default().with_name(name).with_partitions(vec![partition]);
            frame(version, &DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000))
        }
        ApiKey::DeleteTopics => {
            let request = DeleteTopicsRequest::default().with_timeout_ms(5);
            let topic = delete_topics_request::DeleteTopicState::default().with_topic_id(Uuid::from_u128(7));
            let by_id = request.clone().with_topics(vec![topic]);
            frame(version, &if version < 6 { request.with_topic_names(vec![name]) } else { by_id })
        }
        ApiKey::InitProducerId => {
            let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(5);
            frame(version, &if version < 3 { request } else { request.with_producer_id(WireProducerId(7)) })
        }
        ApiKey::OffsetForLeaderEpoch => {
            let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default()
                .with_partition(2)
                .with_current_leader_epoch(7)
                .with_leader_epoch(6);
            let topic = offset_for_leader_epoch_request::OffsetForLeaderTopic::default().with_topic(name);
            let request =
                OffsetForLeaderEpochRequest::default().with_topics(vec![topic.with_partitions(vec![partition])]);
            frame(version, &request)
        }
        ApiKey::DescribeLogDirs => {
            let topic = describe_log_dirs_request::DescribableLogDirTopic::default().with_topic(name);
            let topics = vec![topic.with_partitions(vec![0, 3])];
            frame(version, &DescribeLogDirsRequest::default().with_topics(Some(topics)))
        }
        ApiKey::DescribeProducers => {
            let topic = describe_producers_request::TopicRequest::default().with_name(name);
            let topic = topic.with_partition_indexes(vec![0, 5]);
            frame(version, &DescribeProducersRequest::default().with_topics(vec![topic]))
        }
        ApiKey::AllocateProducerIds => frame(version, &AllocateProducerIdsRequest::default().with_broker_epoch(5)),
        ApiKey::AssignReplicasToDirs => {
            use assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
            let partition = PartitionData::default().with_partition_index(3);
            let topic = TopicData::default().with_topic_id(Uuid::from_u128(7)).with_partitions(vec![partition]);
            let directory = DirectoryData::default().with_id(Uuid::from_u128(9)).with_topics(vec![topic]);
            frame(version, &AssignReplicasToDirsRequest::default().with_directories(vec![directory]))
        }
        ApiKey::CreatePartitions => {
            let assignment = create_partitions_request::CreatePartitionsAssignment::default();
            let topic = create_partitions_request::CreatePartitionsTopic::default()
                .with_name(name)
                .with_count(5)
                .with_assignments(Some(vec![assignment.with_broker_ids(vec![BrokerId(1)])]));
            frame(version, &CreatePartitionsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::DescribeTopicPartitions => {
            let topic = describe_topic_partitions_request::TopicRequest::default().with_name(name.clone());
            let cursor = describe_topic_partitions_request::Cursor::default().with_topic_name(name);
            let request = DescribeTopicPartitionsRequest::default().with_topics(vec![topic]);
            frame(version, &request.with_cursor(Some(cursor)))
        }
        ApiKey::ElectLeaders => {
            let topic = elect_leaders_request::TopicPartitions::default().with_topic(name).with_partitions(vec![0, 7]);
            frame(version, &ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic])))
        }
        ApiKey::AlterPartitionReassignments => {
            let partition = alter_partition_reassignments_request::ReassignablePartition::default()
                .with_replicas(Some(vec![BrokerId(4), BrokerId(5)]));
            let topic = alter_partition_reassignments_request::ReassignableTopic::default()
                .with_name(name)
                .with_partitions(vec![partition]);
            frame(version, &AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]))
        }
        ApiKey::ListPartitionReassignments => {
            let topic = list_partition_reassignments_request::ListPartitionReassignmentsTopics::default()
                .with_name(name)
                .with_partition_indexes(vec![3]);
            frame(version, &ListPartitionReassignmentsRequest::default().with_topics(Some(vec![topic])))
        }
        ApiKey::AddRaftVoter => {
            let listener = add_raft_voter_request::Listener::default()
                .with_name(string("PLAINTEXT"))
                .with_host(string("four"))
                .with_port(9092);
            let request = AddRaftVoterRequest::default().with_cluster_id(Some(string("c"))).with_voter_id(4);
            frame(version, &request.with_listeners(vec![listener]))
        }
        ApiKey::UpdateRaftVoter => {
            let listener = update_raft_voter_request::Listener::default()
                .with_name(string("PLAINTEXT"))
                .with_host(string("four"))
                .with_port(9093);
            let request = UpdateRaftVoterRequest::default().with_cluster_id(Some(string("c"))).with_voter_id(4);
            frame(version, &request.with_listeners(vec![listener]))
        }
        ApiKey::RemoveRaftVoter => frame(version, &RemoveRaftVoterRequest::default().with_voter_id(4)),
        ApiKey::UpdateFeatures => {
            let update = update_features_request::FeatureUpdateKey::default()
                .with_feature(string("metadata.version"))
                .with_max_version_level(2);
            frame(version, &UpdateFeaturesRequest::default().with_feature_updates(vec![update]))
        }
        ApiKey::UnregisterBroker => frame(version, &UnregisterBrokerRequest::default().with_broker_id(BrokerId(3))),
        ApiKey::DescribeConfigs => {
            let resource = describe_configs_request::DescribeConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(string("orders"))
                .with_configuration_keys(Some(vec![string("min.insync.replicas")]));
            frame(version, &DescribeConfigsRequest::default().with_resources(vec![resource]))
        }
        ApiKey::AlterConfigs => {
            let config = alter_configs_request::AlterableConfig::default().with_name(string("retention.ms"));
            let resource = alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(string("orders"))
                .with_configs(vec![config.with_value(Some(string("5")))]);
            frame(version, &AlterConfigsRequest::default().with_resources(vec![resource]))
        }
        ApiKey::IncrementalAlterConfigs => {
            let config = incremental_alter_configs_request::AlterableConfig::default()
                .with_name(string("cleanup.policy"))
                .with_config_operation(2);
            let resource = incremental_alter_configs_request::AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(string("orders"))
                .with_configs(vec![config.with_value(Some(string("compact")))]);
            frame(version, &IncrementalAlterConfigsRequest::default().with_resources(vec![resource]))
        }
        ApiKey::ListConfigResources => {
            let request = ListConfigResourcesRequest::default();
            frame(version, &if version == 0 { request } else { request.with_resource_types(vec![2, 4]) })
        }
        ApiKey::Vote => {
            let partition = vote_request::PartitionData::default().with_replica_epoch(4).with_last_offset(99);
            let topic = vote_request::TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
            frame(version, &VoteRequest::default().with_topics(vec![topic]))
        }
        ApiKey::BeginQuorumEpoch => {
            let partition = begin_quorum_epoch_request::PartitionData::default().with_leader_epoch(4);
            let topic =
                begin_quorum_epoch_request::TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
            frame(version, &BeginQuorumEpochRequest::default().with_topics(vec![topic]))
        }
        ApiKey::EndQuorumEpoch => {
            let partition = end_quorum_epoch_request::PartitionData::default().with_leader_epoch(4);
            let topic =
                end_quorum_epoch_request::TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
            frame(version, &EndQuorumEpochRequest::default().with_topics(vec![topic]))
        }
        ApiKey::DescribeQuorum => {
            let partition = describe_quorum_request::PartitionData::default();
            let topic =
                describe_quorum_request::TopicData::default().with_topic_name(name).with_partitions(vec![partition]);
            frame(version, &DescribeQuorumRequest::default().with_topics(vec![topic]))
        }
        ApiKey::FetchSnapshot => {
            let partition = fetch_snapshot_request::PartitionSnapshot::default().with_position(512);
            let topic =
                fetch_snapshot_request::TopicSnapshot::default().with_name(name).with_partitions(vec![partition]);
            frame(version, &FetchSnapshotRequest::default().with_topics(vec![topic]))
        }
        ApiKey::AlterPartition => {
            let partition = alter_partition_request::PartitionData::default().with_leader_epoch(4);
            let topic = alter_partition_request::TopicData::default().with_partitions(vec![partition]);
            frame(version, &AlterPartitionRequest::default().with_topics(vec![topic]))
        }
        ApiKey::DescribeCluster => frame(version, &DescribeClusterRequest::default()),
        ApiKey::BrokerRegistration => {
            let listener =
                broker_registration_request::Listener::default().with_name(string("PLAINTEXT")).with_port(9092);
            frame(version, &BrokerRegistrationRequest::default().with_listeners(vec![listener]))
        }
        ApiKey::BrokerHeartbeat => frame(version, &BrokerHeartbeatRequest::default().with_broker_epoch(5)),
        other => panic!("{other:?} is served and has no sample"),
    }
}

fn frame<R: RequestMessage>(version: i16, request: &R) -> Bytes {
    let mut bytes = encode_request(version, 77, &string("sample"), request).unwrap();
    bytes.advance(4);
    bytes
}
