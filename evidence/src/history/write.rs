//! The text form of a history: JSON lines. First the claims, then one line an event, then the known holes.
//!
//! ```text
//! {"history":1,"claims":{"acks":"all","idempotent":true,…}}
//! {"index":0,"time":1200,"process":3,"type":"invoke","f":"send","value":[["send","orders/0",17]]}
//! {"index":1,"time":2100,"process":3,"type":"ok","f":"send","value":[["send","orders/0",[0,17]]]}
//! {"holes":{"orders/0":[[5,6]]}}
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::{Action, History, Key, Membership, MicroOperation, Offsets, Operation, Process, VERSION, Value};

impl History {
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
        Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
    }
}

fn keys_json(keys: &[Key]) -> Json {
    keys.iter().map(|key| Json::from(&*key.0)).collect()
}

fn by_key<T>(map: &BTreeMap<Key, T>, json: impl Fn(&T) -> Json) -> Json {
    Json::Object(map.iter().map(|(key, value)| (key.0.to_string(), json(value))).collect())
}
