//! A disk: files in directories, with the difference between written and safe.
//!
//! Paths are relative to the host's root and use `/`.

use std::future::Future;
use std::io;

use crate::FileRange;

/// The files of one host. Cheap to clone.
///
/// Fault model: a process crash keeps all that was written; a loss of power keeps what was synced, the directory entries of
/// synced directories, and any subset of the rest, in sectors. After a failed sync the unsynced bytes are in doubt for good.
pub trait Disk: Clone + Send + Sync + 'static {
    type File: File;

    /// Opens a file that exists, for reading and writing. `NotFound` if there is none.
    fn open(&self, path: &str) -> io::Result<Self::File>;

    /// Makes an empty file. `AlreadyExists` if there is one.
    fn create(&self, path: &str) -> io::Result<Self::File>;

    /// Makes a directory and its parents; content that is there already.
    fn create_directory(&self, path: &str) -> io::Result<()>;

    /// Names in a directory, sorted. `NotFound` if there is no such directory.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Puts `from` in the place of `to`, whether or not there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a directory and all in it.
    fn remove_directory(&self, path: &str) -> io::Result<()>;

    /// Makes creations, renames and removals in this directory outlive a loss of power. What lies above the directories that the host
    /// was given is its own affair, and safe.
    fn sync_directory(&self, path: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// The same for this directory and every directory below it, in one go.
    fn sync_names_below(&self, path: &str) -> impl Future<Output = io::Result<()>> + Send;

    /// The room of the device that has this directory.
    fn space(&self, directory: &str) -> io::Result<Space>;

    /// Takes the lock named `path` until the guard is dropped or the process dies.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>>;
}

/// Bytes of a device: all of them, and those that can still be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub free: u64,
}

/// An open file; clones share it. Positional, so that readers and the one writer need no lock.
pub trait File: Clone + Send + Sync + 'static {
    /// Fills as much of `buffer` as the file has from `position` on, and says how much; zero at or past its end.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `position`, extending the file where needed.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// `length` bytes from `position` on, for [`Writer::send_file`](crate::Writer::send_file). None where a file cannot be sent
    /// without being read.
    fn range(&self, _position: u64, _length: usize) -> Option<FileRange> {
        None
    }

    fn length(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes every byte written before the call outlive a loss of power.
    ///
    /// # Errors
    /// Final: what was not synced before may be lost, and a later sync that succeeds proves nothing about it.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send;
}
