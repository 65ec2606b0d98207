//! Where the log of a partition begins, and how that moves: by retention, by a client's word, by the leader's.

use std::sync::Arc;

use host::Host;
use model::{Event, LogStartReason, Offset, Timestamp};
use parking_lot::MutexGuard;
use roles::replica::{Input, Refusal};
use storage::{StartKept, StorageError};
use tokio::sync::Notify;

use super::watchers::{Change, wake, watch};
use super::{Errand, Partition, PartitionError, State};

impl<H: Host> Partition<H> {
    /// Lets go what retention allows; `now` is wall-clock time.
    pub(crate) fn retain(&self, now: Timestamp) {
        let mut state = self.state.lock();
        if let Some((to, reason)) = state.log.retention_due(now, state.replica.high_watermark()) {
            self.move_start(&mut state, to, reason);
        }
    }

    /// A client asks that all below `offset` be deleted, or all that is committed, if it is negative. The answer is how far that is.
    pub(crate) fn admit_deletion(&self, offset: Offset) -> Result<Offset, Refusal> {
        let below = self.state.lock().replica.admit_deletion(offset)?;
        self.host.witness(Event::DeletionAsked { partition: self.id, below });
        Ok(below)
    }

    /// Deletes all below `below`. None until no in-sync replica has any of it; then the offset below which nobody has anything.
    pub(crate) fn delete_below(&self, below: Offset) -> Result<Option<Offset>, Refusal> {
        let mut state = self.state.lock();
        let low_watermark = state.replica.low_watermark(state.view(self.flush_policy))?;
        self.move_start(&mut state, below, LogStartReason::Asked);
        Ok(Some(low_watermark).filter(|&low_watermark| below <= low_watermark))
    }

    /// Calls `notify` once, when this log or that of a follower may begin later.
    pub(crate) fn watch_start(&self, notify: &Arc<Notify>) {
        watch(&mut self.state.lock().start_watchers, notify);
    }

    /// Has the log begin at `to`, if it begins before and is not about to begin elsewhere: then whoever asks must come again.
    pub(super) fn move_start(&self, state: &mut MutexGuard<'_, State<H>>, to: Offset, reason: LogStartReason) {
        if state.next_start.is_some() || state.giving_up.is_some() {
            return;
        }
        let Some(pending) = state.log.begin_start(to) else { return };
        state.next_start = Some((to, reason));
        let _node_stops = self.errands.send(Errand::KeepStart(self.id, Box::pin(pending.run())));
    }

    /// A new log start is safe, or could not be kept.
    pub(crate) fn start_kept(&self, kept: Result<StartKept, StorageError>) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        let next = state.next_start.take();
        let from = state.log.start();
        state.log.finish_start(kept?)?;
        let to = state.log.start();
        if let Some((_, reason)) = next.filter(|_| from < to) {
            self.host.witness(Event::LogStartAdvanced { partition: self.id, from, to, reason });
        }
        self.step(&mut state, Input::LogStartMoved)?;
        wake(&mut state.start_watchers);
        state.fetches.tell(Change::Start);
        self.sync_if_needed(&mut state);
        Ok(())
    }
}
