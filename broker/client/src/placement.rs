//! Where partitions live and who leads them: moves, elections, brokers that leave for good.

use host::Host;
use model::BrokerId;
use protocol::ErrorCode;
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId as WireId, ElectLeadersRequest, ListPartitionReassignmentsRequest,
    UnregisterBrokerRequest, topic_name,
};

use crate::{Admin, ClientError, TopicPartition};

/// How a leader is elected (KIP-460).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// The first of the replicas, which must be in sync.
    Preferred,
    /// Any replica that is there, where nobody leads. What it lacks is lost.
    Unclean,
}

/// Where a partition is to live: on these brokers, the preferred leader first, or where it was before it began to move.
pub type Target = (TopicPartition, Option<Vec<BrokerId>>);

/// A partition that is on its way to other brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub partition: TopicPartition,
    /// Who holds it, those who come and those who go among them.
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

impl<H: Host> Admin<H> {
    /// Elects the leaders of these partitions. One that is led as asked already is no error.
    ///
    /// # Errors
    /// `Refused` with what is wrong with the first one that is refused, others being elected all the same; others once the operation's
    /// time is over.
    pub async fn elect_leaders(&self, election: Election, partitions: &[TopicPartition]) -> Result<(), ClientError> {
        let topic = |partition: &TopicPartition| {
            TopicPartitions::default()
                .with_topic(topic_name(&partition.topic))
                .with_partitions(vec![partition.partition])
        };
        let request = ElectLeadersRequest::default()
            .with_election_type(match election {
                Election::Preferred => 0,
                Election::Unclean => 1,
            })
            .with_topic_partitions(Some(partitions.iter().map(topic).collect()))
            .with_timeout_ms(self.cluster.config().request_timeout.as_millis() as i32);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            refusal(answer.error_code, None)?;
            let results = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
            for result in results.filter(|result| result.error_code != ErrorCode::ElectionNotNeeded.code()) {
                refusal(result.error_code, result.error_message.as_deref())?;
            }
            Ok(())
        };
        self.cluster.retry(attempt).await
    }

    /// Sets partitions on their way. The move goes on after this returns.
    ///
    /// # Errors
    /// `Refused` with what is wrong with the first one that is refused, others being moved all the same; others once the operation's
    /// time is over: they may move.
    pub async fn reassign(&self, targets: &[Target]) -> Result<(), ClientError> {
        let topic = |(partition, replicas): &Target| {
            let replicas = replicas.as_ref().map(|ids| ids.iter().map(|id| WireId(id.0)).collect());
            let asked =
                ReassignablePartition::default().with_partition_index(partition.partition).with_replicas(replicas);
            ReassignableTopic::default().with_name(topic_name(&partition.topic)).with_partitions(vec![asked])
        };
        let request = AlterPartitionReassignmentsRequest::default()
            .with_topics(targets.iter().map(topic).collect())
            .with_timeout_ms(self.cluster.config().request_timeout.as_millis() as i32);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            refusal(answer.error_code, answer.error_message.as_deref())?;
            for result in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                refusal(result.error_code, result.error_message.as_deref())?;
            }
            Ok(())
        };
        self.cluster.retry(attempt).await
    }

    /// Every partition that is on its way.
    ///
    /// # Errors
    /// Once the operation's time is over.
    pub async fn reassignments(&self) -> Result<Vec<Move>, ClientError> {
        let request = ListPartitionReassignmentsRequest::default().with_topics(None);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            refusal(answer.error_code, answer.error_message.as_deref())?;
            Ok(answer)
        };
        let answer = self.cluster.retry(attempt).await?;
        let moves = answer.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|moving| Move {
                partition: TopicPartition::new(topic.name.as_str(), moving.partition_index),
                replicas: brokers(&moving.replicas),
                adding: brokers(&moving.adding_replicas),
                removing: brokers(&moving.removing_replicas),
            })
        });
        Ok(moves.collect())
    }

    /// Takes a broker out of the cluster that is not to come back.
    ///
    /// # Errors
    /// `Refused` with `BrokerIdNotRegistered` if there is none; others once the operation's time is over: it may be out.
    pub async fn unregister_broker(&self, broker: BrokerId) -> Result<(), ClientError> {
        let request = UnregisterBrokerRequest::default().with_broker_id(WireId(broker.0));
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            refusal(answer.error_code, answer.error_message.as_deref())
        };
        self.cluster.retry(attempt).await
    }
}

fn refusal(code: i16, message: Option<&str>) -> Result<(), ClientError> {
    ClientError::from_code(code, message).map_or(Ok(()), Err)
}

fn brokers(ids: &[WireId]) -> Vec<BrokerId> {
    ids.iter().map(|id| BrokerId(id.0)).collect()
}
