//! One node's copy of one partition, as the trace tells it.

use std::collections::BTreeSet;

use model::{BrokerId, LeaderEpoch, Offset, Time};

use super::super::shadow::{Batch, Shadow};

/// One node's copy of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Replica {
    pub(crate) log: Shadow,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// The furthest end since the last truncation. A recovery that lost a tail does not lower it: what a leader was told before
    /// the loss may still be on its way.
    pub(crate) reached: Offset,
    /// When a batch was last written.
    pub(crate) written_at: Time,
    /// Its own word that all below survives a loss of power; a truncation lowers it.
    pub(crate) synced: Option<Offset>,
    /// `synced`, and what a recovery found.
    pub(crate) on_disk: Option<Offset>,
    /// The furthest that it was ever safe since the last truncation, whatever a loss of power took.
    pub(crate) reached_safely: Offset,
    /// Since this life of the node began.
    pub(crate) high_watermark: Offset,
    pub(crate) leading: Option<LeaderEpoch>,
    /// Where its log ended when it began to lead.
    pub(crate) leading_from: Offset,
    pub(crate) following: Option<LeaderEpoch>,
    /// What it goes by as leader.
    pub(crate) in_sync: BTreeSet<BrokerId>,
    /// How many must be in sync for it to commit as leader.
    pub(crate) in_sync_min: usize,
    /// Whom it waits for as leader: everybody who may be in sync.
    pub(crate) in_sync_at_most: BTreeSet<BrokerId>,
    /// The machine went dark, and the log was not opened since.
    pub(crate) lost_power: bool,
    /// Where it was cut since its last sync: after a loss of power what was cut may be back in the place of what came after.
    pub(super) cut_unsafely: Option<Offset>,
    /// What stands in the file that compaction is writing: each batch, and the records that are left in it.
    pub(super) compacting: Vec<(Batch, Vec<Offset>)>,
    /// The world destroyed some of what is stored of it: what it held may be gone, and what it said of its disk is void.
    pub(crate) is_hurt: bool,
}

impl Replica {
    /// What lies below is nobody's to read any more.
    pub(super) fn begins_at(&mut self, start: Offset) {
        self.start = start;
        self.log.forget(start);
    }

    /// Its node got an empty disk: nothing that was said of the old one holds, and nothing is wrong with the new one.
    pub(super) fn forget_disk(&mut self) {
        (self.synced, self.on_disk) = (None, None);
        self.start = Offset::ZERO;
        self.lost_power = true;
        self.is_hurt = false;
    }

    pub(super) fn leads_no_more(&mut self) {
        self.leading = None;
        self.in_sync.clear();
        self.in_sync_at_most.clear();
    }
}
