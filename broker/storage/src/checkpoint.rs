//! Small state files, replaced whole: after a crash or a loss of power there is the old content or the new, never a mixture.

use std::io;

use host::{Disk, File};

/// Largest state file that is read: one that claims more is not ours.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// Puts `bytes` in the place of the file at `path`: temporary file, sync, rename, directory sync. When it returns, the new
/// content outlives a loss of power. One caller at a time for one path.
///
/// # Errors
/// Those of the disk. The old content is then still there, unless the directory's sync was what failed: then it may be either.
pub async fn replace_file<D: Disk>(disk: &D, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}{TEMPORARY}");
    write_temporary(disk, &temporary, bytes).await?;
    disk.rename(&temporary, path)?;
    disk.sync_directory(parent(path)).await
}

/// The content of the file at `path`, if there is one. An earlier life may have died between putting it there and syncing the directory:
/// whoever acts by what it says must have made it safe before, or may find the old content later.
///
/// # Errors
/// Those of the disk; `InvalidData` if the file is larger than [`FILE_BYTES_MAX`].
pub fn read_file<D: Disk>(disk: &D, path: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    if FILE_BYTES_MAX < length {
        let reason = format!("{path} has {length} bytes; a state file has at most {FILE_BYTES_MAX}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = vec![0; length as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// What a file's name ends with until it is whole; a start removes it.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Bytes of a checksum.
const CHECKSUM: usize = 4;

/// `content` behind its checksum (CRC-32C, big-endian), for a file of which no other replica has a copy.
pub fn seal(content: &[u8]) -> Vec<u8> {
    [&crc32c::crc32c(content).to_be_bytes(), content].concat()
}

/// What was sealed; none if the bytes are not those that were.
pub fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (checksum, content) = bytes.split_first_chunk::<CHECKSUM>()?;
    (u32::from_be_bytes(*checksum) == crc32c::crc32c(content)).then_some(content)
}

/// Makes a directory and its parents, and makes them outlive a loss of power.
///
/// # Errors
/// Those of the disk.
pub async fn create_directory<D: Disk>(disk: &D, path: &str) -> io::Result<()> {
    disk.create_directory(path)?;
    let mut child = path;
    while !child.is_empty() {
        child = parent(child);
        disk.sync_directory(child).await?;
    }
    Ok(())
}

/// Makes a file with `bytes`, synced, under a name that means nothing until it is renamed.
pub(crate) async fn write_temporary<D: Disk>(disk: &D, path: &str, bytes: &[u8]) -> io::Result<()> {
    let file = match disk.create(path) {
        // A crash left it; nobody reads it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(path)?;
            disk.create(path)?
        }
        other => other?,
    };
    file.write_at(0, bytes)?;
    file.sync().await
}

/// The directory that holds `path`; the empty string is the host's root.
fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_reads_back_and_no_changed_or_missing_byte_goes_unseen() {
        let sealed = seal(b"epoch 5, voted for 2");
        assert_eq!(unseal(&sealed), Some(&b"epoch 5, voted for 2"[..]));
        for at in 0..sealed.len() {
            assert_eq!(unseal(&sealed[..at]), None, "cut at {at}");
            let mut rotten = sealed.clone();
            rotten[at] ^= 1;
            assert_eq!(unseal(&rotten), None, "byte {at}");
        }
        // Nor what a device leaves that never wrote it.
        assert_eq!(unseal(&vec![0; sealed.len()]), None);
    }
}
