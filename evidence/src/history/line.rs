//! From one line of JSON into a draft, without a tree in between: each visitor knows what the contract lets it find.

use std::fmt;

use model::Time;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::draft::{self, Draft, DraftList, Kind};
use super::names::{Names, Records};
use super::{Outcome, Process, Table};

/// What a line after the first says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Said {
    Operation,
    Holes,
}

/// A line: its draft, and where names and records get their numbers.
pub(super) struct Line<'a> {
    pub(super) draft: &'a mut Draft,
    pub(super) table: &'a mut Table,
}

const SHAPE: &str = "a line of a history: {\"index\":…,\"process\":…,\"type\":…,\"f\":…,\"value\":…}, and perhaps time, \
                     error and rebalance_log; or {\"holes\":{…}}";

impl<'de> DeserializeSeed<'de> for Line<'_> {
    type Value = Said;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Line<'_> {
    type Value = Said;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said, A::Error> {
        let Line { draft, table } = self;
        let mut seen = 0u16;
        let mut index = None;
        let mut kind = None;
        // A value that comes before what it is the value of.
        let mut later: Option<&RawValue> = None;
        while let Some(field) = map.next_key_seed(FieldName)? {
            if seen & (1 << field as u16) != 0 {
                return Err(A::Error::custom(format_args!("{} stands twice in the line", field.name())));
            }
            seen |= 1 << field as u16;
            match field {
                Field::Index => index = Some(map.next_value()?),
                Field::Time => draft.time = map.next_value::<Option<u64>>()?.map(Time),
                Field::Process => draft.process = Some(map.next_value_seed(ProcessSeed)?),
                Field::Type => draft.outcome = Some(map.next_value_seed(TypeSeed)?),
                Field::F => kind = Some(map.next_value_seed(KindSeed)?),
                Field::Value => match (kind, draft.outcome) {
                    (Some(kind), Some(outcome)) => {
                        map.next_value_seed(ValueSeed { kind, outcome, draft, table })?;
                    }
                    _ => later = Some(map.next_value()?),
                },
                Field::Error => {
                    draft.error = map.next_value::<Option<&RawValue>>()?.map(|error| error.get().to_owned())
                }
                Field::RebalanceLog => draft.rebalance_log = map.next_value::<Option<serde_json::Value>>()?,
                Field::Holes => map.next_value_seed(Holes(table))?,
            }
        }
        if seen & (1 << Field::Holes as u16) != 0 {
            return match seen == 1 << Field::Holes as u16 {
                true => Ok(Said::Holes),
                false => Err(A::Error::custom("a line of holes has the field holes and no other")),
            };
        }
        let (Some(index), Some(kind), Some(outcome), Some(_)) = (index, kind, draft.outcome, &draft.process) else {
            let asked = [Field::Index, Field::Process, Field::Type, Field::F];
            let missing = asked.iter().find(|field| seen & (1 << **field as u16) == 0);
            let name = missing.map_or("type", |field| field.name());
            return Err(A::Error::custom(format_args!("{name} is missing: write {SHAPE}")));
        };
        (draft.index, draft.kind) = (index, kind);
        let is_without = seen & (1 << Field::Value as u16) == 0;
        match later {
            Some(later) => {
                let seed = ValueSeed { kind, outcome, draft, table };
                seed.deserialize(&mut serde_json::Deserializer::from_str(later.get())).map_err(A::Error::custom)?;
            }
            None if is_without && !may_be_null(kind, outcome) => {
                return Err(A::Error::custom(format_args!("value is missing: {}", shape(kind))));
            }
            None => {}
        }
        Ok(Said::Operation)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Field {
    Index,
    Time,
    Process,
    Type,
    F,
    Value,
    Error,
    RebalanceLog,
    Holes,
}

impl Field {
    const ALL: [Field; 9] = [
        Field::Index,
        Field::Time,
        Field::Process,
        Field::Type,
        Field::F,
        Field::Value,
        Field::Error,
        Field::RebalanceLog,
        Field::Holes,
    ];

    fn name(self) -> &'static str {
        match self {
            Field::Index => "index",
            Field::Time => "time",
            Field::Process => "process",
            Field::Type => "type",
            Field::F => "f",
            Field::Value => "value",
            Field::Error => "error",
            Field::RebalanceLog => "rebalance_log",
            Field::Holes => "holes",
        }
    }
}

/// A string, and what it stands for.
macro_rules! word {
    ($seed:ident -> $value:ty, $expecting:expr, $find:expr) => {
        struct $seed;

        impl<'de> DeserializeSeed<'de> for $seed {
            type Value = $value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<$value, D::Error> {
                deserializer.deserialize_str(self)
            }
        }

        impl Visitor<'_> for $seed {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<$value, E> {
                let find: fn(&str) -> Option<$value> = $find;
                find(text).ok_or_else(|| E::custom(format_args!("{text:?} is unknown here: write {}", $expecting)))
            }
        }
    };
}

word!(FieldName -> Field, SHAPE, |text| Field::ALL.into_iter().find(|field| field.name() == text));
word!(TypeSeed -> Outcome, "invoke, ok, fail or info as type", |text| match text {
    "invoke" => Some(Outcome::Invoke),
    "ok" => Some(Outcome::Ok),
    "fail" => Some(Outcome::Fail),
    "info" => Some(Outcome::Info),
    _ => None,
});
word!(
    KindSeed -> Kind,
    "send, poll, txn, assign, subscribe, assigned, revoked, lost, commit, committed, end or crash as f",
    |text| Kind::ALL.into_iter().find(|kind| kind.name() == text)
);
word!(MicroName -> Step, "[\"send\",key,value], [\"send\",key,[offset,value]], [\"poll\"] or [\"poll\",{key:[[offset,value],…]}]", |text| match text {
    "send" => Some(Step::Send),
    "poll" => Some(Step::Poll),
    _ => None,
});

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Send,
    Poll,
}

struct ProcessSeed;

impl<'de> DeserializeSeed<'de> for ProcessSeed {
    type Value = Process;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Process, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for ProcessSeed {
    type Value = Process;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a process: a number from zero on, or a name")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Process, E> {
        Ok(Process::Number(number))
    }

    fn visit_str<E>(self, name: &str) -> Result<Process, E> {
        Ok(Process::Name(name.into()))
    }
}

/// How the value of an `f` is written.
fn shape(kind: Kind) -> &'static str {
    match kind {
        Kind::Send => "the value of send is a list of [\"send\",key,value] or [\"send\",key,[offset,value]]",
        Kind::Poll => "the value of poll is a list of [\"poll\"] or [\"poll\",{key:[[offset,value],…]}]",
        Kind::Txn => "the value of txn is a list of [\"send\",…] and [\"poll\",…]",
        Kind::Assign | Kind::Subscribe => "assign and subscribe take a list of keys",
        Kind::Assigned | Kind::Revoked | Kind::Lost => {
            "assigned, revoked and lost take {\"group\":…,\"generation\":…,\"keys\":[…]}"
        }
        Kind::Commit | Kind::Committed => "commit and committed take {\"group\":…,\"offsets\":{key:offset}}",
        Kind::End => "the value of end is {key:[start,end]}",
        Kind::Crash => "a crash has no value: write null",
    }
}

/// Who asks an open question, and who is not answered, has nothing to tell.
fn may_be_null(kind: Kind, outcome: Outcome) -> bool {
    match (kind, outcome) {
        (Kind::Crash, _) | (_, Outcome::Fail | Outcome::Info) => true,
        (Kind::Poll | Kind::End | Kind::Committed, Outcome::Invoke) => true,
        (_, Outcome::Invoke | Outcome::Ok) => kind.is_notice() && outcome == Outcome::Invoke,
    }
}

struct ValueSeed<'a> {
    kind: Kind,
    outcome: Outcome,
    draft: &'a mut Draft,
    table: &'a mut Table,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.outcome == Outcome::Invoke && self.kind.is_open_question() {
            let json = <&RawValue>::deserialize(deserializer)?.get();
            let ValueSeed { kind, draft, table, .. } = self;
            let told = ValueSeed { kind, outcome: Outcome::Info, draft: &mut *draft, table };
            if told.deserialize(&mut serde_json::Deserializer::from_str(json)).is_err() {
                draft.forget_value();
            }
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(shape(self.kind))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match may_be_null(self.kind, self.outcome) {
            true => Ok(()),
            false => Err(E::custom(shape(self.kind))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let ValueSeed { kind, draft, table, .. } = self;
        match kind {
            Kind::Send | Kind::Poll | Kind::Txn => {
                while list.next_element_seed(Micro { kind, draft, table })?.is_some() {}
                Ok(())
            }
            Kind::Assign | Kind::Subscribe => {
                while let Some(key) = list.next_element_seed(KeySeed(&mut table.keys))? {
                    draft.keys.push(key);
                }
                Ok(())
            }
            _ => Err(A::Error::custom(shape(kind))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let ValueSeed { kind, outcome, draft, table } = self;
        match kind {
            Kind::End => {
                while let Some(key) = map.next_key_seed(KeySeed(&mut table.keys))? {
                    let (start, end): (i64, i64) = map.next_value()?;
                    if start < 0 || end < 0 {
                        return Err(A::Error::custom(shape(kind)));
                    }
                    draft.offsets.push((key, start));
                    draft.ends.push(end);
                }
                Ok(())
            }
            Kind::Assigned | Kind::Revoked | Kind::Lost | Kind::Commit | Kind::Committed => {
                grouped(kind, outcome, draft, table, map)
            }
            _ => Err(A::Error::custom(shape(kind))),
        }
    }
}

/// The value of what a group's member does and sees.
fn grouped<'de, A: MapAccess<'de>>(
    kind: Kind,
    outcome: Outcome,
    draft: &mut Draft,
    table: &mut Table,
    mut map: A,
) -> Result<(), A::Error> {
    let is_commit = matches!(kind, Kind::Commit | Kind::Committed);
    let (mut has_generation, mut has_content) = (false, false);
    while let Some(field) = map.next_key::<std::borrow::Cow<'_, str>>()? {
        match (&*field, is_commit) {
            ("group", _) => draft.group = Some(map.next_value_seed(KeySeed(&mut table.groups))?),
            ("generation", false) => {
                draft.generation = map.next_value()?;
                has_generation = true;
            }
            ("keys", false) => {
                map.next_value_seed(KeyList { keys: &mut table.keys, into: &mut draft.keys })?;
                has_content = true;
            }
            ("offsets", true) => {
                map.next_value_seed(OffsetMap { keys: &mut table.keys, into: &mut draft.offsets })?;
                has_content = true;
            }
            _ => return Err(A::Error::custom(format_args!("{field:?} is unknown here: {}", shape(kind)))),
        }
    }
    let is_whole = draft.group.is_some() && has_content && (is_commit || has_generation);
    if !is_whole && outcome == Outcome::Ok {
        return Err(A::Error::custom(shape(kind)));
    }
    Ok(())
}

/// A key or a group: a text, or a number that stands for one.
struct KeySeed<'a>(&'a mut Names);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<u32, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, such as a key \"topic/partition\"")
    }

    fn visit_str<E>(self, text: &str) -> Result<u32, E> {
        Ok(self.0.number(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<u32, E> {
        Ok(self.0.number(&number.to_string()))
    }
}

struct KeyList<'a> {
    keys: &'a mut Names,
    into: &'a mut Vec<u32>,
}

impl<'de> DeserializeSeed<'de> for KeyList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for KeyList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(key) = list.next_element_seed(KeySeed(self.keys))? {
            self.into.push(key);
        }
        Ok(())
    }
}

struct OffsetMap<'a> {
    keys: &'a mut Names,
    into: &'a mut Vec<(u32, i64)>,
}

impl<'de> DeserializeSeed<'de> for OffsetMap<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OffsetMap<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("offsets by key, null where none is committed")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed(self.keys))? {
            self.into.push((key, map.next_value::<Option<i64>>()?.unwrap_or(-1).max(-1)));
        }
        Ok(())
    }
}

/// One step of a send, a poll or a transaction.
struct Micro<'a> {
    kind: Kind,
    draft: &'a mut Draft,
    table: &'a mut Table,
}

impl<'de> DeserializeSeed<'de> for Micro<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Micro<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        MicroName.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Micro { kind, draft, table } = self;
        let wrong = || A::Error::custom(shape(kind));
        match (list.next_element_seed(MicroName)?, kind) {
            (Some(Step::Send), Kind::Poll) => return Err(A::Error::custom("a poll that sends: write f txn")),
            (Some(Step::Poll), Kind::Send) => return Err(A::Error::custom("a send that polls: write f txn")),
            (Some(Step::Send), _) => {
                let key = list.next_element_seed(KeySeed(&mut table.keys))?.ok_or_else(wrong)?;
                let value: &RawValue = list.next_element()?.ok_or_else(wrong)?;
                draft.sends.push(told(&mut table.records, key, value).map_err(A::Error::custom)?);
                draft.steps.push(draft::Step::Send);
            }
            (Some(Step::Poll), _) => {
                let before = draft.lists.len();
                let told = list.next_element_seed(Polled { draft: &mut *draft, table })?;
                let lists = (draft.lists.len() - before) as u32;
                draft.steps.push(told.map_or(draft::Step::Poll, |()| draft::Step::Polled(lists)));
            }
            (None, _) => return Err(wrong()),
        }
        match list.next_element::<IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(wrong()),
        }
    }
}

/// What is sent: a value, or `[offset,value]`. Offset null or -1 is Kafka's word for one that nobody knows.
fn told(records: &mut Records, key: u32, what: &RawValue) -> Result<(u32, i64), String> {
    let json = what.get();
    if json.starts_with('[')
        && let Ok((offset, value)) = serde_json::from_str::<(Option<i64>, &RawValue)>(json)
    {
        return match offset.unwrap_or(-1) {
            offset @ -1.. => Ok((records.json(key, offset, value.get()).map_err(|error| error.to_string())?, offset)),
            offset => Err(format!("offset {offset}: offsets are whole numbers from zero on")),
        };
    }
    Ok((records.json(key, -1, json).map_err(|error| error.to_string())?, -1))
}

/// What a poll brought, by key.
struct Polled<'a> {
    draft: &'a mut Draft,
    table: &'a mut Table,
}

impl<'de> DeserializeSeed<'de> for Polled<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Polled<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("records by key: {key:[[offset,value],…]}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Polled { draft, table } = self;
        while let Some(key) = map.next_key_seed(KeySeed(&mut table.keys))? {
            draft.lists.push(DraftList { key, start: draft.reads.len() as u32 });
            map.next_value_seed(RecordList { key, records: &mut table.records, into: &mut draft.reads })?;
        }
        Ok(())
    }
}

struct RecordList<'a> {
    key: u32,
    records: &'a mut Records,
    into: &'a mut Vec<(i64, u32)>,
}

impl<'de> DeserializeSeed<'de> for RecordList<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RecordList<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records, each [offset,value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some((offset, value)) = list.next_element::<(i64, &RawValue)>()? {
            if offset < 0 {
                return Err(A::Error::custom(format_args!("offset {offset}: offsets are whole numbers from zero on")));
            }
            self.into.push((offset, self.records.json(self.key, offset, value.get()).map_err(A::Error::custom)?));
        }
        Ok(())
    }
}

/// Known holes, by key.
struct Holes<'a>(&'a mut Table);

impl<'de> DeserializeSeed<'de> for Holes<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Holes<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("holes by key: {key:[[from,to],…]}, to exclusive")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(KeySeed(&mut self.0.keys))? {
            let ranges: Vec<(i64, i64)> = map.next_value()?;
            if let Some((from, to)) = ranges.iter().find(|(from, to)| *from < 0 || to < from) {
                return Err(A::Error::custom(format_args!("hole [{from},{to}]: write [from,to], to exclusive")));
            }
            self.0.holes.entry(key).or_default().extend(ranges);
        }
        Ok(())
    }
}
