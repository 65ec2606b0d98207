//! Throttles of replication (KIP-73): moves that leave room for everybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use host::Host;

use crate::{Admin, ClientError, Resource, Target};

const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

impl<H: Host> Admin<H> {
    /// Lets each broker send, and fetch, no more than so many bytes a second for replicas that these moves bring. To be asked for
    /// before the moves are; it holds until [`lift_throttle`](Admin::lift_throttle), and harms nobody who is in sync. The rate must
    /// be more than what producers write, or the moves never end.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over.
    pub async fn throttle(&self, targets: &[Target], bytes_per_second: u64) -> Result<(), ClientError> {
        let mut replicas = BTreeMap::<Arc<str>, (Vec<String>, Vec<String>)>::new();
        for (partition, to) in targets {
            let topic = self.topic(&partition.topic).await?;
            let index = usize::try_from(partition.partition).unwrap_or(usize::MAX);
            let held_by = topic.partitions.get(index).map_or(&[][..], |known| &known.replicas);
            let (sending, coming) = replicas.entry(partition.topic.clone()).or_default();
            let name = |broker| format!("{}:{broker}", partition.partition);
            sending.extend(held_by.iter().map(name));
            let new = to.iter().flatten().filter(|broker| !held_by.contains(broker));
            coming.extend(new.map(name));
        }
        let rate = Some(bytes_per_second.to_string());
        let rates = [(LEADER_RATE, rate.clone()), (FOLLOWER_RATE, rate)];
        self.alter_settings(&Resource::Cluster, &named(rates)).await?;
        for (topic, (sending, coming)) in replicas {
            let lists = [(LEADER_REPLICAS, Some(sending.join(","))), (FOLLOWER_REPLICAS, Some(coming.join(",")))];
            self.alter_settings(&Resource::Topic(topic.to_string()), &named(lists)).await?;
        }
        Ok(())
    }

    /// Lets the replicas of these topics fetch as fast as they can. The rates go too, once nothing moves any more.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over.
    pub async fn lift_throttle(&self, topics: &BTreeSet<Arc<str>>) -> Result<(), ClientError> {
        for topic in topics {
            let lists = [(LEADER_REPLICAS, None), (FOLLOWER_REPLICAS, None)];
            self.alter_settings(&Resource::Topic(topic.to_string()), &named(lists)).await?;
        }
        let moves = self.reassignments().await?;
        if moves.iter().all(|moving| topics.contains(&moving.partition.topic)) {
            self.alter_settings(&Resource::Cluster, &named([(LEADER_RATE, None), (FOLLOWER_RATE, None)])).await?;
        }
        Ok(())
    }
}

fn named<const N: usize>(settings: [(&str, Option<String>); N]) -> BTreeMap<String, Option<String>> {
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
