//! A simulated disk: the files of one node, in memory, which outlive its processes.
//!
//! Fault model. Three truths are kept apart: the *page cache*, which is what any process reads; the *device*, which has what
//! was synced; and *directories*, which are safe only by a sync of their own.
//!
//! - A process crash keeps the page cache. Its locks are free again.
//! - A loss of power keeps what was synced. Of the rest each file keeps all, nothing, a beginning, or any of its sectors of
//!   512 bytes, as the seed says; one sector is whole or not written at all, and one that was never written reads as zeros. A
//!   file that grew or shrank has the old length, the new one, or one between. Creations, renames and removals in one
//!   directory happen in their order up to some point; directories do not wait for each other, nor files for directories. A
//!   file whose directory is gone is gone.
//! - A sync makes safe what was written before it began. While it runs, what it will make safe is in doubt.
//! - A full disk takes the beginning of a write and refuses the rest; room that is made later counts at once.
//! - Reads, writes and syncs can be made to fail, to stall or to be slow: see `trouble.rs`. After a failed sync the page cache
//!   shows every byte and counts none of them as dirty: any sector of what was not safe may never reach the device, whatever
//!   later syncs say, until it is written again.
//! - The disk of one directory can die: nothing works there any more, and what was stored is there again when it comes back.
//! - Stored bytes rot, become unreadable, or were never what the device said: see `damage.rs`. A whole disk can be replaced by
//!   an empty one.
//!
//! A broker must survive the first four without losing what it called synced, and treat as lost what a failed sync left in
//! doubt. What was destroyed no single disk can give back: a cluster must survive that where enough copies are left elsewhere.

mod content;
mod damage;
mod file;
mod harm;
mod images;
mod names;
mod pages;
mod trouble;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::confined::Confined;
use futures_util::future::{Either, select};
use host::Space;

use crate::digest::{Kind, fingerprint};
use crate::life::Life;
use crate::seam::DiskSeam;
use content::Content;
use damage::Lying;
pub use file::SimFile;
pub use harm::Scope;
use names::Names;
use trouble::Trouble;

/// How long syncs take: `least`, plus an exponential share, plus the time to write what is dirty. One in a hundred takes
/// twenty times as long, as devices do when they clean up behind themselves.
#[derive(Clone, Copy, Debug)]
pub struct SyncDelay {
    pub least: Duration,
    pub mean_beyond: Duration,
    pub bytes_per_second: u64,
}

impl Default for SyncDelay {
    /// A middling solid-state drive.
    fn default() -> SyncDelay {
        SyncDelay {
            least: Duration::from_micros(100),
            mean_beyond: Duration::from_micros(150),
            bytes_per_second: 500_000_000,
        }
    }
}

const SLOW_SYNC_CHANCE: f64 = 0.01;
const SLOW_SYNC_FACTOR: u32 = 20;

/// Bytes that a disk holds unless told otherwise.
const CAPACITY: u64 = 1 << 40;

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Read,
    Write,
    Sync,
}

/// The disk of one node, for all of its processes and for faults. Cheap to clone.
#[derive(Clone)]
pub struct DiskState(Arc<Shared>);

struct Shared {
    seam: Confined<DiskSeam>,
    state: Confined<State>,
}

struct State {
    names: Names,
    /// Bytes of all files that have a name.
    used: u64,
    capacity: u64,
    /// Writes and syncs so far, and how many there were when no file had anything that was not safe: none but they change that.
    changes: u64,
    clean_at: Option<u64>,
    /// Who waits for a write.
    awaiting: Vec<Waker>,
    sync_delay: SyncDelay,
    trouble: Trouble,
    /// The device lies about what it wrote to these files.
    lying: Option<(Scope, Lying)>,
}

type Inode = Arc<Confined<Content>>;

/// The disk as one process sees it.
#[derive(Clone)]
pub struct SimDisk {
    state: DiskState,
    life: Life,
}

struct Lock {
    disk: SimDisk,
    path: String,
}

impl State {
    fn note_write(&mut self) {
        self.changes += 1;
        self.awaiting.drain(..).for_each(Waker::wake);
    }
}

impl DiskState {
    pub(crate) fn new(seam: DiskSeam) -> DiskState {
        let state = State {
            names: Names::default(),
            used: 0,
            capacity: CAPACITY,
            changes: 0,
            clean_at: None,
            awaiting: Vec::new(),
            sync_delay: SyncDelay::default(),
            trouble: Trouble::default(),
            lying: None,
        };
        DiskState(Arc::new(Shared { seam: Confined::new(seam), state: Confined::new(state) }))
    }

    pub(crate) fn mount(&self, life: Life) -> SimDisk {
        SimDisk { state: self.clone(), life }
    }

    /// As it is for whoever looks at what is stored, and is no process of its node.
    pub fn look(&self) -> SimDisk {
        self.mount(Life::begin())
    }

    pub(crate) fn crash(&self) {
        self.0.state.lock().names.locks.clear();
    }

    pub(crate) fn power_loss(&self) {
        self.crash();
        let state = &mut *self.0.state.lock();
        let mut seam = self.0.seam.lock();
        state.names.lose_power(&mut seam.stream);
        let (mut kept, mut lost) = (0, 0);
        state.used = 0;
        for (_, inode) in state.names.paths() {
            let mut content = inode.lock();
            let torn = content.lose_power(&mut seam.stream);
            kept += torn.kept;
            lost += torn.lost;
            state.used += content.length();
        }
        seam.digest.event(Kind::DiskTorn, seam.node, kept, lost);
    }

    /// Bytes that the disk holds from now on. What is there stays, even if it is more.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.state.lock().capacity = bytes;
    }

    pub fn set_sync_delay(&self, delay: SyncDelay) {
        self.0.state.lock().sync_delay = delay;
    }

    fn charge(&self, kind: Kind, a: u64, b: u64) {
        let seam = self.0.seam.lock();
        seam.digest.event(kind, seam.node, a, b);
    }

    /// The error of an operation that is told to fail.
    fn trouble(&self, operation: Operation, path: &str, position: u64) -> io::Result<()> {
        if !self.0.state.lock().trouble.strikes(operation, path) {
            return Ok(());
        }
        Err(self.refuse(operation, position))
    }

    fn refuse(&self, operation: Operation, position: u64) -> io::Error {
        self.charge(Kind::DiskFailed, operation as u64, position);
        io::Error::other("input/output error")
    }

    async fn wait_for_device(&self, dirty_bytes: u64) {
        let (clock, mut work) = {
            let delay = self.0.state.lock().sync_delay;
            let mut seam = self.0.seam.lock();
            let factor = if seam.stream.chance(SLOW_SYNC_CHANCE) { SLOW_SYNC_FACTOR } else { 1 };
            if 1 < factor {
                model::reached!("a sync was slow");
            }
            let write = Duration::from_nanos(dirty_bytes.saturating_mul(1_000_000_000) / delay.bytes_per_second.max(1));
            let beyond = seam.stream.exponential(delay.mean_beyond);
            (seam.clock.clone(), (delay.least + beyond) * factor + write)
        };
        let slowness = self.slowness();
        if 1 < slowness {
            let begun = clock.now();
            let slow = pin!(clock.sleep(work * slowness));
            let done = match select(slow, pin!(self.until_it_is_fast())).await {
                Either::Left(_) => work,
                Either::Right(_) => clock.now().since(begun) / slowness,
            };
            work = work.saturating_sub(done);
        }
        if !work.is_zero() {
            clock.sleep(work).await;
        }
        self.until_it_goes_on().await;
    }
}

impl SimDisk {
    fn check(&self) -> io::Result<()> {
        if self.life.is_on() { Ok(()) } else { Err(io::Error::other("the process has ended")) }
    }

    /// The same, and the disk of this path must work.
    fn check_at(&self, path: &str) -> io::Result<()> {
        self.check()?;
        self.state.check_alive(path)
    }

    fn file(&self, path: &str, inode: Inode) -> SimFile {
        SimFile::new(self.clone(), path, inode)
    }

    /// Does something with the names, and accounts for the file that lost its last name by it.
    fn change<T>(&self, change: impl FnOnce(&mut Names) -> io::Result<(T, Option<Inode>)>) -> io::Result<T> {
        let state = &mut *self.state.0.state.lock();
        let (value, gone) = change(&mut state.names)?;
        if let Some(gone) = gone {
            state.used -= gone.lock().unlink();
        }
        Ok(value)
    }
}

impl host::Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &str) -> io::Result<SimFile> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskOpened, fingerprint(path), 0);
        let inode = self.state.0.state.lock().names.open(path)?;
        Ok(self.file(path, inode))
    }

    fn create(&self, path: &str) -> io::Result<SimFile> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskCreated, fingerprint(path), 0);
        let inode = self.state.0.state.lock().names.create(path)?;
        Ok(self.file(path, inode))
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskDirectory, fingerprint(path), 0);
        self.state.0.state.lock().names.create_directory(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.check_at(path)?;
        self.state.0.state.lock().names.list(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_at(to)?;
        self.state.charge(Kind::DiskRenamed, fingerprint(from), fingerprint(to));
        self.change(|names| names.rename(from, to).map(|replaced| ((), replaced)))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskRemoved, fingerprint(path), 0);
        self.change(|names| names.remove(path).map(|removed| ((), Some(removed))))
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskRemoved, fingerprint(path), 0);
        let state = &mut *self.state.0.state.lock();
        for inode in state.names.remove_directory(path)? {
            state.used -= inode.lock().unlink();
        }
        Ok(())
    }

    async fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.check()?;
        self.state.trouble(Operation::Sync, path, 0)?;
        let changes = self.state.0.state.lock().names.begin_sync(path)?;
        self.state.wait_for_device(0).await;
        self.check()?;
        self.state.0.state.lock().names.finish_sync(path, changes);
        self.state.charge(Kind::DiskDirectory, fingerprint(path), changes);
        Ok(())
    }

    async fn sync_names_below(&self, path: &str) -> io::Result<()> {
        self.check_at(path)?;
        self.state.trouble(Operation::Sync, path, 0)?;
        let changes = self.state.0.state.lock().names.begin_sync(path)?;
        self.state.wait_for_device(0).await;
        self.check_at(path)?;
        self.state.0.state.lock().names.finish_sync_below(path, changes);
        self.state.charge(Kind::DiskDirectory, fingerprint(path), changes);
        Ok(())
    }

    fn space(&self, directory: &str) -> io::Result<Space> {
        self.check_at(directory)?;
        let state = self.state.0.state.lock();
        Ok(Space { total: state.capacity, free: state.capacity.saturating_sub(state.used) })
    }

    fn lock(&self, path: &str) -> io::Result<Box<dyn Send + Sync>> {
        self.check_at(path)?;
        self.state.charge(Kind::DiskLocked, fingerprint(path), 0);
        let names = &mut self.state.0.state.lock().names;
        // The lock is a file that stays, as on a real disk.
        match names.create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if !names.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Lock { disk: self.clone(), path: path.to_owned() }))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.disk.life.is_on() {
            self.disk.state.0.state.lock().names.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
