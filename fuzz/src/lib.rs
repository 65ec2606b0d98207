//! Every parser that reads what others wrote, each as one function over bytes: it may refuse them, and must neither panic nor
//! ask for more memory than its limits say.
//!
//! ```text
//!  seeds ──▶ tests/mutations.rs        the seeds, and thousands of changes to them, on any compiler
//!        ──▶ libfuzzer/fuzz_targets/   the same functions under cargo-fuzz, guided by coverage
//! ```
//! What people write on command lines (seeds, shards, spans, names of bugs) is read by the binary `trial`, and tried there.

mod broker;
mod disk;
mod trial;
mod wire;

/// One parser.
pub struct Parser {
    /// Also of its target.
    pub name: &'static str,
    /// The folder of the project that has its seeds.
    pub seeds: &'static str,
    pub parse: fn(&[u8]),
}

const fn parser(name: &'static str, seeds: &'static str, parse: fn(&[u8])) -> Parser {
    Parser { name, seeds, parse }
}

/// All of them.
pub const PARSERS: &[Parser] = &[
    parser("requests", "fuzz/seeds/requests", wire::requests),
    parser("answers", "fuzz/seeds/answers", wire::answers),
    parser("records", "fuzz/seeds/records", wire::records),
    parser("logs", "fuzz/seeds/logs", broker::logs),
    parser("metadata", "fuzz/seeds/metadata", broker::metadata),
    parser("state", "fuzz/seeds/state", broker::state),
    parser("config", "fuzz/seeds/config", broker::config),
    parser("tales", "scenarios", trial::tales),
    parser("settings", "fuzz/seeds/settings", trial::settings),
    parser("words", "fuzz/seeds/words", trial::words),
    parser("histories", "invariants/tests/histories", trial::histories),
    parser("runs", "fuzz/seeds/runs", trial::runs),
];

/// Shows bytes to the parser of this name.
///
/// # Panics
/// If there is none, or it does.
pub fn parse(name: &str, data: &[u8]) {
    let parser = PARSERS.iter().find(|parser| parser.name == name);
    let Some(parser) = parser else { panic!("no parser is called {name}") };
    (parser.parse)(data);
}
