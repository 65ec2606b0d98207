//! One file an API: a request of the wire in, a response of the wire out.

pub(crate) mod allocate_producer_ids;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition;
pub(crate) mod api_versions;
pub(crate) mod assign_replicas_to_dirs;
pub(crate) mod broker_heartbeat;
pub(crate) mod broker_registration;
mod config_resource;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
mod decided;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod elect_leaders;
pub(crate) mod fetch;
pub(crate) mod init_producer_id;
pub(crate) mod list_config_resources;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod quorum;
pub(crate) mod raft_voters;
pub(crate) mod reassignments;
pub(crate) mod unregister_broker;
pub(crate) mod update_features;

use model::BrokerId;
use protocol::messages;

/// A broker's id as the wire says it; -1 for none.
fn wire_id(id: Option<BrokerId>) -> messages::BrokerId {
    messages::BrokerId(id.map_or(-1, |id| id.0))
}

fn wire_ids(ids: &[BrokerId]) -> Vec<messages::BrokerId> {
    ids.iter().map(|id| messages::BrokerId(id.0)).collect()
}
