//! Files below one directory, or below several of them. Reads and writes are the page cache's and happen here; syncs are the affair of their
//! directory's syncer, so that a device which stalls holds up no other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::{FlockOperation, flock, statvfs};

use super::sync::{FILES_MAX, Kind, LastSync, Syncer};
use crate::disk;

/// The files below one directory, or below several.
#[derive(Clone)]
pub struct RealDisk(Arc<[Root]>);

/// A directory of the machine, and what paths below it begin with: nothing, if it is the only one.
struct Root {
    name: String,
    directory: PathBuf,
    syncer: Syncer,
}

/// An open file.
#[derive(Clone)]
pub struct RealFile {
    file: Arc<File>,
    syncer: Syncer,
    last_sync: LastSync,
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

impl Root {
    #[allow(clippy::disallowed_methods, reason = "the Host is where files are touched")]
    fn new(name: &str, directory: &Path) -> io::Result<Root> {
        // Fixed now, so that a later change of the working directory moves no file.
        let directory = std::path::absolute(directory)?;
        if !directory.exists() {
            std::fs::create_dir_all(&directory)?;
            if let Some(parent) = directory.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        if !directory.is_dir() {
            let why = format!("{} is not a directory", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
        }
        let syncer = Syncer::start(File::open(&directory)?)?;
        Ok(Root { name: name.into(), directory, syncer })
    }

    /// What `path` is within this root, if it is.
    fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.name.is_empty() {
            return Some(path);
        }
        let inside = path.strip_prefix(&self.name)?;
        if inside.is_empty() { Some(inside) } else { inside.strip_prefix('/') }
    }

    fn opened(&self, file: File) -> RealFile {
        RealFile { file: Arc::new(file), syncer: self.syncer.clone(), last_sync: LastSync::default() }
    }
}

impl RealDisk {
    /// One directory, from which every path is counted.
    pub(super) fn new(root: &Path) -> io::Result<RealDisk> {
        Ok(RealDisk([Root::new("", root)?].into()))
    }

    /// Several directories: paths begin with the name of one of them, as it is given here.
    ///
    /// # Errors
    /// None can be used. One that cannot is left out: whoever asks for it learns that it is not there.
    pub(super) fn with_directories(directories: &[String]) -> io::Result<RealDisk> {
        let mut roots = Vec::new();
        let mut first_error = None;
        for name in directories {
            match Root::new(name, Path::new(name)) {
                Ok(root) => roots.push(root),
                Err(error) => {
                    let named = io::Error::new(error.kind(), format!("{name}: {error}"));
                    first_error.get_or_insert(named);
                }
            }
        }
        match first_error {
            Some(error) if roots.is_empty() => Err(error),
            _ => Ok(RealDisk(roots.into())),
        }
    }

    /// The root of `path`, and where it lies on this machine.
    ///
    /// # Errors
    /// `InvalidInput` for a path that is absolute or climbs, or is of none of the roots: names come from the wire too, and none may leave them.
    fn place(&self, path: &str) -> io::Result<(&Root, PathBuf)> {
        let stays = |path: &&str| {
            Path::new(path).components().all(|one| matches!(one, Component::Normal(_) | Component::CurDir))
        };
        let found = self.0.iter().find_map(|root| Some((root, root.strip(path).filter(stays)?)));
        let Some((root, inside)) = found else {
            let why = format!("\"{path}\" leads out of the data directory");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        Ok((root, root.directory.join(inside)))
    }

    /// True if a root lies below `path`.
    fn is_above(&self, path: &str) -> bool {
        let below = |name: &str| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('/') || path.is_empty());
        self.0.iter().any(|root| !root.name.is_empty() && below(&root.name))
    }
}

#[allow(clippy::disallowed_methods, reason = "the Host is where files are touched")]
impl disk::Disk for RealDisk {
    type File = RealFile;

    fn open(&self, path: &str) -> io::Result<RealFile> {
        let (root, place) = self.place(path)?;
        Ok(root.opened(OpenOptions::new().read(true).write(true).open(place)?))
    }

    fn create(&self, path: &str) -> io::Result<RealFile> {
        let (root, place) = self.place(path)?;
        Ok(root.opened(OpenOptions::new().read(true).write(true).create_new(true).open(place)?))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        std::fs::create_dir_all(self.place(path)?.1)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.place(path)?.1)? {
            let name = entry?.file_name();
            // A name that is not UTF-8 is not ours, and no path could open it.
            names.extend(name.into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.place(from)?.1, self.place(to)?.1)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        std::fs::remove_file(self.place(path)?.1)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        std::fs::remove_dir_all(self.place(path)?.1)
    }

    async fn sync_directory(&self, path: &str) -> io::Result<()> {
        if self.is_above(path) {
            return Ok(());
        }
        let (root, place) = self.place(path)?;
        root.syncer.sync(Arc::new(File::open(place)?), Kind::Directory).await
    }

    /// A few directories one by one; of many the whole file system, once.
    async fn sync_names_below(&self, path: &str) -> io::Result<()> {
        let (root, place) = self.place(path)?;
        let mut directories = vec![place];
        let mut listed = 0;
        while listed < directories.len() && (directories.len() <= FILES_MAX || !root.syncer.has_file_systems()) {
            for entry in std::fs::read_dir(&directories[listed])? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    directories.push(entry.path());
                }
            }
            listed += 1;
        }
        if listed < directories.len() {
            return root.syncer.sync_file_system().await;
        }
        for directory in directories {
            root.syncer.sync(Arc::new(File::open(directory)?), Kind::Directory).await?;
        }
        Ok(())
    }

    fn space(&self, directory: &str) -> io::Result<disk::Space> {
        let space = statvfs(&self.place(directory)?.1)?;
        let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
        Ok(disk::Space { total: bytes(space.f_blocks), free: bytes(space.f_bavail) })
    }

    /// An advisory lock on a file that stays where it is: removing it would let two processes lock two files of one name.
    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.place(path)?.1)?;
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
        self.syncer.sync_data(&self.file, &self.last_sync).await
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "these tests look at real files")]
mod tests {
    use super::*;
    use crate::{Disk, File as _};

    fn disk() -> (tempfile::TempDir, RealDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(&directory.path().join("root")).unwrap();
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
        let space = disk.space("").unwrap();
        assert!(0 < space.free && space.free <= space.total);
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

    #[tokio::test]
    async fn of_several_directories_each_has_its_own_files_and_one_that_cannot_be_used_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let [one, other, file] =
            ["one", "two/deep", "file"].map(|name| directory.path().join(name).display().to_string());
        let disk = RealDisk::with_directories(&[one.clone(), other.clone(), file.clone()]).unwrap();
        disk.create(&format!("{one}/log")).unwrap();
        disk.create(&format!("{other}/log")).unwrap().write_at(0, b"other").unwrap();
        assert_eq!(disk.list(&one).unwrap(), ["log"]);
        assert_eq!(disk.open(&format!("{one}/log")).unwrap().length().unwrap(), 0);
        for above in ["", directory.path().to_str().unwrap()] {
            disk.sync_directory(above).await.unwrap();
        }
        disk.sync_names_below(&one).await.unwrap();
        for outside in [format!("{one}/../file"), format!("{one}s/log"), file, "log".into()] {
            assert_eq!(disk.open(&outside).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{outside}");
        }
    }

    #[test]
    fn a_root_that_is_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = RealDisk::new(file.path()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }
}
