//! A disk in memory that fails in nothing: files by path.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::{Disk, File, Space};

#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<BTreeMap<String, MemoryFile>>>);

#[derive(Clone, Default)]
pub(crate) struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryDisk {
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.files().insert(path.into(), MemoryFile(Arc::new(Mutex::new(bytes.to_vec()))));
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, MemoryFile>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        self.files().get(path).cloned().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        let mut files = self.files();
        if files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(files.entry(path.into()).or_default().clone())
    }

    fn create_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{path}/");
        Ok(self.files().keys().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.files().remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let prefix = format!("{path}/");
        self.files().retain(|path, _| !path.starts_with(&prefix));
        Ok(())
    }

    async fn sync_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    async fn sync_names_below(&self, path: &str) -> io::Result<()> {
        self.sync_directory(path).await
    }

    fn space(&self, _directory: &str) -> io::Result<Space> {
        Ok(Space { total: u64::MAX, free: u64::MAX })
    }

    fn lock(&self, _path: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

impl File for MemoryFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let from = usize::try_from(position).map_err(io::Error::other)?;
        let mut content = self.bytes();
        let length = content.len().max(from + bytes.len());
        content.resize(length, 0);
        content[from..from + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        Ok(())
    }

    async fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
