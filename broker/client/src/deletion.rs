//! Deleting records from the start of a partition.

use host::Host;
use model::Offset;
use protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::{DeleteRecordsRequest, topic_name};

use crate::{Admin, ClientError, TopicPartition};

/// What asks for everything that is committed.
const HIGH_WATERMARK: Offset = Offset(-1);

impl<H: Host> Admin<H> {
    /// Deletes the records of `partition` below `before`, or all that are committed, and waits until every in-sync replica has. The
    /// answer is the offset below which none of them has anything. Asking again does no harm.
    ///
    /// # Errors
    /// `Refused` with `OffsetOutOfRange` if `before` is not committed; others once the operation's time is over.
    pub async fn delete_records(
        &self,
        partition: &TopicPartition,
        before: Option<Offset>,
    ) -> Result<Offset, ClientError> {
        let before = before.unwrap_or(HIGH_WATERMARK);
        self.cluster
            .retry(|| async {
                let answer = self.delete_once(partition, before).await;
                if answer.is_err() {
                    // The leader may be another. The error at hand says what is wrong; a second one would add nothing.
                    let _unanswered = self.cluster.refresh(Some(std::slice::from_ref(&partition.topic))).await;
                }
                answer
            })
            .await
    }

    async fn delete_once(&self, partition: &TopicPartition, before: Offset) -> Result<Offset, ClientError> {
        let (topic, index) = (partition.topic.to_string(), partition.partition);
        let leader = self.cluster.leader(partition).ok_or(ClientError::NoLeader { topic, partition: index })?;
        let wait_max = self.cluster.config().request_timeout;
        let asked = DeleteRecordsPartition::default().with_partition_index(index).with_offset(before.0);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked]);
        let request = DeleteRecordsRequest::default()
            .with_topics(vec![topic])
            .with_timeout_ms(i32::try_from(wait_max.as_millis()).unwrap_or(i32::MAX));
        let mut node = self.cluster.connect(&leader.endpoint).await?;
        let answer = node.ask(|_version| request.clone(), 2 * wait_max).await?;
        let result = answer.topics.iter().flat_map(|topic| &topic.partitions).next().ok_or(ClientError::Missing)?;
        ClientError::from_code(result.error_code, None).map_or(Ok(Offset(result.low_watermark)), Err)
    }
}
