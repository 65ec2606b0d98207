//! `broker reassign`: partitions move to other brokers while they are written to.

use std::time::Duration;

use clap::{Args, Subcommand};
use client::{Admin, ClientConfig, Move, Sizes, Target, TopicInfo, TopicPartition};
use host::Host;
use host::real::RealHost;
use model::BrokerId;

use super::cluster_access::{ClusterAccess, find_topic, refused};
use crate::failure::Failure;

/// How often those who watch a move look.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Move partitions to other brokers, watch them move, call a move off.
///
/// A partition is held by its old and its new brokers until the new ones have everything; then the old ones let it go. Nothing stops
/// meanwhile, and nothing is lost if a broker does.
#[derive(Args)]
pub(crate) struct Reassign {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Start(Start),
    /// List the partitions that are on their way, and where to.
    List {
        /// Look again until none is.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Call off the moves of a topic, and its throttle: its partitions stay where they were.
    Cancel {
        name: String,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Lift the throttle of a topic: what is on its way goes as fast as it can.
    Unthrottle {
        name: String,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
}

/// Move a topic, or one of its partitions, to other brokers.
#[derive(Args)]
struct Start {
    name: String,
    /// The brokers, with commas. For a single partition: each of its replicas, the one that is to lead first. For a whole topic: those
    /// over which its partitions are spread, with as many replicas as they have.
    #[arg(long, value_name = "IDS", value_delimiter = ',', required = true)]
    to: Vec<i32>,
    /// Only this partition.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Let each broker send and fetch no more than so many bytes a second for the replicas that come. It must be more than is written to
    /// them meanwhile. Lifted by --wait in the end, by `cancel` and by `unthrottle`.
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// End when all are where they should be, and say how far they are until then.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    cluster: ClusterAccess,
}

impl Reassign {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Start(start) => {
                let cluster = start.cluster.clone();
                cluster.run(async move |host, config| start.run(host, config).await)
            }
            What::List { wait, cluster } => cluster.run(async move |host: RealHost, config| {
                let admin = Admin::new(host.clone(), config);
                if wait { watch(&host, &admin, None).await } else { list(&admin).await }
            }),
            What::Cancel { name, cluster } => cluster.run(async move |host, config| cancel(host, config, &name).await),
            What::Unthrottle { name, cluster } => {
                cluster.run(async move |host, config| unthrottle(&Admin::new(host, config), &name).await)
            }
        }
    }
}

impl Start {
    async fn run(self, host: RealHost, config: ClientConfig) -> Result<(), Failure> {
        let Start { name, to, partition, throttle, wait, cluster: _ } = self;
        let to: Vec<BrokerId> = to.into_iter().map(BrokerId).collect();
        let admin = Admin::new(host.clone(), config);
        let topic = find_topic(&admin, &name).await?;
        let targets = match partition {
            Some(partition) => vec![(TopicPartition::new(&name, partition), Some(to))],
            None => spread(&name, &topic, &to)?,
        };
        if let Some(bytes_per_second) = throttle {
            admin.throttle(&targets, bytes_per_second).await.map_err(refused)?;
        }
        admin.reassign(&targets).await.map_err(refused)?;
        let count = targets.len();
        let noun = if count == 1 { "partition" } else { "partitions" };
        super::print(&format!("{count} {noun} of {name} on their way\n"))?;
        match (wait, throttle) {
            (false, None) => Ok(()),
            (false, Some(_)) => {
                super::print(&format!("once they are there, lift the throttle: broker reassign unthrottle {name}\n"))
            }
            (true, None) => watch(&host, &admin, Some(&name)).await,
            (true, Some(_)) => {
                watch(&host, &admin, Some(&name)).await?;
                unthrottle(&admin, &name).await
            }
        }
    }
}

async fn unthrottle(admin: &Admin<RealHost>, name: &str) -> Result<(), Failure> {
    find_topic(admin, name).await?;
    admin.lift_throttle(&[name.into()].into()).await.map_err(refused)?;
    super::print(&format!("{name} is not throttled any more\n"))
}

/// Each partition with as many replicas as it has, the first one of each on another broker.
fn spread(name: &str, topic: &TopicInfo, over: &[BrokerId]) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for (index, partition) in (0_i32..).zip(&topic.partitions) {
        let wanted = partition.replicas.len();
        if over.len() < wanted {
            return Err(Failure::bad_input(format!(
                "{name}/{index} has {wanted} replicas, and --to names {} brokers: name {wanted} at least",
                over.len()
            )));
        }
        let from = index as usize % over.len();
        let chosen = over.iter().cycle().skip(from).take(wanted).copied().collect();
        targets.push((TopicPartition::new(name, index), Some(chosen)));
    }
    Ok(targets)
}

async fn list(admin: &Admin<RealHost>) -> Result<(), Failure> {
    let moves = admin.reassignments().await.map_err(refused)?;
    if moves.is_empty() {
        return super::print("no partition is on its way\n");
    }
    let sizes = admin.sizes(&moves).await.map_err(refused)?;
    moves.iter().try_for_each(|moving| super::print(&told(moving, &sizes)))
}

fn told(moving: &Move, sizes: &Sizes) -> String {
    let Move { partition, replicas, adding, removing } = moving;
    let joined = |ids: &[BrokerId]| match ids {
        [] => "-".to_owned(),
        ids => ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let copied = moving.percent(sizes).map_or(String::new(), |percent| format!("  {percent} % copied"));
    format!(
        "{partition}  held by {}  coming {}  going {}{copied}\n",
        joined(replicas),
        joined(adding),
        joined(removing)
    )
}

/// Says how many are left, and how far they are, whenever that changes, until none is.
async fn watch(host: &RealHost, admin: &Admin<RealHost>, topic: Option<&str>) -> Result<(), Failure> {
    let mut told = None;
    loop {
        let mut moves = admin.reassignments().await.map_err(refused)?;
        moves.retain(|moving| topic.is_none_or(|topic| *moving.partition.topic == *topic));
        if moves.is_empty() {
            return super::print("all are where they should be\n");
        }
        let sizes = admin.sizes(&moves).await.map_err(refused)?;
        let known: Vec<u64> = moves.iter().filter_map(|moving| moving.percent(&sizes)).collect();
        let copied = match known.len() {
            0 => String::new(),
            count => format!(", {} % copied", known.iter().sum::<u64>() / count as u64),
        };
        let now = format!("{} still on their way{copied}\n", moves.len());
        if told.as_ref() != Some(&now) {
            super::print(&now)?;
            told = Some(now);
        }
        host.sleep(LOOK_INTERVAL).await;
    }
}

async fn cancel(host: RealHost, config: ClientConfig, name: &str) -> Result<(), Failure> {
    let admin = Admin::new(host, config);
    find_topic(&admin, name).await?;
    let moves = admin.reassignments().await.map_err(refused)?;
    let own = moves.into_iter().filter(|moving| *moving.partition.topic == *name);
    let cancelled: Vec<_> = own.map(|moving| (moving.partition, None)).collect();
    if cancelled.is_empty() {
        return Err(Failure::failed(format!("no partition of {name} is on its way")));
    }
    admin.reassign(&cancelled).await.map_err(refused)?;
    admin.lift_throttle(&[name.into()].into()).await.map_err(refused)?;
    super::print(&format!("called off {} of {name}\n", cancelled.len()))
}
