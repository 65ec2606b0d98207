//! The data directories: whose they are, and that nobody else is in them.
//!
//! `meta.properties` names the cluster and the node, as Kafka's does, so that a directory of another cluster is refused. A node that may
//! join the quorum later has an identity for its directory too (KIP-853): with another disk it is another voter. So has each of several
//! directories (KIP-858): what lay in one that is gone is known by it.
//!
//! A directory that belongs to somebody else, or is in use, stops the node. One whose disk does not work is left out, unless the metadata
//! is in it or no other is left.

use std::collections::BTreeMap;

use host::{Disk, Host};
use model::{BrokerEpoch, BrokerId, ClusterId, DirectoryId};
use thiserror::Error;

use crate::config::Config;
use crate::directories;

const FILE: &str = "meta.properties";

/// Why a node cannot use its data directories.
#[derive(Debug, Error)]
pub enum DataDirectoryError {
    #[error("the data directory {0} is in use by another process: stop it, or choose another directory")]
    InUse(String),
    #[error(
        "the data directory {directory} belongs to cluster {found}, and this node to cluster {expected}: choose another \
         directory, or set cluster.id to {found}"
    )]
    OtherCluster { directory: String, found: ClusterId, expected: ClusterId },
    #[error(
        "the data directory {directory} belongs to node {found}, and this is node {expected}: choose another directory, or set \
         node.id to {found}"
    )]
    OtherNode { directory: String, found: BrokerId, expected: BrokerId },
    #[error(
        "{directory}/{FILE} cannot be understood: {line:?} is not one of version=1, cluster.id=…, node.id=… and directory.id=…"
    )]
    Malformed { directory: String, line: String },
    #[error("{one} and {other} have the same directory.id: one is a copy of the other, take it out of log.dirs")]
    Copy { one: String, other: String },
    #[error(
        "{partition} is in {one} and in {other}: nobody here can tell which is right; move one of the two away, if in doubt that \
         which was changed less lately"
    )]
    Twice { partition: String, one: String, other: String },
    #[error("cluster.id is missing: a node of a quorum of several must be told which cluster it belongs to")]
    NoClusterId,
    #[error("cannot use the data directory {directory}: {source}")]
    Disk { directory: String, source: std::io::Error },
}

/// The data directories that are ours until this is dropped.
pub(crate) struct DataDirectories {
    pub(crate) cluster_id: ClusterId,
    /// Of the directory with the metadata; none of a node that votes by configuration, or never will, and has one directory.
    pub(crate) metadata_id: Option<DirectoryId>,
    /// Those of `log.dirs`, in their order.
    pub(crate) logs: Vec<DataDirectory>,
    /// Under which registration the life before left all of those in order; none if it did not.
    pub(crate) left_in_order: Option<BrokerEpoch>,
    _locks: Vec<Box<dyn Send + Sync>>,
}

/// One of `log.dirs`.
#[derive(Clone, Debug)]
pub(crate) struct DataDirectory {
    pub(crate) path: String,
    /// None of the only one, mostly; and of one that cannot be read.
    pub(crate) id: Option<DirectoryId>,
    /// Why it cannot be used.
    pub(crate) failure: Option<String>,
}

/// What `meta.properties` says.
type Meta = (ClusterId, Option<DirectoryId>);

/// A directory that was taken.
struct Taken {
    lock: Box<dyn Send + Sync>,
    left_in_order: Option<BrokerEpoch>,
    known: Option<Meta>,
}

/// Takes the directories, and marks as ours those that are new.
pub(crate) async fn open<H: Host>(config: &Config, host: &H) -> Result<DataDirectories, DataDirectoryError> {
    let metadata = config.metadata_directory();
    let mut paths: Vec<&str> = config.log_directories.iter().map(String::as_str).collect();
    if !paths.contains(&metadata) {
        paths.push(metadata);
    }
    let mut locks = Vec::new();
    let mut found: BTreeMap<&str, Result<Option<Meta>, String>> = BTreeMap::new();
    let mut left: BTreeMap<&str, BrokerEpoch> = BTreeMap::new();
    for &path in &paths {
        let taken = match take(config, host, path).await {
            Ok(taken) => {
                locks.push(taken.lock);
                left.extend(taken.left_in_order.map(|epoch| (path, epoch)));
                Ok(taken.known)
            }
            Err(DataDirectoryError::Disk { source, .. }) if path != metadata => {
                tracing::error!(directory = path, error = %source, "cannot use a data directory: goes on with the others");
                Err(source.to_string())
            }
            Err(error) => return Err(error),
        };
        found.insert(path, taken);
    }
    let known = paths.iter().find_map(|path| found[path].as_ref().ok()?.as_ref().map(|(cluster, _)| cluster.clone()));
    let cluster_id = match known {
        Some(cluster_id) => cluster_id,
        None => new_cluster_id(config, host)?,
    };
    let has_several = 1 < paths.len();
    let mut ids: BTreeMap<&str, DirectoryId> = BTreeMap::new();
    for &path in &paths {
        let Ok(meta) = &found[path] else { continue };
        if let Some((other, _)) = meta.as_ref().filter(|(cluster, _)| *cluster != cluster_id) {
            let (directory, found) = (path.to_owned(), other.clone());
            return Err(DataDirectoryError::OtherCluster { directory, found, expected: cluster_id });
        }
        let id = meta.as_ref().and_then(|(_, id)| *id);
        let needs_id = has_several || config.may_join_quorum;
        let next = id.or_else(|| needs_id.then(|| new_directory_id(host)));
        if meta.is_none() || next != id {
            let text = text(config.node_id, &cluster_id, next);
            let written =
                storage::checkpoint::replace_file(host.disk(), &format!("{path}/{FILE}"), text.as_bytes()).await;
            written.map_err(|source| DataDirectoryError::Disk { directory: path.into(), source })?;
        }
        if let Some(next) = next {
            if let Some((one, _)) = ids.iter().find(|(_, known)| **known == next) {
                return Err(DataDirectoryError::Copy { one: (*one).into(), other: path.into() });
            }
            ids.insert(path, next);
        }
    }
    let logs: Vec<DataDirectory> = config
        .log_directories
        .iter()
        .map(|path| {
            let failure = found[path.as_str()].as_ref().err().cloned();
            DataDirectory { path: path.clone(), id: ids.get(path.as_str()).copied(), failure }
        })
        .collect();
    if logs.iter().all(|directory| directory.failure.is_some()) {
        let directory = config.log_directories.join(", ");
        let source = std::io::Error::other(logs.into_iter().find_map(|one| one.failure).unwrap_or_default());
        return Err(DataDirectoryError::Disk { directory, source });
    }
    look_for_twins(host, &logs)?;
    let mut epochs = config.log_directories.iter().map(|path| left.get(path.as_str()).copied());
    let first = epochs.next().flatten();
    let left_in_order = first.filter(|first| epochs.all(|epoch| epoch == Some(*first)));
    Ok(DataDirectories { cluster_id, metadata_id: ids.get(metadata).copied(), logs, left_in_order, _locks: locks })
}

/// Takes one directory, and reads whose it is. An earlier life may have died before the names that it gave there were safe, and this one
/// goes by what it finds: so they are made safe first, unless it left all in order.
async fn take<H: Host>(config: &Config, host: &H, directory: &str) -> Result<Taken, DataDirectoryError> {
    let failed = |source| DataDirectoryError::Disk { directory: directory.into(), source };
    let disk = host.disk();
    disk.create_directory(directory).map_err(failed)?;
    let lock = disk.lock(&format!("{directory}/.lock")).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => DataDirectoryError::InUse(directory.into()),
        _ => failed(error),
    })?;
    let left_in_order = storage::clean_shutdown::take(disk, directory, host.planted()).await.map_err(failed)?;
    if left_in_order.is_some() {
        model::reached!("a start found its directory left in order");
    }
    let known = storage::checkpoint::read_file(disk, &format!("{directory}/{FILE}")).map_err(failed)?;
    let known = known.map(|bytes| check(config, directory, &String::from_utf8_lossy(&bytes))).transpose()?;
    Ok(Taken { lock, left_in_order, known })
}

/// No partition may be in two directories. Of two topics that had one name each may have its own: which is gone the metadata knows.
fn look_for_twins<H: Host>(host: &H, logs: &[DataDirectory]) -> Result<(), DataDirectoryError> {
    if logs.len() < 2 {
        return Ok(());
    }
    let disk = host.disk();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for DataDirectory { path: other, .. } in logs.iter().filter(|directory| directory.failure.is_none()) {
        // One that cannot be listed will be missed as soon as anything is opened there.
        for name in directories::partitions(disk, other).unwrap_or_default() {
            let Some(one) = seen.insert(name.clone(), other) else { continue };
            let owner = |path| directories::owner(disk, &format!("{path}/{name}")).ok().flatten();
            match (owner(one), owner(other)) {
                (Some(topic), Some(another)) if topic != another => {
                    model::reached!("a start found two topics of one name in two directories");
                }
                _ => {
                    let other = other.clone();
                    return Err(DataDirectoryError::Twice { partition: name, one: one.into(), other });
                }
            }
        }
    }
    Ok(())
}

fn text(node: BrokerId, cluster: &ClusterId, directory: Option<DirectoryId>) -> String {
    let directory = directory.map_or(String::new(), |id| format!("directory.id={id}\n"));
    format!("version=1\ncluster.id={cluster}\nnode.id={node}\n{directory}")
}

fn new_directory_id<H: Host>(host: &H) -> DirectoryId {
    DirectoryId(u128::from(host.entropy()) << 64 | u128::from(host.entropy()) | 1)
}

fn new_cluster_id<H: Host>(config: &Config, host: &H) -> Result<ClusterId, DataDirectoryError> {
    match &config.cluster_id {
        Some(cluster_id) => Ok(cluster_id.clone()),
        None if config.voters.len() <= 1 && config.is_controller() => {
            Ok(ClusterId(format!("{:016x}{:016x}", host.entropy(), host.entropy())))
        }
        None => Err(DataDirectoryError::NoClusterId),
    }
}

fn check(config: &Config, directory: &str, text: &str) -> Result<(ClusterId, Option<DirectoryId>), DataDirectoryError> {
    let directory = directory.to_owned();
    let malformed = |line: &str| DataDirectoryError::Malformed { directory: directory.clone(), line: line.into() };
    let (mut cluster_id, mut node_id, mut directory_id) = (None, None, None);
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        match line.split_once('=') {
            Some(("version", "1")) => {}
            Some(("cluster.id", id)) => cluster_id = Some(ClusterId(id.into())),
            Some(("node.id", id)) => node_id = Some(BrokerId(id.parse().map_err(|_| malformed(line))?)),
            Some(("directory.id", id)) => directory_id = Some(id.parse().map_err(|_| malformed(line))?),
            _ => return Err(malformed(line)),
        }
    }
    let (Some(found), Some(node)) = (cluster_id, node_id) else { return Err(malformed("(the file ends)")) };
    if let Some(expected) = config.cluster_id.clone().filter(|expected| *expected != found) {
        return Err(DataDirectoryError::OtherCluster { directory, found, expected });
    }
    if node != config.node_id {
        return Err(DataDirectoryError::OtherNode { directory, found: node, expected: config.node_id });
    }
    Ok((found, directory_id))
}

#[cfg(test)]
mod tests {
    use model::Endpoint;
    use proptest::prelude::*;

    use super::*;

    fn config() -> Config {
        Config::single(Endpoint::new("localhost", 9092))
    }

    #[test]
    fn whose_a_directory_is_reads_back_and_another_ones_is_refused() {
        let node = config().node_id;
        let text = format!("# ours\nversion=1\ncluster.id=orders\nnode.id={node}\n");
        assert_eq!(check(&config(), "data", &text).unwrap(), (ClusterId("orders".into()), None));
        let other = Config { cluster_id: Some(ClusterId("bills".into())), ..config() };
        assert!(matches!(check(&other, "data", &text), Err(DataDirectoryError::OtherCluster { .. })));
        let text = "version=1\ncluster.id=orders\nnode.id=77\n";
        assert!(matches!(check(&config(), "data", text), Err(DataDirectoryError::OtherNode { .. })));
        for wrong in ["", "version=2\n", "cluster.id=orders\n", "node.id=one\n", "version=1\nnode.id=1\n", "\0\0\0"] {
            assert!(matches!(check(&config(), "data", wrong), Err(DataDirectoryError::Malformed { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn the_identity_of_a_directory_reads_back() {
        let (cluster, id) = (ClusterId("orders".into()), Some(DirectoryId(0x1234_5678_9abc_def0 << 60)));
        assert_eq!(check(&config(), "data", &text(config().node_id, &cluster, id)).unwrap(), (cluster, id));
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_an_error(text in "((version|cluster.id|node.id|directory.id|#)?=?[ -~\u{0}]{0,6}\n?){0,6}") {
            let _ = check(&config(), "data", &text);
        }
    }
}
