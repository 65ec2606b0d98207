//! A crate with a tale of its own: a warehouse whose orders go through the log, and one promise more than the log makes.
//!
//! `tests/warehouse.rs` shows the three ways to put it on trial from `cargo test`: a scenario file, a promise of one's own over the
//! history, and random scenarios. The environment says how much:
//!
//! ```sh
//! cargo test -p own-tale                       # a seed or a few each
//! TRIAL_SEEDS=200 cargo test -p own-tale       # so many seeds
//! TRIAL_BUDGET=10min cargo test -p own-tale    # as many as fit into ten minutes, for each test
//! TRIAL_SEED=17 cargo test -p own-tale         # the one that a failure named
//! ```

use std::collections::BTreeSet;

use evidence::{Action, History, MicroOperation, Outcome, Value};

/// Orders that were confirmed and that nobody picked up: acknowledged sends that no poll brought.
pub fn forgotten(history: &History) -> BTreeSet<Value> {
    let answered = || history.operations.iter().filter(|line| line.outcome == Outcome::Ok);
    let mut forgotten = BTreeSet::new();
    for line in answered().filter(|line| matches!(line.action, Action::Send(_))) {
        for sent in line.action.micro_operations() {
            if let MicroOperation::Send { value, .. } = sent {
                forgotten.insert(value.clone());
            }
        }
    }
    for line in answered().filter(|line| matches!(line.action, Action::Poll(_))) {
        for polled in line.action.micro_operations() {
            if let MicroOperation::Polled(records) = polled {
                for (_, value) in records.values().flatten() {
                    forgotten.remove(value);
                }
            }
        }
    }
    forgotten
}
