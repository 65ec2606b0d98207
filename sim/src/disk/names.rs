//! Names of files and directories: as processes see them, and as the device has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use foldhash::fast::FixedState;
use indexmap::IndexMap;

use super::Inode;
use crate::streams::Stream;

#[derive(Default)]
pub(super) struct Names {
    seen: Tree,
    safe: Tree,
    /// Changes that are not safe, in their order.
    journal: Vec<Entry>,
    changes: u64,
    pub(super) locks: BTreeSet<String>,
}

struct Entry {
    number: u64,
    change: Change,
    /// The directory whose sync makes it safe, as so many bytes of the path.
    directory_length: usize,
}

impl Entry {
    fn directory(&self) -> &str {
        &self.change.path()[..self.directory_length]
    }
}

/// In no order: whoever needs one sorts.
#[derive(Clone, Default)]
struct Tree(IndexMap<Box<str>, Directory, FixedState>);

#[derive(Clone, Default)]
struct Directory {
    /// Its own name is here. What was made safe in it may be here before.
    is_there: bool,
    files: IndexMap<Box<str>, Inode, FixedState>,
}

enum Change {
    Create {
        path: Box<str>,
        inode: Inode,
    },
    /// Counts as a change of the directory that it goes to.
    Rename {
        from: Box<str>,
        to: Box<str>,
        inode: Inode,
    },
    Remove {
        path: Box<str>,
    },
    CreateDirectory {
        path: Box<str>,
    },
    RemoveDirectory {
        path: Box<str>,
    },
    /// With all that is in it.
    RenameDirectory {
        from: Box<str>,
        to: Box<str>,
    },
}

impl Change {
    /// What it is about; the directory where that lies makes it safe.
    fn path(&self) -> &str {
        match self {
            Change::Create { path, .. }
            | Change::Rename { to: path, .. }
            | Change::Remove { path }
            | Change::CreateDirectory { path }
            | Change::RemoveDirectory { path }
            | Change::RenameDirectory { to: path, .. } => path,
        }
    }
}

/// The directory that `path` lies in; the empty string is the root.
pub(super) fn directory_of(path: &str) -> &str {
    split(path).0
}

/// The directory that `path` lies in, and its name there.
fn split(path: &str) -> (&str, &str) {
    // Names are short: it is found sooner byte by byte.
    match path.bytes().rposition(|byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => ("", path),
    }
}

/// True if it is `directory`, or lies in it at any depth.
fn is_within(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Tree {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create { path, inode } => self.insert(path, inode),
            Change::Rename { from, to, inode } => {
                self.remove(from);
                self.insert(to, inode);
            }
            Change::Remove { path } => self.remove(path),
            Change::CreateDirectory { path } => self.directory(path).is_there = true,
            Change::RemoveDirectory { path } => self.0.retain(|name, _| !is_within(name, path)),
            Change::RenameDirectory { from, to } => {
                let moved = |name: Box<str>| match name.strip_prefix(&**from) {
                    Some(inside) if is_within(&name, from) => format!("{to}{inside}").into(),
                    _ => name,
                };
                self.0 = std::mem::take(&mut self.0).into_iter().map(|(name, inside)| (moved(name), inside)).collect();
            }
        }
    }

    fn directory(&mut self, path: &str) -> &mut Directory {
        if !self.0.contains_key(path) {
            self.0.insert(path.into(), Directory::default());
        }
        &mut self.0[path]
    }

    fn insert(&mut self, path: &str, inode: &Inode) {
        let (directory, name) = split(path);
        let files = &mut self.directory(directory).files;
        match files.get_mut(name) {
            Some(replaced) => *replaced = Arc::clone(inode),
            None => drop(files.insert(name.into(), Arc::clone(inode))),
        }
    }

    fn remove(&mut self, path: &str) {
        let (directory, name) = split(path);
        if let Some(directory) = self.0.get_mut(directory) {
            directory.files.swap_remove(name);
        }
    }

    fn file(&self, path: &str) -> Option<&Inode> {
        let (directory, name) = split(path);
        self.0.get(directory)?.files.get(name)
    }

    fn has_directory(&self, path: &str) -> bool {
        path.is_empty() || self.0.get(path).is_some_and(|directory| directory.is_there)
    }

    fn files(&self) -> impl Iterator<Item = &Inode> {
        self.0.values().flat_map(|directory| directory.files.values())
    }

    /// All files, in the order of their paths.
    fn paths(&self) -> Vec<(String, &Inode)> {
        let files = self.0.iter().flat_map(|(path, directory)| {
            let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
            directory.files.iter().map(move |(name, inode)| (format!("{prefix}{name}"), inode))
        });
        let mut files: Vec<(String, &Inode)> = files.collect();
        files.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        files
    }

    /// Drops what no directory leads to.
    fn drop_unreachable(&mut self) {
        // Parents come before their children in the order of names.
        self.0.sort_unstable_keys();
        let mut reachable = BTreeSet::from([String::new()]);
        for (path, directory) in &self.0 {
            if directory.is_there && reachable.contains(directory_of(path)) {
                reachable.insert(path.to_string());
            }
        }
        self.0.retain(|path, _| reachable.contains(&**path));
    }
}

impl Names {
    /// In no order.
    pub(super) fn files(&self) -> impl Iterator<Item = &Inode> {
        self.seen.files()
    }

    /// In the order of their paths.
    pub(super) fn paths(&self) -> Vec<(String, &Inode)> {
        self.seen.paths()
    }

    /// Those in this directory and below.
    pub(super) fn files_within(&self, directory: &str) -> impl Iterator<Item = &Inode> {
        let within = self.seen.0.iter().filter(move |(path, _)| is_within(path, directory));
        within.flat_map(|(_, directory)| directory.files.values())
    }

    /// Takes out a directory with all in it, safely and at once. The files that lost their names by it.
    pub(super) fn discard(&mut self, path: &str) -> Vec<Inode> {
        let gone = self.remove_directory(path).unwrap_or_default();
        for entry in self.journal.drain(..) {
            self.safe.apply(&entry.change);
        }
        gone
    }

    pub(super) fn open(&self, path: &str) -> io::Result<Inode> {
        self.seen.file(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Inode> {
        if !self.seen.has_directory(directory_of(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.seen.file(path).is_some() || self.seen.has_directory(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Inode::default();
        self.change(Change::Create { path: path.into(), inode: Arc::clone(&inode) });
        Ok(inode)
    }

    pub(super) fn create_directory(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let path = &path[..end];
            if self.seen.file(path).is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !self.seen.has_directory(path) {
                self.change(Change::CreateDirectory { path: path.into() });
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        if !self.seen.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let files = self.seen.0.get(path).into_iter().flat_map(|directory| directory.files.keys().map(|name| &**name));
        let directories = self.seen.0.iter().filter(|(_, directory)| directory.is_there);
        let inside = directories.map(|(name, _)| split(name)).filter(|(directory, _)| *directory == path);
        let mut names: Vec<String> = files.chain(inside.map(|(_, name)| name)).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The file that lost its name by it, if there was one.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<Option<Inode>> {
        if self.seen.has_directory(from) {
            return self.rename_directory(from, to).map(|()| None);
        }
        let inode = self.open(from)?;
        if !self.seen.has_directory(directory_of(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.seen.has_directory(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if from == to {
            return Ok(None);
        }
        let replaced = self.seen.file(to).cloned();
        self.change(Change::Rename { from: from.into(), to: to.into(), inode });
        Ok(replaced)
    }

    /// What is not safe inside of it becomes so: a device may do that at any time, and names in the journal need not move.
    fn rename_directory(&mut self, from: &str, to: &str) -> io::Result<()> {
        if from.is_empty() || !self.seen.has_directory(directory_of(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.seen.has_directory(to) || self.seen.file(to).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let safe = &mut self.safe;
        self.journal.retain(|entry| {
            let is_inside = is_within(entry.directory(), from);
            if is_inside {
                safe.apply(&entry.change);
            }
            !is_inside
        });
        self.change(Change::RenameDirectory { from: from.into(), to: to.into() });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<Inode> {
        let inode = self.open(path)?;
        self.change(Change::Remove { path: path.into() });
        Ok(inode)
    }

    /// The files that lost their names by it.
    pub(super) fn remove_directory(&mut self, path: &str) -> io::Result<Vec<Inode>> {
        if path.is_empty() || !self.seen.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let directories = self.seen.0.iter().filter(|(name, _)| is_within(name, path));
        let gone = directories.flat_map(|(_, directory)| directory.files.values().cloned()).collect();
        self.change(Change::RemoveDirectory { path: path.into() });
        Ok(gone)
    }

    /// Changes up to here are safe when the sync has ended.
    pub(super) fn begin_sync(&self, directory: &str) -> io::Result<u64> {
        if self.seen.has_directory(directory) { Ok(self.changes) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn finish_sync(&mut self, directory: &str, changes: u64) {
        self.make_safe(changes, |changed| changed == directory);
    }

    /// The same for all directories below, too.
    pub(super) fn finish_sync_below(&mut self, directory: &str, changes: u64) {
        self.make_safe(changes, |changed| directory.is_empty() || is_within(changed, directory));
    }

    fn make_safe(&mut self, changes: u64, covers: impl Fn(&str) -> bool) {
        let safe = &mut self.safe;
        self.journal.retain(|entry| {
            let is_safe = entry.number <= changes && covers(entry.directory());
            if is_safe {
                safe.apply(&entry.change);
            }
            !is_safe
        });
    }

    /// Of each directory's changes, those up to some point have happened.
    pub(super) fn lose_power(&mut self, stream: &mut Stream) {
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        for entry in &self.journal {
            *left.entry(entry.directory().to_owned()).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = stream.below(*count + 1);
        }
        for entry in self.journal.drain(..) {
            if let Some(left) = left.get_mut(entry.directory()).filter(|left| 0 < **left) {
                *left -= 1;
                self.safe.apply(&entry.change);
            } else {
                model::reached!("a loss of power undid the making, renaming or removing of a file");
            }
        }
        self.safe.drop_unreachable();
        self.seen = self.safe.clone();
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.changes += 1;
        let directory_length = directory_of(change.path()).len();
        self.journal.push(Entry { number: self.changes, change, directory_length });
    }
}
