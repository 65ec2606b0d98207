//! The steps of one operation: a record sent, a poll and what it brought.

use std::collections::BTreeMap;

use super::{Key, Value};

/// One step of a send, a poll or a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MicroOperation {
    /// `["send",key,value]`, or `["send",key,[offset,value]]` once the offset is known.
    Send { key: Key, value: Value, offset: Option<i64> },
    /// `["poll"]`: asked, not answered.
    Poll,
    /// `["poll",{key:[[offset,value],…]}]`, each list in the order in which the records came.
    Polled(BTreeMap<Key, Vec<(i64, Value)>>),
}

impl MicroOperation {
    pub fn send(key: &Key, value: impl Into<Value>) -> MicroOperation {
        MicroOperation::Send { key: key.clone(), value: value.into(), offset: None }
    }

    pub fn sent(key: &Key, offset: i64, value: impl Into<Value>) -> MicroOperation {
        MicroOperation::Send { key: key.clone(), value: value.into(), offset: Some(offset) }
    }
}
