//! The life of one process: what outlives it must ask whether it still runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// True until the process that it was made for has ended. Clones share it.
///
/// The tasks of a dead process are dropped a moment after its death, and their `Drop`s run then: nothing that they do may reach
/// the world any more, nor free what the next process took.
#[derive(Clone, Debug)]
pub struct Life(Arc<AtomicBool>);

impl Life {
    pub(crate) fn begin() -> Life {
        Life(Arc::new(AtomicBool::new(true)))
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
