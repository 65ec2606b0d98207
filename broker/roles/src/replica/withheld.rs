//! Refusals that a leader keeps to itself until it is certain that it leads.
//!
//! A leader that was deposed and has not heard of it (it was paused, it is cut off, there is no controller to tell it) lacks what was
//! committed since. To it the producer's next batch leaves a gap. A producer that is told so gives up (librdkafka: a fatal error), or
//! numbers its batches anew and may write twice what is in the log. So the leader answers only once every replica that may be in
//! sync has sent a fetch of its epoch after the batch came: by then none of these had heard of a later epoch, so none of them led
//! one, and nobody else could. One that is alone in sync needs to ask nobody. A deposed leader is never certain: in the end it
//! hears of the election, and the producer of another leader.

use model::{BrokerId, Bug, Event, SequenceError, Time};

use super::{Output, Refusal, Replica, Role, Ticket};

/// A producer that is not told yet that its batch does not follow on the log.
pub(super) struct Withheld {
    ticket: Ticket,
    why: SequenceError,
    /// When its batch came.
    since: Time,
    /// Who may lead by now, for all that this leader knows.
    unheard: Vec<BrokerId>,
}

/// All of one leadership.
#[derive(Default)]
pub(super) struct Refusals(Vec<Withheld>);

impl Refusals {
    /// `follower` was no leader yet at `at`.
    pub(super) fn heard(&mut self, follower: BrokerId, at: Time) {
        for withheld in self.0.iter_mut().filter(|withheld| withheld.since <= at) {
            withheld.unheard.retain(|&id| id != follower);
        }
    }

    /// Who is out of sync, and not by its own doing, is not elected.
    pub(super) fn keep(&mut self, mut may_lead: impl FnMut(BrokerId) -> bool) {
        self.0.iter_mut().for_each(|withheld| withheld.unheard.retain(|&id| may_lead(id)));
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.0.retain(|withheld| withheld.ticket != ticket);
    }

    /// Those whose producers learn now that another leader has to say it.
    pub(super) fn into_tickets(self) -> impl Iterator<Item = Ticket> {
        if !self.0.is_empty() {
            model::reached!("a deposed leader kept to itself that a batch leaves a gap");
        }
        self.0.into_iter().map(|withheld| withheld.ticket)
    }
}

impl Replica {
    /// True if a producer waits for the word of followers.
    pub fn is_withholding(&self) -> bool {
        matches!(&self.role, Role::Leader(leader) if !leader.refusals.0.is_empty())
    }

    pub(super) fn out_of_sequence(&mut self, now: Time, ticket: Ticket, why: SequenceError, out: &mut Vec<Output>) {
        let (local, is_hasty) = (self.local, self.planted.has(Bug::GapToldByZombie));
        let Some(leader) = self.leader_state() else {
            out.push(Output::Reply { ticket, result: Err(Refusal::NotLeaderOrFollower) });
            return;
        };
        let unheard = leader.in_sync_at_most.iter().filter(|&id| id != local && !is_hasty).collect();
        leader.refusals.0.push(Withheld { ticket, why, since: now, unheard });
        if let SequenceError::OutOfOrder { producer, epoch: producer_epoch, expected, .. } = why {
            let (partition, Ticket(question)) = (self.partition, ticket);
            let asked = Event::SequenceQuestioned { partition, producer, producer_epoch, expected, question };
            out.push(Output::Witness(asked));
        }
        self.refuse_for_certain(out);
    }

    /// Refuses what is certain by now.
    pub(super) fn refuse_for_certain(&mut self, out: &mut Vec<Output>) {
        let partition = self.partition;
        let Some(leader) = self.leader_state() else { return };
        // With fewer in sync one that is not may be elected, if it has all that was committed (KIP-966).
        if leader.in_sync.len() < leader.in_sync_min {
            return;
        }
        for Withheld { ticket, why, .. } in leader.refusals.0.extract_if(.., |withheld| withheld.unheard.is_empty()) {
            let Ticket(question) = ticket;
            out.push(Output::Witness(Event::SequenceRefused { partition, question }));
            out.push(Output::Reply { ticket, result: Err(Refusal::OutOfSequence(why)) });
        }
    }
}
