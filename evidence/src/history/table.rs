//! The table: a history in columns, each operation's question and answer in one row, names and records as numbers.
//!
//! A million operations take a few hundred bytes each, and a promise runs over a column without looking at the rest.

use std::collections::BTreeMap;
use std::ops::Range;

use foldhash::fast::FixedState;
use indexmap::IndexSet;
use model::Time;

use super::draft::{Draft, Kind};
use super::names::{NONE, Names, Records};
use super::{Action, History, HistoryError, MicroOperation, Outcome, Process};
use crate::Claims;

/// A whole history, read or recorded.
#[derive(Debug, Default)]
pub struct Table {
    pub claims: Claims,
    pub keys: Names,
    pub groups: Names,
    pub records: Records,
    processes: IndexSet<Process, FixedState>,
    rows: Vec<Row>,
    /// Operations in the order of their answers, then those that were never answered.
    answered: Vec<u32>,
    sends: Vec<Sent>,
    lists: Vec<List>,
    reads: Vec<Read>,
    details: Vec<Detail>,
    rebalances: BTreeMap<u32, serde_json::Value>,
    /// Stretches of offsets by key, ends exclusive, that are known to hold no record for consumers.
    pub holes: BTreeMap<u32, Vec<(i64, i64)>>,
    states: Vec<State>,
    is_timed: bool,
    index: Option<u64>,
}

/// One operation: what was asked, and what was told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub process: u32,
    pub kind: Kind,
    /// `Info` where nobody answered.
    pub outcome: Outcome,
    /// The line that asks. A notice asks and tells at once.
    pub asked: Moment,
    pub told: Option<Moment>,
    sends: (u32, u32),
    lists: (u32, u32),
    detail: u32,
}

/// A line: where it stands, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub index: u64,
    pub time: Option<Time>,
}

/// A record that was to be sent, and the offset if it was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    pub record: u32,
    offset: i64,
}

/// Records of one key that one poll brought, in their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct List {
    pub key: u32,
    start: u32,
}

/// One record that a poll brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    pub offset: i64,
    pub record: u32,
}

/// What an operation other than a send, a poll or a transaction speaks of.
#[derive(Clone, Debug, PartialEq)]
pub enum Detail {
    Keys(Vec<u32>),
    Membership {
        group: u32,
        generation: i64,
        keys: Vec<u32>,
    },
    /// -1: none is committed.
    Offsets {
        group: u32,
        offsets: Vec<(u32, i64)>,
    },
    /// Key, start and end.
    Ends(Vec<(u32, i64, i64)>),
}

/// What a process may do next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct State {
    pending: Option<u32>,
    is_over: bool,
    time: Option<Time>,
}

impl Sent {
    pub fn offset(self) -> Option<i64> {
        Some(self.offset).filter(|&offset| 0 <= offset)
    }
}

impl Row {
    pub fn operations(&self) -> impl Iterator<Item = u64> + use<> {
        let told = self.told.map(|told| told.index).filter(|told| *told != self.asked.index);
        [Some(self.asked.index), told].into_iter().flatten()
    }

    /// The line that tells, or else the one that asks.
    pub fn last_line(&self) -> u64 {
        self.told.unwrap_or(self.asked).index
    }
}

impl Table {
    pub fn new(claims: Claims) -> Table {
        Table { claims, is_timed: true, ..Table::default() }
    }

    /// The history in columns.
    ///
    /// # Errors
    /// The first operation that is not of the contract: one that sends a value of a key a second time, say.
    pub fn of(history: &History) -> Result<Table, HistoryError> {
        let mut table = Table::new(history.claims.clone());
        let mut draft = Draft::default();
        for operation in &history.operations {
            draft.clear();
            draft.index = operation.index;
            draft.time = operation.time;
            draft.process = Some(operation.process.clone());
            draft.outcome = Some(operation.outcome);
            draft.rebalance_log = operation.rebalance_log.clone();
            table.draft(&operation.action, &mut draft);
            table.admit(&mut draft).map_err(|why| HistoryError::Operation { index: operation.index, why })?;
        }
        for (key, holes) in &history.holes {
            let key = table.keys.number(&key.0);
            table.holes.entry(key).or_default().extend(holes);
        }
        table.finish();
        Ok(table)
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn row(&self, operation: u32) -> &Row {
        &self.rows[operation as usize]
    }

    /// Every operation, in the order of their answers; those that were never answered come last.
    pub fn answered(&self) -> &[u32] {
        &self.answered
    }

    pub fn process(&self, number: u32) -> &Process {
        &self.processes[number as usize]
    }

    pub fn process_count(&self) -> usize {
        self.processes.len()
    }

    /// Does every line have its time?
    pub fn is_timed(&self) -> bool {
        self.is_timed && !self.rows.is_empty()
    }

    /// What an operation was to send, as its answer tells it, or else its question.
    pub fn sends(&self, row: &Row) -> &[Sent] {
        &self.sends[row.sends.0 as usize..row.sends.1 as usize]
    }

    /// What an operation's polls brought.
    pub fn lists(&self, row: &Row) -> impl Iterator<Item = (u32, &[Read])> {
        self.list_range(row).map(|place| (self.lists[place].key, self.reads(place)))
    }

    fn list_range(&self, row: &Row) -> Range<usize> {
        row.lists.0 as usize..row.lists.1 as usize
    }

    fn reads(&self, place: usize) -> &[Read] {
        let end = self.lists.get(place + 1).map_or(self.reads.len(), |next| next.start as usize);
        &self.reads[self.lists[place].start as usize..end]
    }

    pub fn read_count(&self) -> usize {
        self.reads.len()
    }

    pub fn detail(&self, row: &Row) -> Option<&Detail> {
        self.details.get(row.detail as usize)
    }

    /// Does the operation's rebalance log, whatever its form, name the key?
    pub fn rebalances(&self, operation: u32, key: u32) -> bool {
        self.rebalances.get(&operation).is_some_and(|log| names(log, self.keys.get(key)))
    }

    /// The same history as lines, without errors and logs: what remains of it in columns.
    fn content(&self) -> impl PartialEq + '_ {
        let value = |record: u32| (self.records.key(record), self.records.told(record));
        let sends: Vec<_> = self.sends.iter().map(|sent| (value(sent.record), sent.offset)).collect();
        let reads: Vec<_> = self.reads.iter().map(|read| (read.offset, value(read.record))).collect();
        let senders: Vec<_> = (0..self.records.len() as u32).map(|record| self.records.sender(record)).collect();
        let names = (&self.claims, &self.keys, &self.groups, &self.processes);
        let rows = (&self.rows, &self.answered, &self.lists, &self.details, &self.rebalances);
        (names, rows, sends, reads, senders, &self.holes, self.is_timed)
    }

    /// Takes a line into the columns.
    ///
    /// # Errors
    /// A sentence, if those before do not allow it.
    pub(super) fn admit(&mut self, draft: &mut Draft) -> Result<(), String> {
        let moment = Moment { index: draft.index, time: draft.time };
        if let Some(last) = self.index
            && draft.index <= last
        {
            return Err(format!("index {} follows {last}: write the lines in the order of their index", draft.index));
        }
        self.index = Some(draft.index);
        if (NONE as usize) < self.reads.len() + draft.reads.len() + 1 || NONE as usize <= self.sends.len() + 1 {
            return Err(format!("more than {NONE} records: cut the history into parts"));
        }
        self.is_timed &= draft.time.is_some();
        let Some(process) = draft.process.take() else { return Err("a line needs its process".into()) };
        let process = self.processes.insert_full(process).0;
        if process == self.states.len() {
            self.states.push(State::default());
        }
        let mut state = self.states[process];
        let name = |table: &Table| table.processes[process].to_string();
        if state.is_over {
            return Err(format!(
                "process {} acts after its end: give a client a new process after each info and each crash",
                name(self)
            ));
        }
        if let (Some(last), Some(time)) = (state.time, draft.time)
            && time < last
        {
            return Err(format!(
                "time {} of process {} follows {}: take times from a clock that never goes back",
                time.0,
                name(self),
                last.0
            ));
        }
        state.time = draft.time.or(state.time);
        let Some(outcome) = draft.outcome else { return Err("a line needs its type".into()) };
        let kind = draft.kind;
        let pending = state.pending.filter(|&asked| self.rows[asked as usize].kind == kind);
        match (outcome, pending) {
            (Outcome::Invoke, _) if kind == Kind::Crash => {}
            (Outcome::Invoke, _) => {
                if let Some(asked) = state.pending {
                    let asked = self.rows[asked as usize].kind.name();
                    let name = name(self);
                    return Err(format!("process {name} asks while its {asked} waits for an answer: write that first"));
                }
                state.pending = Some(self.ask(process as u32, moment, draft)?);
            }
            (_, Some(asked)) => {
                state.pending = None;
                self.tell(asked, moment, outcome, draft)?;
                state.is_over = outcome == Outcome::Info;
            }
            (_, None) if kind.is_notice() => {
                let row = self.ask(process as u32, moment, draft)?;
                self.tell(row, moment, outcome, draft)?;
                state.is_over = outcome == Outcome::Info || kind == Kind::Crash;
            }
            (_, None) => {
                let (name, word) = (name(self), kind.name());
                let outcome = outcome.name();
                return Err(format!("{word} {outcome} of process {name} answers nothing: write its invoke first"));
            }
        }
        self.states[process] = state;
        Ok(())
    }

    /// Room for so many times what is held: columns that grow are copied, and their old pages given back and asked for again.
    pub(super) fn make_room(&mut self, times: usize) {
        fn more<T>(column: &mut Vec<T>, times: usize) {
            let _too_much = column.try_reserve_exact(column.len().saturating_mul(times));
        }
        self.records.make_room(times);
        more(&mut self.rows, times);
        more(&mut self.answered, times);
        more(&mut self.sends, times);
        more(&mut self.lists, times);
        more(&mut self.reads, times);
    }

    fn ask(&mut self, process: u32, asked: Moment, draft: &mut Draft) -> Result<u32, String> {
        let operation = self.rows.len() as u32;
        let lists = self.lists.len() as u32;
        let sends = self.take_sends(operation, draft)?;
        // What becomes of these is not certain before they are answered, and perhaps not then.
        let is_open = matches!(draft.kind, Kind::Assign | Kind::Subscribe | Kind::Commit);
        let detail = if is_open { self.take_detail(draft) } else { NONE };
        let (outcome, lists) = (Outcome::Info, (lists, lists));
        self.rows.push(Row { process, kind: draft.kind, outcome, asked, told: None, sends, lists, detail });
        Ok(operation)
    }

    fn tell(&mut self, operation: u32, told: Moment, outcome: Outcome, draft: &mut Draft) -> Result<(), String> {
        // A refusal that tells no records speaks of those that were asked.
        let sends = match draft.sends.is_empty() {
            true => self.rows[operation as usize].sends,
            false => self.take_sends(operation, draft)?,
        };
        let (first, reads) = (self.lists.len() as u32, self.reads.len() as u32);
        self.lists.extend(draft.lists.iter().map(|list| List { key: list.key, start: reads + list.start }));
        self.reads.extend(draft.reads.iter().map(|&(offset, record)| Read { offset, record }));
        let is_told = outcome == Outcome::Ok || draft.group.is_some() || !draft.keys.is_empty();
        let detail = match is_told || !draft.offsets.is_empty() {
            true => self.take_detail(draft),
            false => self.rows[operation as usize].detail,
        };
        let row = &mut self.rows[operation as usize];
        (row.outcome, row.told, row.sends, row.detail) = (outcome, Some(told), sends, detail);
        row.lists = (first, self.lists.len() as u32);
        self.answered.push(operation);
        if let Some(log) = draft.rebalance_log.take() {
            self.rebalances.insert(operation, log);
        }
        Ok(())
    }

    fn take_sends(&mut self, operation: u32, draft: &Draft) -> Result<(u32, u32), String> {
        let first = self.sends.len() as u32;
        let is_asked = self.rows.len() as u32 == operation;
        for &(record, offset) in &draft.sends {
            let sender = &mut self.records.senders[record as usize];
            if *sender != NONE && (is_asked || *sender != operation) {
                return Err(format!(
                    "{} is sent to {} a second time: give each record of a key a value of its own",
                    self.records.told(record),
                    self.keys.get(self.records.key(record))
                ));
            }
            *sender = operation;
            self.sends.push(Sent { record, offset });
        }
        Ok((first, self.sends.len() as u32))
    }

    fn take_detail(&mut self, draft: &mut Draft) -> u32 {
        let detail = match (draft.kind, draft.group) {
            (Kind::Send | Kind::Poll | Kind::Txn | Kind::Crash, _) => return NONE,
            (Kind::Assign | Kind::Subscribe, _) => Detail::Keys(draft.keys.clone()),
            (Kind::Assigned | Kind::Revoked | Kind::Lost, Some(group)) => {
                Detail::Membership { group, generation: draft.generation, keys: draft.keys.clone() }
            }
            (Kind::Commit | Kind::Committed, Some(group)) => Detail::Offsets { group, offsets: draft.offsets.clone() },
            (Kind::End, _) => {
                let ends = draft.offsets.iter().zip(&draft.ends);
                Detail::Ends(ends.map(|(&(key, start), &end)| (key, start, end)).collect())
            }
            (Kind::Assigned | Kind::Revoked | Kind::Lost | Kind::Commit | Kind::Committed, None) => return NONE,
        };
        self.details.push(detail);
        self.details.len() as u32 - 1
    }

    /// No line comes any more.
    pub(super) fn finish(&mut self) {
        let open = self.states.iter().filter_map(|state| state.pending);
        let mut open: Vec<u32> = open.filter(|&asked| self.rows[asked as usize].told.is_none()).collect();
        open.sort_unstable();
        self.answered.extend(open);
        self.states = Vec::new();
    }

    /// Numbers for all that an action speaks of.
    fn draft(&mut self, action: &Action, draft: &mut Draft) {
        draft.kind = action.kind();
        match action {
            Action::Send(list) | Action::Poll(list) | Action::Txn(list) => self.draft_micros(list, draft),
            Action::Assign(keys) | Action::Subscribe(keys) => {
                draft.keys.extend(keys.iter().map(|key| self.keys.number(&key.0)))
            }
            Action::Assigned(membership) | Action::Revoked(membership) | Action::Lost(membership) => {
                draft.group = Some(self.groups.number(&membership.group));
                draft.generation = membership.generation;
                draft.keys.extend(membership.keys.iter().map(|key| self.keys.number(&key.0)));
            }
            Action::Commit(asked) | Action::Committed(asked) => {
                draft.group = Some(self.groups.number(&asked.group));
                draft
                    .offsets
                    .extend(asked.offsets.iter().map(|(key, offset)| (self.keys.number(&key.0), (*offset).max(-1))));
            }
            Action::End(ends) => {
                for (key, (start, end)) in ends {
                    draft.offsets.push((self.keys.number(&key.0), *start));
                    draft.ends.push(*end);
                }
            }
            Action::Crash => {}
        }
    }

    fn draft_micros(&mut self, micros: &[MicroOperation], draft: &mut Draft) {
        for micro in micros {
            match micro {
                MicroOperation::Send { key, value, offset } => {
                    let key = self.keys.number(&key.0);
                    let offset = offset.unwrap_or(-1);
                    draft.sends.push((self.records.value(key, offset, value), offset));
                }
                MicroOperation::Poll => {}
                MicroOperation::Polled(records) => {
                    for (key, list) in records {
                        let key = self.keys.number(&key.0);
                        draft.lists.push(super::draft::DraftList { key, start: draft.reads.len() as u32 });
                        let reads =
                            list.iter().map(|(offset, value)| (*offset, self.records.value(key, *offset, value)));
                        draft.reads.extend(reads);
                    }
                }
            }
        }
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Table) -> bool {
        self.content() == other.content()
    }
}

fn names(log: &serde_json::Value, key: &str) -> bool {
    use serde_json::Value as Json;
    match log {
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
        Json::String(text) => {
            let edge = |c: char| matches!(c, ',' | ';' | ':' | '[' | ']' | '(' | ')' | '{' | '}' | '"' | '\'' | '.');
            text.split_whitespace().any(|word| word == key || word.trim_matches(edge) == key)
        }
        Json::Array(list) => list.iter().any(|item| names(item, key)),
        Json::Object(map) => map.iter().any(|(name, item)| name == key || names(item, key)),
    }
}
