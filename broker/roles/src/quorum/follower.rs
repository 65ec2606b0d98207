//! A node with a leader: it fetches, appends, syncs, fetches on; and gives a silent leader up.

use bytes::Bytes;
use model::{BrokerId, LeaderEpoch, Offset, Time};

use super::fetching::Fetching;
use super::message::{RequestId, Span};
use super::snapshot::Pieces;
use super::unattached::Unattached;
use super::{Output, Quorum, Role};
use crate::limits::QUORUM_SOON_DIVISOR;

#[derive(Debug)]
pub(super) struct Follower {
    pub(super) leader: BrokerId,
    pub(super) fetching: Fetching,
    /// When the leader has been silent for too long.
    give_up_at: Time,
    /// The leader has answered a fetch in this epoch: it is alive, and others need not stand (KIP-996).
    pub(super) has_fetched: bool,
    /// A snapshot that is on its way here.
    pub(super) pieces: Option<Pieces>,
}

impl Follower {
    pub(super) fn new(quorum: &Quorum, leader: BrokerId) -> Follower {
        let give_up_at = quorum.now + quorum.config.fetch_timeout;
        Follower { leader, fetching: Fetching::from(quorum.now), give_up_at, has_fetched: false, pieces: None }
    }

    pub(super) fn deadline(&self, quorum: &Quorum) -> Time {
        self.give_up_at.min(self.fetching.deadline(quorum))
    }
}

impl Quorum {
    pub(super) fn tick_follower(&mut self) {
        let Role::Follower(follower) = &self.role else { return };
        let leader = follower.leader;
        if follower.give_up_at <= self.now {
            if self.may_stand() {
                self.stand();
            } else {
                let unattached = Unattached::patient(self);
                self.become_unattached(unattached);
                self.tick_unattached();
            }
        } else if follower.fetching.is_due(self.now) {
            self.send_fetch(leader);
        }
    }

    pub(super) fn records_fetched(
        &mut self,
        id: RequestId,
        epoch: LeaderEpoch,
        leader_high_watermark: Offset,
        spans: Vec<Span>,
        records: Bytes,
    ) {
        if !self.log.continues_with(&spans, epoch) {
            return self.fetch_failed(id);
        }
        if !self.fetch_answered(id, epoch) {
            return;
        }
        if !spans.is_empty() {
            let says_who_votes = spans.iter().any(|span| span.voters.is_some());
            for Span { epoch, start, end, voters } in spans {
                self.log.append(epoch, end);
                if let Some(voters) = voters {
                    self.voters.append(start, voters);
                }
            }
            self.perform(Output::AppendFetched { records });
            if says_who_votes {
                self.tell_voters();
            }
        }
        self.raise_high_watermark(leader_high_watermark.min(self.log.end));
    }

    /// The leader's log parts from ours at or before the end of `diverging`: cut to where both may agree, and ask again.
    pub(super) fn divergence_fetched(
        &mut self,
        id: RequestId,
        epoch: LeaderEpoch,
        diverging: LeaderEpoch,
        end: Offset,
    ) {
        let to = self.log.end_of(diverging).1.min(end);
        if to < Offset::ZERO || !self.fetch_answered(id, epoch) {
            return self.fetch_failed(id);
        }
        if to < self.high_watermark {
            let Role::Follower(follower) = &mut self.role else { return };
            follower.fetching.back_off(self.now);
            let leader = follower.leader;
            let high_watermark = self.high_watermark;
            self.perform(Output::CommittedIsMissing { leader, leader_end: end, high_watermark });
        } else if to < self.log.end {
            model::reached!("metadata that was not committed was cut");
            self.perform(Output::Truncate { to });
            self.truncate(to);
        }
    }

    /// Whom we follow says that it does not lead this epoch any more.
    pub(super) fn leader_denies(&mut self, id: RequestId, from: BrokerId) {
        let Role::Follower(follower) = &mut self.role else { return };
        if follower.leader == from && follower.fetching.ends(id) {
            let unattached = Unattached::patient(self);
            self.become_unattached(unattached);
        }
    }

    /// Nobody listens where the leader did: its process is gone, and is given up soon. Where only the network says so, the others hear
    /// from the leader and let nobody stand; so that this node does not ask them again and again, it hurries once an epoch.
    pub(super) fn connection_refused(&mut self, id: RequestId) {
        let most = self.config.election_timeout / QUORUM_SOON_DIVISOR;
        let soon = self.now + self.part_of(most);
        if let Role::Follower(follower) = &mut self.role
            && follower.fetching.is_under_way(id)
            && self.hurried_in < self.state.epoch
        {
            model::reached!("a metadata leader's process was gone before its silence was too long");
            self.hurried_in = self.state.epoch;
            follower.give_up_at = follower.give_up_at.min(soon);
            follower.has_fetched = false;
        }
        self.failed(id);
    }

    /// True if `id` is this follower's fetch of this epoch. The leader lives.
    pub(super) fn fetch_answered(&mut self, id: RequestId, epoch: LeaderEpoch) -> bool {
        let Role::Follower(follower) = &mut self.role else { return false };
        // An answer of another epoch speaks of another leader's log (KAFKA-18991).
        if epoch != self.state.epoch || !follower.fetching.ends(id) {
            model::reached!("metadata of an older leadership came late");
            return false;
        }
        follower.give_up_at = self.now + self.config.fetch_timeout;
        follower.has_fetched = true;
        true
    }

    pub(super) fn raise_high_watermark(&mut self, to: Offset) {
        if self.high_watermark < to {
            self.high_watermark = to;
            self.voters.commit(to);
            self.perform(Output::HighWatermark { to });
        }
    }
}
