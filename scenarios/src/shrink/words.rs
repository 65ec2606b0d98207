//! Simpler words of a fault: no choice where one will do, shorter and rounder times, and what it does without.

use std::time::Duration;

use toml::{Table, Value};

use super::{drop_key, with, with_items_changed};
use crate::words::Range;

/// A fault without these is another one, or a larger one.
const NEEDED: &[&str] = &["at", "every", "between", "for"];

pub(super) fn simpler(table: &Table) -> Vec<Table> {
    with_items_changed(table, "faults", |fault| {
        let mut faults = Vec::new();
        for (key, value) in fault {
            match value {
                Value::Table(inner) => {
                    let inner = inner.keys().filter_map(|key| drop_key(inner, key)).chain(simpler_spans(inner, false));
                    faults.extend(inner.map(|inner| with(fault, key, Value::Table(inner))));
                }
                _ if !NEEDED.contains(&key.as_str()) => faults.extend(drop_key(fault, key)),
                _ => {}
            }
        }
        faults.extend(simpler_spans(fault, true));
        faults
    })
}

/// Each span of time made simpler: one of its ends instead of a range, half as long if it may be, round.
fn simpler_spans(table: &Table, is_fault: bool) -> Vec<Table> {
    let mut tables = Vec::new();
    for (key, value) in table {
        let Some(range) = value.as_str().and_then(|text| text.parse::<Range>().ok()) else { continue };
        let ranges = match key.as_str() {
            // From when to when faults come is no choice.
            "between" => Vec::new(),
            "for" | "latency" => simpler_range(range, &[range.to / 2]),
            "at" | "every" => simpler_range(range, &[]),
            _ if is_fault => Vec::new(),
            _ => simpler_range(range, &[]),
        };
        tables.extend(ranges.into_iter().map(|range| with(table, key, Value::String(range.to_string()))));
    }
    tables
}

fn simpler_range(range: Range, shorter: &[Duration]) -> Vec<Range> {
    let mut spans = Vec::new();
    if range.from < range.to {
        spans.extend([range.to, range.from]);
        return spans.into_iter().map(Range::exactly).collect();
    }
    spans.extend(shorter.iter().copied().filter(|shorter| SHORTEST <= *shorter));
    for unit in UNITS {
        let round = Duration::from_millis(millis(range.to) / unit * unit);
        if round < range.to && !round.is_zero() {
            spans.push(round);
        }
    }
    spans.into_iter().map(Range::exactly).collect()
}

/// Shorter faults are none.
const SHORTEST: Duration = Duration::from_millis(10);

/// What is round, in milliseconds: the roundest first.
const UNITS: [u64; 4] = [1_000, 100, 10, 1];

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
