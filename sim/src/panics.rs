//! Panics of simulated processes: each ends its own process, as a crash would, and says what and where it was.
//!
//! The place is known to the panic hook alone, so a hook of ours notes it for the thread; panics elsewhere go to the hook that was
//! there before.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// How the end of a process that panicked begins to be told.
pub const PANICKED: &str = "panicked at ";

thread_local! {
    /// How many simulated processes this thread polls: one at most, but for a poll within a poll.
    static POLLING: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sees to it that places are noted, from now on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if POLLING.get() == 0 {
                return before(panic);
            }
            PLACE.set(panic.location().map(|place| format!("{}:{}", place.file(), place.line())));
        }));
    });
}

/// Polls a task of a simulated process.
///
/// # Errors
/// If it panics: where, and with which message.
pub(crate) fn caught<T>(poll: impl FnOnce() -> T) -> Result<T, String> {
    POLLING.set(POLLING.get() + 1);
    let result = catch_unwind(AssertUnwindSafe(poll));
    POLLING.set(POLLING.get() - 1);
    result.map_err(|payload| {
        let place = PLACE.take().unwrap_or_else(|| "an unknown place".to_owned());
        format!("{PANICKED}{place}: {}", message(&*payload))
    })
}

/// What a panic said.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
