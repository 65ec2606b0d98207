//! DescribeQuorum (KIP-836): what a leader knows of every replica of the metadata log.

use model::{BrokerId, PartitionId, Time, Timestamp};
use protocol::ErrorCode;
use protocol::messages::describe_quorum_response::{PartitionData, ReplicaState, TopicData};
use protocol::messages::{BrokerId as WireBrokerId, DescribeQuorumResponse, topic_name};
use roles::quorum::{Description, ReplicaProgress};

use super::task::Leadership;
use super::wire;

/// The answer of a leader; of anybody else (`None`), who may be it.
pub(super) fn response(
    version: i16,
    described: Option<(Description, Time)>,
    known: Leadership,
    wall_clock: Timestamp,
) -> DescribeQuorumResponse {
    let partition = PartitionData::default().with_partition_index(PartitionId::METADATA.index);
    let partition = match described {
        Some((description, now)) => {
            let states = |replicas: &[ReplicaProgress]| {
                replicas.iter().map(|replica| state(version, replica, now, wall_clock)).collect()
            };
            partition
                .with_leader_id(WireBrokerId(description.leader.0))
                .with_leader_epoch(description.epoch.0)
                .with_high_watermark(description.high_watermark.0)
                .with_current_voters(states(&description.voters))
                .with_observers(states(&description.observers))
        }
        None => partition
            .with_error_code(ErrorCode::NotLeaderOrFollower.code())
            .with_leader_id(WireBrokerId(known.leader.map_or(-1, |BrokerId(id)| id)))
            .with_leader_epoch(known.epoch.0)
            .with_high_watermark(-1),
    };
    let topic = TopicData::default().with_topic_name(topic_name(wire::TOPIC)).with_partitions(vec![partition]);
    DescribeQuorumResponse::default().with_topics(vec![topic])
}

fn state(version: i16, replica: &ReplicaProgress, now: Time, wall_clock: Timestamp) -> ReplicaState {
    let wall = |time: Option<Time>| {
        let ago = |time| i64::try_from(now.since(time).as_millis()).unwrap_or(i64::MAX);
        time.map_or(-1, |time| wall_clock.0.saturating_sub(ago(time)))
    };
    let state = ReplicaState::default()
        .with_replica_id(WireBrokerId(replica.id.0))
        .with_log_end_offset(replica.log_end.map_or(-1, |end| end.0));
    if version < 1 {
        return state;
    }
    state
        .with_last_fetch_timestamp(wall(replica.last_fetch))
        .with_last_caught_up_timestamp(wall(replica.last_caught_up))
}
