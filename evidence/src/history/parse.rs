//! From one line of JSON to what it says, or to a sentence that tells what is wrong with it and what to write instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Time;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::text::VERSION;
use super::{Action, Key, Membership, MicroOperation, Offsets, Operation, Outcome, Process, Value};
use crate::Claims;

type Parsed<T> = Result<T, String>;

pub(super) enum ParsedLine {
    Operation(Operation),
    Holes(BTreeMap<Key, Vec<(i64, i64)>>),
}

/// Texts that were seen: each is held once, however often a history names it.
#[derive(Default)]
pub(super) struct Names(BTreeSet<Arc<str>>);

impl Names {
    fn intern(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let name: Arc<str> = text.into();
        self.0.insert(Arc::clone(&name));
        name
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    history: u64,
    #[serde(default)]
    claims: Claims,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationLine {
    index: u64,
    #[serde(default)]
    time: Option<u64>,
    process: Json,
    r#type: String,
    f: String,
    #[serde(default)]
    value: Json,
    #[serde(default)]
    error: Option<Json>,
    #[serde(default)]
    rebalance_log: Option<Json>,
}

pub(super) fn header(text: &str) -> Parsed<Claims> {
    let line: HeaderLine = serde_json::from_str(text).map_err(|error| {
        format!("this is no header ({error}): begin with {{\"history\":1,\"claims\":{{\"acks\":\"all\"}}}}")
    })?;
    if line.history != VERSION {
        return Err(format!("history version {} is unknown: write version {VERSION}", line.history));
    }
    Ok(line.claims)
}

pub(super) fn line(text: &str, names: &mut Names) -> Parsed<ParsedLine> {
    if text.starts_with("{\"holes\"") {
        let json: Json = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        return match json.as_object() {
            Some(map) if map.len() == 1 => Ok(ParsedLine::Holes(by_key(&map["holes"], names, "holes", ranges)?)),
            _ => Err("a line of holes has the field holes and no other".into()),
        };
    }
    let line: OperationLine = serde_json::from_str(text).map_err(|error| {
        format!("{error}: a line has index, process, type, f and value, and may have time, error, rebalance_log")
    })?;
    let outcome = match line.r#type.as_str() {
        "invoke" => Outcome::Invoke,
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "info" => Outcome::Info,
        other => return Err(format!("type {other:?} is unknown: write invoke, ok, fail or info")),
    };
    Ok(ParsedLine::Operation(Operation {
        index: line.index,
        time: line.time.map(Time),
        process: process(&line.process, names)?,
        outcome,
        action: action(&line.f, &line.value, names)?,
        error: line.error.map(|error| match error {
            Json::String(text) => text,
            other => other.to_string(),
        }),
        rebalance_log: line.rebalance_log,
    }))
}

fn process(json: &Json, names: &mut Names) -> Parsed<Process> {
    match json {
        Json::String(name) => Ok(Process::Name(names.intern(name))),
        json => match json.as_u64() {
            Some(number) => Ok(Process::Number(number)),
            None => Err(format!("process {json} is neither a number from zero on nor a name")),
        },
    }
}

fn action(f: &str, value: &Json, names: &mut Names) -> Parsed<Action> {
    Ok(match f {
        "send" => Action::Send(micro_operations(value, names, f)?),
        "poll" => Action::Poll(micro_operations(value, names, f)?),
        "txn" => Action::Txn(micro_operations(value, names, f)?),
        "assign" => Action::Assign(keys(value, names, f)?),
        "subscribe" => Action::Subscribe(keys(value, names, f)?),
        "assigned" => Action::Assigned(membership(value, names, f)?),
        "revoked" => Action::Revoked(membership(value, names, f)?),
        "lost" => Action::Lost(membership(value, names, f)?),
        "commit" => Action::Commit(offsets(value, names, f)?),
        "committed" => Action::Committed(offsets(value, names, f)?),
        "end" => Action::End(by_key(value, names, f, |json| {
            pair(json).ok_or_else(|| format!("end {json}: write [start,end]"))
        })?),
        "crash" if value.is_null() => Action::Crash,
        "crash" => return Err("a crash has no value: write null".into()),
        other => {
            return Err(format!(
                "f {other:?} is unknown: write send, poll, txn, assign, subscribe, assigned, revoked, lost, commit, \
                 committed, end or crash"
            ));
        }
    })
}

fn micro_operations(json: &Json, names: &mut Names, f: &str) -> Parsed<Vec<MicroOperation>> {
    let list = json.as_array().ok_or_else(|| format!("the value of {f} is a list of [\"send\",…] and [\"poll\",…]"))?;
    let micros: Vec<MicroOperation> = list.iter().map(|item| micro_operation(item, names)).collect::<Parsed<_>>()?;
    let is_poll = |micro: &MicroOperation| !matches!(micro, MicroOperation::Send { .. });
    match f {
        "send" if micros.iter().any(is_poll) => Err("a send that polls: write f txn".into()),
        "poll" if !micros.iter().all(is_poll) => Err("a poll that sends: write f txn".into()),
        _ => Ok(micros),
    }
}

fn micro_operation(json: &Json, names: &mut Names) -> Parsed<MicroOperation> {
    let parts = json.as_array().map_or(&[][..], Vec::as_slice);
    let shape = || {
        format!(
            "{json} is no step: write [\"send\",key,value], [\"send\",key,[offset,value]], [\"poll\"] or \
             [\"poll\",{{key:[[offset,value],…]}}]"
        )
    };
    match (parts.first().and_then(Json::as_str), parts) {
        (Some("send"), [_, key, what]) => {
            let key = Key(names.intern(key.as_str().ok_or_else(shape)?));
            let (offset, value) = match what.as_array() {
                Some(_) => {
                    let (offset, value) = record(what, names)?;
                    (Some(offset), value)
                }
                None => (None, self::value(what, names)?),
            };
            Ok(MicroOperation::Send { key, value, offset })
        }
        (Some("poll"), [_]) => Ok(MicroOperation::Poll),
        (Some("poll"), [_, records]) => {
            Ok(MicroOperation::Polled(by_key_with(records, names, "poll", |json, names| {
                let list = json.as_array().ok_or_else(|| format!("{json} is no list of [offset,value]"))?;
                list.iter().map(|json| record(json, names)).collect()
            })?))
        }
        _ => Err(shape()),
    }
}

fn record(json: &Json, names: &mut Names) -> Parsed<(i64, Value)> {
    match json.as_array().map(Vec::as_slice) {
        Some([offset, what]) => {
            let offset = offset.as_i64().filter(|&offset| 0 <= offset);
            let offset = offset.ok_or_else(|| format!("the offset in {json} is no number from zero on"))?;
            Ok((offset, value(what, names)?))
        }
        _ => Err(format!("{json} is no record: write [offset,value]")),
    }
}

fn value(json: &Json, names: &mut Names) -> Parsed<Value> {
    match json {
        Json::String(text) => Ok(Value::Text(names.intern(text))),
        json => match json.as_i64() {
            Some(number) => Ok(Value::Integer(number)),
            None => Err(format!("the value {json} is neither a whole number nor a string")),
        },
    }
}

fn keys(json: &Json, names: &mut Names, f: &str) -> Parsed<Vec<Key>> {
    let list = json.as_array().ok_or_else(|| format!("{f} takes a list of keys, each \"topic/partition\""))?;
    let key = |json: &Json| match json.as_str() {
        Some(text) => Ok(Key(names.intern(text))),
        None => Err(format!("{json} is no key: write \"topic/partition\"")),
    };
    list.iter().map(key).collect()
}

fn membership(json: &Json, names: &mut Names, f: &str) -> Parsed<Membership> {
    let shape = || format!("the value of {f} is {{\"group\":…,\"generation\":…,\"keys\":[…]}}");
    let map = fields(json, &["group", "generation", "keys"]).ok_or_else(shape)?;
    Ok(Membership {
        group: names.intern(map["group"].as_str().ok_or_else(shape)?),
        generation: map["generation"].as_i64().ok_or_else(shape)?,
        keys: keys(&map["keys"], names, f)?,
    })
}

fn offsets(json: &Json, names: &mut Names, f: &str) -> Parsed<Offsets> {
    let shape = || format!("the value of {f} is {{\"group\":…,\"offsets\":{{key:offset}}}}");
    let map = fields(json, &["group", "offsets"]).ok_or_else(shape)?;
    Ok(Offsets {
        group: names.intern(map["group"].as_str().ok_or_else(shape)?),
        offsets: by_key(&map["offsets"], names, f, |json| {
            json.as_i64().ok_or_else(|| format!("{json} is no offset: write a whole number"))
        })?,
    })
}

/// The object, if it has these fields and no others.
fn fields<'a>(json: &'a Json, expected: &[&str]) -> Option<&'a Map<String, Json>> {
    json.as_object().filter(|map| map.len() == expected.len() && expected.iter().all(|name| map.contains_key(*name)))
}

fn by_key<T>(json: &Json, names: &mut Names, f: &str, parse: impl Fn(&Json) -> Parsed<T>) -> Parsed<BTreeMap<Key, T>> {
    by_key_with(json, names, f, |json, _| parse(json))
}

fn by_key_with<T>(
    json: &Json,
    names: &mut Names,
    f: &str,
    parse: impl Fn(&Json, &mut Names) -> Parsed<T>,
) -> Parsed<BTreeMap<Key, T>> {
    let map = json.as_object().ok_or_else(|| format!("{f} takes an object by key: {{\"topic/partition\":…}}"))?;
    map.iter().map(|(key, json)| Ok((Key(names.intern(key)), parse(json, names)?))).collect()
}

fn ranges(json: &Json) -> Parsed<Vec<(i64, i64)>> {
    let list = json.as_array().ok_or_else(|| format!("holes {json}: write [[from,to],…]"))?;
    list.iter().map(|json| pair(json).ok_or_else(|| format!("hole {json}: write [from,to], to exclusive"))).collect()
}

/// `[from,to]`, both from zero on and in order.
fn pair(json: &Json) -> Option<(i64, i64)> {
    match json.as_array()?.as_slice() {
        [from, to] => Some((from.as_i64()?, to.as_i64()?)).filter(|&(from, to)| 0 <= from && from <= to),
        _ => None,
    }
}
