//! A fault that comes again and again, told as those that came: each once, at its moment, for its time, to whom it befell.

use std::collections::BTreeMap;

use super::{Happened, items, read, with};
use crate::fault::When;
use crate::scenario::Scenario;
use crate::words::{Range, Selector};
use toml::{Table, Value};

/// The scenario with every fault as it happened. None if there would be more than `most`, or if nothing would be different.
pub fn unroll(scenario: &Scenario, happened: &[Happened], most: usize) -> Option<Scenario> {
    if most < happened.len() {
        return None;
    }
    let table = Table::try_from(scenario).ok()?;
    let faults = items(&table, "faults");
    let mut came: Vec<&Happened> = happened.iter().collect();
    came.sort_by_key(|one| one.at);
    let once: Vec<Value> = came.iter().filter_map(|one| told(scenario, faults, one)).collect();
    let unrolled = read(with(&table, "faults", Value::Array(once)))?;
    (unrolled != *scenario).then_some(unrolled)
}

fn told(scenario: &Scenario, faults: &[Value], one: &Happened) -> Option<Value> {
    let fault = scenario.faults.get(one.fault)?;
    let mut table = faults.get(one.fault)?.as_table()?.clone();
    if matches!(fault.when, When::Every { .. }) {
        table.remove("every");
        table.remove("between");
    }
    // The moment counts from the begin of the run.
    table.remove("during");
    table.insert("at".into(), Value::String(Range::exactly(one.at).to_string()));
    let lasts = one.lasts.or(fault.lasts.map(|lasts| lasts.to)).filter(|_| !fault.kind.is_instant());
    if let Some(lasts) = lasts {
        table.insert("for".into(), Value::String(Range::exactly(lasts).to_string()));
    }
    // Where chance chose one, it is named.
    if let [name] = one.whom.as_slice() {
        let names: BTreeMap<Option<&str>, &Selector> = fault.kind.selectors().into_iter().collect();
        let is_drawn = |selector: &Selector| {
            matches!(
                selector,
                Selector::RandomBroker | Selector::RandomMinority | Selector::FollowerOf(_) | Selector::RandomClient
            )
        };
        let named = name.parse::<Selector>().ok().map(|selector| Value::String(selector.to_string()));
        match (fault.kind.selectors().first(), named) {
            (Some((None, selector)), Some(named)) if is_drawn(selector) => {
                table.insert(fault.kind.key().into(), named);
            }
            (Some((Some(key), selector)), Some(named)) if is_drawn(selector) && names.len() == 1 => {
                table.get_mut(fault.kind.key())?.as_table_mut()?.insert((*key).into(), named);
            }
            _ => {}
        }
    }
    // The file's order: when first.
    let mut ordered = Table::new();
    for key in ["at", "every", "between"] {
        if let Some(value) = table.remove(key) {
            ordered.insert(key.into(), value);
        }
    }
    ordered.extend(table);
    Some(Value::Table(ordered))
}
