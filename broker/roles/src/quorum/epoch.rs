//! What is said about epochs: a leader begins one, or ends it; anybody tells of a later one.

use model::{BrokerId, LeaderEpoch};

use super::follower::Follower;
use super::message::{BeginEpochRequest, Body, EndEpochRequest, Refusal};
use super::unattached::Unattached;
use super::{Quorum, QuorumState, Role, Ticket};

impl Quorum {
    pub(super) fn begin_epoch_requested(&mut self, ticket: Ticket, begin: BeginEpochRequest) {
        if begin.epoch < self.state.epoch {
            return self.reply(ticket, Body::Refused(Refusal::FencedLeaderEpoch));
        }
        self.learn(begin.epoch, Some(begin.leader));
        self.reply(ticket, Body::Noted);
    }

    pub(super) fn end_epoch_requested(&mut self, ticket: Ticket, end: &EndEpochRequest) {
        if end.epoch < self.state.epoch {
            return self.reply(ticket, Body::Refused(Refusal::FencedLeaderEpoch));
        }
        self.learn(end.epoch, None);
        // Its refusal of a fetch may have come first.
        let follows = match &self.role {
            Role::Follower(follower) => follower.leader == end.leader,
            Role::Unattached(_) => self.state.leader == Some(end.leader),
            Role::Prospective(_) | Role::Candidate(_) | Role::Leader(_) => false,
        };
        if follows {
            let unattached = match end.successors.first() {
                Some(&first) if first == self.config.id => {
                    model::reached!("a resigning leader named its successor");
                    Unattached::electing_at(self, self.now)
                }
                _ => Unattached::patient(self),
            };
            self.become_unattached(unattached);
        }
        self.reply(ticket, Body::Noted);
    }

    /// Takes in what somebody says about an epoch and its leader. What is behind, or contradicts what is known, says nothing.
    pub(super) fn learn(&mut self, epoch: LeaderEpoch, leader: Option<BrokerId>) {
        let leader = leader.filter(|leader| *leader != self.config.id);
        if epoch < self.state.epoch {
            return;
        }
        if self.state.epoch < epoch {
            self.persist(QuorumState { epoch, voted_for: None, leader });
            match leader {
                Some(leader) => self.follow(leader),
                None => {
                    let unattached = Unattached::patient(self);
                    self.become_unattached(unattached);
                }
            }
            return;
        }
        let Some(leader) = leader else { return };
        let known = self.state.leader;
        let may_follow = match &self.role {
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) => {
                known.is_none_or(|known| known == leader)
            }
            Role::Follower(_) | Role::Leader(_) => false,
        };
        if may_follow {
            if matches!(self.role, Role::Candidate(_)) {
                model::reached!("a candidate learned that another had won");
            }
            if known.is_none() {
                self.persist(QuorumState { leader: Some(leader), ..self.state });
            }
            self.follow(leader);
        }
    }

    fn follow(&mut self, leader: BrokerId) {
        let follower = Follower::new(self, leader);
        self.change_role(Role::Follower(follower));
    }

    pub(super) fn become_unattached(&mut self, unattached: Unattached) {
        self.change_role(Role::Unattached(unattached));
    }
}
