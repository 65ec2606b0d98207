//! Names and records as small numbers: each text and each value is held once, however often a history tells of it.

use std::hash::{Hash, Hasher};

use foldhash::fast::FixedState;
use indexmap::{Equivalent, IndexSet};

use super::{Key, Value};

/// Texts, numbered in the order in which they first came. The hash is fixed, and only that order is ever seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(IndexSet<Box<str>, FixedState>);

/// Numbers a name or a record can have; the last one stands for none.
pub const NONE: u32 = u32::MAX;

impl Names {
    pub fn number(&mut self, text: &str) -> u32 {
        match self.0.get_index_of(text) {
            Some(known) => known as u32,
            None => self.0.insert_full(text.into()).0 as u32,
        }
    }

    pub fn get(&self, number: u32) -> &str {
        &self.0[number as usize]
    }

    pub fn find(&self, text: &str) -> Option<u32> {
        self.0.get_index_of(text).map(|known| known as u32)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Every record that is spoken of: a value of a key, its number the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Records {
    records: IndexSet<Record, FixedState>,
    /// The operation that sent it.
    pub(super) senders: Vec<u32>,
    /// By key and offset: what was last said to stand there. It most likely stands there still, and need not be searched for.
    guesses: Vec<Vec<Guess>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    key: u32,
    value: Held,
}

/// What a record carries, as it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    Integer(i64),
    Text(Box<str>),
    Json(Box<str>),
}

/// A value that is looked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sought<'a> {
    Integer(i64),
    Text(&'a str),
    Json(&'a str),
}

/// A record that is looked for; one that is held hashes alike.
#[derive(PartialEq, Eq, Hash)]
struct Seeking<'a> {
    key: u32,
    value: Sought<'a>,
}

impl Record {
    fn seeking(&self) -> Seeking<'_> {
        let value = match &self.value {
            Held::Integer(number) => Sought::Integer(*number),
            Held::Text(text) => Sought::Text(text),
            Held::Json(text) => Sought::Json(text),
        };
        Seeking { key: self.key, value }
    }
}

impl Hash for Record {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.seeking().hash(state);
    }
}

impl Equivalent<Record> for Seeking<'_> {
    fn equivalent(&self, known: &Record) -> bool {
        *self == known.seeking()
    }
}

impl Sought<'_> {
    fn held(self) -> Held {
        match self {
            Sought::Integer(number) => Held::Integer(number),
            Sought::Text(text) => Held::Text(text.into()),
            Sought::Json(text) => Held::Json(text.into()),
        }
    }
}

/// A record that may stand at an offset, [`NONE`] if none was told to. What it carries is held here too if that is a number, as it
/// mostly is: the next offset's lies beside it, where the record itself lies far away.
#[derive(Clone, Copy, Debug)]
struct Guess {
    record: u32,
    is_integer: bool,
    integer: i64,
}

impl Guess {
    fn new(record: u32, value: Sought<'_>) -> Guess {
        match value {
            Sought::Integer(integer) => Guess { record, is_integer: true, integer },
            Sought::Text(_) | Sought::Json(_) => Guess { record, is_integer: false, integer: 0 },
        }
    }
}

/// How far beyond the offsets that were told of a key a guess may lie: a log with wide gaps is searched instead.
const GUESS_GAP_MAX: usize = 4096;

impl Records {
    fn number(&mut self, key: u32, offset: i64, value: Sought<'_>) -> u32 {
        let guess = guess(&mut self.guesses, key as usize, offset);
        let seeking = Seeking { key, value };
        if let Some(&mut Guess { record, is_integer, integer }) = guess
            && record != NONE
            && match value {
                Sought::Integer(sought) => is_integer && integer == sought,
                Sought::Text(_) | Sought::Json(_) => seeking == self.records[record as usize].seeking(),
            }
        {
            return record;
        }
        let number = match self.records.get_index_of(&seeking) {
            Some(known) => known as u32,
            None => {
                self.senders.push(NONE);
                self.records.insert_full(Record { key, value: value.held() }).0 as u32
            }
        };
        if let Some(guess) = guess {
            *guess = Guess::new(number, value);
        }
        number
    }

    pub(super) fn value(&mut self, key: u32, offset: i64, value: &Value) -> u32 {
        let sought = match value {
            Value::Integer(number) => Sought::Integer(*number),
            Value::Text(text) => Sought::Text(text),
            Value::Json(text) => Sought::Json(text),
        };
        self.number(key, offset, sought)
    }

    /// A value as it stands in a line; offset -1 where it is not known.
    pub(super) fn json(&mut self, key: u32, offset: i64, json: &str) -> Result<u32, serde_json::Error> {
        Ok(match json.as_bytes() {
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                self.number(key, offset, Sought::Text(&json[1..json.len() - 1]))
            }
            [b'"', ..] => self.number(key, offset, Sought::Text(&serde_json::from_str::<String>(json)?)),
            [b'{' | b'[', ..] => {
                let canonical = serde_json::from_str::<serde_json::Value>(json)?.to_string();
                self.number(key, offset, Sought::Json(&canonical))
            }
            [b'-' | b'0'..=b'9', ..] if json != "-0" => match json.parse() {
                Ok(number) => self.number(key, offset, Sought::Integer(number)),
                Err(_) => self.number(key, offset, Sought::Json(&number(json))),
            },
            _ => self.number(key, offset, Sought::Json(json)),
        })
    }

    /// Room for so many times what is held. A history that wants more than there is will say so as it grows.
    pub(super) fn make_room(&mut self, times: usize) {
        let _too_much = self.records.try_reserve(self.records.len().saturating_mul(times));
        let _too_much = self.senders.try_reserve_exact(self.senders.len().saturating_mul(times));
        for guesses in &mut self.guesses {
            let _too_much = guesses.try_reserve_exact(guesses.len().saturating_mul(times));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn key(&self, record: u32) -> u32 {
        self.records[record as usize].key
    }

    /// The operation that was asked to send it; none if nobody was.
    pub fn sender(&self, record: u32) -> Option<u32> {
        Some(self.senders[record as usize]).filter(|&sender| sender != NONE)
    }

    pub fn told(&self, record: u32) -> Value {
        match &self.records[record as usize].value {
            Held::Integer(number) => Value::Integer(*number),
            Held::Text(text) => Value::Text((**text).into()),
            Held::Json(text) => Value::Json((**text).into()),
        }
    }

    /// The record of another key with the same value, if that key has one.
    pub fn in_key(&self, record: u32, key: u32) -> Option<u32> {
        let value = self.records[record as usize].value.clone();
        self.records.get_index_of(&Record { key, value }).map(|found| found as u32)
    }
}

/// Where a guess for this offset is held, if it lies close enough to the others.
fn guess(guesses: &mut Vec<Vec<Guess>>, key: usize, offset: i64) -> Option<&mut Guess> {
    let offset = usize::try_from(offset).ok()?;
    if guesses.len() <= key {
        guesses.resize_with(key + 1, Vec::new);
    }
    let guesses = &mut guesses[key];
    if guesses.len() <= offset {
        if guesses.len() + GUESS_GAP_MAX < offset {
            return None;
        }
        guesses.resize(offset + 1, Guess { record: NONE, is_integer: false, integer: 0 });
    }
    Some(&mut guesses[offset])
}

/// A number that is no 64-bit integer, so that one number has one text. Digits beyond what a float holds stay as they are.
fn number(json: &str) -> String {
    const FLOAT_DIGITS_MAX: usize = 17;
    let is_float = json.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    match json.parse::<f64>() {
        Ok(float) if is_float && json.len() <= FLOAT_DIGITS_MAX => format!("{float:?}"),
        _ => json.into(),
    }
}

impl Names {
    pub fn key(&self, number: u32) -> Key {
        Key(self.get(number).into())
    }
}
