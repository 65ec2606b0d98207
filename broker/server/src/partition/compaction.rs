//! A partition's part in the compaction of its log: all but the swap of files happens outside its lock.

use host::Host;
use model::{Event, Timestamp};
use storage::{Compaction, Due, KeptCompaction, RewrittenBatch, Step, StorageError, Swap};
use tokio::sync::OwnedMutexGuard;

use super::{Errand, Partition, PartitionError, SyncStage};
use crate::config::FlushPolicy;

/// A compaction under way. Whoever gives the partition up waits until it is dropped.
pub(crate) struct Compacting<H: Host> {
    compaction: Compaction<H::Disk>,
    delete_retention_ms: i64,
    _turn: OwnedMutexGuard<()>,
}

impl<H: Host> Compacting<H> {
    pub(crate) fn step(&mut self) -> Result<Step<H::Disk>, StorageError> {
        self.compaction.step()
    }

    pub(crate) async fn keep(self) -> Result<KeptCompaction, StorageError> {
        self.compaction.keep().await
    }
}

impl<H: Host> Partition<H> {
    /// Whether compacting its log is worth it at the wall-clock time `now`.
    pub(crate) fn compaction_due(&self, now: Timestamp) -> Result<Option<Due>, PartitionError> {
        let mut state = self.state.lock();
        if self.settings().log.cleanup_policy.compacts()
            && self.flush_policy == FlushPolicy::Os
            && state.sync == SyncStage::Idle
        {
            // Nobody else syncs this log, and only what is synced is compacted.
            if let Some(pending) = state.log.begin_sync() {
                state.sync = SyncStage::Running;
                let _node_stops = self.errands.send(Errand::Sync(self.id, Box::pin(pending.run())));
            }
        }
        Ok(state.log.compaction_due(now, state.replica.high_watermark())?)
    }

    /// Begins to compact its log, if there is anything to do and the partition is not given up.
    pub(crate) fn begin_compaction(&self, now: Timestamp, key_bytes_max: u64) -> Option<Compacting<H>> {
        let turn = self.compacting.clone().try_lock_owned().ok()?;
        let state = self.state.lock();
        if state.is_given_up {
            return None;
        }
        let compaction = state.log.begin_compaction(now, state.replica.high_watermark(), key_bytes_max)?;
        let delete_retention = self.settings().log.delete_retention;
        let delete_retention_ms = i64::try_from(delete_retention.as_millis()).unwrap_or(i64::MAX);
        Some(Compacting { compaction, delete_retention_ms, _turn: turn })
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.state.lock().is_given_up
    }

    /// These batches will be others, once the file takes its place that they stand in.
    pub(crate) fn will_be_rewritten(&self, batches: Vec<RewrittenBatch>) {
        for RewrittenBatch { base, end, epoch, crc, kept } in batches {
            let crc = crc.unwrap_or(0);
            self.host.witness(Event::BatchCompacted { partition: self.id, epoch, base, end, crc, kept });
        }
    }

    /// Puts a compacted file in its place. False if the log has changed there: the compaction is over.
    pub(crate) fn swap(
        &self,
        compacting: &Compacting<H>,
        swap: Swap<<H::Disk as host::Disk>::File>,
    ) -> Result<bool, PartitionError> {
        let mut state = self.state.lock();
        let (from, to) = swap.offsets();
        let is_done = state.log.swap(swap)?;
        if is_done {
            self.host.witness(Event::Compacted {
                partition: self.id,
                from,
                to,
                now: compacting.compaction.now(),
                delete_retention_ms: compacting.delete_retention_ms,
            });
        }
        self.sync_if_needed(&mut state);
        Ok(is_done)
    }

    /// All files are in their places.
    pub(crate) fn finish_compaction(&self, kept: KeptCompaction) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        state.log.finish_compaction(kept)?;
        self.sync_if_needed(&mut state);
        Ok(())
    }
}
