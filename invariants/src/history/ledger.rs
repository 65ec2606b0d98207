//! The ledger: a history's sends and reads, key by key, in the shape in which promises ask for them.

use std::collections::BTreeMap;

use evidence::{Action, History, Key, MicroOperation, Operation, Outcome, Process, Value};

/// All keys, each with what was sent to it and read from it.
pub(crate) struct Ledger {
    pub(crate) keys: BTreeMap<Key, Book>,
}

/// One key's sends and reads.
#[derive(Default)]
pub(crate) struct Book {
    /// In the order in which they were asked.
    pub(crate) sends: Vec<Sent>,
    /// Which of `sends` has a value.
    by_value: BTreeMap<Value, usize>,
    /// Each value that was read: where, and in which lines.
    pub(crate) reads: BTreeMap<Value, BTreeMap<i64, u64>>,
    /// Each offset that was read: what stood there, and the first line that says so.
    pub(crate) at: BTreeMap<i64, BTreeMap<Value, u64>>,
    /// How many records were read, again and again included.
    pub(crate) records_read: u64,
    /// The last line with which somebody asked to read it and was answered.
    pub(crate) last_poll_asked: Option<u64>,
    /// Records below are legally gone: a look-up named this as the log's start.
    pub(crate) start: i64,
    holes: Vec<(i64, i64)>,
}

/// One record that a client tried to send.
pub(crate) struct Sent {
    pub(crate) value: Value,
    /// Line of the question.
    pub(crate) asked: u64,
    /// Line of the answer; none if there was none.
    pub(crate) answered: Option<u64>,
    /// `Info` if there was no answer.
    pub(crate) outcome: Outcome,
    /// What the client was told.
    pub(crate) offset: Option<i64>,
    pub(crate) in_transaction: bool,
}

impl Ledger {
    pub(crate) fn new(history: &History) -> Ledger {
        let mut ledger = Ledger { keys: BTreeMap::new() };
        let mut pending: BTreeMap<&Process, &Operation> = BTreeMap::new();
        let mut readers: BTreeMap<&Process, Vec<Key>> = BTreeMap::new();
        for operation in &history.operations {
            if operation.outcome == Outcome::Invoke {
                pending.insert(&operation.process, operation);
                ledger.asked(operation);
                continue;
            }
            let asked = pending.remove(&operation.process).map_or(operation.index, |asked| asked.index);
            ledger.answered(operation, asked);
            let reads = readers.entry(&operation.process).or_default();
            match &operation.action {
                Action::Assign(keys) | Action::Subscribe(keys) if operation.outcome == Outcome::Ok => {
                    *reads = keys.clone()
                }
                Action::Assigned(membership) => reads.extend(membership.keys.iter().cloned()),
                Action::Revoked(membership) | Action::Lost(membership) => {
                    reads.retain(|key| !membership.keys.contains(key))
                }
                Action::Poll(_) | Action::Txn(_) if operation.outcome == Outcome::Ok => {
                    ledger.polled(operation, asked, reads)
                }
                _ => {}
            }
        }
        for (key, holes) in &history.holes {
            ledger.book(key).holes.extend(holes);
        }
        ledger
    }

    fn book(&mut self, key: &Key) -> &mut Book {
        if !self.keys.contains_key(key) {
            self.keys.insert(key.clone(), Book::default());
        }
        self.keys.entry(key.clone()).or_default()
    }

    fn asked(&mut self, operation: &Operation) {
        let in_transaction = matches!(operation.action, Action::Txn(_));
        for micro in operation.action.micro_operations() {
            let MicroOperation::Send { key, value, .. } = micro else { continue };
            let book = self.book(key);
            if book.by_value.contains_key(value) {
                continue;
            }
            book.by_value.insert(value.clone(), book.sends.len());
            book.sends.push(Sent {
                value: value.clone(),
                asked: operation.index,
                answered: None,
                outcome: Outcome::Info,
                offset: None,
                in_transaction,
            });
        }
    }

    fn answered(&mut self, operation: &Operation, asked: u64) {
        if let Action::End(ends) = &operation.action
            && operation.outcome == Outcome::Ok
        {
            for (key, (start, _)) in ends {
                let book = self.book(key);
                book.start = book.start.max(*start);
            }
        }
        for micro in operation.action.micro_operations() {
            match micro {
                MicroOperation::Send { key, value, offset } => {
                    let book = self.book(key);
                    let Some(&at) = book.by_value.get(value) else { continue };
                    let sent = &mut book.sends[at];
                    if sent.asked == asked {
                        sent.answered = Some(operation.index);
                        sent.outcome = operation.outcome;
                        sent.offset = *offset;
                    }
                }
                MicroOperation::Poll => {}
                MicroOperation::Polled(records) => {
                    for (key, list) in records {
                        let book = self.book(key);
                        for (offset, value) in list {
                            book.records_read += 1;
                            book.reads.entry(value.clone()).or_default().entry(*offset).or_insert(operation.index);
                            book.at.entry(*offset).or_default().entry(value.clone()).or_insert(operation.index);
                        }
                    }
                }
            }
        }
    }

    fn polled(&mut self, operation: &Operation, asked: u64, assigned: &[Key]) {
        let told = operation.action.micro_operations().iter().filter_map(|micro| match micro {
            MicroOperation::Polled(records) => Some(records.keys()),
            MicroOperation::Send { .. } | MicroOperation::Poll => None,
        });
        for key in told.flatten().chain(assigned) {
            let book = self.book(key);
            book.last_poll_asked = book.last_poll_asked.max(Some(asked));
        }
    }
}

impl Book {
    pub(crate) fn send_of(&self, value: &Value) -> Option<&Sent> {
        self.by_value.get(value).map(|&at| &self.sends[at])
    }

    /// The highest offset that anybody read.
    pub(crate) fn highest_read(&self) -> Option<i64> {
        self.at.last_key_value().map(|(&offset, _)| offset)
    }

    /// Nobody can expect a record there: it lies below the log's start, or in a known hole.
    pub(crate) fn is_gone(&self, offset: i64) -> bool {
        offset < self.start || self.holes.iter().any(|&(from, to)| from <= offset && offset < to)
    }
}
