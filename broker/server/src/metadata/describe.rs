//! DescribeQuorum (KIP-836, KIP-853): what a leader knows of every replica of the metadata log.

use model::{PartitionId, Time, Timestamp};
use protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use protocol::messages::{
    BrokerId as WireBrokerId, DescribeQuorumRequest, DescribeQuorumResponse, directory_uuid, string, topic_name,
};
use protocol::{ErrorCode, NO_ERROR};
use roles::quorum::{Description, ReplicaProgress, VoterSet};

use super::wire;

/// Does this request ask for the metadata log, and nothing else?
pub(super) fn is_of_metadata(request: &DescribeQuorumRequest) -> bool {
    let [topic] = &request.topics[..] else { return false };
    let [partition] = &topic.partitions[..] else { return false };
    topic.topic_name.as_str() == wire::TOPIC && partition.partition_index == PartitionId::METADATA.index
}

/// The answer to a request that asks for partitions that no quorum has.
pub(super) fn unknown(request: &DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.iter().map(|topic| {
        let unknown = topic.partitions.iter().map(|asked| {
            PartitionData::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
        });
        TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(unknown.collect())
    });
    DescribeQuorumResponse::default().with_topics(topics.collect())
}

/// The leader's answer; `now` and `wall_clock` are the same moment.
pub(super) fn response(
    description: &Description,
    voters: &VoterSet,
    now: Time,
    wall_clock: Timestamp,
) -> DescribeQuorumResponse {
    let states =
        |replicas: &[ReplicaProgress]| replicas.iter().map(|replica| state(replica, now, wall_clock)).collect();
    let partition = PartitionData::default()
        .with_partition_index(PartitionId::METADATA.index)
        .with_error_code(NO_ERROR)
        .with_leader_id(WireBrokerId(description.leader.0))
        .with_leader_epoch(description.epoch.0)
        .with_high_watermark(description.high_watermark.0)
        .with_current_voters(states(&description.voters))
        .with_observers(states(&description.observers));
    let topic = TopicData::default().with_topic_name(topic_name(wire::TOPIC)).with_partitions(vec![partition]);
    let nodes = voters.iter().map(|voter| {
        let listener = Listener::default()
            .with_name(string(wire::LISTENER))
            .with_host(string(&voter.endpoint.host))
            .with_port(voter.endpoint.port);
        Node::default().with_node_id(WireBrokerId(voter.id.0)).with_listeners(vec![listener])
    });
    DescribeQuorumResponse::default().with_topics(vec![topic]).with_nodes(nodes.collect())
}

fn state(replica: &ReplicaProgress, now: Time, wall_clock: Timestamp) -> ReplicaState {
    let wall = |time: Option<Time>| {
        let ago = |time| i64::try_from(now.since(time).as_millis()).unwrap_or(i64::MAX);
        time.map_or(-1, |time| wall_clock.0.saturating_sub(ago(time)))
    };
    ReplicaState::default()
        .with_replica_id(WireBrokerId(replica.id.0))
        .with_replica_directory_id(directory_uuid(replica.directory))
        .with_log_end_offset(replica.log_end.map_or(-1, |end| end.0))
        .with_last_fetch_timestamp(wall(replica.last_fetch))
        .with_last_caught_up_timestamp(wall(replica.last_caught_up))
}
