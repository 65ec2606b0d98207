//! The directories of partitions: whose each is, and how one goes away.
//!
//! ```text
//!  orders-0/partition.metadata                      names the topic by its id: one of the same name that is made later is another
//!  orders-0.<topic id>-delete/                      is going away, and gone after the next start
//! ```
//! A directory is given its new name, and the name is made safe, before anything in it is removed: whatever a crash leaves of it
//! is never taken for a partition again.

use std::io;

use host::Disk;
use model::TopicId;
use storage::checkpoint::{create_directory, read_file, replace_file};

const METADATA_FILE: &str = "partition.metadata";
const DOOMED: &str = "-delete";
/// What a name of a directory may have of its topic's, so that file systems take it.
const NAME_LENGTH_MAX: usize = 200;

/// Where a partition of a topic of this name lives.
pub(crate) fn directory_of(log_directory: &str, topic: &str, index: i32) -> String {
    format!("{log_directory}/{topic}-{index}")
}

/// Which partition of its topic a directory is of, by its name.
pub(crate) fn index_of(name: &str) -> Option<i32> {
    name.rsplit_once('-')?.1.parse().ok()
}

/// Whose directory this is; none if it is nobody's yet.
pub(crate) fn owner<D: Disk>(disk: &D, directory: &str) -> io::Result<Option<TopicId>> {
    let path = format!("{directory}/{METADATA_FILE}");
    let Some(bytes) = read_file(disk, &path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let id =
        text.lines().find_map(|line| line.strip_prefix("topic_id: ")).and_then(|id| u128::from_str_radix(id, 16).ok());
    id.map(|id| Some(TopicId(id))).ok_or_else(|| {
        let why = format!("{path} does not name a topic: if its partition has other replicas, remove its directory");
        io::Error::new(io::ErrorKind::InvalidData, why)
    })
}

/// Makes the directory this topic's, for good.
pub(crate) async fn claim<D: Disk>(disk: &D, directory: &str, topic: TopicId) -> io::Result<()> {
    create_directory(disk, directory).await?;
    let text = format!("version: 0\ntopic_id: {:032x}\n", topic.0);
    replace_file(disk, &format!("{directory}/{METADATA_FILE}"), text.as_bytes()).await
}

/// Gives a directory a name that nobody looks for, for good. Its new path.
pub(crate) async fn doom<D: Disk>(disk: &D, log_directory: &str, name: &str, topic: TopicId) -> io::Result<String> {
    let short = name.get(..NAME_LENGTH_MAX).unwrap_or(name);
    let doomed = format!("{log_directory}/{short}.{:032x}{DOOMED}", topic.0);
    // One that was given up before and came back may have left it.
    match disk.remove_directory(&doomed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => disk.rename(&format!("{log_directory}/{name}"), &doomed)?,
    }
    disk.sync_directory(log_directory).await?;
    Ok(doomed)
}

/// The directories that an earlier life doomed and did not live to remove.
pub(crate) fn doomed<D: Disk>(disk: &D, log_directory: &str) -> io::Result<Vec<String>> {
    let names = disk.list(log_directory)?.into_iter().filter(|name| name.ends_with(DOOMED));
    Ok(names.map(|name| format!("{log_directory}/{name}")).collect())
}

/// The names of directories that look like those of partitions.
pub(crate) fn partitions<D: Disk>(disk: &D, log_directory: &str) -> io::Result<Vec<String>> {
    let names = disk.list(log_directory)?.into_iter();
    Ok(names.filter(|name| !name.ends_with(DOOMED) && index_of(name).is_some()).collect())
}

/// Every directory that belongs to a topic, by name.
pub(crate) fn owned<D: Disk>(disk: &D, log_directory: &str) -> io::Result<Vec<(String, TopicId)>> {
    let mut owned = Vec::new();
    for name in disk.list(log_directory)?.into_iter().filter(|name| !name.ends_with(DOOMED)) {
        if let Ok(Some(topic)) = owner(disk, &format!("{log_directory}/{name}")) {
            owned.push((name, topic));
        }
    }
    Ok(owned)
}
