//! How much each broker holds of partitions (KIP-113): how far a move is.

use std::collections::BTreeMap;

use host::Host;
use model::BrokerId;
use protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use protocol::messages::{DescribeLogDirsRequest, topic_name};

use crate::{Admin, ClientError, Move, TopicPartition};

/// Bytes by partition and broker. Of a broker that is away nothing is known.
pub type Sizes = BTreeMap<(TopicPartition, BrokerId), u64>;

impl<H: Host> Admin<H> {
    /// Asks each broker that takes part in these moves what it holds of them by now.
    ///
    /// # Errors
    /// Once the operation's time is over and nobody tells who the brokers are.
    pub async fn sizes(&self, moves: &[Move]) -> Result<Sizes, ClientError> {
        let brokers = self.describe_cluster().await?.brokers;
        let wait_max = self.cluster.config().request_timeout;
        let mut sizes = Sizes::new();
        for (&broker, endpoint) in &brokers {
            let own = moves.iter().filter(|moving| moving.replicas.contains(&broker));
            let topics = own.map(|moving| {
                DescribableLogDirTopic::default()
                    .with_topic(topic_name(&moving.partition.topic))
                    .with_partitions(vec![moving.partition.partition])
            });
            let request = DescribeLogDirsRequest::default().with_topics(Some(topics.collect()));
            let Ok(mut node) = self.cluster.connect(endpoint).await else { continue };
            let Ok(answer) = node.ask(|_version| request, wait_max).await else { continue };
            for topic in answer.results.iter().flat_map(|directory| &directory.topics) {
                for partition in &topic.partitions {
                    let name = TopicPartition::new(topic.name.as_str(), partition.partition_index);
                    sizes.insert((name, broker), u64::try_from(partition.partition_size).unwrap_or(0));
                }
            }
        }
        Ok(sizes)
    }
}

impl Move {
    /// How much of it those that come have, in hundredths; none if nobody knows. They go on while more is written.
    pub fn percent(&self, sizes: &Sizes) -> Option<u64> {
        let size = |broker: &BrokerId| sizes.get(&(self.partition.clone(), *broker)).copied();
        let whole = self.replicas.iter().filter(|broker| !self.adding.contains(broker)).filter_map(size).max()?;
        let wanted = whole.saturating_mul(self.adding.len() as u64);
        let have: u64 = self.adding.iter().filter_map(size).map(|own| own.min(whole)).sum();
        // Where there is nothing to copy, all of it is there.
        Some(have.saturating_mul(100).checked_div(wanted).unwrap_or(100))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_as_far_as_those_that_come_together() {
        let partition = TopicPartition::new("orders", 0);
        let [first, second, third, fourth] = [1, 2, 3, 4].map(BrokerId);
        let (adding, removing) = (vec![third, fourth], vec![second]);
        let moving =
            Move { partition: partition.clone(), replicas: vec![first, second, third, fourth], adding, removing };
        let sizes = |known: &[(BrokerId, u64)]| {
            known.iter().map(|&(broker, bytes)| ((partition.clone(), broker), bytes)).collect::<Sizes>()
        };
        assert_eq!(moving.percent(&sizes(&[(first, 400), (second, 390), (third, 100)])), Some(12));
        assert_eq!(moving.percent(&sizes(&[(first, 400), (third, 500), (fourth, 400)])), Some(100));
        assert_eq!(moving.percent(&sizes(&[(first, 0)])), Some(100), "there is nothing to copy");
        assert_eq!(moving.percent(&sizes(&[(third, 100)])), None, "nobody knows how much there is");
    }
}
