//! A history as `trial check` reads and judges it: the bytes as they are, and once more behind a header.
#![no_main]

use evidence::Table;
use libfuzzer_sys::fuzz_target;

const HEADER: &[u8] = b"{\"history\":1}\n";

fuzz_target!(|data: &[u8]| {
    for bytes in [data, &[HEADER, data].concat()] {
        if let Ok(table) = Table::read(bytes) {
            invariants::check(&table);
        }
    }
});
