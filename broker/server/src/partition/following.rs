//! What a partition does while another broker leads it: it asks that one for more, and takes what comes.

use bytes::Bytes;
use host::Host;
use model::{BrokerId, Bug, LeaderEpoch, LogStartReason, Offset};
use roles::replica::{FetchPosition, Input, Refusal};

use super::producers::forget_all;
use super::{Partition, PartitionError, Syncing};

/// What a leader answered to this follower's fetch.
pub(crate) struct Fetched {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) offset: Offset,
    pub(crate) records: Bytes,
    pub(crate) leader_high_watermark: Offset,
    pub(crate) leader_start: Offset,
}

impl<H: Host> Partition<H> {
    /// Whom this replica follows; none if it leads, or nobody does.
    pub(crate) fn follows(&self) -> Option<BrokerId> {
        self.state.lock().replica.follows()
    }

    /// Where this replica goes on fetching, if it follows `leader` and its log is safe to its end.
    pub(crate) fn fetch_position_at(&self, leader: BrokerId) -> Option<FetchPosition> {
        let state = self.state.lock();
        if state.replica.follows() != Some(leader) {
            return None;
        }
        let view = state.view(self.flush_policy);
        let begins_anew = state.next_start.is_some_and(|(to, _)| view.end < to);
        if view.safe_end < view.end || begins_anew || state.giving_up.is_some() {
            return None;
        }
        state.replica.fetch_position(view)
    }

    /// Takes what the leader answered; the sync makes it safe.
    pub(crate) fn take_fetched(&self, fetched: &Fetched) -> Result<Option<Syncing>, PartitionError> {
        let mut state = self.state.lock();
        if state.giving_up.is_some() {
            return Err(Refusal::OffsetOutOfRange.into());
        }
        state.replica.admit_fetched(state.view(self.flush_policy), fetched.leader_epoch, fetched.offset)?;
        if !fetched.records.is_empty() {
            let records = storage::fit_to_end(fetched.records.clone(), state.log.end());
            self.append(&mut state, &records)?;
            self.traffic.replication_bytes_in.add(records.len() as u64);
            if self.host.planted().has(Bug::FollowersIgnoreProducers) {
                forget_all(&mut state.log);
            }
        }
        state.leader_high_watermark = fetched.leader_high_watermark;
        self.step(&mut state, Input::FollowerAppended { leader_high_watermark: fetched.leader_high_watermark })?;
        let view = state.view(self.flush_policy);
        if let Some(to) = state.replica.follow_log_start(view, fetched.leader_epoch, fetched.leader_start) {
            self.move_start(&mut state, to, LogStartReason::Leader);
        }
        Ok(self.begin_sync(&mut state))
    }

    /// The leader has no such offset, and its log begins at `leader_start`.
    pub(crate) fn out_of_range(
        &self,
        leader_epoch: LeaderEpoch,
        offset: Offset,
        leader_start: Offset,
    ) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        let view = state.view(self.flush_policy);
        if let Some(to) = state.replica.begin_anew(view, leader_epoch, offset, leader_start) {
            self.move_start(&mut state, to, LogStartReason::BehindLeader);
            return Ok(());
        }
        self.step(&mut state, Input::PastLeader { leader_epoch, offset, leader_start }).map(|_| ())
    }

    /// The leader says that our logs part.
    pub(crate) fn diverging(
        &self,
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
        leader_start: Option<Offset>,
    ) -> Result<Option<Syncing>, PartitionError> {
        let mut state = self.state.lock();
        self.step(&mut state, Input::Diverging { leader_epoch, epoch, end, leader_start })?;
        Ok(self.begin_sync(&mut state))
    }
}
