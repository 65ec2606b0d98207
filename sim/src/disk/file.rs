//! An open file, as one process sees it.

use std::io;
use std::sync::Arc;

use super::content::{SECTOR, SyncId};
use super::{Inode, Operation, SimDisk};
use crate::digest::Kind;

/// An open file of one process. Cheap to clone.
#[derive(Clone)]
pub struct SimFile(Arc<Opened>);

struct Opened {
    disk: SimDisk,
    /// As it was called when it was opened.
    path: String,
    inode: Inode,
}

/// A sync that is running. Dropped before its end, it has made nothing safe.
struct Running<'a> {
    inode: &'a Inode,
    id: SyncId,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.inode.lock().give_up_sync(self.id);
    }
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, path: &str, inode: Inode) -> SimFile {
        SimFile(Arc::new(Opened { disk, path: path.to_owned(), inode }))
    }
}

impl Opened {
    /// The sync has ended; on a lying disk it has not made safe all that it says.
    fn finish(&self, id: SyncId) {
        let state = &mut *self.disk.state.0.state.lock();
        state.changes += 1;
        let told = match &mut state.lying {
            Some((scope, lying)) if scope.covers(&self.path) => self.inode.lock().finish_sync_lying(id, lying),
            _ => {
                self.inode.lock().finish_sync(id);
                Vec::new()
            }
        };
        for (harm, position) in told {
            self.disk.state.tell(harm, &self.path, position, SECTOR);
        }
    }
}

impl host::File for SimFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.disk.check()?;
        self.0.disk.state.trouble(Operation::Read, &self.0.path, position)?;
        let content = self.0.inode.lock();
        if !content.can_be_read(position, buffer.len()) {
            return Err(self.0.disk.state.refuse(Operation::Read, position));
        }
        let length = content.read(position, buffer);
        drop(content);
        self.0.disk.state.charge(Kind::DiskRead, position, length as u64);
        Ok(length)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.disk.check()?;
        self.0.disk.state.trouble(Operation::Write, &self.0.path, position)?;
        let state = &mut *self.0.disk.state.0.state.lock();
        state.note_write();
        let mut content = self.0.inode.lock();
        if !content.can_be_written(position, bytes.len()) {
            return Err(self.0.disk.state.refuse(Operation::Write, position));
        }
        let growth = (position + bytes.len() as u64).saturating_sub(content.length());
        let room = state.capacity.saturating_sub(state.used);
        // A hole before the bytes needs room too: no file here is sparse.
        let refused = growth.saturating_sub(room).min(bytes.len() as u64) as usize;
        let taken = &bytes[..bytes.len() - refused];
        if !taken.is_empty() {
            state.used += content.write(position, taken);
        }
        drop(content);
        self.0.disk.state.charge(Kind::DiskWrote, position, taken.len() as u64);
        if 0 < refused { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn length(&self) -> io::Result<u64> {
        self.0.disk.check_at(&self.0.path)?;
        Ok(self.0.inode.lock().length())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.0.disk.check_at(&self.0.path)?;
        let state = &mut *self.0.disk.state.0.state.lock();
        state.note_write();
        let mut content = self.0.inode.lock();
        let growth = length.saturating_sub(content.length());
        if state.capacity.saturating_sub(state.used) < growth {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (grown, freed) = content.set_length(length);
        state.used = state.used + grown - freed;
        drop(content);
        self.0.disk.state.charge(Kind::DiskLength, length, freed);
        Ok(())
    }

    async fn sync(&self) -> io::Result<()> {
        self.0.disk.check()?;
        let (id, dirty_bytes) = self.0.inode.lock().begin_sync();
        let running = Running { inode: &self.0.inode, id };
        self.0.disk.state.wait_for_device(dirty_bytes).await;
        self.0.disk.check()?;
        if let Err(error) = self.0.disk.state.trouble(Operation::Sync, &self.0.path, 0) {
            let mut seam = self.0.disk.state.0.seam.lock();
            self.0.inode.lock().fail_sync(&mut seam.stream);
            return Err(error);
        }
        self.0.finish(id);
        drop(running);
        self.0.disk.state.charge(Kind::DiskSynced, dirty_bytes, 0);
        Ok(())
    }
}
