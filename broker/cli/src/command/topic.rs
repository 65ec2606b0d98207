//! `broker topic`: make topics, list them, look at one.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Args, Subcommand};
use client::{Admin, ClientConfig, NewTopic, PartitionInfo};
use host::real::RealHost;
use model::BrokerId;

use super::cluster_access::{ClusterAccess, find_topic, refused};
use crate::failure::Failure;

/// Make topics, list them, look at one.
#[derive(Args)]
pub(crate) struct Topic {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Create(Create),
    /// List every topic with its partitions and replicas.
    List {
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Show who leads each partition of a topic, who replicates it, and who of them is in sync.
    Describe {
        name: String,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
}

/// Make a topic.
///
/// A record goes to one partition, chosen by its key, and order is kept within it: partitions are how far reading can be
/// shared out. Each is held by as many brokers as it has replicas, and survives the loss of all but one of those in sync.
#[derive(Args)]
struct Create {
    name: String,
    /// How many partitions; the cluster's num.partitions if left out.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many replicas of each; the cluster's default.replication.factor if left out.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replicas: Option<i16>,
    /// A setting of the topic, such as min.insync.replicas=2. May be given more than once.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Topic {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Create(command) => command.run(),
            What::List { cluster } => cluster.run(list),
            What::Describe { name, cluster } => cluster.run(|host, config| describe(host, config, name)),
        }
    }
}

impl Create {
    fn run(self) -> Result<(), Failure> {
        let topic = NewTopic {
            name: self.name,
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replicas.unwrap_or(-1),
            settings: self.settings.into_iter().collect::<BTreeMap<_, _>>(),
        };
        self.cluster.run(async move |host, config| {
            Admin::new(host, config).create_topic(&topic).await.map_err(refused)?;
            super::print(&format!("created {}\n", topic.name))
        })
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.into(), value.into()))
}

async fn list(host: RealHost, config: ClientConfig) -> Result<(), Failure> {
    let topics = Admin::new(host, config).topics().await.map_err(refused)?;
    let width = topics.keys().map(|name| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, topic) in &topics {
        let replicas = topic.partitions.iter().map(|partition| partition.replicas.len()).max().unwrap_or(0);
        let _ = writeln!(text, "{name:width$}  partitions {}, replicas {replicas}", topic.partitions.len());
    }
    super::print(&text)
}

async fn describe(host: RealHost, config: ClientConfig, name: String) -> Result<(), Failure> {
    let topic = find_topic(&Admin::new(host, config), &name).await?;
    let mut text = format!("{name}  id {:032x}\n", topic.id.0);
    for (index, PartitionInfo { leader, leader_epoch, replicas, in_sync }) in topic.partitions.iter().enumerate() {
        let leader = leader.map_or("none".into(), |leader| leader.to_string());
        let _ = writeln!(
            text,
            "  partition {index}  leader {leader}  epoch {leader_epoch}  replicas {}  in sync {}",
            joined(replicas),
            joined(in_sync)
        );
    }
    super::print(&text)
}

fn joined(brokers: &[BrokerId]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
