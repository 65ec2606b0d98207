//! `broker quorum`: who votes on the cluster's metadata, and who shall.

use std::fmt::Write;

use clap::{Args, Subcommand};
use client::{Admin, ClientConfig, QuorumInfo, QuorumReplica};
use host::Host;
use host::real::RealHost;
use model::{BrokerId, Endpoint, Timestamp};
use serde_json::{Value, json};

use super::cluster_access::{ClusterAccess, refused};
use crate::failure::Failure;

/// Look at the quorum that decides on the cluster's metadata, and change who votes in it.
#[derive(Args)]
pub(crate) struct Quorum {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show who leads the quorum, who votes, who follows, and how far each of them is.
    Describe {
        /// One JSON object; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Have a node vote that runs with process.roles = controller and has caught up.
    Add {
        /// The node's node.id.
        node: i32,
        /// Where the node listens; a node that is a broker too need not be told.
        #[arg(long, value_name = "ADDRESS")]
        at: Option<Endpoint>,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Have a node vote no more. It may run on, or be down.
    Remove {
        /// The node's node.id.
        node: i32,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
}

impl Quorum {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Describe { json, cluster } => cluster.run(|host, config| describe(host, config, json)),
            What::Add { node, at, cluster } => cluster.run(|host, config| add(host, config, BrokerId(node), at)),
            What::Remove { node, cluster } => cluster.run(|host, config| remove(host, config, BrokerId(node))),
        }
    }
}

async fn describe(host: RealHost, config: ClientConfig, as_json: bool) -> Result<(), Failure> {
    let now = host.wall_clock();
    let quorum = Admin::new(host, config).describe_quorum().await.map_err(refused)?;
    super::print(&if as_json { format!("{}\n", to_json(&quorum)) } else { to_text(&quorum, now) })
}

async fn add(host: RealHost, config: ClientConfig, node: BrokerId, at: Option<Endpoint>) -> Result<(), Failure> {
    let admin = Admin::new(host, config);
    let at = match at {
        Some(at) => at,
        None => admin.describe_cluster().await.map_err(refused)?.brokers.remove(&node).ok_or_else(|| {
            Failure::failed(format!(
                "node {node} is no broker of the cluster: say where it listens with --at HOST:PORT"
            ))
        })?,
    };
    admin.add_voter(node, &at).await.map_err(refused)?;
    super::print(&format!("node {node} votes on the metadata\n"))
}

async fn remove(host: RealHost, config: ClientConfig, node: BrokerId) -> Result<(), Failure> {
    Admin::new(host, config).remove_voter(node).await.map_err(refused)?;
    super::print(&format!("node {node} votes on the metadata no more\n"))
}

fn to_json(quorum: &QuorumInfo) -> Value {
    let replicas = |replicas: &[QuorumReplica]| -> Vec<Value> {
        let replica = |replica: &QuorumReplica| {
            json!({
                "id": replica.id.0,
                "directory": replica.directory.map(|directory| directory.to_string()),
                "log_end": replica.log_end.map(|end| end.0),
                "lag": quorum.lag(replica),
                "last_fetch": replica.last_fetch.map(|time| time.0),
                "last_caught_up": replica.last_caught_up.map(|time| time.0),
            })
        };
        replicas.iter().map(replica).collect()
    };
    json!({
        "leader": quorum.leader.0,
        "epoch": quorum.epoch.0,
        "high_watermark": quorum.high_watermark.0,
        "voters": replicas(&quorum.voters),
        "observers": replicas(&quorum.observers),
    })
}

fn to_text(quorum: &QuorumInfo, now: Timestamp) -> String {
    let QuorumInfo { leader, epoch, high_watermark, .. } = quorum;
    let mut text = format!("leader {leader}  epoch {epoch}  high watermark {high_watermark}\n");
    let _ = writeln!(
        text,
        "{:>6}  {:8}  {:>12}  {:>8}  {:>12}  {:>12}",
        "node", "", "log end", "lag", "fetched", "caught up"
    );
    let voters = quorum.voters.iter().map(|replica| (replica, if replica.id == *leader { "leader" } else { "voter" }));
    let observers = quorum.observers.iter().map(|replica| (replica, "observer"));
    for (replica, role) in voters.chain(observers) {
        let _ = writeln!(
            text,
            "{:>6}  {role:8}  {:>12}  {:>8}  {:>12}  {:>12}",
            replica.id,
            or_never(replica.log_end),
            or_never(quorum.lag(replica)),
            ago(replica.last_fetch, now),
            ago(replica.last_caught_up, now)
        );
    }
    text
}

fn or_never(number: Option<impl ToString>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}

fn ago(time: Option<Timestamp>, now: Timestamp) -> String {
    time.map_or("-".into(), |time| format!("{} ms ago", (now.0 - time.0).max(0)))
}

#[cfg(test)]
mod tests {
    use client::QuorumReplica;
    use model::{BrokerId, LeaderEpoch, Offset};

    use super::*;

    fn quorum() -> QuorumInfo {
        let replica = |id, log_end, time| QuorumReplica {
            id: BrokerId(id),
            directory: None,
            log_end: Option::map(log_end, Offset),
            last_fetch: Option::map(time, Timestamp),
            last_caught_up: Option::map(time, Timestamp),
        };
        QuorumInfo {
            leader: BrokerId(1),
            epoch: LeaderEpoch(4),
            high_watermark: Offset(120),
            voters: vec![
                replica(1, Some(121), Some(5_000)),
                replica(2, Some(100), Some(4_200)),
                replica(3, None, None),
            ],
            observers: vec![replica(4, Some(121), Some(4_990))],
        }
    }

    #[test]
    fn people_see_who_leads_and_who_lags() {
        let text = to_text(&quorum(), Timestamp(5_000));
        let words: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            words,
            [
                "leader 1 epoch 4 high watermark 120",
                "node log end lag fetched caught up",
                "1 leader 121 0 0 ms ago 0 ms ago",
                "2 voter 100 21 800 ms ago 800 ms ago",
                "3 voter - - - -",
                "4 observer 121 0 10 ms ago 10 ms ago",
            ]
        );
    }

    #[test]
    fn programs_get_numbers_and_null_for_what_is_not_known() {
        let json = to_json(&quorum());
        assert_eq!((&json["leader"], &json["epoch"]), (&json!(1), &json!(4)));
        assert_eq!(
            json["voters"][1],
            json!({"id": 2, "directory": null, "log_end": 100, "lag": 21, "last_fetch": 4200, "last_caught_up": 4200})
        );
        assert_eq!(json["voters"][2]["lag"], Value::Null);
        assert_eq!(json["observers"][0]["id"], json!(4));
    }
}
