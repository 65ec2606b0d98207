//! DeleteRecords: a log begins later from now on, on every in-sync replica.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;
use host::{Host, timeout};
use model::{Offset, PartitionId, Time, TopicId};
use protocol::messages::delete_records_request::DeleteRecordsPartition;
use protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use protocol::{ErrorCode, Response};
use tokio::sync::Notify;

use crate::errors::refusal_code;
use crate::node::Node;
use crate::partition::Partition;
use crate::router::Answer;

/// One partition of the request: set about, or refused.
struct Deletion<H: Host> {
    index: i32,
    admitted: Result<(Arc<Partition<H>>, Offset), i16>,
}

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, request: &DeleteRecordsRequest) -> Answer {
    let deadline = node.host.now() + Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let begin_topic = |topic: &protocol::messages::delete_records_request::DeleteRecordsTopic| {
        let id = node.applied.borrow().topic_ids.get(topic.name.as_str()).copied();
        let deletions: Vec<_> = topic.partitions.iter().map(|asked| begin(node, id, asked)).collect();
        (topic.name.clone(), deletions)
    };
    let topics: Vec<_> = request.topics.iter().map(begin_topic).collect();
    let host = node.host.clone();
    Answer::later(async move {
        let mut results = Vec::with_capacity(topics.len());
        for (name, deletions) in topics {
            let waits = deletions.into_iter().map(|deletion| finish(&host, deletion, deadline));
            let partitions = future::join_all(waits).await;
            results.push(DeleteRecordsTopicResult::default().with_name(name).with_partitions(partitions));
        }
        Response::DeleteRecords(DeleteRecordsResponse::default().with_topics(results))
    })
}

fn begin<H: Host>(node: &Arc<Node<H>>, topic: Option<TopicId>, asked: &DeleteRecordsPartition) -> Deletion<H> {
    let index = asked.partition_index;
    let id = topic.map(|topic| PartitionId { topic, index });
    let admitted = match node.held(id) {
        // What is only compacted is for ever.
        Ok(partition) if !partition.settings().log.cleanup_policy.deletes() => Err(ErrorCode::PolicyViolation.code()),
        Ok(partition) => {
            let below = partition.admit_deletion(Offset(asked.offset));
            below.map(|below| (partition, below)).map_err(refusal_code)
        }
        Err(code) => Err(code.code()),
    };
    Deletion { index, admitted }
}

/// Waits until no in-sync replica has any of the records, or the time is up.
async fn finish<H: Host>(host: &H, deletion: Deletion<H>, deadline: Time) -> DeleteRecordsPartitionResult {
    let answer = DeleteRecordsPartitionResult::default().with_partition_index(deletion.index).with_low_watermark(-1);
    let (partition, below) = match deletion.admitted {
        Ok(admitted) => admitted,
        Err(code) => return answer.with_error_code(code),
    };
    let changed = Arc::new(Notify::new());
    loop {
        // Watch first, then look: a change in between is not missed.
        partition.watch_start(&changed);
        match partition.delete_below(below) {
            Ok(Some(low_watermark)) => return answer.with_low_watermark(low_watermark.0),
            Ok(None) => {}
            Err(refusal) => return answer.with_error_code(refusal_code(refusal)),
        }
        if timeout(host, deadline.since(host.now()), changed.notified()).await.is_err() {
            return answer.with_error_code(ErrorCode::RequestTimedOut.code());
        }
    }
}
