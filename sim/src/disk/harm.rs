//! Doing harm to stored bytes, and undoing it. The fault model of each harm is in `damage.rs`.
//!
//! Whatever is done is told to the trace, with file and place, so that nobody is blamed for what the world destroyed.

use std::sync::Arc;
use std::task::{Context, Poll};

use evidence::{Harm, What};

use super::content::{Content, SECTOR};
use super::damage::Lying;
use super::{DiskState, Inode};
use crate::digest::{Kind, fingerprint};
use crate::streams::Stream;

/// Which files may be hurt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    /// Those in these directories.
    Directories(Vec<String>),
}

impl Scope {
    pub(super) fn covers(&self, path: &str) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Directories(directories) => directories.iter().any(|directory| is_inside(path, directory)),
        }
    }
}

impl Scope {
    /// The same, and the directories themselves.
    pub(super) fn reaches(&self, path: &str) -> bool {
        match self {
            Scope::Everything => true,
            Scope::Directories(directories) => directories.iter().any(|directory| Scope::is_in(path, directory)),
        }
    }

    pub(super) fn is_in(path: &str, directory: &str) -> bool {
        path == directory || is_inside(path, directory)
    }
}

fn is_inside(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

impl DiskState {
    /// A bit flips in so many safe sectors, drawn from all files of `scope`; fewer if there are not so many.
    pub fn rot(&self, scope: &Scope, sectors: u32, stream: &mut Stream) {
        for _ in 0..sectors {
            let Some((path, inode, sector)) = self.some_sector(scope, stream) else { return };
            let position = inode.lock().rot(sector, stream);
            self.tell(Harm::Rotted, &path, position, 1);
        }
    }

    /// So many safe sectors cannot be read any more.
    pub fn make_unreadable(&self, scope: &Scope, sectors: u32, stream: &mut Stream) {
        for _ in 0..sectors {
            let Some((path, inode, sector)) = self.some_sector(scope, stream) else { return };
            inode.lock().make_unreadable(sector);
            self.tell(Harm::Unreadable, &path, sector * SECTOR, SECTOR);
        }
    }

    /// From now on each sector that a sync says it wrote is lost or misdirected instead, with this probability.
    pub fn lie(&self, scope: Scope, harm: Harm, chance: f64, stream: Stream) {
        self.0.state.lock().lying = Some((scope, Lying { harm, chance, stream }));
    }

    /// No lie from now on; what was lied about stays as it is.
    pub fn tell_the_truth(&self) {
        self.0.state.lock().lying = None;
    }

    /// The page cache forgets what is safe: what is on the device is seen.
    pub fn forget_cache(&self) {
        self.charge(Kind::DiskHurt, 0, 0);
        self.each_file(|content| content.forget_cache());
    }

    /// True if anything is wrong with a file in this directory, or may be while the device lies about it.
    pub fn is_hurt(&self, directory: &str) -> bool {
        let state = self.0.state.lock();
        let lies = state.lying.as_ref().is_some_and(|(scope, _)| match scope {
            Scope::Everything => true,
            Scope::Directories(directories) => directories.iter().any(|lied| lied == directory),
        });
        lies || state.names.files_within(directory).any(|inode| inode.lock().is_damaged())
    }

    /// True if there is such a directory.
    pub fn has_directory(&self, path: &str) -> bool {
        self.0.state.lock().names.list(path).is_ok()
    }

    /// All stored bytes are what they should be again, and are read as such.
    pub fn undo_damage(&self) {
        let is_hurt = self.0.state.lock().names.files().any(|inode| inode.lock().is_damaged());
        if is_hurt {
            self.each_file(Content::undo_damage);
            let seam = self.0.seam.lock();
            seam.trace.write(seam.node, &seam.name, What::DiskMended);
        }
    }

    /// Takes out a directory with all in it, as an operator does who moves a damaged log away. No process may run.
    pub fn remove_directory(&self, path: &str) {
        let state = &mut *self.0.state.lock();
        for inode in state.names.discard(path) {
            state.used -= inode.lock().unlink();
        }
        self.tell(Harm::MovedAway, &format!("{path}/"), 0, 0);
    }

    /// Another, empty disk is put in the place of this one. No process may run.
    pub fn wipe(&self) {
        let state = &mut *self.0.state.lock();
        let used = std::mem::take(&mut state.used);
        state.names = super::Names::default();
        self.tell(Harm::Wiped, "", 0, used);
    }

    /// Another, empty disk is put in the place of the one that has this directory. No process may run.
    pub fn wipe_directory(&self, directory: &str) {
        let inside = self.0.state.lock().names.list(directory).unwrap_or_default();
        for name in inside {
            let path = format!("{directory}/{name}");
            if self.has_directory(&path) {
                self.remove_directory(&path);
            }
        }
        let state = &mut *self.0.state.lock();
        for inode in state.names.discard(directory) {
            state.used -= inode.lock().unlink();
        }
    }

    /// True if a loss of power now could lose something that was written.
    pub fn has_unsynced_writes(&self) -> bool {
        let state = &mut *self.0.state.lock();
        if state.clean_at == Some(state.changes) {
            return false;
        }
        let is_dirty = state.names.files().any(|inode| inode.lock().is_dirty());
        state.clean_at = (!is_dirty).then_some(state.changes);
        is_dirty
    }

    /// How many writes and syncs there were, for [`DiskState::poll_written`].
    pub fn changes(&self) -> u64 {
        self.0.state.lock().changes
    }

    /// Ready if there was a write or a sync since there were so many; else who asks is woken by the next write.
    pub fn poll_written(&self, since: u64, context: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.0.state.lock();
        if state.changes != since {
            return Poll::Ready(());
        }
        if !state.awaiting.iter().any(|known| known.will_wake(context.waker())) {
            state.awaiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn some_sector(&self, scope: &Scope, stream: &mut Stream) -> Option<(String, Inode, u64)> {
        let state = self.0.state.lock();
        let files = state.names.paths();
        let sectors: Vec<(&String, &Inode, u64)> = files
            .iter()
            .filter(|(path, _)| scope.covers(path))
            .flat_map(|(path, inode)| {
                let clean: Vec<u64> = inode.lock().clean_sectors().collect();
                clean.into_iter().map(move |sector| (path, *inode, sector))
            })
            .collect();
        stream.pick(&sectors).map(|&(path, inode, sector)| (path.clone(), Arc::clone(inode), sector))
    }

    fn each_file(&self, change: impl Fn(&mut Content)) {
        self.0.state.lock().names.files().for_each(|inode| change(&mut inode.lock()));
    }

    pub(super) fn tell(&self, harm: Harm, file: &str, position: u64, length: u64) {
        self.charge(Kind::DiskHurt, fingerprint(file), position);
        let seam = self.0.seam.lock();
        seam.trace.write(seam.node, &seam.name, What::DiskHurt { harm, file: file.to_owned(), position, length });
    }
}
