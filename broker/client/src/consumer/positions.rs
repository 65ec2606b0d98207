//! Offsets by words: where a log begins, where it ends, and where a time is in it (ListOffsets).

use host::Host;
use model::{LeaderEpoch, Offset};
use protocol::ErrorCode;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{BrokerId, ListOffsetsRequest, topic_name};

use super::{Consumer, Isolation, Position};
use crate::cluster::Leader;
use crate::{ClientError, Cluster, TopicPartition};

/// First version that fences by leader epoch (KIP-320).
const LEADER_EPOCH_SINCE: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// No record has the time that was asked for.
const UNKNOWN_OFFSET: i64 = -1;

impl<H: Host> Consumer<H> {
    /// The offset that a position means now.
    ///
    /// # Errors
    /// The last one, once the operation's time is over or asking again cannot help.
    pub async fn look_up(&mut self, partition: &TopicPartition, position: Position) -> Result<Offset, ClientError> {
        let isolation = self.config.isolation;
        self.cluster.retry(|| look_up_once(&self.cluster, isolation, partition, position)).await
    }

    /// Start and end (exclusive) of what can be read of a partition now.
    ///
    /// # Errors
    /// As [`look_up`](Consumer::look_up).
    pub async fn range(&mut self, partition: &TopicPartition) -> Result<(Offset, Offset), ClientError> {
        let start = self.look_up(partition, Position::Earliest).await?;
        let end = self.look_up(partition, Position::Latest).await?;
        Ok((start, end))
    }
}

/// The offset that a position means now. After a failure it learns the cluster anew, for the next attempt.
pub(super) async fn look_up_once<H: Host>(
    cluster: &Cluster<H>,
    isolation: Isolation,
    partition: &TopicPartition,
    position: Position,
) -> Result<Offset, ClientError> {
    let ask = async |timestamp| {
        let answer = ask_leader(cluster, isolation, partition, timestamp).await;
        if answer.is_err() {
            // The error at hand says what is wrong; a second one would add nothing.
            let _unanswered = cluster.refresh(Some(std::slice::from_ref(&partition.topic))).await;
        }
        answer
    };
    let found = match position {
        Position::Offset(offset) => return Ok(offset),
        Position::Earliest => ask(EARLIEST).await?,
        Position::Latest => ask(LATEST).await?,
        Position::Time(timestamp) => match ask(timestamp.0).await? {
            None => ask(LATEST).await?,
            found => found,
        },
    };
    found.ok_or(ClientError::Missing)
}

/// Where to go on from an offset that a leader did not have: from there, if the one that leads now has it. Logs of replicas begin where
/// each let go of its own, so what one leader deleted another may still have; to begin there again would read it twice.
pub(super) async fn go_on<H: Host>(
    cluster: &Cluster<H>,
    isolation: Isolation,
    partition: &TopicPartition,
    lost: Offset,
    word: Position,
) -> Result<Offset, ClientError> {
    let start = look_up_once(cluster, isolation, partition, Position::Earliest).await?;
    if start <= lost && lost <= look_up_once(cluster, isolation, partition, Position::Latest).await? {
        model::reached!("a consumer's position was in range again");
        return Ok(lost);
    }
    match word {
        Position::Earliest => Ok(start),
        word => look_up_once(cluster, isolation, partition, word).await,
    }
}

/// The offset that the leader answers with; none if no record has the time.
async fn ask_leader<H: Host>(
    cluster: &Cluster<H>,
    isolation: Isolation,
    partition: &TopicPartition,
    timestamp: i64,
) -> Result<Option<Offset>, ClientError> {
    let leader = match cluster.leader(partition) {
        Some(leader) => leader,
        None => find_leader(cluster, partition).await?,
    };
    let mut node = cluster.connect(&leader.endpoint).await?;
    let request = |version: i16| request(version, partition, timestamp, leader.epoch, isolation);
    let answer = node.ask(request, cluster.config().request_timeout).await?;
    let answer = answer.topics.iter().flat_map(|topic| &topic.partitions).next().ok_or(ClientError::Missing)?;
    match ClientError::from_code(answer.error_code, None) {
        Some(error) => Err(error),
        None => Ok((answer.offset != UNKNOWN_OFFSET).then_some(Offset(answer.offset))),
    }
}

async fn find_leader<H: Host>(cluster: &Cluster<H>, partition: &TopicPartition) -> Result<Leader, ClientError> {
    let errors = cluster.refresh(Some(std::slice::from_ref(&partition.topic))).await?;
    if let Some(leader) = cluster.leader(partition) {
        return Ok(leader);
    }
    // A topic that is not known is perhaps only not known yet; anything else that is wrong with its name is final.
    match errors.first() {
        Some((_, code)) if !code.is_retriable() => Err(ClientError::Refused { code: *code, message: None }),
        _ => Err(ClientError::NoLeader { topic: partition.topic.to_string(), partition: partition.partition }),
    }
}

fn request(
    version: i16,
    partition: &TopicPartition,
    timestamp: i64,
    epoch: LeaderEpoch,
    isolation: Isolation,
) -> ListOffsetsRequest {
    let epoch = if version >= LEADER_EPOCH_SINCE { epoch } else { LeaderEpoch::NONE };
    let asked = ListOffsetsPartition::default()
        .with_partition_index(partition.partition)
        .with_current_leader_epoch(epoch.0)
        .with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked]);
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    // Isolation came with version 2 (KIP-98).
    if version >= 2 { request.with_isolation_level(isolation.number()) } else { request }
}

impl Isolation {
    pub(super) fn number(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

/// True if the metadata that led to this answer is likely to be old.
pub(super) fn is_stale(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::KafkaStorageError
    )
}
