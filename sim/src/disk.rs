//! A simulated disk: the files of one node, in memory, which outlive its processes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::digest::{Kind, fingerprint};
use crate::life::Life;
use crate::seam::DiskSeam;

/// How long a sync takes.
const SYNC_DELAY: Duration = Duration::from_micros(200);

/// Bytes that a disk holds.
const CAPACITY: u64 = 1 << 40;

/// The disk of one node, for all of its processes and for faults. Cheap to clone.
#[derive(Clone)]
pub struct DiskState(Arc<Shared>);

struct Shared {
    seam: Mutex<DiskSeam>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    files: BTreeMap<String, Arc<Mutex<Vec<u8>>>>,
    directories: BTreeSet<String>,
    locks: BTreeSet<String>,
}

/// The disk as one process sees it.
#[derive(Clone)]
pub struct SimDisk {
    state: DiskState,
    life: Life,
}

/// An open file of one process.
#[derive(Clone)]
pub struct SimFile {
    disk: SimDisk,
    bytes: Arc<Mutex<Vec<u8>>>,
}

struct Lock {
    disk: SimDisk,
    path: String,
}

impl DiskState {
    pub(crate) fn new(seam: DiskSeam) -> DiskState {
        DiskState(Arc::new(Shared { seam: Mutex::new(seam), names: Mutex::default() }))
    }

    pub(crate) fn mount(&self, life: Life) -> SimDisk {
        SimDisk { state: self.clone(), life }
    }

    pub(crate) fn crash(&self) {
        self.0.names.lock().locks.clear();
    }

    pub(crate) fn power_loss(&self) {
        self.crash();
    }

    fn charge(&self, kind: Kind, a: u64, b: u64) {
        let seam = self.0.seam.lock();
        seam.digest.event(kind, seam.node, a, b);
    }
}

impl SimDisk {
    fn check(&self) -> io::Result<()> {
        if self.life.is_on() { Ok(()) } else { Err(io::Error::other("the process has ended")) }
    }

    fn file(&self, bytes: Arc<Mutex<Vec<u8>>>) -> SimFile {
        SimFile { disk: self.clone(), bytes }
    }
}

impl host::Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &str) -> io::Result<SimFile> {
        self.check()?;
        self.state.charge(Kind::DiskOpened, fingerprint(path), 0);
        let bytes = self.state.0.names.lock().files.get(path).cloned();
        bytes.map(|bytes| self.file(bytes)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, path: &str) -> io::Result<SimFile> {
        self.check()?;
        self.state.charge(Kind::DiskCreated, fingerprint(path), 0);
        let names = &mut *self.state.0.names.lock();
        if names.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = Arc::default();
        names.files.insert(path.to_owned(), Arc::clone(&bytes));
        Ok(self.file(bytes))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.check()?;
        let names = &mut *self.state.0.names.lock();
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            names.directories.insert(path[..end].to_owned());
        }
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.check()?;
        let names = &*self.state.0.names.lock();
        if !path.is_empty() && !names.directories.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let all = names.files.keys().chain(&names.directories);
        let inside =
            all.filter_map(|name| name.strip_prefix(&prefix)).filter(|name| !name.is_empty() && !name.contains('/'));
        Ok(inside.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check()?;
        self.state.charge(Kind::DiskRenamed, fingerprint(from), fingerprint(to));
        let names = &mut *self.state.0.names.lock();
        let bytes = names.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.check()?;
        self.state.charge(Kind::DiskRemoved, fingerprint(path), 0);
        self.state.0.names.lock().files.remove(path).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.check()?;
        let names = &mut *self.state.0.names.lock();
        let prefix = format!("{path}/");
        names.files.retain(|name, _| !name.starts_with(&prefix));
        names.directories.retain(|name| name != path && !name.starts_with(&prefix));
        Ok(())
    }

    async fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.check()?;
        self.state.charge(Kind::DiskDirectory, fingerprint(path), 0);
        let wait = self.state.0.seam.lock().clock.sleep(SYNC_DELAY);
        wait.await;
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        self.check()?;
        let used: usize = self.state.0.names.lock().files.values().map(|bytes| bytes.lock().len()).sum();
        Ok(CAPACITY - used as u64)
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.check()?;
        if !self.state.0.names.lock().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned() }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.disk.life.is_on() {
            self.disk.state.0.names.lock().locks.remove(&self.path);
        }
    }
}

impl host::File for SimFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.check()?;
        let bytes = self.bytes.lock();
        let rest = bytes.get(position as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.disk.state.charge(Kind::DiskRead, position, length as u64);
        Ok(length)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.check()?;
        self.disk.state.charge(Kind::DiskWrote, position, bytes.len() as u64);
        let file = &mut *self.bytes.lock();
        let end = position as usize + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[position as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.check()?;
        Ok(self.bytes.lock().len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.disk.check()?;
        self.disk.state.charge(Kind::DiskLength, 0, length);
        self.bytes.lock().resize(length as usize, 0);
        Ok(())
    }

    async fn sync(&self) -> io::Result<()> {
        self.disk.check()?;
        self.disk.state.charge(Kind::DiskSynced, 0, 0);
        let wait = self.disk.state.0.seam.lock().clock.sleep(SYNC_DELAY);
        wait.await;
        Ok(())
    }
}
