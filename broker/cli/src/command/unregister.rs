//! `broker unregister`: a broker leaves the cluster for good.

use clap::Args;
use client::Admin;
use model::BrokerId;

use super::cluster_access::{ClusterAccess, refused};
use crate::failure::Failure;

/// Take a broker out of the cluster that is not to come back.
///
/// Replicas that it held are still counted on: move them elsewhere first (`broker reassign start`). One that runs all the same
/// registers again.
#[derive(Args)]
pub(crate) struct Unregister {
    /// The broker's node.id.
    broker: i32,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Unregister {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Unregister { broker, cluster } = self;
        cluster.run(async move |host, config| {
            let admin = Admin::new(host, config);
            let topics = admin.topics().await.map_err(refused)?;
            let holds = |partition: &client::PartitionInfo| partition.replicas.contains(&BrokerId(broker));
            let held = topics.values().flat_map(|topic| &topic.partitions).filter(|partition| holds(partition)).count();
            admin.unregister_broker(BrokerId(broker)).await.map_err(refused)?;
            super::print(&format!("broker {broker} is not part of the cluster any more\n"))?;
            if 0 < held {
                super::print(&format!(
                    "{held} partitions still count on it: move them with `broker reassign start`\n"
                ))?;
            }
            Ok(())
        })
    }
}
