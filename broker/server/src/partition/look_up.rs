//! Offsets of a partition by what they stand for: ListOffsets, OffsetForLeaderEpoch.

use host::Host;
use model::{LeaderEpoch, Offset, Timestamp};
use roles::replica::Refusal;

use super::{Partition, PartitionError};

impl<H: Host> Partition<H> {
    /// The committed end, for ListOffsets.
    pub(crate) fn committed_end(&self, epoch: LeaderEpoch) -> Result<(Offset, LeaderEpoch), Refusal> {
        let state = self.state.lock();
        let end = state.replica.committed_end(epoch)?;
        Ok((end, state.replica.leader_epoch()))
    }

    /// The first offset, for ListOffsets.
    pub(crate) fn start(&self, epoch: LeaderEpoch) -> Result<(Offset, LeaderEpoch), Refusal> {
        let state = self.state.lock();
        state.replica.committed_end(epoch)?;
        let start = state.log.start();
        Ok((start, state.log.epochs().epoch_at(start).unwrap_or(LeaderEpoch::NONE)))
    }

    /// Where an epoch ends, for OffsetForLeaderEpoch.
    pub(crate) fn end_of_epoch(
        &self,
        current: LeaderEpoch,
        epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, Refusal> {
        let state = self.state.lock();
        state.replica.end_of_epoch(state.view(self.flush_policy), current, epoch)
    }

    /// The first committed record whose timestamp is not before `at`.
    pub(crate) fn offset_for_time(
        &self,
        epoch: LeaderEpoch,
        at: Timestamp,
    ) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, PartitionError> {
        let state = self.state.lock();
        let end = state.replica.committed_end(epoch)?;
        Ok(state.log.offset_for_time(at)?.filter(|(offset, _, _)| *offset < end))
    }

    /// The committed record with the highest timestamp (KIP-734).
    pub(crate) fn offset_of_latest_time(
        &self,
        epoch: LeaderEpoch,
    ) -> Result<Option<(Offset, Timestamp, LeaderEpoch)>, PartitionError> {
        let state = self.state.lock();
        let end = state.replica.committed_end(epoch)?;
        Ok(state.log.offset_of_latest_time()?.filter(|(offset, _, _)| *offset < end))
    }
}
