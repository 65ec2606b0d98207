//! A follower gives up all of its log, and begins anew where its leader's log begins: what it had is not in there, and begins past it.
//!
//! Two steps wait for the disk: until the first is done the log is as it was, and until the second is done it takes no records. Whoever
//! it is to follow next, or that it is to lead, it learns after both.

use std::pin::Pin;

use host::Host;
use model::{Event, Offset};
use parking_lot::MutexGuard;
use roles::replica::{Assignment, Input};
use storage::{AnewKept, Settled, StorageError};

use super::watchers::{Change, wake};
use super::{Errand, Partition, PartitionError, State};

/// What was said of the partition since it began.
#[derive(Default)]
pub(super) struct GivingUp {
    pub(super) assigned: Option<Assignment>,
}

/// One step, on its way to the disk. It must be seen to its end.
pub(crate) type GivingUpStep = Pin<Box<dyn Future<Output = Result<StepDone, StorageError>> + Send>>;

/// What a step has done.
pub(crate) enum StepDone {
    Kept(AnewKept),
    Settled(Settled),
}

impl<H: Host> Partition<H> {
    /// Sets about it, unless the log is about to begin elsewhere: then the leader says it again.
    pub(super) fn give_up(&self, state: &mut State<H>, to: Offset) {
        if state.next_start.is_some() || state.giving_up.is_some() {
            return;
        }
        state.giving_up = Some(GivingUp::default());
        let pending = state.log.begin_anew_at(to);
        self.go_on(Box::pin(async move { pending.run().await.map(StepDone::Kept) }));
    }

    /// A step is done, or could not be.
    pub(crate) fn given_up(&self, done: Result<StepDone, StorageError>) -> Result<(), PartitionError> {
        let mut state = self.state.lock();
        match done {
            Ok(StepDone::Kept(kept)) => {
                let settling = state.log.finish_anew(kept)?;
                self.host.witness(Event::LogBegunAnew { partition: self.id, to: state.log.start() });
                self.step(&mut state, Input::BegunAnew)?;
                self.go_on(Box::pin(async move { settling.run().await.map(StepDone::Settled) }));
                Ok(())
            }
            Ok(StepDone::Settled(settled)) => {
                state.log.settled(settled);
                self.is_over(&mut state)
            }
            // There was no room to say so: all is as it was, and the leader says it again.
            Err(error @ StorageError::Full { .. }) => self.is_over(&mut state).and(Err(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    fn is_over(&self, state: &mut MutexGuard<'_, State<H>>) -> Result<(), PartitionError> {
        wake(&mut state.start_watchers);
        state.fetches.tell(Change::Start);
        match state.giving_up.take().and_then(|giving_up| giving_up.assigned) {
            Some(assignment) => self.assigned(state, assignment),
            None => {
                self.sync_if_needed(state);
                Ok(())
            }
        }
    }

    fn go_on(&self, step: GivingUpStep) {
        let _node_stops = self.errands.send(Errand::GiveUp(self.id, step));
    }
}
