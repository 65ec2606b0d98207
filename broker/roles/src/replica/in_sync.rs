//! The in-sync set: who leaves it for lagging, who comes back, and what the controller may believe meanwhile.
//!
//! A leader may only propose; the metadata decides. Between a proposal and the metadata's next word nobody knows which set holds,
//! so the high watermark waits for every member of either ([`super::leader::Leader::in_sync_at_most`]), and a proposal that may
//! have got through is answered by another one, never by forgetting it.

use model::{BrokerEpoch, BrokerId, Bug, Event, PartitionEpoch, Time};

use super::{InSyncProposal, LogView, Output, Replica};

/// Where a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Sent; no answer yet, or accepted and not yet seen in the metadata.
    Proposed,
    /// Sent, and nobody knows what became of it: the next word must be ours.
    InDoubt,
}

impl Replica {
    pub(super) fn tick(&mut self, now: Time, log: LogView<'_>, out: &mut Vec<Output>) {
        self.advance(log, out);
        self.propose_in_sync(now, None, out);
    }

    /// Asks for the in-sync set that the followers' progress calls for, unless a proposal is under way. Only whoever fetches this
    /// moment may join: one that was complete once may be gone, and the controller refuses a proposal that has such a one, whole.
    pub(super) fn propose_in_sync(&mut self, now: Time, fetching: Option<BrokerId>, out: &mut Vec<Output>) {
        let (local, lag_max, high_watermark) = (self.local, self.lag_max, self.high_watermark);
        let too_early = self.planted.has(Bug::IsrJoinTooEarly);
        let is_optimistic = self.planted.has(Bug::OptimisticShrink);
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let Some(leader) = self.leader_state() else { return };
        if leader.change == Change::Proposed {
            return;
        }
        let belongs = |id: BrokerId| {
            id == local
                || leader.followers.get(&id).is_some_and(|progress| {
                    if leader.in_sync.contains(id) {
                        now.since(progress.caught_up_at) <= lag_max
                    } else {
                        // Having reached the high watermark is not enough: it may be stale at a leader's start (KAFKA-7128).
                        let has_reached_start = leader.epoch_start <= progress.end;
                        if high_watermark <= progress.end && !has_reached_start {
                            model::reached!("a follower had the high watermark and not yet the epoch's start");
                        }
                        fetching == Some(id)
                            && progress.broker_epoch.is_some()
                            && high_watermark <= progress.end
                            && (has_reached_start || too_early)
                    }
                })
        };
        let wanted = || std::iter::once(local).chain(leader.followers.keys().copied()).filter(|&id| belongs(id));
        // At nearly every fetch nothing has changed, and there is nothing to collect.
        let (mut count, mut is_wanted) = (0, true);
        for id in wanted() {
            count += 1;
            is_wanted &= leader.in_sync.contains(id);
        }
        is_wanted &= count == leader.in_sync.len();
        if is_wanted && leader.change == Change::None {
            return;
        }
        let wanted: Vec<BrokerId> = wanted().collect();
        if leader.change == Change::InDoubt {
            model::reached!("an in-sync set was proposed again after a doubt");
        }
        if !is_wanted && wanted.len() < leader.in_sync.len() && leader.has_doubt {
            model::reached!("a replica lagged while a proposal was in doubt");
        }
        leader.change = Change::Proposed;
        leader.in_sync_at_most.extend(wanted.iter().copied());
        if is_optimistic {
            leader.in_sync = wanted.iter().copied().collect();
            leader.in_sync_at_most = leader.in_sync.clone();
        }
        let in_sync: Vec<(BrokerId, Option<BrokerEpoch>)> =
            wanted.into_iter().map(|id| (id, leader.followers.get(&id).and_then(|f| f.broker_epoch))).collect();
        out.push(Output::Witness(Event::InSyncProposed {
            partition: self.partition,
            epoch: leader_epoch,
            partition_epoch,
            members: in_sync.clone(),
        }));
        self.witness_in_sync(out);
        out.push(Output::AlterInSync(InSyncProposal { leader_epoch, partition_epoch, in_sync }));
    }

    /// Says whom this leader waits for.
    pub(super) fn witness_in_sync(&mut self, out: &mut Vec<Output>) {
        let (partition, epoch, partition_epoch) = (self.partition, self.leader_epoch, self.partition_epoch);
        if let Some(leader) = self.leader_state() {
            out.push(Output::Witness(Event::InSyncKnown {
                partition,
                epoch,
                partition_epoch,
                in_sync: leader.in_sync.to_vec(),
                at_most: leader.in_sync_at_most.to_vec(),
            }));
        }
    }

    pub(super) fn in_sync_refused(&mut self, partition_epoch: PartitionEpoch, out: &mut Vec<Output>) {
        if partition_epoch != self.partition_epoch {
            model::reached!("the metadata moved on before a proposal was refused");
            return;
        }
        match self.leader_state() {
            // This one was refused, but an earlier one may still get through.
            Some(leader) if leader.has_doubt => {
                model::reached!("a proposal was refused while an earlier one was in doubt");
                leader.change = Change::InDoubt;
            }
            Some(leader) => {
                leader.change = Change::None;
                leader.in_sync_at_most = leader.in_sync.clone();
                self.witness_in_sync(out);
            }
            None => {}
        }
    }

    pub(super) fn in_sync_in_doubt(&mut self, partition_epoch: PartitionEpoch, out: &mut Vec<Output>) {
        if partition_epoch != self.partition_epoch {
            return;
        }
        if self.is_leader() {
            let (partition, epoch) = (self.partition, self.leader_epoch);
            out.push(Output::Witness(Event::InSyncInDoubt { partition, epoch, partition_epoch }));
        }
        if self.planted.has(Bug::ForgottenProposal) {
            return self.in_sync_refused(partition_epoch, out);
        }
        if let Some(leader) = self.leader_state() {
            leader.change = Change::InDoubt;
            leader.has_doubt = true;
        }
    }
}
