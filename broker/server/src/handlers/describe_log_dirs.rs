//! DescribeLogDirs: what this broker keeps on its disks, by directory and partition (KIP-113, KIP-827). Each broker is asked for its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use host::{Disk, Host, Space};
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, string, topic_name};
use protocol::{ErrorCode, Response};

use crate::node::Node;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: &DescribeLogDirsRequest) -> Response {
    let directories = node.directories.each().map(|(directory, path, failure)| {
        let result = DescribeLogDirsResult::default().with_log_dir(string(path));
        match node.host.disk().space(path) {
            Ok(space) if failure.is_none() => {
                with_space(result, space).with_topics(topics(node, directory, request.topics.as_deref()))
            }
            Ok(_) | Err(_) => result.with_error_code(ErrorCode::KafkaStorageError.code()),
        }
    });
    Response::DescribeLogDirs(DescribeLogDirsResponse::default().with_results(directories.collect()))
}

fn with_space(result: DescribeLogDirsResult, space: Space) -> DescribeLogDirsResult {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    result.with_total_bytes(bytes(space.total)).with_usable_bytes(bytes(space.free))
}

/// What is in one directory of what is asked for; no topics at all ask for everything.
fn topics<H: Host>(
    node: &Arc<Node<H>>,
    directory: usize,
    asked: Option<&[DescribableLogDirTopic]>,
) -> Vec<DescribeLogDirsTopic> {
    let image = node.image();
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in node.partitions().iter().filter(|partition| partition.directory == directory) {
        let Some(topic) = image.topics.get(&partition.id.topic) else { continue };
        if is_asked_for(asked, &topic.name, partition.id.index) {
            let standing = partition.standing();
            let described = DescribeLogDirsPartition::default()
                .with_partition_index(partition.id.index)
                .with_partition_size(i64::try_from(standing.bytes).unwrap_or(i64::MAX))
                .with_offset_lag(standing.lag);
            topics.entry(&topic.name).or_default().push(described);
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default().with_name(topic_name(name)).with_partitions(partitions)
    });
    topics.collect()
}

fn is_asked_for(asked: Option<&[DescribableLogDirTopic]>, topic: &str, index: i32) -> bool {
    asked.is_none_or(|asked| asked.iter().any(|one| one.topic.as_str() == topic && one.partitions.contains(&index)))
}
