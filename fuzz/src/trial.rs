//! What the trial reads: scenario files, what is set in them, their words, histories, and the files of runs.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use evidence::{History, Table};
use model::Endpoint;
use scenarios::{
    Chance, ClockDrift, ClockOffset, PartitionName, Range, Rate, Scenario, Selector, Setting, Span, Throughput,
};

/// A scenario file: what is read is written, and read again as the same.
pub(crate) fn tales(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(scenario) = Scenario::parse("fuzz.toml", text) {
        let written = scenario.to_toml();
        assert_eq!(Scenario::parse("fuzz.toml", &written).as_ref().ok(), Some(&scenario), "{written}");
    }
}

/// What `--set` says, in the first line, of the scenario file that follows.
pub(crate) fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (line, file) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(setting) = line.parse::<Setting>() else { return };
    if let Ok(changed) = setting.apply("fuzz.toml", file) {
        let _read = Scenario::parse("fuzz.toml", &changed);
    }
}

/// A word of scenario files, as each kind of word: what is read is written, and read again as the same.
pub(crate) fn words(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    word::<Span>(text);
    word::<Range>(text);
    word::<Rate>(text);
    word::<Throughput>(text);
    word::<Chance>(text);
    word::<ClockOffset>(text);
    word::<ClockDrift>(text);
    word::<Selector>(text);
    word::<PartitionName>(text);
    word::<Endpoint>(text);
}

fn word<W: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(word) = text.parse::<W>() {
        let written = word.to_string();
        assert_eq!(written.parse::<W>().ok(), Some(word), "{text:?} was written as {written:?}");
    }
}

const HEADER: &[u8] = b"{\"history\":1}\n";

/// A history as `trial check` reads and judges it, and as a report reads it: the bytes as they are, and once more behind a header.
pub(crate) fn histories(data: &[u8]) {
    for bytes in [data, &[HEADER, data].concat()] {
        if let Ok(table) = Table::read(bytes) {
            invariants::check(&table);
        }
        if let Ok(history) = History::read(bytes) {
            let _table = Table::of(&history);
        }
    }
}

/// The file of a run, as `trial report` reads and shows it.
pub(crate) fn runs(data: &[u8]) {
    if let Ok((run, _)) = reports::read(data) {
        let _shown = (reports::terminal(&run, reports::View::Everything), reports::page(&run), reports::json(&run));
    }
}
