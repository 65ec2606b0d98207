//! Who votes on the cluster's metadata, and who follows (KIP-836); and other voters (KIP-853).

use host::Host;
use model::{BrokerId, DirectoryId, Endpoint, LeaderEpoch, Offset, PartitionId, Timestamp};
use protocol::ErrorCode;
use protocol::messages::add_raft_voter_request::Listener;
use protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use protocol::messages::describe_quorum_response::ReplicaState;
use protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, DescribeQuorumRequest, RemoveRaftVoterRequest, RemoveRaftVoterResponse,
    directory_id, string, topic_name,
};

use crate::{Admin, ClientError};

/// The metadata log's topic.
const TOPIC: &str = "__cluster_metadata";

/// The quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumInfo {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    /// Everything below is committed.
    pub high_watermark: Offset,
    pub voters: Vec<QuorumReplica>,
    /// Nodes that follow and do not vote.
    pub observers: Vec<QuorumReplica>,
}

/// One node's copy of the metadata log. None: its leader has not heard of it in this epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumReplica {
    pub id: BrokerId,
    /// Of its disk, if that has one: of a voter that was configured it has none.
    pub directory: Option<DirectoryId>,
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Timestamp>,
    /// When it last had all that the leader had.
    pub last_caught_up: Option<Timestamp>,
}

impl QuorumInfo {
    /// How many records a node lacks that the leader has.
    pub fn lag(&self, replica: &QuorumReplica) -> Option<i64> {
        let leader = self.voters.iter().chain(&self.observers).find(|other| other.id == self.leader)?;
        Some((leader.log_end?.0 - replica.log_end?.0).max(0))
    }
}

impl<H: Host> Admin<H> {
    /// Who votes on the metadata, and how far each node is.
    ///
    /// # Errors
    /// Once the operation's time is over.
    pub async fn describe_quorum(&self) -> Result<QuorumInfo, ClientError> {
        let partition = PartitionData::default().with_partition_index(PartitionId::METADATA.index);
        let topic = TopicData::default().with_topic_name(topic_name(TOPIC)).with_partitions(vec![partition]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            if let Some(error) = ClientError::from_code(answer.error_code, answer.error_message.as_deref()) {
                return Err(error);
            }
            let described = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
            let described = described.ok_or(ClientError::Missing)?;
            match ClientError::from_code(described.error_code, described.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(described),
            }
        };
        let described = self.cluster.retry(attempt).await?;
        Ok(QuorumInfo {
            leader: BrokerId(described.leader_id.0),
            epoch: LeaderEpoch(described.leader_epoch),
            high_watermark: Offset(described.high_watermark),
            voters: described.current_voters.iter().map(replica).collect(),
            observers: described.observers.iter().map(replica).collect(),
        })
    }

    /// Has a node vote on the metadata that follows it and listens at `endpoint`; waits until that is committed.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over: it may vote.
    pub async fn add_voter(&self, node: BrokerId, endpoint: &Endpoint) -> Result<(), ClientError> {
        let listener = Listener::default()
            .with_name(string("PLAINTEXT"))
            .with_host(string(&endpoint.host))
            .with_port(endpoint.port);
        let request = AddRaftVoterRequest::default()
            .with_cluster_id(None)
            .with_timeout_ms(self.cluster.config().request_timeout.as_millis() as i32)
            .with_voter_id(node.0)
            .with_listeners(vec![listener]);
        let outcome = |answer: AddRaftVoterResponse| Some((answer.error_code, answer.error_message));
        self.change_named(&node.to_string(), |_version| request.clone(), ErrorCode::DuplicateVoter, outcome).await
    }

    /// Has a node vote on the metadata no more; waits until that is committed.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over: it may vote no more.
    pub async fn remove_voter(&self, node: BrokerId) -> Result<(), ClientError> {
        let request = RemoveRaftVoterRequest::default().with_cluster_id(None).with_voter_id(node.0);
        let outcome = |answer: RemoveRaftVoterResponse| Some((answer.error_code, answer.error_message));
        self.change_named(&node.to_string(), |_version| request.clone(), ErrorCode::VoterNotFound, outcome).await
    }
}

fn replica(state: &ReplicaState) -> QuorumReplica {
    let time = |millis: i64| (0 <= millis).then_some(Timestamp(millis));
    QuorumReplica {
        id: BrokerId(state.replica_id.0),
        directory: directory_id(state.replica_directory_id),
        log_end: (0 <= state.log_end_offset).then_some(Offset(state.log_end_offset)),
        last_fetch: time(state.last_fetch_timestamp),
        last_caught_up: time(state.last_caught_up_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(id: i32, log_end: Option<i64>) -> QuorumReplica {
        let log_end = log_end.map(Offset);
        QuorumReplica { id: BrokerId(id), directory: None, log_end, last_fetch: None, last_caught_up: None }
    }

    #[test]
    fn the_lag_of_a_node_is_what_the_leader_has_and_it_does_not() {
        let quorum = QuorumInfo {
            leader: BrokerId(2),
            epoch: LeaderEpoch(5),
            high_watermark: Offset(9),
            voters: vec![replica(1, Some(7)), replica(2, Some(10)), replica(3, None)],
            observers: vec![replica(4, Some(10))],
        };
        let lags: Vec<_> = quorum.voters.iter().chain(&quorum.observers).map(|replica| quorum.lag(replica)).collect();
        assert_eq!(lags, [Some(3), Some(0), None, Some(0)]);
    }
}
