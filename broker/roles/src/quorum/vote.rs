//! A voter's side of an election: whom it gives its vote to.

use model::{BrokerId, Bug};

use super::message::{Body, Refusal, VoteRequest};
use super::unattached::Unattached;
use super::{Output, Quorum, QuorumState, Role, Ticket};

impl Quorum {
    pub(super) fn vote_requested(&mut self, ticket: Ticket, vote: VoteRequest) {
        // Who votes is the candidate's to know: this log may lack the record that says so, of the candidate or of this node itself.
        if vote.voter.is_some() && vote.voter != self.config.directory {
            return self.reply(ticket, Body::Refused(Refusal::InvalidVoter));
        }
        if vote.epoch < self.state.epoch {
            return self.reply(ticket, Body::Refused(Refusal::FencedLeaderEpoch));
        }
        self.learn(vote.epoch, None);
        let granted = self.is_not_behind(vote)
            && if vote.pre_vote { self.would_let_stand() } else { self.may_vote_for(vote.candidate) };
        if granted && !vote.pre_vote && self.state.voted_for.is_none() {
            self.persist(QuorumState { voted_for: Some(vote.candidate), ..self.state });
            let unattached = Unattached::patient(self);
            self.become_unattached(unattached);
        }
        if granted && !vote.pre_vote {
            self.speak(Output::VoteGranted { epoch: vote.epoch, candidate: vote.candidate });
        }
        self.reply(ticket, Body::Vote { granted });
    }

    /// An elected leader's log must have all that is committed, and so be no shorter than those of a majority.
    fn is_not_behind(&self, vote: VoteRequest) -> bool {
        if self.config.planted.has(Bug::VoteWithoutLogCheck) {
            return true;
        }
        let is_behind = (vote.last_epoch, vote.log_end) < self.log.rank();
        if is_behind {
            model::reached!("a candidate with a shorter log was refused");
        }
        !is_behind
    }

    /// A pre-vote promises nothing; who hears from a leader says no, so that a lonely node does not disturb it (KIP-996).
    fn would_let_stand(&self) -> bool {
        match &self.role {
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) => true,
            Role::Follower(follower) => {
                if follower.has_fetched {
                    model::reached!("a lonely voter was kept from disturbing the leader");
                }
                !follower.has_fetched
            }
            Role::Leader(_) => false,
        }
    }

    fn may_vote_for(&self, candidate: BrokerId) -> bool {
        match self.state.voted_for {
            Some(voted_for) => {
                if voted_for != candidate {
                    model::reached!("a voter had given its vote to another");
                }
                voted_for == candidate || self.config.planted.has(Bug::VoteTwice)
            }
            // Who knows this epoch's winner has nothing to decide.
            None => self.state.leader.is_none(),
        }
    }
}
