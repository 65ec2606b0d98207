//! That a directory was left in order: `.kafka_cleanshutdown`, in Kafka's format, with the epoch of the broker that left it (KIP-966).
//!
//! It is written when every log below the directory was closed and every name there is safe: so the next start need sync nothing before it
//! goes by what it finds. That start takes it away, for good, before anything is written. So it never speaks of an older life: a crash or a
//! loss of power leaves a whole one and nothing was written since, or none. One that is damaged counts as none.

use std::io;

use host::Disk;
use model::{BrokerEpoch, Bug, Planted};

use crate::checkpoint::{read_file, replace_file};

const FILE_NAME: &str = ".kafka_cleanshutdown";

/// Says that the directory is in order. Nobody may write there any more.
///
/// # Errors
/// Those of the disk. The directory then counts as one that was not left in order.
pub async fn leave<D: Disk>(disk: &D, directory: &str, epoch: BrokerEpoch) -> io::Result<()> {
    disk.sync_names_below(directory).await?;
    replace_file(disk, &path(directory), to_text(epoch).as_bytes()).await
}

/// Whoever left the directory in order, if that was so. It is forgotten at once. Afterwards all names below the directory are safe.
///
/// # Errors
/// Those of the disk.
pub async fn take<D: Disk>(disk: &D, directory: &str, planted: Planted) -> io::Result<Option<BrokerEpoch>> {
    let path = path(directory);
    let found = read_file(disk, &path)?;
    let epoch = found.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok().and_then(from_text));
    if epoch.is_some() && planted.has(Bug::StaleCleanShutdown) {
        return Ok(epoch);
    }
    if found.is_some() {
        disk.remove(&path)?;
    }
    if epoch.is_some() {
        disk.sync_directory(directory).await?;
        return Ok(epoch);
    }
    if found.is_some() {
        tracing::warn!(path, "this does not say who left the directory in order: it is not believed");
    }
    if !planted.has(Bug::UnsyncedDirectory) {
        disk.sync_names_below(directory).await?;
    }
    Ok(None)
}

fn path(directory: &str) -> String {
    format!("{directory}/{FILE_NAME}")
}

fn to_text(epoch: BrokerEpoch) -> String {
    format!("{{\"version\":0,\"brokerEpoch\":{epoch}}}\n")
}

fn from_text(text: &str) -> Option<BrokerEpoch> {
    text.strip_prefix("{\"version\":0,\"brokerEpoch\":")?.strip_suffix("}\n")?.parse().ok().map(BrokerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_back_and_one_that_is_torn_does_not() {
        let whole = to_text(BrokerEpoch(1812));
        assert_eq!(from_text(&whole), Some(BrokerEpoch(1812)));
        for at in 0..whole.len() {
            assert_eq!(from_text(&whole[..at]), None, "{at} bytes");
        }
        assert_eq!(from_text(&"\0".repeat(whole.len())), None);
    }
}
