//! Who votes (KIP-853): the configured voters until the log says otherwise, then those of its last record of voters, committed or not.
//!
//! A change takes effect on a node as soon as its record is in the log there, and is undone with it if that is cut. Sets that differ by
//! one voter have no two majorities without a voter in common; so one change at a time is safe, and a second one waits for the first.

use minicbor::{Decode, Encode};
use model::{BrokerId, DirectoryId, Endpoint, Offset};

/// One copy of the metadata: a node, and the disk that it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replica {
    pub id: BrokerId,
    /// None: nobody said.
    pub directory: Option<DirectoryId>,
}

/// One voter, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct Voter {
    #[n(0)]
    pub id: BrokerId,
    /// The disk that votes; none for a voter that was configured: whichever it has.
    #[n(1)]
    pub directory: Option<DirectoryId>,
    #[n(2)]
    pub endpoint: Endpoint,
}

impl Voter {
    /// What the leader keeps count of it by.
    pub(super) fn replica(&self) -> Replica {
        Replica { id: self.id, directory: self.directory }
    }

    /// True if this replica's word is the voter's: with another disk it is not the one that was counted on.
    pub fn is(&self, replica: Replica) -> bool {
        self.id == replica.id && self.directory.is_none_or(|directory| Some(directory) == replica.directory)
    }
}

/// All voters at one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(map)]
pub struct VoterSet {
    /// By rising id, each once.
    #[n(0)]
    voters: Vec<Voter>,
}

impl VoterSet {
    /// A later voter of the same id takes the place of an earlier one.
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> VoterSet {
        voters.into_iter().fold(VoterSet { voters: Vec::new() }, |set, voter| set.with(voter))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.iter()
    }

    pub fn ids(&self) -> impl Iterator<Item = BrokerId> {
        self.voters.iter().map(|voter| voter.id)
    }

    pub fn len(&self) -> usize {
        self.voters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    pub fn get(&self, id: BrokerId) -> Option<&Voter> {
        self.voters.iter().find(|voter| voter.id == id)
    }

    /// Does a node of this id vote, whatever disk it has?
    pub fn contains(&self, id: BrokerId) -> bool {
        self.get(id).is_some()
    }

    /// Does this very replica vote?
    pub fn has(&self, replica: Replica) -> bool {
        self.voters.iter().any(|voter| voter.is(replica))
    }

    /// What a replica is kept count of by: of a voter that was configured it does not matter which disk it has.
    pub(super) fn known_as(&self, replica: Replica) -> Replica {
        self.get(replica.id).filter(|voter| voter.is(replica)).map_or(replica, Voter::replica)
    }

    /// So many votes decide.
    pub fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    #[must_use]
    pub fn with(&self, voter: Voter) -> VoterSet {
        let mut set = self.without(voter.id);
        let place = set.voters.partition_point(|known| known.id < voter.id);
        set.voters.insert(place, voter);
        set
    }

    #[must_use]
    pub fn without(&self, id: BrokerId) -> VoterSet {
        VoterSet { voters: self.voters.iter().filter(|voter| voter.id != id).cloned().collect() }
    }
}

/// The voters as the log of one node tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterHistory {
    configured: VoterSet,
    /// What holds below every change that is left.
    committed: VoterSet,
    /// Records of voters that may still be cut, each with its offset.
    changes: Vec<(Offset, VoterSet)>,
}

impl VoterHistory {
    /// What a node finds: its configuration, its newest snapshot, the records of voters in its log behind that.
    pub fn recovered(
        configured: VoterSet,
        snapshot: Option<VoterSet>,
        changes: Vec<(Offset, VoterSet)>,
    ) -> VoterHistory {
        assert!(!configured.is_empty(), "a quorum has voters");
        let committed = snapshot.unwrap_or_else(|| configured.clone());
        VoterHistory { configured, committed, changes }
    }

    /// Who votes now.
    pub fn current(&self) -> &VoterSet {
        self.changes.last().map_or(&self.committed, |(_, voters)| voters)
    }

    /// Whom a node may ask that looks for the leader: who votes now, and who is configured to, by rising id.
    pub(super) fn anybody(&self) -> Vec<BrokerId> {
        let mut anybody: Vec<BrokerId> = self.current().ids().chain(self.configured.ids()).collect();
        anybody.sort_unstable();
        anybody.dedup();
        anybody
    }

    /// Who was configured to vote, and does not.
    pub(super) fn removed(&self) -> impl Iterator<Item = BrokerId> {
        self.configured.ids().filter(|id| !self.current().contains(*id))
    }

    pub(super) fn is_configured(&self, id: BrokerId) -> bool {
        self.configured.contains(id)
    }

    /// Who voted before the last change that may still be cut. That one is there since the one before was committed.
    pub(super) fn before(&self) -> &VoterSet {
        self.changes.iter().rev().nth(1).map_or(&self.committed, |(_, voters)| voters)
    }

    /// True while the last change is not known to be committed.
    pub(super) fn is_changing(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(super) fn append(&mut self, at: Offset, voters: VoterSet) {
        assert!(self.changes.last().is_none_or(|(last, _)| *last < at));
        self.changes.push((at, voters));
    }

    /// True if somebody else votes then.
    pub(super) fn truncate(&mut self, to: Offset) -> bool {
        let before = self.changes.len();
        self.changes.retain(|(at, _)| *at < to);
        self.changes.len() < before
    }

    /// Everything below `to` is committed.
    pub(super) fn commit(&mut self, to: Offset) {
        let count = self.changes.partition_point(|(at, _)| *at < to);
        if let Some((_, voters)) = self.changes.drain(..count).next_back() {
            self.committed = voters;
        }
    }

    /// A snapshot is in the place of all that the log had.
    pub(super) fn install(&mut self, snapshot: Option<VoterSet>) {
        self.committed = snapshot.unwrap_or_else(|| self.configured.clone());
        self.changes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voter(id: i32, directory: Option<u128>) -> Voter {
        Voter { id: BrokerId(id), directory: directory.map(DirectoryId), endpoint: Endpoint::new("node", 9092) }
    }

    fn ids(set: &VoterSet) -> Vec<i32> {
        set.ids().map(|id| id.0).collect()
    }

    #[test]
    fn a_change_holds_from_its_record_on_until_that_is_cut() {
        let configured = VoterSet::new([3, 1, 2].map(|id| voter(id, None)));
        let mut history = VoterHistory::recovered(configured.clone(), None, Vec::new());
        assert_eq!(ids(history.current()), [1, 2, 3]);
        history.append(Offset(10), configured.with(voter(4, Some(7))));
        history.append(Offset(20), configured.with(voter(4, Some(7))).without(BrokerId(1)));
        assert_eq!((ids(history.current()), history.is_changing()), (vec![2, 3, 4], true));
        assert!(!history.truncate(Offset(21)) && history.truncate(Offset(20)));
        assert_eq!(ids(history.current()), [1, 2, 3, 4]);
        history.commit(Offset(10));
        assert!(history.is_changing() && history.truncate(Offset(10)));
        assert_eq!(ids(history.current()), [1, 2, 3]);
    }

    #[test]
    fn what_is_committed_stays_and_a_snapshot_stands_for_all() {
        let configured = VoterSet::new([voter(1, None), voter(2, None)]);
        let mut history = VoterHistory::recovered(configured.clone(), None, Vec::new());
        history.append(Offset(5), configured.without(BrokerId(1)));
        history.commit(Offset(6));
        assert!(!history.is_changing() && !history.truncate(Offset(0)));
        assert_eq!(ids(history.current()), [2]);
        assert_eq!(history.anybody(), [BrokerId(1), BrokerId(2)]);
        history.install(Some(VoterSet::new([voter(9, None)])));
        assert_eq!(ids(history.current()), [9]);
        history.install(None);
        assert_eq!(ids(history.current()), [1, 2]);
    }

    #[test]
    fn a_node_with_another_disk_is_another_replica() {
        let set = VoterSet::new([voter(1, None), voter(4, Some(7))]);
        let replica = |id, directory: Option<u128>| Replica { id: BrokerId(id), directory: directory.map(DirectoryId) };
        assert!(set.has(replica(4, Some(7))) && !set.has(replica(4, Some(8))) && !set.has(replica(4, None)));
        assert!(
            set.has(replica(1, None)) && set.has(replica(1, Some(8))),
            "a configured voter is known by its id alone"
        );
    }
}
