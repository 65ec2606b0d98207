//! A disk in memory that may lose power, meaner than most: any sector may keep any content that it had since its last sync.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use host::{Disk, File, Space};

/// Small, so that batches span many.
const SECTOR: usize = 16;

#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: BTreeMap<String, usize>,
    files: Vec<Content>,
    durable_entries: BTreeMap<String, usize>,
    /// Entries after each change of a directory that is not synced.
    entry_versions: Vec<BTreeMap<String, usize>>,
    capacity: Option<u64>,
    syncs_fail: bool,
    /// How many changes and syncs there will be before the process dies.
    left: Option<usize>,
    syncs: usize,
    written: usize,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// What the file was when it was synced, and after each write since.
    versions: Vec<Vec<u8>>,
}

#[derive(Clone)]
pub(crate) struct MemoryFile {
    disk: MemoryDisk,
    number: usize,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn limit(&self, capacity: Option<u64>) {
        self.state().capacity = capacity;
    }

    pub(crate) fn fail_syncs(&self) {
        self.state().syncs_fail = true;
    }

    /// The process dies before it has done so much more than this: nothing that comes after is done.
    pub(crate) fn die_after(&self, changes_and_syncs: Option<usize>) {
        self.state().left = changes_and_syncs;
    }

    pub(crate) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Bytes that were ever written.
    pub(crate) fn written(&self) -> usize {
        self.state().written
    }

    /// Every path, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state().entries.keys().cloned().collect()
    }

    /// The files as a process that starts again finds them.
    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        let state = self.state();
        state.files[state.entries[path]].bytes.clone()
    }

    pub(crate) fn overwrite(&self, path: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let number = state.entries[path];
        state.files[number] = Content { versions: vec![bytes.clone()], bytes };
    }

    /// `chance(n)` draws a number below `n`.
    pub(crate) fn lose_power(&self, mut chance: impl FnMut(usize) -> usize) {
        let mut state = self.state();
        let State { entries, durable_entries, entry_versions, files, .. } = &mut *state;
        entry_versions.insert(0, durable_entries.clone());
        *durable_entries = entry_versions.swap_remove(chance(entry_versions.len()));
        *entries = durable_entries.clone();
        entry_versions.clear();
        for file in files {
            let synced = file.versions.first().cloned().unwrap_or_default();
            let length = if file.versions.is_empty() { 0 } else { file.versions[chance(file.versions.len())].len() };
            let mut bytes = vec![0; length];
            for (at, sector) in bytes.chunks_mut(SECTOR).enumerate() {
                let version = file.versions.get(chance(file.versions.len().max(1))).unwrap_or(&synced);
                let from = version.len().min(at * SECTOR);
                let until = version.len().min(at * SECTOR + sector.len());
                sector[..until - from].copy_from_slice(&version[from..until]);
            }
            file.versions = vec![bytes.clone()];
            file.bytes = bytes;
        }
    }
}

impl State {
    fn changed(&mut self) {
        self.entry_versions.push(self.entries.clone());
    }

    /// One more change or sync.
    fn act(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => Err(io::Error::other("the process has died")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// These names are now as they are seen, whatever happens to others.
    fn sync_names(&mut self, covers: impl Fn(&str) -> bool) -> io::Result<()> {
        self.act()?;
        let State { entries, durable_entries, entry_versions, .. } = self;
        for known in entry_versions.iter_mut().chain([durable_entries]) {
            known.retain(|name, _| !covers(name));
            known.extend(entries.iter().filter(|(name, _)| covers(name)).map(|(name, &number)| (name.clone(), number)));
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.entries.values().map(|&number| self.files[number].bytes.len() as u64).sum()
    }

    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used()))
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn open(&self, path: &str) -> io::Result<MemoryFile> {
        let number = *self.state().entries.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(MemoryFile { disk: self.clone(), number })
    }

    fn create(&self, path: &str) -> io::Result<MemoryFile> {
        let mut state = self.state();
        if state.entries.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        state.act()?;
        let number = state.files.len();
        state.files.push(Content::default());
        state.entries.insert(path.into(), number);
        state.changed();
        drop(state);
        Ok(MemoryFile { disk: self.clone(), number })
    }

    fn create_directory(&self, _path: &str) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{path}/");
        let state = self.state();
        let names: Vec<String> =
            state.entries.keys().filter_map(|path| path.strip_prefix(&prefix)).map(str::to_owned).collect();
        if names.is_empty() { Err(ErrorKind::NotFound.into()) } else { Ok(names) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        let number = state.entries.remove(from).ok_or(ErrorKind::NotFound)?;
        state.entries.insert(to.into(), number);
        state.changed();
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.entries.contains_key(path) {
            state.act()?;
        }
        state.entries.remove(path).ok_or(ErrorKind::NotFound)?;
        state.changed();
        Ok(())
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        let prefix = format!("{path}/");
        let mut state = self.state();
        state.entries.retain(|path, _| !path.starts_with(&prefix));
        state.changed();
        Ok(())
    }

    async fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.state().sync_names(|name| name.rsplit_once('/').is_some_and(|(directory, _)| directory == path))
    }

    async fn sync_names_below(&self, path: &str) -> io::Result<()> {
        self.state().sync_names(|name| name.starts_with(&format!("{path}/")))
    }

    fn space(&self, _directory: &str) -> io::Result<Space> {
        Ok(Space { total: u64::MAX, free: self.state().room() })
    }

    fn lock(&self, _path: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

impl MemoryFile {
    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.disk.state();
        let content = &mut state.files[self.number];
        if content.versions.is_empty() {
            content.versions.push(content.bytes.clone());
        }
        change(&mut content.bytes);
        content.versions.push(content.bytes.clone());
    }
}

impl File for MemoryFile {
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.files[self.number].bytes;
        let from = bytes.len().min(position as usize);
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().act()?;
        let position = position as usize;
        let growth = (position + bytes.len()).saturating_sub(self.length()? as usize);
        let room = usize::try_from(self.disk.state().room()).unwrap_or(usize::MAX);
        let fits = bytes.len() - growth.saturating_sub(room).min(bytes.len());
        self.disk.state().written += fits;
        self.change(|content| {
            content.resize(content.len().max(position + fits), 0);
            content[position..position + fits].copy_from_slice(&bytes[..fits]);
        });
        if fits < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.number].bytes.len() as u64)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(|content| content.resize(length as usize, 0));
        Ok(())
    }

    async fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.act()?;
        state.syncs += 1;
        if state.syncs_fail {
            return Err(io::Error::other("input/output error"));
        }
        let content = &mut state.files[self.number];
        content.versions = vec![content.bytes.clone()];
        Ok(())
    }
}
