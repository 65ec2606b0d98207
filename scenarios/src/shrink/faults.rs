//! Fewer faults and changes: none, half of them, a quarter less, one less.

use toml::Table;

use super::without_parts;

pub(super) fn fewer(table: &Table) -> Vec<Table> {
    let mut tables = without_parts(table, "faults");
    tables.extend(without_parts(table, "changes"));
    tables
}
