//! A file that is looked at and not touched: a broker may be writing it, or a disk may be past writing.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use host::File;

#[derive(Clone, Debug)]
pub(super) struct ReadOnly(std::sync::Arc<std::fs::File>);

impl ReadOnly {
    /// # Errors
    /// Those of the file system.
    #[allow(clippy::disallowed_methods, reason = "the file is an operator's to look at, and no broker runs here")]
    pub(super) fn open(path: &Path) -> io::Result<ReadOnly> {
        Ok(ReadOnly(std::sync::Arc::new(std::fs::File::open(path)?)))
    }
}

impl File for ReadOnly {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, _position: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_length(&self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    async fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}
