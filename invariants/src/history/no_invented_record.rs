//! No invented or altered record: what is read was sent, to that key, as it is, and before it was read.
//!
//! Broken if a poll brings a value that nobody asked to send to its key. Sends with `info` and `fail` count as asked:
//! that a refused record is read is another promise. A value that arrives altered is a value that nobody sent.

use super::ledger::Ledger;
use super::{Gravity, Judgement};

pub(super) const NAME: &str = "no invented or altered record";

pub(super) fn judge(ledger: &Ledger) -> Judgement {
    let mut judgement = Judgement::default();
    for (key, book) in &ledger.keys {
        judgement.judged += book.records_read;
        for (value, places) in &book.reads {
            let Some((offset, line)) = places.iter().min_by_key(|(_, line)| **line) else { continue };
            let (why, mut operations) = match book.send_of(value) {
                Some(sent) if sent.asked < *line => continue,
                Some(sent) => {
                    (format!("{value} was read at offset {offset} of {key} before anybody sent it"), vec![sent.asked])
                }
                None => match ledger.keys.iter().find_map(|(other, book)| Some((other, book.send_of(value)?))) {
                    Some((other, sent)) => (
                        format!("{value} was read at offset {offset} of {key}, but was sent to {other}"),
                        vec![sent.asked],
                    ),
                    None => (format!("{value} was read at offset {offset} of {key}, and nobody ever sent it"), vec![]),
                },
            };
            operations.push(*line);
            operations.sort_unstable();
            judgement.find("invented-record", Gravity::Broken, key, operations, why);
        }
    }
    judgement
}
