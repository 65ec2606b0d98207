//! A shorter run: to just after the moment when it broke off, or by half, a quarter, a second.

use std::time::Duration;

use toml::{Table, Value};

use super::{items, with};
use crate::words::{Range, Span};

const SECOND: Duration = Duration::from_secs(1);

pub(super) fn shorter(table: &Table, length: Duration, ended: Option<Duration>) -> Vec<Table> {
    let after = ended.map(|ended| ended.max(SECOND) + SECOND);
    let lengths = after.into_iter().chain([length / 2, length * 3 / 4, length.saturating_sub(SECOND)]);
    // Whole seconds: people will read it.
    let whole = lengths.map(|length| Duration::from_secs(length.as_secs().max(1)));
    whole.filter(|shorter| *shorter < length).map(|length| cut(table, length)).collect()
}

/// Everything ends here: clients work to the end, and no fault begins after it.
fn cut(table: &Table, length: Duration) -> Table {
    let mut cluster = table.get("cluster").and_then(Value::as_table).cloned().unwrap_or_default();
    cluster.insert("duration".into(), Value::String(Span(length).to_string()));
    let mut table = with(table, "cluster", Value::Table(cluster));
    for list in ["producers", "consumers"] {
        let clients = items(&table, list).iter().cloned().map(|mut client| {
            if let Some(client) =
                client.as_table_mut().filter(|client| span(client, "for").is_some_and(|span| length <= span.to))
            {
                client.remove("for");
            }
            client
        });
        let clients = clients.collect();
        table = with(&table, list, Value::Array(clients));
    }
    let faults = items(&table, "faults").iter().filter_map(|fault| fault_until(fault, length)).collect();
    with(&table, "faults", Value::Array(faults))
}

/// The fault, if it begins before the end; not again after it.
fn fault_until(fault: &Value, length: Duration) -> Option<Value> {
    let mut fault = fault.as_table()?.clone();
    if span(&fault, "at").is_some_and(|at| length <= at.to) {
        return None;
    }
    if let Some(between) = span(&fault, "between").filter(|between| length <= between.to) {
        let to = length - Duration::from_millis(1);
        fault.insert("between".into(), Value::String(Range::between(between.from.min(to), to).to_string()));
        if length <= between.from {
            return None;
        }
    }
    Some(Value::Table(fault))
}

fn span(table: &Table, key: &str) -> Option<Range> {
    table.get(key)?.as_str()?.parse().ok()
}
