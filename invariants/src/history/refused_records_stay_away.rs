//! Refused records stay away: what certainly did not happen is never seen (Adya's G1a, Jepsen's `aborted-read`).
//!
//! Broken if a value is read whose send, or whose transaction, was answered `fail`. A timeout is `info`, and may surface
//! at any time. Allowed: records of aborted transactions where the claims say read_uncommitted.

use evidence::{Isolation, Outcome};

use super::ledger::Ledger;
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "refused records stay away";

pub(super) fn judge(ledger: &Ledger, grounds: &Grounds<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    for (key, book) in &ledger.keys {
        judgement.judged += book.records_read;
        for sent in book.sends.iter().filter(|sent| sent.outcome == Outcome::Fail) {
            let Some((offset, line)) = book.reads.get(&sent.value).and_then(|places| places.first_key_value()) else {
                continue;
            };
            let is_allowed = sent.in_transaction && grounds.claims.isolation == Isolation::ReadUncommitted;
            let verdict = if is_allowed { Gravity::Allowed } else { Gravity::Broken };
            let value = &sent.value;
            let why = format!("{value} was refused, and yet was read at offset {offset} of {key}");
            judgement.find("aborted-read", verdict, key, sent.answered.into_iter().chain([*line]).collect(), why);
        }
    }
    judgement
}
