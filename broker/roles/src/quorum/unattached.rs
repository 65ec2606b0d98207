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
        if quorum.may_stand() { self.elect_at } else { self.fetching.deadline(quorum) }
    }

    pub(super) fn fetching(&mut self) -> &mut Fetching {
        &mut self.fetching
    }
}

impl Quorum {
    pub(super) fn tick_unattached(&mut self) {
        let may_stand = self.may_stand();
        let Role::Unattached(unattached) = &mut self.role else { return };
        if may_stand {
            if unattached.elect_at <= self.now {
                self.stand();
            }
            return;
        }
        if unattached.fetching.is_due(self.now) {
            let anybody: Vec<_> = self.voters.anybody().into_iter().filter(|id| *id != self.config.id).collect();
            let asked = unattached.asked;
            unattached.asked += 1;
            match anybody.get(asked % anybody.len().max(1)) {
                Some(&to) => self.send_fetch(to),
                None => unattached.fetching.back_off(self.now),
            }
        }
    }
}
