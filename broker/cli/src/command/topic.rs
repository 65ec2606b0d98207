//! `broker topic`: make topics, list them, look at one, change one.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Args, Subcommand};
use client::{Admin, ClientConfig, NewTopic, PartitionInfo, Resource, SettingInfo, TopicPartition};
use host::real::RealHost;
use model::{BrokerId, Offset};

use super::cluster_access::{ClusterAccess, find_topic, refused};
use crate::failure::Failure;

/// Make topics, list them, look at one, change one.
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
    Alter(Alter),
    DeleteRecords(DeleteRecords),
    /// Delete topics and all that is in them. There is no way back.
    Delete {
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Show who leads each partition of a topic, who replicates it, who of them is in sync, and the topic's settings.
    Describe {
        name: String,
        /// Every setting, not only those that the topic or the cluster says.
        #[arg(long)]
        all: bool,
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

/// Change a topic: its settings and how many partitions it has; or settings of every topic that says nothing itself. Settings hold
/// at once, on every replica.
#[derive(Args)]
struct Alter {
    /// The topic; without one, the cluster's own word, by the keys of a node such as log.retention.ms.
    #[arg(required_unless_present = "cluster_wide")]
    name: Option<String>,
    /// For every topic of the cluster that says nothing itself.
    #[arg(long, conflicts_with = "name")]
    cluster_wide: bool,
    /// A setting and its new value, such as min.insync.replicas=2. May be given more than once.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting, required_unless_present_any = ["unset", "partitions"])]
    settings: Vec<(String, String)>,
    /// A setting to take back. May be given more than once.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// How many partitions the topic is to have: more than it has. Keys go to other partitions from then on.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "cluster_wide")]
    partitions: Option<i32>,
    #[command(flatten)]
    cluster: ClusterAccess,
}

/// Delete the first records of a partition, for good.
///
/// Offsets stay as they are: the partition begins later. Every in-sync replica has let go of the records when this ends.
#[derive(Args)]
struct DeleteRecords {
    name: String,
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: i32,
    /// The first offset that stays; without it, all records go that are committed.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    before: Option<i64>,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Alter {
    fn run(self) -> Result<(), Failure> {
        let name = self.name.clone();
        let of = self.name.as_deref().map_or("the cluster".into(), |name| format!("\"{name}\""));
        let resource = self.name.map_or(Resource::Cluster, Resource::Topic);
        let set = self.settings.into_iter().map(|(name, value)| (name, Some(value)));
        let mut settings: BTreeMap<String, Option<String>> = set.collect();
        for name in self.unset {
            if settings.insert(name.clone(), None).is_some_and(|value| value.is_some()) {
                return Err(Failure::bad_input(format!("{name} is both set and taken back: choose one")));
            }
        }
        self.cluster.run(async move |host, config| {
            let admin = Admin::new(host, config);
            if !settings.is_empty() {
                admin.alter_settings(&resource, &settings).await.map_err(refused)?;
                super::print(&format!("changed {} of {of}\n", settings.into_keys().collect::<Vec<_>>().join(", ")))?;
            }
            if let (Some(count), Some(name)) = (self.partitions, name) {
                admin.add_partitions(&name, count).await.map_err(refused)?;
                super::print(&format!("{of} has {count} partitions now\n"))?;
            }
            Ok(())
        })
    }
}

impl Topic {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Create(command) => command.run(),
            What::DeleteRecords(command) => command.run(),
            What::List { cluster } => cluster.run(list),
            What::Alter(command) => command.run(),
            What::Delete { names, cluster } => cluster.run(|host, config| delete(host, config, names)),
            What::Describe { name, all, cluster } => cluster.run(|host, config| describe(host, config, name, all)),
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

impl DeleteRecords {
    fn run(self) -> Result<(), Failure> {
        let DeleteRecords { name, partition, before, cluster } = self;
        cluster.run(async move |host, config| {
            let place = TopicPartition::new(&name, partition);
            let deleted = Admin::new(host, config).delete_records(&place, before.map(Offset)).await;
            super::print(&format!("{name}/{partition} begins at {}\n", deleted.map_err(refused)?))
        })
    }
}

async fn delete(host: RealHost, config: ClientConfig, names: Vec<String>) -> Result<(), Failure> {
    let admin = Admin::new(host, config);
    for name in names {
        admin.delete_topic(&name).await.map_err(refused)?;
        super::print(&format!("deleted {name}\n"))?;
    }
    Ok(())
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

async fn describe(host: RealHost, config: ClientConfig, name: String, all: bool) -> Result<(), Failure> {
    let admin = Admin::new(host, config);
    let topic = find_topic(&admin, &name).await?;
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
    let settings = admin.settings(&Resource::Topic(name)).await.map_err(refused)?;
    for SettingInfo { name, value, is_set, is_own } in settings.into_iter().filter(|setting| all || setting.is_set) {
        let whose = match (is_own, is_set) {
            (true, _) => "",
            (false, true) => "  (of the cluster)",
            (false, false) => "  (default)",
        };
        let _ = writeln!(text, "  {name} = {}{whose}", value.unwrap_or_default());
    }
    super::print(&text)
}

fn joined(brokers: &[BrokerId]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
