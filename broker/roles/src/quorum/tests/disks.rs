//! A second model of the quorum, which knows no messages and no roles: what the disks of the voters prove, by Raft's definitions.
//!
//! A node may lead an epoch when a majority of voters has a vote for it on disk. A record of a leader's own epoch is committed, and all
//! before it, when a majority of voters has had it on disk at its place. Whatever the machines do, they may claim no more than this;
//! and when all is quiet, no less.

use std::collections::{BTreeMap, BTreeSet};

use model::{BrokerId, LeaderEpoch, Offset};

use super::world::Entry;
use crate::quorum::{QuorumState, VoterSet};

#[derive(Default)]
pub(super) struct Disks {
    /// Every vote that ever was on a disk, by voter and epoch.
    votes: BTreeMap<(BrokerId, LeaderEpoch), BrokerId>,
    /// Who ever had which record on disk, by its place.
    holders: BTreeMap<(usize, Entry), BTreeSet<BrokerId>>,
    /// How far each disk was looked at.
    looked: BTreeMap<BrokerId, Vec<Entry>>,
}

impl Disks {
    /// A state is on a disk from now on.
    pub(super) fn keep_state(&mut self, id: BrokerId, state: QuorumState) {
        if let Some(candidate) = state.voted_for {
            let first = *self.votes.entry((id, state.epoch)).or_insert(candidate);
            assert_eq!(first, candidate, "one vote an epoch is ever on one disk");
        }
    }

    /// These records are on a disk from now on.
    pub(super) fn keep_log(&mut self, id: BrokerId, log: &[Entry]) {
        let known = self.looked.entry(id).or_default();
        let same = known.iter().zip(log).take_while(|(known, new)| known == new).count();
        for (place, &entry) in log.iter().enumerate().skip(same) {
            self.holders.entry((place, entry)).or_default().insert(id);
        }
        *known = log.to_vec();
    }

    /// A node claims to lead, by the voters that its log names.
    pub(super) fn may_lead(&self, id: BrokerId, epoch: LeaderEpoch, voters: &VoterSet) {
        let votes = voters.ids().filter(|&voter| self.votes.get(&(voter, epoch)) == Some(&id)).count();
        assert!(voters.len() < 2 * votes, "a leader has the votes of a majority of disks");
    }

    /// How much of a leader's log is committed, by the voters that it names.
    pub(super) fn committed(&self, epoch: LeaderEpoch, log: &[Entry], voters: &VoterSet) -> Offset {
        let is_held = |place: usize| {
            let holders = self.holders.get(&(place, log[place]));
            let count = holders.map_or(0, |holders| holders.iter().filter(|&&id| voters.contains(id)).count());
            log[place].0 == epoch && voters.len() < 2 * count
        };
        Offset((0..log.len()).rfind(|&place| is_held(place)).map_or(0, |place| place as i64 + 1))
    }

    /// The leader of `epoch` claims that all of its log below `to` is committed.
    pub(super) fn may_commit(&self, epoch: LeaderEpoch, log: &[Entry], to: Offset, voters: &VoterSet) {
        assert!(to <= self.committed(epoch, log, voters), "what is committed is on a majority of disks");
    }
}
