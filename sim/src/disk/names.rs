//! Names of files and directories: as processes see them, and as the device has them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::Inode;
use crate::streams::Stream;

#[derive(Default)]
pub(super) struct Names {
    seen: Tree,
    safe: Tree,
    /// Changes that are not safe, in their order, numbered.
    journal: Vec<(u64, Change)>,
    changes: u64,
    pub(super) locks: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct Tree {
    files: BTreeMap<String, Inode>,
    directories: BTreeSet<String>,
}

enum Change {
    Create {
        path: String,
        inode: Inode,
    },
    /// Counts as a change of the directory that it goes to.
    Rename {
        from: String,
        to: String,
        inode: Inode,
    },
    Remove {
        path: String,
    },
    CreateDirectory {
        path: String,
    },
    RemoveDirectory {
        path: String,
    },
    /// With all that is in it.
    RenameDirectory {
        from: String,
        to: String,
    },
}

impl Change {
    /// The directory whose sync makes it safe.
    fn directory(&self) -> &str {
        match self {
            Change::Create { path, .. }
            | Change::Rename { to: path, .. }
            | Change::Remove { path }
            | Change::CreateDirectory { path }
            | Change::RemoveDirectory { path }
            | Change::RenameDirectory { to: path, .. } => directory_of(path),
        }
    }
}

/// The directory that `path` lies in; the empty string is the root.
pub(super) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

impl Tree {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create { path, inode } => {
                self.files.insert(path.clone(), Arc::clone(inode));
            }
            Change::Rename { from, to, inode } => {
                self.files.remove(from);
                self.files.insert(to.clone(), Arc::clone(inode));
            }
            Change::Remove { path } => {
                self.files.remove(path);
            }
            Change::CreateDirectory { path } => {
                self.directories.insert(path.clone());
            }
            Change::RemoveDirectory { path } => {
                let prefix = format!("{path}/");
                self.files.retain(|name, _| !name.starts_with(&prefix));
                self.directories.retain(|name| name != path && !name.starts_with(&prefix));
            }
            Change::RenameDirectory { from, to } => {
                let prefix = format!("{from}/");
                let moved = |name: &str| match name.strip_prefix(&prefix) {
                    Some(inside) => format!("{to}/{inside}"),
                    None if name == from => to.clone(),
                    None => name.to_owned(),
                };
                self.files =
                    std::mem::take(&mut self.files).into_iter().map(|(name, file)| (moved(&name), file)).collect();
                self.directories = self.directories.iter().map(|name| moved(name)).collect();
            }
        }
    }

    fn has_directory(&self, path: &str) -> bool {
        path.is_empty() || self.directories.contains(path)
    }

    /// Drops what no directory leads to.
    fn drop_unreachable(&mut self) {
        let mut reachable = BTreeSet::new();
        // Parents come before their children in the order of names.
        for path in &self.directories {
            let parent = directory_of(path);
            if parent.is_empty() || reachable.contains(parent) {
                reachable.insert(path.clone());
            }
        }
        self.directories = reachable;
        let directories = &self.directories;
        self.files.retain(|path, _| {
            let parent = directory_of(path);
            parent.is_empty() || directories.contains(parent)
        });
    }
}

impl Names {
    pub(super) fn files(&self) -> impl Iterator<Item = &Inode> {
        self.seen.files.values()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = (&String, &Inode)> {
        self.seen.files.iter()
    }

    /// Takes out a directory with all in it, safely and at once. The files that lost their names by it.
    pub(super) fn discard(&mut self, path: &str) -> Vec<Inode> {
        let gone = self.remove_directory(path).unwrap_or_default();
        for (_, change) in self.journal.drain(..) {
            self.safe.apply(&change);
        }
        gone
    }

    pub(super) fn open(&self, path: &str) -> io::Result<Inode> {
        self.seen.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn create(&mut self, path: &str) -> io::Result<Inode> {
        if !self.seen.has_directory(directory_of(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.seen.files.contains_key(path) || self.seen.has_directory(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Inode::default();
        self.change(Change::Create { path: path.to_owned(), inode: Arc::clone(&inode) });
        Ok(inode)
    }

    pub(super) fn create_directory(&mut self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            let path = &path[..end];
            if self.seen.files.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if !self.seen.has_directory(path) {
                self.change(Change::CreateDirectory { path: path.to_owned() });
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        if !self.seen.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let from = prefix.clone()..;
        let files = self.seen.files.range(from.clone()).map(|(name, _)| name);
        let directories = self.seen.directories.range(from);
        let inside = files.take_while(|name| name.starts_with(&prefix));
        let inside = inside.chain(directories.take_while(|name| name.starts_with(&prefix)));
        let mut names: Vec<String> =
            inside.map(|name| &name[prefix.len()..]).filter(|name| !name.contains('/')).map(str::to_owned).collect();
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
        let replaced = self.seen.files.get(to).cloned();
        self.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(replaced)
    }

    /// What is not safe inside of it becomes so: a device may do that at any time, and names in the journal need not move.
    fn rename_directory(&mut self, from: &str, to: &str) -> io::Result<()> {
        if from.is_empty() || !self.seen.has_directory(directory_of(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if self.seen.has_directory(to) || self.seen.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inside = format!("{from}/");
        let safe = &mut self.safe;
        self.journal.retain(|(_, change)| {
            let is_inside = change.directory() == from || change.directory().starts_with(&inside);
            if is_inside {
                safe.apply(change);
            }
            !is_inside
        });
        self.change(Change::RenameDirectory { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<Inode> {
        let inode = self.open(path)?;
        self.change(Change::Remove { path: path.to_owned() });
        Ok(inode)
    }

    /// The files that lost their names by it.
    pub(super) fn remove_directory(&mut self, path: &str) -> io::Result<Vec<Inode>> {
        if path.is_empty() || !self.seen.has_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let prefix = format!("{path}/");
        let files = self.seen.files.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
        let gone = files.map(|(_, inode)| Arc::clone(inode)).collect();
        self.change(Change::RemoveDirectory { path: path.to_owned() });
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
        let inside = format!("{directory}/");
        self.make_safe(changes, |changed| directory.is_empty() || changed == directory || changed.starts_with(&inside));
    }

    fn make_safe(&mut self, changes: u64, covers: impl Fn(&str) -> bool) {
        let safe = &mut self.safe;
        self.journal.retain(|(number, change)| {
            let is_safe = *number <= changes && covers(change.directory());
            if is_safe {
                safe.apply(change);
            }
            !is_safe
        });
    }

    /// Of each directory's changes, those up to some point have happened.
    pub(super) fn lose_power(&mut self, stream: &mut Stream) {
        let mut left: BTreeMap<String, u64> = BTreeMap::new();
        for (_, change) in &self.journal {
            *left.entry(change.directory().to_owned()).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = stream.below(*count + 1);
        }
        for (_, change) in self.journal.drain(..) {
            if let Some(left) = left.get_mut(change.directory()).filter(|left| 0 < **left) {
                *left -= 1;
                self.safe.apply(&change);
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
        self.journal.push((self.changes, change));
    }
}
