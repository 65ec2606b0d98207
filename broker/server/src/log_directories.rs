//! The log directories of a node while it runs: which of them can be used, how many replicas are in each, and which replicas are lost with
//! one whose disk failed (KIP-112, KIP-858).
//!
//! A directory that failed stays so until the next start: nobody knows what its disk still has of what was written.

use std::collections::BTreeMap;

use model::{BrokerId, DirectoryId, PartitionId};
use parking_lot::RwLock;
use roles::controller;
use tokio::sync::watch;

use crate::data_directory::DataDirectory;

/// What a replica is said to lie in of which nobody knows in which of the lost directories it is (KIP-858).
const LOST: DirectoryId = DirectoryId(1);

pub(crate) struct LogDirectories {
    all: Vec<DataDirectory>,
    state: RwLock<State>,
    /// How many have failed.
    failures: watch::Sender<usize>,
}

struct State {
    /// Why each cannot be used, by its number.
    failures: Vec<Option<String>>,
    /// How many replicas are in each, by its number.
    held: Vec<usize>,
    /// Replicas that are in a directory that failed.
    lost: BTreeMap<PartitionId, DirectoryId>,
}

impl LogDirectories {
    pub(crate) fn new(all: Vec<DataDirectory>) -> LogDirectories {
        let failures: Vec<Option<String>> = all.iter().map(|directory| directory.failure.clone()).collect();
        let failed = failures.iter().flatten().count();
        let state = State { failures, held: vec![0; all.len()], lost: BTreeMap::new() };
        LogDirectories { all, state: RwLock::new(state), failures: watch::Sender::new(failed) }
    }

    pub(crate) fn path(&self, directory: usize) -> &str {
        &self.all[directory].path
    }

    pub(crate) fn id(&self, directory: usize) -> Option<DirectoryId> {
        self.all[directory].id
    }

    /// Every directory: its number, its path, and why it cannot be used if so.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &str, Option<String>)> {
        let failures = self.state.read().failures.clone();
        (0..).zip(&self.all).zip(failures).map(|((number, directory), failure)| (number, &*directory.path, failure))
    }

    /// The numbers of those that can be used.
    pub(crate) fn online(&self) -> Vec<usize> {
        self.each().filter(|(_, _, failure)| failure.is_none()).map(|(number, _, _)| number).collect()
    }

    pub(crate) fn is_online(&self, directory: usize) -> bool {
        self.state.read().failures[directory].is_none()
    }

    /// The identities of those that can be used; none if they have none.
    pub(crate) fn online_ids(&self) -> Vec<DirectoryId> {
        self.online().into_iter().filter_map(|number| self.id(number)).collect()
    }

    /// The identities of those that cannot be used any more.
    pub(crate) fn offline_ids(&self) -> Vec<DirectoryId> {
        let failed = self.each().filter(|(_, _, failure)| failure.is_some());
        failed.filter_map(|(number, _, _)| self.id(number)).collect()
    }

    /// Do replicas say in which one they are?
    pub(crate) fn have_ids(&self) -> bool {
        self.all.iter().any(|directory| directory.id.is_some())
    }

    pub(crate) fn offline_count(&self) -> usize {
        *self.failures.borrow()
    }

    /// Learns of each one that fails.
    pub(crate) fn failures(&self) -> watch::Receiver<usize> {
        self.failures.subscribe()
    }

    /// It cannot be used from now on. False if it could not be before.
    pub(crate) fn fail(&self, directory: usize, why: &str) -> bool {
        let failure = &mut self.state.write().failures[directory];
        let is_first = failure.is_none();
        failure.get_or_insert_with(|| why.into());
        is_first
    }

    /// Whoever speaks with the controller learns of one that failed, once it is known which replicas go with it.
    pub(crate) fn announce(&self) {
        self.failures.send_modify(|failed| *failed = self.state.read().failures.iter().flatten().count());
    }

    /// The one with the fewest replicas, to which another comes.
    pub(crate) fn emptiest(&self) -> Option<usize> {
        let state = self.state.read();
        (0..self.all.len()).filter(|&one| state.failures[one].is_none()).min_by_key(|&one| state.held[one])
    }

    /// Is a replica lost that is in none of the directories that can be used, and of which metadata says this? `is_old` if it may have
    /// been here before this start.
    pub(crate) fn lost_with(
        &self,
        replica: &controller::Partition,
        own: BrokerId,
        is_old: bool,
    ) -> Option<DirectoryId> {
        let failed: Vec<usize> =
            self.each().filter(|(_, _, failure)| failure.is_some()).map(|(number, _, _)| number).collect();
        match replica.directories.get(&own) {
            Some(&known) if self.online_ids().contains(&known) => None,
            // A directory that could not be read at the start has no identity here.
            Some(&known) => {
                failed.iter().any(|&one| self.id(one).is_none_or(|failed| failed == known)).then_some(known)
            }
            None => (is_old && !failed.is_empty()).then_some(LOST),
        }
    }

    pub(crate) fn hold(&self, directory: usize) {
        self.state.write().held[directory] += 1;
    }

    pub(crate) fn let_go(&self, directory: usize) {
        self.state.write().held[directory] -= 1;
    }

    /// The replica is lost with the directory that it lies in.
    pub(crate) fn lose(&self, replica: PartitionId, directory: DirectoryId) {
        self.state.write().lost.insert(replica, directory);
    }

    /// Nobody wants the replica any more.
    pub(crate) fn forget(&self, replica: PartitionId) {
        self.state.write().lost.remove(&replica);
    }

    /// Which directory the replica is lost with.
    pub(crate) fn lost(&self, replica: PartitionId) -> Option<DirectoryId> {
        self.state.read().lost.get(&replica).copied()
    }
}
