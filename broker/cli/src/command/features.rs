//! `broker features`: the level that the cluster's metadata is at.

use std::fmt::Write;

use clap::{Args, Subcommand};
use client::{Admin, ClientConfig, FeaturesInfo, LevelUpdate};
use host::real::RealHost;
use model::MetadataVersion;
use serde_json::{Value, json};

use super::cluster_access::{ClusterAccess, refused};
use crate::failure::Failure;

/// Look at the level of the cluster's metadata, and change it when every node runs another release.
#[derive(Args)]
pub(crate) struct Features {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show the level that the metadata is at, and what each broker knows.
    Describe {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Raise the level: every node must know the new one. There is no way back for a node of an older release.
    Upgrade {
        /// The level of metadata.version; without it, the newest that every live broker knows.
        #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u16).range(1..=32767))]
        to: Option<u16>,
        /// Only look whether it could be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
    /// Lower the level, so that nodes of an older release may take part again.
    Downgrade {
        /// The level of metadata.version.
        #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u16).range(1..=32767))]
        to: u16,
        /// Let go of what the lower level cannot tell.
        #[arg(long)]
        r#unsafe: bool,
        /// Only look whether it could be done.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        cluster: ClusterAccess,
    },
}

impl Features {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Describe { json, cluster } => cluster.run(|host, config| describe(host, config, json)),
            What::Upgrade { to, dry_run, cluster } => {
                cluster.run(|host, config| update(host, config, to, LevelUpdate::Upgrade, dry_run))
            }
            What::Downgrade { to, r#unsafe, dry_run, cluster } => {
                let kind = if r#unsafe { LevelUpdate::UnsafeDowngrade } else { LevelUpdate::Downgrade };
                cluster.run(|host, config| update(host, config, Some(to), kind, dry_run))
            }
        }
    }
}

async fn describe(host: RealHost, config: ClientConfig, as_json: bool) -> Result<(), Failure> {
    let info = Admin::new(host, config).describe_features().await.map_err(refused)?;
    super::print(&if as_json { format!("{}\n", to_json(&info)) } else { to_text(&info) })
}

async fn update(
    host: RealHost,
    config: ClientConfig,
    to: Option<u16>,
    kind: LevelUpdate,
    dry_run: bool,
) -> Result<(), Failure> {
    let admin = Admin::new(host, config);
    let level = match to {
        Some(level) => MetadataVersion(level),
        None => newest_of_all(&admin.describe_features().await.map_err(refused)?)?,
    };
    admin.update_level(level, kind, dry_run).await.map_err(refused)?;
    let done = if dry_run { "could be" } else { "is" };
    super::print(&format!("metadata.version {done} {level}\n"))
}

/// The newest level that every broker knows.
fn newest_of_all(info: &FeaturesInfo) -> Result<MetadataVersion, Failure> {
    let known = info.brokers.iter().map(|(broker, versions)| {
        versions.map(|versions| versions.newest).ok_or_else(|| {
            Failure::failed(format!("broker {broker} does not answer: start it again, or say the level with --to"))
        })
    });
    let known = known.collect::<Result<Vec<_>, _>>()?;
    known.into_iter().min().ok_or_else(|| Failure::failed("no broker is up"))
}

fn to_json(info: &FeaturesInfo) -> Value {
    let brokers: Vec<Value> = info
        .brokers
        .iter()
        .map(|(broker, versions)| {
            json!({
                "id": broker.0,
                "oldest": versions.map(|versions| versions.oldest.0),
                "newest": versions.map(|versions| versions.newest.0),
            })
        })
        .collect();
    json!({ "feature": MetadataVersion::FEATURE, "finalized": info.finalized.0, "brokers": brokers })
}

fn to_text(info: &FeaturesInfo) -> String {
    let mut text = format!("{} is {}\n", MetadataVersion::FEATURE, info.finalized);
    for (broker, versions) in &info.brokers {
        let knows = versions.map_or("does not answer".into(), |versions| format!("knows {versions}"));
        let _ = writeln!(text, "broker {broker} {knows}");
    }
    text
}

#[cfg(test)]
mod tests {
    use model::{BrokerId, MetadataVersions};

    use super::*;

    fn info(third: Option<u16>) -> FeaturesInfo {
        let up_to = |newest| MetadataVersions::up_to(MetadataVersion(newest));
        let brokers = [(1, Some(2)), (2, Some(2)), (3, third)];
        FeaturesInfo {
            finalized: MetadataVersion(1),
            brokers: brokers.map(|(id, newest)| (BrokerId(id), newest.map(up_to))).into(),
        }
    }

    #[test]
    fn people_see_the_level_and_who_knows_what() {
        let text = to_text(&info(None));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines,
            ["metadata.version is 1", "broker 1 knows 1 to 2", "broker 2 knows 1 to 2", "broker 3 does not answer"]
        );
    }

    #[test]
    fn programs_get_numbers_and_null_for_who_does_not_answer() {
        let json = to_json(&info(None));
        assert_eq!((&json["finalized"], &json["brokers"][0]["newest"]), (&json!(1), &json!(2)));
        assert_eq!(json["brokers"][2], json!({"id": 3, "oldest": null, "newest": null}));
    }

    #[test]
    fn an_upgrade_without_a_level_goes_as_far_as_every_broker_does() {
        assert_eq!(newest_of_all(&info(Some(1))).ok(), Some(MetadataVersion(1)));
        assert_eq!(newest_of_all(&info(Some(2))).ok(), Some(MetadataVersion(2)));
        assert!(newest_of_all(&info(None)).is_err());
    }
}
