//! Reads a history line by line, each checked against those before, into a table; nothing of a line is kept that no promise asks for.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde::de::DeserializeSeed;
use thiserror::Error;

use super::draft::Draft;
use super::line::{Line, Said};
use super::{History, Table, VERSION};
use crate::Claims;

/// No line of a history is longer: a poll of ten thousand records has a hundredth of it.
pub const LINE_BYTES_MAX: usize = 64 << 20;

/// Why a history could not be read: where, counted from one, and what to do.
#[derive(Debug, Error)]
pub enum HistoryError {
    #[error("the history is empty: its first line is {{\"history\":1,\"claims\":{{…}}}}")]
    Empty,
    #[error("line {line}: {why}")]
    Line { line: usize, why: String },
    #[error("line {line}, column {column}: {why}")]
    Column { line: usize, column: usize, why: String },
    #[error("operation {index}: {why}")]
    Operation { index: u64, why: String },
    #[error("line {line} could not be read: {error}")]
    Read { line: usize, error: io::Error },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    history: u64,
    #[serde(default)]
    claims: Claims,
}

impl Table {
    /// Reads a whole history.
    ///
    /// # Errors
    /// The first line that is not of the contract.
    pub fn read(source: impl BufRead) -> Result<Table, HistoryError> {
        read(source, None, |_, _| {})
    }

    /// The same of a source that is known to hold so many bytes.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_sized(source: impl BufRead, bytes: u64) -> Result<Table, HistoryError> {
        read(source, Some(bytes), |_, _| {})
    }
}

impl History {
    /// Reads a whole history, each line as it was written. To judge it, a [`Table`] is enough.
    ///
    /// # Errors
    /// The first line that is not of the contract.
    pub fn read(source: impl BufRead) -> Result<History, HistoryError> {
        let mut operations = Vec::new();
        let table = read(source, None, |table, draft| operations.extend(table.operation(draft)))?;
        let holes = table.holes.iter().map(|(key, holes)| (table.keys.key(*key), holes.clone()));
        Ok(History { operations, holes: holes.collect(), claims: table.claims })
    }
}

/// Lines after which those to come are expected to hold what those before held.
const SAMPLE_LINES: usize = 4096;

/// Reads line after line; each operation is shown before it is admitted.
fn read(
    source: impl BufRead,
    mut bytes: Option<u64>,
    mut show: impl FnMut(&Table, &Draft),
) -> Result<Table, HistoryError> {
    let mut lines = Lines { source, number: 0, bytes: 0, buffer: Vec::new() };
    let Some(text) = lines.next()? else { return Err(HistoryError::Empty) };
    let mut table = Table::new(header(text).map_err(|error| lines.error(error, HEADER))?);
    let mut draft = Draft::default();
    loop {
        if let Some(all) = bytes.take_if(|_| SAMPLE_LINES <= lines.number) {
            table.make_room(usize::try_from(all / lines.bytes.max(1)).unwrap_or(0));
        }
        let Some(text) = lines.next()? else { break };
        draft.clear();
        let mut json = serde_json::Deserializer::from_str(text);
        let said = Line { draft: &mut draft, table: &mut table }.deserialize(&mut json);
        match said.and_then(|said| json.end().map(|()| said)) {
            Ok(Said::Holes) => {}
            Ok(Said::Operation) => {
                show(&table, &draft);
                table.admit(&mut draft).map_err(|why| lines.refuse(why))?;
            }
            Err(error) => return Err(lines.error(error, "")),
        }
    }
    table.finish();
    Ok(table)
}

const HEADER: &str = ": begin with {\"history\":1,\"claims\":{\"acks\":\"all\"}}";

fn header(text: &str) -> Result<Claims, serde_json::Error> {
    use serde::de::Error;
    let Header { history, claims } = serde_json::from_str(text)?;
    if history != VERSION {
        return Err(serde_json::Error::custom(format_args!("version {history} is unknown, and {VERSION} is known")));
    }
    Ok(claims)
}

struct Lines<R> {
    source: R,
    number: usize,
    /// Read so far.
    bytes: u64,
    buffer: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// The next line that is not blank.
    fn next(&mut self) -> Result<Option<&str>, HistoryError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let limit = LINE_BYTES_MAX as u64 + 1;
            let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
            self.bytes += self.buffer.len() as u64;
            match read {
                Ok(0) => return Ok(None),
                Ok(read) if LINE_BYTES_MAX < read => {
                    return Err(self.refuse(format!("the line is longer than {} MiB", LINE_BYTES_MAX >> 20)));
                }
                Ok(_) if self.buffer.trim_ascii().is_empty() => {}
                Ok(_) => break,
                Err(error) => return Err(HistoryError::Read { line: self.number, error }),
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text.trim_end())),
            Err(error) => Err(HistoryError::Column {
                line: self.number,
                column: error.valid_up_to() + 1,
                why: "this is no text, and a history is lines of JSON".into(),
            }),
        }
    }

    fn refuse(&self, why: String) -> HistoryError {
        HistoryError::Line { line: self.number, why }
    }

    fn error(&self, error: serde_json::Error, remedy: &str) -> HistoryError {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let why = error.to_string();
        let why = format!("{}{remedy}", why.strip_suffix(&place).unwrap_or(&why));
        match error.column() {
            0 => self.refuse(why),
            column => HistoryError::Column { line: self.number, column, why },
        }
    }
}
