//! The quorum's state on disk: epoch, vote, leader. Replaced whole, so that a vote is there or was never cast, and behind a checksum, so
//! that a rotten one is refused rather than taken for another.

use host::Disk;
use roles::quorum::QuorumState;

use super::OpenError;

const FILE: &str = "quorum-state";

pub(super) fn path(log_directory: &str) -> String {
    format!("{log_directory}/{FILE}")
}

/// What is on the disk, and stays there; the beginning of all if there is nothing.
pub(super) fn read<D: Disk>(disk: &D, path: &str) -> Result<QuorumState, OpenError> {
    let bytes =
        storage::checkpoint::read_file(disk, path).map_err(|source| OpenError::State { path: path.into(), source })?;
    let Some(bytes) = bytes else { return Ok(QuorumState::default()) };
    let damaged = |reason: String| OpenError::StateDamaged { path: path.into(), reason };
    let content = storage::checkpoint::unseal(&bytes).ok_or_else(|| damaged("its checksum is wrong".into()))?;
    minicbor::decode(content).map_err(|error| damaged(error.to_string()))
}

/// When it returns, the state outlives a loss of power.
pub(super) async fn write<D: Disk>(disk: D, path: String, state: QuorumState) -> std::io::Result<()> {
    let bytes = minicbor::to_vec(state).map_err(std::io::Error::other)?;
    storage::checkpoint::replace_file(&disk, &path, &storage::checkpoint::seal(&bytes)).await
}
