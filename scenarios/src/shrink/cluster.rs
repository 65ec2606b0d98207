//! A smaller cluster: fewer topics and partitions, fewer brokers, controllers on the brokers, configuration as it comes.

use toml::{Table, Value};

use super::{drop_key, items, with};

/// Brokers of a small cluster: as many as the replicas that most topics have.
const BROKERS: i64 = 3;

pub(super) fn smaller(table: &Table) -> Vec<Table> {
    let mut tables = fewer_topics(table);
    tables.extend(one_partition(table));
    let Some(cluster) = table.get("cluster").and_then(Value::as_table) else { return tables };
    let mut clusters: Vec<Table> = ["controllers", "voters", "log_dirs", "config", "racks"]
        .iter()
        .filter_map(|key| drop_key(cluster, key))
        .collect();
    let brokers = cluster.get("brokers").and_then(Value::as_integer).unwrap_or(BROKERS);
    clusters.extend((BROKERS..brokers).map(|fewer| with(cluster, "brokers", Value::Integer(fewer))));
    if let Some(config) = cluster.get("config").and_then(Value::as_table) {
        let without = config.keys().filter_map(|key| drop_key(config, key));
        clusters.extend(without.map(|config| with(cluster, "config", Value::Table(config))));
    }
    tables.extend(clusters.into_iter().map(|cluster| with(table, "cluster", Value::Table(cluster))));
    tables
}

/// Without one of the topics: with all that speaks of it gone, or turned to the first partition of another topic.
fn fewer_topics(table: &Table) -> Vec<Table> {
    let names: Vec<&str> = items(table, "topics").iter().filter_map(|topic| topic.get("name")?.as_str()).collect();
    let mut tables = Vec::new();
    for (place, gone) in names.iter().enumerate() {
        let kept = super::without(table, "topics", |topic| topic == place);
        tables.push(without_mentions(&kept, gone));
        let others = names.iter().filter(|other| *other != gone);
        tables.extend(others.map(|other| turned(&kept, gone, other)));
    }
    tables
}

/// Without the clients and faults of a topic.
fn without_mentions(table: &Table, gone: &str) -> Table {
    let mut table = table.clone();
    for list in ["producers", "consumers", "faults"] {
        let mentions = |item: &Value| any_text(item, &|text| text == gone || text.contains(&format!(" {gone}/")));
        let left = items(&table, list).iter().filter_map(|item| {
            let mut item = item.clone();
            if let Some(topics) = item.get_mut("topics").and_then(Value::as_array_mut) {
                topics.retain(|topic| topic.as_str() != Some(gone));
            }
            (!mentions(&item)).then_some(item)
        });
        table = with(&table, list, Value::Array(left.collect()));
    }
    table
}

/// Whatever speaks of a topic speaks of another one, of whose partitions the first is always there.
fn turned(table: &Table, from: &str, to: &str) -> Table {
    let mut table = table.clone();
    for list in ["producers", "consumers", "faults"] {
        let turned = items(&table, list).iter().map(|item| {
            let mut item = map_text(item, &|text| if text == from { to.to_owned() } else { first_of(text, from, to) });
            if let Some(topics) = item.get_mut("topics").and_then(Value::as_array_mut) {
                topics.dedup();
            }
            item
        });
        let turned = turned.collect();
        table = with(&table, list, Value::Array(turned));
    }
    table
}

/// One partition for each topic that has more; what names another one names the first.
fn one_partition(table: &Table) -> Vec<Table> {
    let mut tables = Vec::new();
    for (place, topic) in items(table, "topics").iter().enumerate() {
        let Some((topic, name)) = topic.as_table().zip(topic.get("name").and_then(Value::as_str)) else { continue };
        let partitions = topic.get("partitions").and_then(Value::as_integer).unwrap_or(1);
        if partitions < 2 {
            continue;
        }
        let mut topics = items(table, "topics").to_vec();
        topics[place] = Value::Table(with(topic, "partitions", Value::Integer(1)));
        let small = with(table, "topics", Value::Array(topics));
        let turned = items(&small, "faults").iter().map(|fault| map_text(fault, &|text| first_of(text, name, name)));
        let turned = turned.collect();
        tables.push(with(&small, "faults", Value::Array(turned)));
    }
    tables
}

/// `leader of orders/2` is `leader of payments/0`.
fn first_of(text: &str, from: &str, to: &str) -> String {
    match text.rsplit_once(&format!(" {from}/")) {
        Some((role, _)) => format!("{role} {to}/0"),
        None => text.to_owned(),
    }
}

fn any_text(value: &Value, is_wanted: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_wanted(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, is_wanted)),
        Value::Table(table) => table.values().any(|value| any_text(value, is_wanted)),
        _ => false,
    }
}

fn map_text(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(change(text)),
        Value::Array(items) => Value::Array(items.iter().map(|item| map_text(item, change)).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), map_text(value, change))).collect())
        }
        other => other.clone(),
    }
}
