//! What all nodes together know of one partition.

use std::collections::{BTreeMap, BTreeSet};

use model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, Time};
use rangemap::RangeSet;

use super::super::shadow::Shadow;
use super::NodeId;

/// What all nodes together know of one partition.
#[derive(Debug, Default)]
pub(crate) struct Partition {
    /// Who held a replica and let it go since metadata wanted it no more.
    pub(super) let_go: BTreeSet<NodeId>,
    pub(crate) canonical: Shadow,
    /// What producers were told is safe: the batches that stood there in the log of whoever told them.
    pub(crate) acknowledged: Shadow,
    /// Every offset of which that was ever said; one may be given to a second record, where the first was answered with acks=1.
    pub(crate) vouched: RangeSet<Offset>,
    pub(crate) high_watermark: Offset,
    /// When it got where.
    pub(super) advances: Vec<(Time, Offset)>,
    /// How far the leader of each epoch moved the high watermark.
    pub(super) committed_by: BTreeMap<LeaderEpoch, Offset>,
    /// Whose leader metadata took from outside the in-sync set.
    pub(super) elected_uncleanly: BTreeSet<LeaderEpoch>,
    /// The epoch of the last allowed unclean election that has its leader: what older epochs still do is lost with it.
    pub(super) unclean_epoch: Option<LeaderEpoch>,
    /// That of the last one that gave up what was committed, before it or since.
    pub(super) loss_epoch: Option<LeaderEpoch>,
    /// The newest state that anybody saw.
    pub(super) newest: Option<InSyncState>,
    /// Tails that went away, oldest first.
    pub(crate) cuts: Vec<Cut>,
    /// Checksums of batches of which compaction took a part.
    pub(super) compacted: BTreeSet<u32>,
    /// Offsets of records that compaction took from some replica.
    pub(super) gone: RangeSet<Offset>,
}

/// The in-sync set that metadata names.
#[derive(Clone, Debug)]
pub(crate) struct InSyncState {
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) members: BTreeSet<BrokerId>,
}

/// A log's tail went away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) at: u64,
    pub(crate) time: Time,
    pub(crate) node: NodeId,
    pub(crate) from: Offset,
    pub(crate) to: Offset,
    pub(crate) why: CutWhy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutWhy {
    /// A start found less than the log had before.
    Recovery,
    /// To follow the leader of this epoch, if it followed one.
    Following(Option<LeaderEpoch>),
}

/// Adds the offsets from `from` to before `to`, if there are any.
pub(super) fn add(set: &mut RangeSet<Offset>, from: Offset, to: Offset) {
    if from < to {
        set.insert(from..to);
    }
}

impl Partition {
    /// What leaders before `epoch` committed: the least that the leader of `epoch` must have. One that learns late of its
    /// election need not have what later epochs wrote.
    pub(crate) fn committed_before(&self, epoch: LeaderEpoch) -> Offset {
        self.committed_by.range(..epoch).map(|(_, &end)| end).max().unwrap_or(Offset::ZERO)
    }

    /// Where the true high watermark was at a moment.
    pub(crate) fn high_watermark_at(&self, time: Time) -> Offset {
        let after = self.advances.partition_point(|(at, _)| *at <= time);
        after.checked_sub(1).map_or(Offset::ZERO, |index| self.advances[index].1)
    }

    /// The leader of `epoch` begins, of an allowed unclean election or after one: who led before that, and has not heard of it, may still
    /// commit what is lost, even if nothing was lost until now.
    pub(super) fn begins(&mut self, epoch: LeaderEpoch) {
        self.unclean_epoch = self.unclean_epoch.max(self.elected_uncleanly.range(..=epoch).next_back().copied());
    }

    /// An allowed unclean election: the canonical log ends at `offset` from now on.
    pub(super) fn lose_from(&mut self, offset: Offset, epoch: LeaderEpoch) {
        self.unclean_epoch = self.unclean_epoch.max(Some(epoch));
        self.loss_epoch = self.loss_epoch.max(Some(epoch));
        self.canonical.cut(offset);
        self.high_watermark = self.high_watermark.min(offset);
        self.committed_by.values_mut().for_each(|end| *end = (*end).min(offset));
    }

    /// An allowed unclean election gave up this epoch. Whoever has not heard of it may go on for a while, and all that is lost.
    pub(crate) fn is_given_up(&self, epoch: LeaderEpoch) -> bool {
        Some(epoch) < self.unclean_epoch
    }

    /// An allowed unclean election, in this epoch or before, gave up what was committed.
    pub(crate) fn has_given_up_by(&self, epoch: LeaderEpoch) -> bool {
        self.loss_epoch.is_some_and(|loss| loss <= epoch)
    }

    /// An allowed unclean election gave up what an epoch had committed, or did since.
    pub(crate) fn has_given_up(&self) -> bool {
        self.loss_epoch.is_some()
    }

    /// The newest state of the in-sync set that anybody saw.
    pub(crate) fn newest(&self) -> Option<&InSyncState> {
        self.newest.as_ref()
    }
}
