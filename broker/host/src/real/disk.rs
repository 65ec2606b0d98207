//! Files below one root directory. Reads and writes are the page cache's and happen here; only syncs go to their thread.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::{FlockOperation, flock, statvfs};

use super::sync::{Kind, Syncer};
use crate::disk;

/// The files below one directory.
#[derive(Clone)]
pub struct RealDisk {
    root: Arc<PathBuf>,
    syncer: Syncer,
}

/// An open file.
#[derive(Clone)]
pub struct RealFile {
    file: Arc<File>,
    syncer: Syncer,
}

/// A part of an open file. What it has may be sent or read later, whatever becomes of the file's name meanwhile.
#[derive(Clone, Debug)]
pub struct FileRange {
    pub(super) file: Arc<File>,
    pub(super) position: u64,
    pub(super) length: usize,
}

impl FileRange {
    pub fn length(&self) -> usize {
        self.length
    }

    /// Its bytes.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file has become shorter; others as the disk gives them.
    pub fn read(&self) -> io::Result<Bytes> {
        let mut bytes = BytesMut::zeroed(self.length);
        self.file.read_exact_at(&mut bytes, self.position)?;
        Ok(bytes.freeze())
    }
}

#[allow(clippy::disallowed_methods, reason = "the Host is where files are touched")]
impl RealDisk {
    pub(super) fn new(root: PathBuf) -> io::Result<RealDisk> {
        // Fixed now, so that a later change of the working directory moves no file.
        let root = std::path::absolute(root)?;
        if !root.exists() {
            std::fs::create_dir_all(&root)?;
            if let Some(parent) = root.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        if !root.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{} is not a directory", root.display())));
        }
        Ok(RealDisk { root: Arc::new(root), syncer: Syncer::start()? })
    }

    /// Where `path` lies on this machine.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is absolute or climbs: names come from the wire too, and none may leave the root.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let stays =
            Path::new(path).components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !stays {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("\"{path}\" leads out of the data directory"),
            ));
        }
        Ok(self.root.join(path))
    }

    fn opened(&self, file: File) -> RealFile {
        RealFile { file: Arc::new(file), syncer: self.syncer.clone() }
    }
}

#[allow(clippy::disallowed_methods, reason = "the Host is where files are touched")]
impl disk::Disk for RealDisk {
    type File = RealFile;

    fn open(&self, path: &str) -> io::Result<RealFile> {
        Ok(self.opened(OpenOptions::new().read(true).write(true).open(self.place(path)?)?))
    }

    fn create(&self, path: &str) -> io::Result<RealFile> {
        Ok(self.opened(OpenOptions::new().read(true).write(true).create_new(true).open(self.place(path)?)?))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.place(path)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.place(path)?)? {
            let name = entry?.file_name();
            // A name that is not UTF-8 is not ours, and no path could open it.
            names.extend(name.into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.place(from)?, self.place(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.place(path)?)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir_all(self.place(path)?)
    }

    async fn sync_directory(&self, path: &str) -> io::Result<()> {
        let directory = File::open(self.place(path)?)?;
        self.syncer.sync(Arc::new(directory), Kind::Directory).await
    }

    fn free_space(&self) -> io::Result<u64> {
        let space = statvfs(self.root.as_path())?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// An advisory lock on a file that stays where it is: removing it would let two processes lock two files of one name.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.place(path)?)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }
}

impl disk::File for RealFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, position)
    }

    fn range(&self, position: u64, length: usize) -> Option<FileRange> {
        Some(FileRange { file: self.file.clone(), position, length })
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    async fn sync(&self) -> io::Result<()> {
        self.syncer.sync(Arc::clone(&self.file), Kind::Data).await
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these tests look at real files")]
mod tests {
    use super::*;
    use crate::{Disk, File as _};

    fn disk() -> (tempfile::TempDir, RealDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(directory.path().join("root")).unwrap();
        (directory, disk)
    }

    #[test]
    fn no_path_leaves_the_root() {
        let (directory, disk) = disk();
        std::fs::write(directory.path().join("secret"), "kept").unwrap();
        for path in ["../secret", "/etc/passwd", "a/../../secret", "..", "./../secret"] {
            let kinds = [
                disk.open(path).err(),
                disk.create(path).err(),
                disk.list(path).err(),
                disk.create_directory(path).err(),
                disk.rename(path, "taken").err(),
                disk.remove(path).err(),
                disk.remove_directory(path).err(),
                disk.lock(path).err(),
            ]
            .map(|error| error.map(|error| error.kind()));
            assert_eq!(kinds, [Some(io::ErrorKind::InvalidInput); 8], "{path}");
        }
        assert_eq!(std::fs::read(directory.path().join("secret")).unwrap(), b"kept");
    }

    #[test]
    fn a_name_that_begins_with_a_dot_stays() {
        let (_directory, disk) = disk();
        disk.create_directory("./logs/..a").unwrap();
        disk.create("logs/.lock").unwrap();
        assert_eq!(disk.list("logs").unwrap(), ["..a", ".lock"]);
        assert_eq!(disk.list(".").unwrap(), ["logs"]);
        assert_eq!(disk.list("").unwrap(), ["logs"]);
    }

    #[test]
    fn a_lock_is_held_once_and_free_again_after_its_guard() {
        let (_directory, disk) = disk();
        let guard = disk.lock(".lock").unwrap();
        assert_eq!(disk.lock(".lock").err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(guard);
        drop(disk.lock(".lock").unwrap());
    }

    #[tokio::test]
    async fn a_file_is_read_where_it_was_written() {
        let (_directory, disk) = disk();
        let file = disk.create("log").unwrap();
        assert_eq!(disk.create("log").err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        file.write_at(4, b"records").unwrap();
        file.sync().await.unwrap();
        disk.sync_directory("").await.unwrap();

        let file = disk.open("log").unwrap();
        let mut buffer = [1; 16];
        assert_eq!(file.read_at(2, &mut buffer).unwrap(), 9);
        assert_eq!(&buffer[..9], b"\0\0records");
        assert_eq!(file.read_at(11, &mut buffer).unwrap(), 0);
        assert_eq!(file.read_at(1 << 40, &mut buffer).unwrap(), 0);
        file.set_length(6).unwrap();
        assert_eq!(file.length().unwrap(), 6);
        assert!(0 < disk.free_space().unwrap());
    }

    #[test]
    fn a_rename_puts_one_file_in_the_place_of_another() {
        let (_directory, disk) = disk();
        disk.create("new").unwrap().write_at(0, b"new").unwrap();
        disk.create("old").unwrap();
        disk.rename("new", "old").unwrap();
        assert_eq!(disk.list("").unwrap(), ["old"]);
        assert_eq!(disk.open("old").unwrap().length().unwrap(), 3);
        assert_eq!(disk.open("new").err().unwrap().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_root_that_is_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = RealDisk::new(file.path().to_owned()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
