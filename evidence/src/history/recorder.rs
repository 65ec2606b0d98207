//! The recorder: clients tell it what they ask and what they are told; it hands back the history.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Time;

use super::{Action, History, Key, Operation, Outcome, Process};
use crate::Claims;

/// Takes down what clients do, from as many tasks as there are clients. Clones share one history.
#[derive(Clone, Debug, Default)]
pub struct Recorder(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    history: History,
    next_process: u64,
    pending: BTreeSet<u64>,
    ended: BTreeSet<u64>,
}

impl Recorder {
    pub fn new(claims: Claims) -> Recorder {
        Recorder(Arc::new(Mutex::new(State { history: History::new(claims), ..State::default() })))
    }

    /// A process that nobody else is. One for each life of a client, and a new one after each `info`.
    pub fn process(&self) -> u64 {
        let mut state = self.state();
        state.next_process += 1;
        state.next_process - 1
    }

    /// The client asks. Answers the line's index.
    ///
    /// # Panics
    /// If the process still waits for an answer, or had an `info`: the contract forbids both.
    pub fn invoke(&self, time: Time, process: u64, action: Action) -> u64 {
        let mut state = self.state();
        assert!(!state.ended.contains(&process), "process {process} acts after its info: take a new one");
        assert!(state.pending.insert(process), "process {process} asks while it waits for an answer");
        state.push(time, process, Outcome::Invoke, action, None)
    }

    /// It happened; `action` is what was asked, with offsets and records filled in.
    pub fn ok(&self, time: Time, process: u64, action: Action) -> u64 {
        self.answer(time, process, Outcome::Ok, action, None)
    }

    /// It certainly did not happen.
    pub fn fail(&self, time: Time, process: u64, action: Action, error: impl Into<String>) -> u64 {
        self.answer(time, process, Outcome::Fail, action, Some(error.into()))
    }

    /// Nobody knows whether it happened; the process acts no more.
    pub fn info(&self, time: Time, process: u64, action: Action, error: impl Into<String>) -> u64 {
        let index = self.answer(time, process, Outcome::Info, action, Some(error.into()));
        self.state().ended.insert(process);
        index
    }

    /// What befalls a client without its asking: an assignment, a revocation, its death.
    pub fn notice(&self, time: Time, process: u64, action: Action) -> u64 {
        assert!(action.is_notice(), "{} is asked for: invoke it", action.name());
        let mut state = self.state();
        if action == Action::Crash {
            state.ended.insert(process);
            state.pending.remove(&process);
            return state.push(time, process, Outcome::Info, action, None);
        }
        state.push(time, process, Outcome::Ok, action, None)
    }

    /// Offsets `from..to` of `key` are known to hold no record for consumers.
    pub fn hole(&self, key: Key, from: i64, to: i64) {
        self.state().history.holes.entry(key).or_default().push((from, to));
    }

    /// The history. Clones that write on begin a new one.
    pub fn into_history(self) -> History {
        std::mem::take(&mut self.state().history)
    }

    fn answer(&self, time: Time, process: u64, outcome: Outcome, action: Action, error: Option<String>) -> u64 {
        let mut state = self.state();
        assert!(state.pending.remove(&process), "process {process} is answered and never asked");
        state.push(time, process, outcome, action, error)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, time: Time, process: u64, outcome: Outcome, action: Action, error: Option<String>) -> u64 {
        let index = self.history.operations.len() as u64;
        self.history.operations.push(Operation {
            index,
            time: Some(time),
            process: Process::Number(process),
            outcome,
            action,
            error,
            rebalance_log: None,
        });
        index
    }
}

#[cfg(test)]
mod tests {
    use super::super::MicroOperation;
    use super::*;

    #[test]
    fn clones_write_one_history_in_the_order_of_events() {
        let recorder = Recorder::new(Claims::default());
        let other = recorder.clone();
        let (first, second) = (recorder.process(), other.process());
        let key = Key::new("orders", 0);
        recorder.invoke(Time(1), first, Action::Send(vec![MicroOperation::send(&key, 7)]));
        other.invoke(Time(2), second, Action::Poll(vec![MicroOperation::Poll]));
        recorder.ok(Time(3), first, Action::Send(vec![MicroOperation::sent(&key, 0, 7)]));
        other.info(Time(4), second, Action::Poll(vec![MicroOperation::Poll]), "timed out");
        let history = recorder.into_history();
        let seen: Vec<_> = history.operations.iter().map(|line| (line.index, line.outcome)).collect();
        assert_eq!(seen, [(0, Outcome::Invoke), (1, Outcome::Invoke), (2, Outcome::Ok), (3, Outcome::Info)]);
    }

    #[test]
    #[should_panic(expected = "acts after its info")]
    fn a_process_never_acts_after_its_info() {
        let recorder = Recorder::new(Claims::default());
        let process = recorder.process();
        recorder.invoke(Time(1), process, Action::Poll(vec![MicroOperation::Poll]));
        recorder.info(Time(2), process, Action::Poll(vec![MicroOperation::Poll]), "timed out");
        recorder.invoke(Time(3), process, Action::Poll(vec![MicroOperation::Poll]));
    }
}
