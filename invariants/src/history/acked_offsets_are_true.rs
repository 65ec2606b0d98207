//! Acknowledged offsets are true: a record is found where its producer was told that it is.
//!
//! Broken if a send was told one offset and its value is read at others only; to Jepsen that is a `duplicate`. A record
//! that nobody read is judged elsewhere. Allowed: an unclean election that is claimed; without acks=all and idempotence,
//! when the second copy, which was acknowledged, went with its leader and the first one stayed.

use evidence::{Acks, Outcome};

use super::ledger::Ledger;
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "acknowledged offsets are true";

pub(super) fn judge(ledger: &Ledger, grounds: &Grounds<'_>) -> Judgement {
    let claims = grounds.claims;
    let is_allowed =
        claims.unclean_election || (claims.acks != Acks::All && !claims.idempotent && grounds.producers_retry);
    let verdict = if is_allowed { Gravity::Allowed } else { Gravity::Broken };
    let mut judgement = Judgement::default();
    for (key, book) in &ledger.keys {
        for sent in book.sends.iter().filter(|sent| sent.outcome == Outcome::Ok) {
            let (Some(offset), Some(places)) = (sent.offset, book.reads.get(&sent.value)) else { continue };
            judgement.judged += 1;
            if places.contains_key(&offset) {
                continue;
            }
            let found: Vec<_> = places.keys().map(ToString::to_string).collect();
            let why = format!(
                "{} was acknowledged at offset {offset} of {key} and is read at {}",
                sent.value,
                found.join(", ")
            );
            let operations = sent.answered.into_iter().chain(places.values().copied()).collect();
            judgement.find("duplicate", verdict, key, operations, why);
        }
    }
    judgement
}
