//! The data directory: whose it is, and that nobody else is in it.
//!
//! `meta.properties` names the cluster and the node, as Kafka's does, so that a directory of another cluster is refused. A node that may
//! join the quorum later has an identity for the directory too (KIP-853): with another disk it is another voter.

use host::{Disk, Host};
use model::{BrokerId, ClusterId, DirectoryId};
use thiserror::Error;

use crate::config::Config;

const FILE: &str = "meta.properties";

/// Why a node cannot use its data directory.
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
    #[error("cluster.id is missing: a node of a quorum of several must be told which cluster it belongs to")]
    NoClusterId,
    #[error("cannot use the data directory {directory}: {source}")]
    Disk { directory: String, source: std::io::Error },
}

/// A data directory that is ours until this is dropped.
pub(crate) struct DataDirectory {
    pub(crate) cluster_id: ClusterId,
    /// None of a node that votes by configuration, or never will.
    pub(crate) id: Option<DirectoryId>,
    _lock: Box<dyn Send + Sync>,
}

/// Takes the directory, and marks it as ours if it is new.
pub(crate) async fn open<H: Host>(config: &Config, host: &H) -> Result<DataDirectory, DataDirectoryError> {
    let directory = &config.log_directory;
    let failed = |source| DataDirectoryError::Disk { directory: directory.clone(), source };
    let disk = host.disk();
    disk.create_directory(directory).map_err(failed)?;
    let lock = disk.lock(&format!("{directory}/.lock")).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => DataDirectoryError::InUse(directory.clone()),
        _ => failed(error),
    })?;
    let path = format!("{directory}/{FILE}");
    let known = storage::checkpoint::read_file_for_good(disk, &path, host.planted()).await.map_err(failed)?;
    let is_new = known.is_none();
    let (cluster_id, found) = match known {
        Some(bytes) => check(config, &String::from_utf8_lossy(&bytes))?,
        None => (new_cluster_id(config, host)?, None),
    };
    let id = found.or_else(|| config.may_join_quorum.then(|| new_directory_id(host)));
    if is_new || id != found {
        let text = text(config.node_id, &cluster_id, id);
        storage::checkpoint::replace_file(disk, &path, text.as_bytes()).await.map_err(failed)?;
    }
    Ok(DataDirectory { cluster_id, id, _lock: lock })
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

fn check(config: &Config, text: &str) -> Result<(ClusterId, Option<DirectoryId>), DataDirectoryError> {
    let directory = config.log_directory.clone();
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
        assert_eq!(check(&config(), &text).unwrap(), (ClusterId("orders".into()), None));
        let other = Config { cluster_id: Some(ClusterId("bills".into())), ..config() };
        assert!(matches!(check(&other, &text), Err(DataDirectoryError::OtherCluster { .. })));
        let text = "version=1\ncluster.id=orders\nnode.id=77\n";
        assert!(matches!(check(&config(), text), Err(DataDirectoryError::OtherNode { .. })));
        for wrong in ["", "version=2\n", "cluster.id=orders\n", "node.id=one\n", "version=1\nnode.id=1\n", "\0\0\0"] {
            assert!(matches!(check(&config(), wrong), Err(DataDirectoryError::Malformed { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn the_identity_of_a_directory_reads_back() {
        let (cluster, id) = (ClusterId("orders".into()), Some(DirectoryId(0x1234_5678_9abc_def0 << 60)));
        assert_eq!(check(&config(), &text(config().node_id, &cluster, id)).unwrap(), (cluster, id));
    }

    proptest! {
        #[test]
        fn no_text_is_more_than_an_error(text in "((version|cluster.id|node.id|directory.id|#)?=?[ -~\u{0}]{0,6}\n?){0,6}") {
            let _ = check(&config(), &text);
        }
    }
}
