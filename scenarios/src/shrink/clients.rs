//! Fewer and simpler clients: without some of them, their copies, their sleeps and habits, and at a lower rate.

use toml::{Table, Value};

use super::{drop_key, with, with_items_changed, without_parts};
use crate::words::Rate;

/// What a client does without: it then does as clients do by themselves.
const HABITS: &[&str] = &[
    "count",
    "sleeps",
    "starts",
    "tombstones",
    "keys",
    "partition",
    "retries",
    "idempotent",
    "large",
    "group",
    "rack",
    "compression",
];

pub(super) fn fewer(table: &Table) -> Vec<Table> {
    let mut tables = Vec::new();
    for list in ["consumers", "producers"] {
        tables.extend(without_parts(table, list));
    }
    for list in ["producers", "consumers"] {
        tables.extend(with_items_changed(table, list, simpler));
    }
    tables
}

fn simpler(client: &Table) -> Vec<Table> {
    let mut clients: Vec<Table> = HABITS.iter().filter_map(|habit| drop_key(client, habit)).collect();
    let rate = client.get("rate").and_then(Value::as_str).and_then(|rate| rate.parse::<Rate>().ok());
    for divisor in [10, 2] {
        if let Some(rate) = rate.filter(|rate| rate.count >= divisor) {
            let slower = Rate { count: rate.count / divisor, ..rate };
            clients.push(with(client, "rate", Value::String(slower.to_string())));
        }
    }
    clients
}
