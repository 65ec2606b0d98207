//! `broker elect`: leaders by order.

use clap::Args;
use client::{Admin, Election, TopicPartition};

use super::cluster_access::{ClusterAccess, find_topic, refused};
use crate::failure::Failure;

/// Give the partitions of a topic back to their preferred leaders, or a partition without a leader to whoever is there.
#[derive(Args)]
pub(crate) struct Elect {
    name: String,
    /// Only this partition.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Where nobody leads, elect a replica that was not in sync. What it lacks is lost, acknowledged or not: the last way out when
    /// all that were in sync are gone for good.
    #[arg(long)]
    unclean: bool,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Elect {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Elect { name, partition, unclean, cluster } = self;
        cluster.run(async move |host, config| {
            let admin = Admin::new(host, config);
            let topic = find_topic(&admin, &name).await?;
            let indexes = (0_i32..).take(topic.partitions.len());
            let chosen: Vec<TopicPartition> = match partition {
                Some(partition) => vec![TopicPartition::new(&name, partition)],
                None => indexes.map(|index| TopicPartition::new(&name, index)).collect(),
            };
            let election = if unclean { Election::Unclean } else { Election::Preferred };
            admin.elect_leaders(election, &chosen).await.map_err(refused)?;
            let topic = find_topic(&admin, &name).await?;
            for (index, partition) in topic.partitions.iter().enumerate() {
                let leader = partition.leader.map_or("nobody".into(), |leader| format!("broker {leader}"));
                super::print(&format!("{name}/{index} is led by {leader}\n"))?;
            }
            Ok(())
        })
    }
}
