//! Fewer faults: none, half of them, a quarter less, one less.

use toml::Table;

use super::without_parts;

pub(super) fn fewer(table: &Table) -> Vec<Table> {
    without_parts(table, "faults")
}
