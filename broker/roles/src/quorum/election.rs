//! A voter that stands: first it asks whether it would win (KIP-996), then for the votes of the next epoch.

use std::collections::{BTreeMap, BTreeSet};

use model::{BrokerId, Bug, LeaderEpoch, Time};

use super::message::{Request, RequestId, VoteRequest};
use super::unattached::Unattached;
use super::{Quorum, QuorumState, Role};
use crate::limits::QUORUM_EPOCH_MAX;

/// Asks whether a majority would vote for it. Nothing is promised yet, and no epoch spent.
#[derive(Debug)]
pub(super) struct Prospective {
    pub(super) deadline: Time,
    votes: Votes,
}

/// Has voted for itself in a new epoch.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) deadline: Time,
    votes: Votes,
    /// The version of the state that holds its own vote, which counts once it is on disk.
    own_vote: u64,
}

#[derive(Debug, Default)]
struct Votes {
    asked: BTreeMap<RequestId, BrokerId>,
    granted: BTreeSet<BrokerId>,
}

impl Quorum {
    /// Begins an election, or another round of it.
    pub(super) fn stand(&mut self) {
        assert!(self.may_stand());
        if self.installing.is_some() {
            // It knows that its log lacks what was committed, and soon it will not.
            let unattached = Unattached::patient(self);
            return self.become_unattached(unattached);
        }
        if matches!(self.role, Role::Candidate(_)) {
            model::reached!("an election was not won in its time");
        }
        let deadline = self.election_deadline();
        // Planted: a node that lost the leader it had waits for ever.
        let has_lost_leader = self.state.leader.is_some();
        let never = self.config.planted.has(Bug::NeverElect) && has_lost_leader;
        if never || QUORUM_EPOCH_MAX <= self.state.epoch {
            return self.change_role(Role::Prospective(Prospective { deadline, votes: Votes::default() }));
        }
        let votes = self.ask_for_votes(self.state.epoch, true);
        self.change_role(Role::Prospective(Prospective { deadline, votes }));
        self.count_votes();
    }

    fn become_candidate(&mut self) {
        let epoch = self.state.epoch.next();
        self.persist(QuorumState { epoch, voted_for: Some(self.config.id), leader: None });
        let own_vote = self.version;
        let votes = self.ask_for_votes(epoch, false);
        let deadline = self.election_deadline();
        self.change_role(Role::Candidate(Candidate { deadline, votes, own_vote }));
    }

    fn ask_for_votes(&mut self, epoch: LeaderEpoch, pre_vote: bool) -> Votes {
        let (last_epoch, log_end) = self.log.rank();
        let mut votes = Votes::default();
        if pre_vote {
            votes.granted.insert(self.config.id);
        }
        for voter in self.other_voters() {
            let candidate = self.config.id;
            let vote = VoteRequest { epoch, candidate, voter: voter.directory, last_epoch, log_end, pre_vote };
            let id = self.send(voter.id, Request::Vote(vote));
            votes.asked.insert(id, voter.id);
        }
        votes
    }

    pub(super) fn vote_answered(&mut self, id: RequestId, from: BrokerId, epoch: LeaderEpoch, granted: bool) {
        let votes = match &mut self.role {
            Role::Prospective(prospective) => &mut prospective.votes,
            Role::Candidate(candidate) => &mut candidate.votes,
            Role::Unattached(_) | Role::Follower(_) | Role::Leader(_) => return,
        };
        if votes.asked.get(&id) != Some(&from) {
            return;
        }
        votes.asked.remove(&id);
        if granted && epoch == self.state.epoch {
            votes.granted.insert(from);
            self.count_votes();
        }
    }

    pub(super) fn own_vote_persisted(&mut self) {
        if let Role::Candidate(candidate) = &mut self.role
            && candidate.own_vote <= self.persisted
        {
            candidate.votes.granted.insert(self.config.id);
            self.count_votes();
        }
    }

    fn count_votes(&mut self) {
        let voters = self.voters();
        let is_elected =
            |votes: &Votes| voters.majority() <= votes.granted.iter().filter(|id| voters.contains(**id)).count();
        match &self.role {
            Role::Prospective(prospective) if is_elected(&prospective.votes) => self.become_candidate(),
            Role::Candidate(candidate) if is_elected(&candidate.votes) => self.become_leader(),
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) | Role::Follower(_) | Role::Leader(_) => {}
        }
    }
}
