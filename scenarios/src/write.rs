//! Scenario to text: the form that people write, tables in order, small tables in one line.

use std::fmt::Write;

use toml::{Table, Value};

use crate::scenario::Scenario;

impl Scenario {
    /// The file that `parse` reads back as this scenario.
    pub fn to_toml(&self) -> String {
        // Plain data with text keys always has a TOML form.
        let table = Table::try_from(self).unwrap_or_default();
        let mut text = String::new();
        let (scalars, tables): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| !is_tables(value));
        for (key, value) in scalars {
            line(&mut text, key, value);
        }
        for (key, value) in tables {
            match value {
                Value::Array(items) => {
                    for item in items.iter().filter_map(Value::as_table) {
                        section(&mut text, &format!("[[{key}]]"), item);
                    }
                }
                Value::Table(table) => {
                    let (inner, own): (Table, Table) =
                        table.clone().into_iter().partition(|(_, value)| value.is_table());
                    section(&mut text, &format!("[{key}]"), &own);
                    for (name, table) in inner.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
                        section(&mut text, &format!("[{key}.{name}]"), table);
                    }
                }
                _ => {}
            }
        }
        text
    }
}

/// True for what gets a header of its own.
fn is_tables(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => items.iter().any(Value::is_table),
        _ => false,
    }
}

fn section(text: &mut String, header: &str, table: &Table) {
    let _ = writeln!(text, "\n{header}");
    for (key, value) in table {
        line(text, key, value);
    }
}

fn line(text: &mut String, key: &str, value: &Value) {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare {
        let _ = writeln!(text, "{key} = {value}");
    } else {
        let _ = writeln!(text, "\"{key}\" = {value}");
    }
}
