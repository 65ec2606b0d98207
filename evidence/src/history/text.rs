//! The text form of a history: JSON lines. First the claims, then one line an event, then the known holes.
//!
//! ```text
//! {"history":1,"claims":{"acks":"all","idempotent":true,…}}
//! {"index":0,"time":1200,"process":3,"type":"invoke","f":"send","value":[["send","orders/0",17]]}
//! {"index":1,"time":2100,"process":3,"type":"ok","f":"send","value":[["send","orders/0",[0,17]]]}
//! {"holes":{"orders/0":[[5,6]]}}
//! ```
//! Strict: a line that says something else than the contract is refused with its number and a remedy.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Write};

use serde_json::{Map, Value as Json, json};
use thiserror::Error;

use super::parse::{Names, ParsedLine};
use super::{Action, History, Key, Membership, MicroOperation, Offsets, Operation, Outcome, Process, Value};
use crate::Claims;

/// The version that is written and read.
pub const VERSION: u64 = 1;

/// One line after the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Operation(Operation),
    Holes(BTreeMap<Key, Vec<(i64, i64)>>),
}

/// Why a history could not be read: the line, counted from one, and what to do.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error("the history is empty: its first line is {{\"history\":1,\"claims\":{{…}}}}")]
    Empty,
    #[error("line {line}: {why}")]
    Line { line: usize, why: String },
    #[error("line {line} could not be read: {error}")]
    Read { line: usize, error: io::Error },
}

/// Reads a history line by line, and checks each against those before.
pub struct Lines<R> {
    source: R,
    line: usize,
    buffer: String,
    claims: Claims,
    names: Names,
    order: Order,
    failed: bool,
}

/// What the lines so far allow the next one to be.
#[derive(Default)]
struct Order {
    index: Option<u64>,
    time: Option<model::Time>,
    pending: BTreeMap<Process, &'static str>,
    ended: BTreeSet<Process>,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// `Empty`, `Read`, or `Line` if it is no header of version 1.
    pub fn new(source: R) -> Result<Lines<R>, HistoryError> {
        let mut lines = Lines {
            source,
            line: 0,
            buffer: String::new(),
            claims: Claims::default(),
            names: Names::default(),
            order: Order::default(),
            failed: false,
        };
        if !lines.advance()? {
            return Err(HistoryError::Empty);
        }
        lines.claims = super::parse::header(lines.buffer.trim_end()).map_err(|why| lines.error(why))?;
        Ok(lines)
    }

    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Brings the next line that is not blank into the buffer; false at the end.
    fn advance(&mut self) -> Result<bool, HistoryError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let read = self.source.read_line(&mut self.buffer);
            match read {
                Ok(0) => return Ok(false),
                Ok(_) if self.buffer.trim().is_empty() => {}
                Ok(_) => return Ok(true),
                Err(error) => return Err(HistoryError::Read { line: self.line, error }),
            }
        }
    }

    fn error(&self, why: String) -> HistoryError {
        HistoryError::Line { line: self.line, why }
    }

    fn parse(&mut self) -> Result<Option<Line>, HistoryError> {
        if !self.advance()? {
            return Ok(None);
        }
        let parsed = super::parse::line(self.buffer.trim_end(), &mut self.names).map_err(|why| self.error(why))?;
        match parsed {
            ParsedLine::Holes(holes) => Ok(Some(Line::Holes(holes))),
            ParsedLine::Operation(operation) => {
                self.order.admit(&operation).map_err(|why| self.error(why))?;
                Ok(Some(Line::Operation(operation)))
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let line = self.parse().transpose();
        self.failed = matches!(line, Some(Err(_)));
        line
    }
}

impl Order {
    fn admit(&mut self, operation: &Operation) -> Result<(), String> {
        if let Some(last) = self.index
            && operation.index <= last
        {
            return Err(format!(
                "index {} follows {last}: write the lines in the order of their index",
                operation.index
            ));
        }
        self.index = Some(operation.index);
        if let (Some(last), Some(time)) = (self.time, operation.time)
            && time < last
        {
            return Err(format!("time {} follows {}: take times from one clock that never goes back", time.0, last.0));
        }
        self.time = operation.time.or(self.time);
        let process = &operation.process;
        if self.ended.contains(process) {
            return Err(format!("process {process} acts after its info: give a client a new process after each info"));
        }
        if operation.action == Action::Crash {
            self.pending.remove(process);
            if operation.outcome != Outcome::Invoke {
                self.ended.insert(process.clone());
            }
            return Ok(());
        }
        if operation.outcome == Outcome::Invoke {
            return match self.pending.insert(process.clone(), operation.action.name()) {
                None => Ok(()),
                Some(asked) => {
                    Err(format!("process {process} asks while its {asked} waits for an answer: write that first"))
                }
            };
        }
        if self.pending.get(process) == Some(&operation.action.name()) {
            self.pending.remove(process);
        } else if !operation.action.is_notice() {
            return Err(format!(
                "{} {} of process {process} answers nothing: write its invoke first",
                operation.action.name(),
                operation.outcome.name()
            ));
        }
        if operation.outcome == Outcome::Info {
            self.ended.insert(process.clone());
        }
        Ok(())
    }
}

impl History {
    /// Reads a whole history.
    ///
    /// # Errors
    /// The first line that is not of the contract.
    pub fn read(source: impl BufRead) -> Result<History, HistoryError> {
        let mut lines = Lines::new(source)?;
        let mut history = History::new(lines.claims().clone());
        for line in &mut lines {
            match line? {
                Line::Operation(operation) => history.operations.push(operation),
                Line::Holes(holes) => {
                    for (key, mut ranges) in holes {
                        history.holes.entry(key).or_default().append(&mut ranges);
                    }
                }
            }
        }
        Ok(history)
    }

    /// Writes it as JSON lines.
    ///
    /// # Errors
    /// What the sink gives.
    pub fn write(&self, mut sink: impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut sink, &json!({ "history": VERSION, "claims": self.claims }))?;
        writeln!(sink)?;
        for operation in &self.operations {
            serde_json::to_writer(&mut sink, &operation_json(operation))?;
            writeln!(sink)?;
        }
        if !self.holes.is_empty() {
            serde_json::to_writer(&mut sink, &json!({ "holes": by_key(&self.holes, |ranges| json!(ranges)) }))?;
            writeln!(sink)?;
        }
        Ok(())
    }
}

fn operation_json(operation: &Operation) -> Json {
    let mut line = Map::new();
    line.insert("index".into(), operation.index.into());
    if let Some(time) = operation.time {
        line.insert("time".into(), time.0.into());
    }
    line.insert(
        "process".into(),
        match &operation.process {
            Process::Number(number) => (*number).into(),
            Process::Name(name) => (&**name).into(),
        },
    );
    line.insert("type".into(), operation.outcome.name().into());
    line.insert("f".into(), operation.action.name().into());
    line.insert("value".into(), action_json(&operation.action));
    if let Some(error) = &operation.error {
        line.insert("error".into(), error.as_str().into());
    }
    if let Some(log) = &operation.rebalance_log {
        line.insert("rebalance_log".into(), log.clone());
    }
    Json::Object(line)
}

fn action_json(action: &Action) -> Json {
    match action {
        Action::Send(list) | Action::Poll(list) | Action::Txn(list) => list.iter().map(micro_json).collect(),
        Action::Assign(keys) | Action::Subscribe(keys) => keys_json(keys),
        Action::Assigned(membership) | Action::Revoked(membership) | Action::Lost(membership) => {
            let Membership { group, generation, keys } = membership;
            json!({ "group": &**group, "generation": generation, "keys": keys_json(keys) })
        }
        Action::Commit(Offsets { group, offsets }) | Action::Committed(Offsets { group, offsets }) => {
            json!({ "group": &**group, "offsets": by_key(offsets, |offset| json!(offset)) })
        }
        Action::End(ends) => by_key(ends, |(start, end)| json!([start, end])),
        Action::Crash => Json::Null,
    }
}

fn micro_json(micro: &MicroOperation) -> Json {
    match micro {
        MicroOperation::Send { key, value, offset: None } => json!(["send", &*key.0, value_json(value)]),
        MicroOperation::Send { key, value, offset: Some(offset) } => {
            json!(["send", &*key.0, [json!(offset), value_json(value)]])
        }
        MicroOperation::Poll => json!(["poll"]),
        MicroOperation::Polled(records) => {
            let list = |list: &Vec<(i64, Value)>| {
                list.iter().map(|(offset, value)| json!([offset, value_json(value)])).collect()
            };
            json!(["poll", by_key(records, list)])
        }
    }
}

fn value_json(value: &Value) -> Json {
    match value {
        Value::Integer(number) => (*number).into(),
        Value::Text(text) => (&**text).into(),
    }
}

fn keys_json(keys: &[Key]) -> Json {
    keys.iter().map(|key| Json::from(&*key.0)).collect()
}

fn by_key<T>(map: &BTreeMap<Key, T>, json: impl Fn(&T) -> Json) -> Json {
    Json::Object(map.iter().map(|(key, value)| (key.0.to_string(), json(value))).collect())
}
