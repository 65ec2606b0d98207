//! The history: what clients asked and were told, in the order in which a bystander saw it.
//!
//! One line an event: `invoke` when a client asks, then `ok` (it happened), `fail` (it certainly did not) or `info` (nobody
//! knows, and it may still happen). A process never acts again after its `info`. The text form is JSON lines.
//!
//! Absent from here: what any of it means. Keys, values and offsets are taken as they are told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::Time;

use crate::Claims;

mod draft;
mod line;
mod micro;
mod names;
mod operation;
mod read;
mod recorder;
mod table;
mod write;

pub use draft::Kind;
pub use micro::MicroOperation;
pub use names::{NONE, Names, Records};
pub use read::{HistoryError, LINE_BYTES_MAX};
pub use recorder::Recorder;
pub use table::{Detail, List, Moment, Read, Row, Sent, Table};

/// The version of the text form that is written and read.
pub const VERSION: u64 = 1;

/// One partition, `topic/partition`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Arc<str>);

/// What a record carries; unique in its key. Clones share the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    Integer(i64),
    Text(Arc<str>),
    /// Any other JSON, in its canonical form.
    Json(Arc<str>),
}

/// Who acts: one client, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    Number(u64),
    Name(Arc<str>),
}

/// What became of an operation, or that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Invoke,
    /// It happened.
    Ok,
    /// It certainly did not happen.
    Fail,
    /// It may have happened, and may still.
    Info,
}

/// A group member's view of an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub group: Arc<str>,
    pub generation: i64,
    pub keys: Vec<Key>,
}

/// Offsets of a group: asked to be committed, or answered as committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    pub group: Arc<str>,
    pub offsets: BTreeMap<Key, i64>,
}

/// What is asked or told: `f` and `value` of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Send(Vec<MicroOperation>),
    Poll(Vec<MicroOperation>),
    Txn(Vec<MicroOperation>),
    Assign(Vec<Key>),
    Subscribe(Vec<Key>),
    Assigned(Membership),
    Revoked(Membership),
    Lost(Membership),
    Commit(Offsets),
    Committed(Offsets),
    /// Start and end (exclusive) of partitions, as an offset look-up answers.
    End(BTreeMap<Key, (i64, i64)>),
    /// The client died.
    Crash,
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Rises from line to line; says which of two events a bystander saw first.
    pub index: u64,
    /// World time; absent where it is not known, and then only promises without time are judged.
    pub time: Option<Time>,
    pub process: Process,
    pub outcome: Outcome,
    pub action: Action,
    pub error: Option<String>,
    /// What the client's group went through meanwhile, in words or data of the client's own.
    pub rebalance_log: Option<serde_json::Value>,
}

/// A whole history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub claims: Claims,
    pub operations: Vec<Operation>,
    /// Stretches of offsets, ends exclusive, that are known to hold no record for consumers.
    pub holes: BTreeMap<Key, Vec<(i64, i64)>>,
}

impl History {
    pub fn new(claims: Claims) -> History {
        History { claims, operations: Vec::new(), holes: BTreeMap::new() }
    }

    /// Takes out whatever speaks of a topic: sends, what polls brought, ends.
    pub fn forget_topic(&mut self, topic: &str) {
        let is_other = |key: &Key| key.0.rsplit_once('/').is_none_or(|(name, _)| name != topic);
        self.operations.retain_mut(|operation| match &mut operation.action {
            Action::Send(micro) | Action::Poll(micro) | Action::Txn(micro) => {
                let had_any = !micro.is_empty();
                micro.retain_mut(|one| match one {
                    MicroOperation::Send { key, .. } => is_other(key),
                    MicroOperation::Poll => true,
                    MicroOperation::Polled(records) => {
                        records.retain(|key, _| is_other(key));
                        true
                    }
                });
                !had_any || !micro.is_empty()
            }
            Action::Assign(keys) | Action::Subscribe(keys) => {
                keys.retain(is_other);
                true
            }
            Action::End(ends) => {
                let had_any = !ends.is_empty();
                ends.retain(|key, _| is_other(key));
                !had_any || !ends.is_empty()
            }
            Action::Commit(offsets) | Action::Committed(offsets) => {
                offsets.offsets.retain(|key, _| is_other(key));
                true
            }
            Action::Assigned(_) | Action::Revoked(_) | Action::Lost(_) | Action::Crash => true,
        });
        self.holes.retain(|key, _| is_other(key));
    }
}

impl Key {
    pub fn new(topic: &str, partition: i32) -> Key {
        Key(format!("{topic}/{partition}").into())
    }

    /// The topic, and the partition if the key ends in one.
    pub fn parts(&self) -> (&str, Option<i32>) {
        match self.0.rsplit_once('/') {
            Some((topic, partition)) => match partition.parse() {
                Ok(number) => (topic, Some(number)),
                Err(_) => (&self.0, None),
            },
            None => (&self.0, None),
        }
    }
}

impl Action {
    /// The micro-operations of a send, a poll or a transaction; none for all else.
    pub fn micro_operations(&self) -> &[MicroOperation] {
        match self {
            Action::Send(list) | Action::Poll(list) | Action::Txn(list) => list,
            Action::Assign(_)
            | Action::Subscribe(_)
            | Action::Assigned(_)
            | Action::Revoked(_)
            | Action::Lost(_)
            | Action::Commit(_)
            | Action::Committed(_)
            | Action::End(_)
            | Action::Crash => &[],
        }
    }

    /// `f` of its line.
    pub fn kind(&self) -> Kind {
        match self {
            Action::Send(_) => Kind::Send,
            Action::Poll(_) => Kind::Poll,
            Action::Txn(_) => Kind::Txn,
            Action::Assign(_) => Kind::Assign,
            Action::Subscribe(_) => Kind::Subscribe,
            Action::Assigned(_) => Kind::Assigned,
            Action::Revoked(_) => Kind::Revoked,
            Action::Lost(_) => Kind::Lost,
            Action::Commit(_) => Kind::Commit,
            Action::Committed(_) => Kind::Committed,
            Action::End(_) => Kind::End,
            Action::Crash => Kind::Crash,
        }
    }

    /// The word for it in the text form.
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// A thing that befalls a client rather than one that it asks for: its line needs no `invoke` before it.
    pub fn is_notice(&self) -> bool {
        self.kind().is_notice()
    }
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Invoke => "invoke",
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Value {
        Value::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.into())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Integer(number) => number.fmt(f),
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Json(text) => f.pad(text),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Number(number) => number.fmt(f),
            Process::Name(name) => f.pad(name),
        }
    }
}
