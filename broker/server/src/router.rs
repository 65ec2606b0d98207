//! Which request goes where: one match.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt;
use host::{FileRange, Host};
use model::Time;
use protocol::{Header, Request, Response};

use crate::handlers::{
    allocate_producer_ids, alter_configs, alter_partition, api_versions, assign_replicas_to_dirs, broker_heartbeat,
    broker_registration, create_partitions, create_topics, delete_records, delete_topics, describe_cluster,
    describe_configs, describe_log_dirs, describe_producers, describe_quorum, describe_topic_partitions, elect_leaders,
    fetch, init_producer_id, list_config_resources, list_offsets, metadata, offset_for_leader_epoch, produce, quorum,
    raft_voters, reassignments, unregister_broker, update_features,
};
use crate::node::Node;

/// An answer, and what is sent with it.
pub(crate) struct Reply {
    pub(crate) response: Response,
    /// Of each partition of a fetch: records that go from their file to the client, in the place of those in the response.
    pub(crate) in_files: Vec<Option<FileRange>>,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply { response, in_files: Vec::new() }
    }
}

/// How a request is answered.
pub(crate) enum Answer {
    Now(Reply),
    /// Its work has begun; none says that no answer is due after all.
    Later(Pin<Box<dyn Future<Output = Option<Reply>> + Send>>),
    /// The client asked for none (acks=0).
    Never,
}

impl Answer {
    pub(crate) fn now(reply: impl Into<Reply>) -> Answer {
        Answer::Now(reply.into())
    }

    pub(crate) fn later(reply: impl Future<Output: Into<Reply>> + Send + 'static) -> Answer {
        Answer::Later(Box::pin(reply.map(|reply| Some(reply.into()))))
    }
}

/// Begins a request's work. Its connection's answer before it left at `answered`.
pub(crate) fn route<H: Host>(node: &Arc<Node<H>>, header: &Header, answered: Option<Time>, request: Request) -> Answer {
    let version = header.version;
    match request {
        Request::ApiVersions(request) => Answer::now(api_versions::handle(node, version, &request)),
        Request::Metadata(request) => metadata::handle(node, version, request),
        Request::Produce(request) => produce::handle(node, request),
        Request::Fetch(request) => fetch::handle(node, version, answered, request),
        Request::ListOffsets(request) => Answer::now(list_offsets::handle(node, version, request)),
        Request::OffsetForLeaderEpoch(request) => Answer::now(offset_for_leader_epoch::handle(node, request)),
        Request::DescribeLogDirs(request) => Answer::now(describe_log_dirs::handle(node, &request)),
        Request::CreateTopics(request) => create_topics::handle(node, version, request),
        Request::DeleteRecords(request) => delete_records::handle(node, &request),
        Request::InitProducerId(request) => init_producer_id::handle(node, request),
        Request::AllocateProducerIds(request) => allocate_producer_ids::handle(node, request),
        Request::AssignReplicasToDirs(request) => assign_replicas_to_dirs::handle(node, request),
        Request::DescribeProducers(request) => Answer::now(describe_producers::handle(node, request)),
        Request::DescribeCluster(request) => Answer::now(describe_cluster::handle(node, version, &request)),
        Request::DeleteTopics(request) => delete_topics::handle(node, version, request),
        Request::CreatePartitions(request) => create_partitions::handle(node, request),
        Request::DescribeTopicPartitions(request) => Answer::now(describe_topic_partitions::handle(node, &request)),
        Request::DescribeConfigs(request) => Answer::now(describe_configs::handle(node, &request)),
        Request::IncrementalAlterConfigs(request) => alter_configs::handle_incremental(node, request),
        Request::AlterConfigs(request) => alter_configs::handle_whole(node, request),
        Request::ListConfigResources(request) => Answer::now(list_config_resources::handle(node, version, &request)),
        Request::ElectLeaders(request) => elect_leaders::handle(node, version, request),
        Request::AlterPartitionReassignments(request) => reassignments::handle_alter(node, version, request),
        Request::ListPartitionReassignments(request) => Answer::now(reassignments::handle_list(node, &request)),
        Request::UnregisterBroker(request) => unregister_broker::handle(node, request),
        Request::UpdateFeatures(request) => update_features::handle(node, version, request),
        Request::AddRaftVoter(request) => raft_voters::handle_add(node, request),
        Request::RemoveRaftVoter(request) => raft_voters::handle_remove(node, request),
        Request::UpdateRaftVoter(request) => raft_voters::handle_update(node, request),
        Request::AlterPartition(request) => alter_partition::handle(node, request),
        Request::BrokerRegistration(request) => broker_registration::handle(node, request),
        Request::BrokerHeartbeat(request) => broker_heartbeat::handle(node, request),
        Request::DescribeQuorum(request) => describe_quorum::handle(node, version, request),
        Request::Vote(_) | Request::BeginQuorumEpoch(_) | Request::EndQuorumEpoch(_) | Request::FetchSnapshot(_) => {
            quorum::handle(node, version, request)
        }
    }
}
