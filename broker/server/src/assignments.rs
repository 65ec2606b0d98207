//! Tells the controller in which log directory each replica of this broker lies (AssignReplicasToDirs, KIP-858), so that it knows what
//! is lost with a disk. A broker with one directory that has no identity says nothing: all it has is there for as long as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use host::Host;
use model::{DirectoryId, PartitionId};
use protocol::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use protocol::messages::{
    AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerId as WireBrokerId, directory_uuid, topic_id, uuid,
};
use protocol::{ErrorCode, NO_ERROR};

use crate::node::Node;

const VERSION: i16 = 0;

/// Replicas that one request speaks of.
const REPLICAS_MAX: usize = 1000;

/// How long to wait after a request before the next: the metadata comes meanwhile that shows what was taken.
const BACKOFF: Duration = Duration::from_millis(200);

/// Runs for as long as the node lives.
pub(crate) async fn run<H: Host>(node: Arc<Node<H>>) {
    let mut applied = node.applied.subscribe();
    let mut failures = node.directories.failures();
    loop {
        applied.mark_unchanged();
        failures.mark_unchanged();
        let untold = untold(&node);
        let epoch = *node.broker_epoch.lock();
        if let Some(epoch) = epoch.filter(|_| !untold.is_empty()) {
            let request = AssignReplicasToDirsRequest::default()
                .with_broker_id(WireBrokerId(node.config.node_id.0))
                .with_broker_epoch(epoch.0)
                .with_directories(directories(&untold));
            match node.controller.call(VERSION, &request).await {
                Ok(response) if response.error_code == NO_ERROR => warn_of_refusals(&response),
                Ok(response) => {
                    let error = ErrorCode::try_from_code(response.error_code);
                    tracing::debug!(?error, "the controller did not take where replicas lie");
                    node.controller.forget().await;
                }
                Err(error) => tracing::debug!(%error, "cannot tell where replicas lie"),
            }
            node.host.sleep(BACKOFF).await;
            continue;
        }
        tokio::select! {
            biased;
            changed = applied.changed() => if changed.is_err() { return },
            changed = failures.changed() => if changed.is_err() { return },
        }
    }
}

/// Where replicas lie of which the metadata says something else, some of them.
fn untold<H: Host>(node: &Node<H>) -> Vec<(DirectoryId, PartitionId)> {
    let own = node.config.node_id;
    let image = node.image();
    let mut untold = Vec::new();
    for (id, replica) in image.partitions().filter(|(_, partition)| partition.replicas.contains(&own)) {
        let held = || node.partition(id).and_then(|partition| node.directories.id(partition.directory));
        let Some(directory) = node.directories.lost(id).or_else(held) else { continue };
        if replica.directories.get(&own) != Some(&directory) {
            untold.push((directory, id));
            if untold.len() == REPLICAS_MAX {
                break;
            }
        }
    }
    untold.sort_unstable();
    untold
}

fn directories(untold: &[(DirectoryId, PartitionId)]) -> Vec<DirectoryData> {
    let mut directories: BTreeMap<DirectoryId, BTreeMap<model::TopicId, Vec<PartitionData>>> = BTreeMap::new();
    for (directory, id) in untold {
        let partition = PartitionData::default().with_partition_index(id.index);
        directories.entry(*directory).or_default().entry(id.topic).or_default().push(partition);
    }
    let told = directories.into_iter().map(|(directory, topics)| {
        let topics = topics
            .into_iter()
            .map(|(topic, partitions)| TopicData::default().with_topic_id(uuid(topic)).with_partitions(partitions));
        DirectoryData::default().with_id(directory_uuid(Some(directory))).with_topics(topics.collect())
    });
    told.collect()
}

fn warn_of_refusals(response: &AssignReplicasToDirsResponse) {
    for topic in response.directories.iter().flat_map(|directory| &directory.topics) {
        for partition in topic.partitions.iter().filter(|partition| partition.error_code != NO_ERROR) {
            let id = PartitionId { topic: topic_id(topic.topic_id), index: partition.partition_index };
            match ErrorCode::try_from_code(partition.error_code) {
                Some(ErrorCode::IneligibleReplica) => tracing::warn!(
                    %id,
                    "the last replica in sync lay on a disk that is gone: bring that back, or order an unclean election"
                ),
                error => tracing::debug!(%id, ?error, "the controller did not take where a replica lies"),
            }
        }
    }
}
