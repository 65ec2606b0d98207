//! DescribeLogDirs: what this broker keeps on its disk, by partition (KIP-113). Each broker is asked for its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use host::Host;
use protocol::Response;
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, string, topic_name};

use crate::node::Node;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: &DescribeLogDirsRequest) -> Response {
    let image = node.image();
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in node.partitions() {
        let Some(topic) = image.topics.get(&partition.id.topic) else { continue };
        if is_asked_for(request.topics.as_deref(), &topic.name, partition.id.index) {
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
    let directory =
        DescribeLogDirsResult::default().with_log_dir(string(&node.config.log_directory)).with_topics(topics.collect());
    Response::DescribeLogDirs(DescribeLogDirsResponse::default().with_results(vec![directory]))
}

/// No topics at all asks for everything.
fn is_asked_for(asked: Option<&[DescribableLogDirTopic]>, topic: &str, index: i32) -> bool {
    asked.is_none_or(|asked| asked.iter().any(|one| one.topic.as_str() == topic && one.partitions.contains(&index)))
}
