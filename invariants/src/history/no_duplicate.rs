//! No duplicate when nothing was retried.
//!
//! Broken if one value is read at two offsets of its key, where producers are idempotent or never retry. Without
//! idempotence a retry whose first attempt did arrive leaves two records: allowed, and counted. Reading one offset twice
//! is no duplicate.

use super::ledger::Ledger;
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "no duplicate when nothing was retried";

pub(super) fn judge(ledger: &Ledger, grounds: &Grounds<'_>) -> Judgement {
    let is_allowed = !grounds.claims.idempotent && grounds.producers_retry;
    let verdict = if is_allowed { Gravity::Allowed } else { Gravity::Broken };
    let mut judgement = Judgement::default();
    for (key, book) in &ledger.keys {
        judgement.judged += book.records_read;
        for (value, places) in book.reads.iter().filter(|(_, places)| 1 < places.len()) {
            let offsets: Vec<_> = places.keys().map(ToString::to_string).collect();
            let sent = book.send_of(value).map(|sent| sent.asked);
            let operations = sent.into_iter().chain(places.values().copied()).collect();
            let why = format!("{value} stands {} times in {key}, at offsets {}", places.len(), offsets.join(", "));
            judgement.find("duplicate", verdict, key, operations, why);
        }
    }
    judgement
}
