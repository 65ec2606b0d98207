//! A node without a leader: a voter waits before it stands, an observer asks one voter after the other.

use model::Time;

use super::fetching::Fetching;
use super::{Quorum, Role};

#[derive(Debug, Default)]
pub(super) struct Unattached {
    /// When a voter stands.
    elect_at: Time,
    /// An observer's search for the leader.
    fetching: Fetching,
    asked: usize,
}

impl Unattached {
    /// Waits for a leader to make itself known, and for others to stand first.
    pub(super) fn patient(quorum: &mut Quorum) -> Unattached {
        let elect_at = quorum.election_deadline();
        Unattached::electing_at(quorum, elect_at)
    }

    pub(super) fn electing_at(quorum: &Quorum, elect_at: Time) -> Unattached {
        Unattached { elect_at, fetching: Fetching::from(quorum.now), asked: 0 }
    }

    pub(super) fn deadline(&self, quorum: &Quorum) -> Time {
        if quorum.is_voter() { self.elect_at } else { self.fetching.deadline(quorum) }
    }

    pub(super) fn fetching(&mut self) -> &mut Fetching {
        &mut self.fetching
    }
}

impl Quorum {
    pub(super) fn tick_unattached(&mut self) {
        let Role::Unattached(unattached) = &mut self.role else { return };
        if self.config.voters.contains(&self.config.id) {
            if unattached.elect_at <= self.now {
                self.stand();
            }
            return;
        }
        if unattached.fetching.is_due(self.now) {
            let voters: Vec<_> = self.config.voters.iter().copied().collect();
            let to = voters[unattached.asked % voters.len()];
            unattached.asked += 1;
            self.send_fetch(to);
        }
    }
}
