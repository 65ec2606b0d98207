//! Appends keep real-time order: a send that begins after another was answered has the higher offset.
//!
//! Exact for logs, in n log n: sort by offset, and compare each answer with the latest question below it (interval order:
//! a linearization exists unless a send was answered before one of a lower offset was asked). A send with `info` that
//! somebody read at one offset only takes part as if it were never answered; with acks other than all, only records that
//! were read at the acknowledged offset do, since an acknowledgement alone proves no place in the log. Allowed under a
//! claimed unclean election. Needs times.

use evidence::{Acks, Outcome};

use super::ledger::{Book, Ledger, Sent};
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "appends keep real-time order";

pub(super) fn judge(ledger: &Ledger, grounds: &Grounds<'_>) -> Judgement {
    let verdict = if grounds.claims.unclean_election { Gravity::Allowed } else { Gravity::Broken };
    let mut judgement = Judgement::default();
    for (key, book) in &ledger.keys {
        let mut appends: Vec<(i64, &Sent)> =
            book.sends.iter().filter_map(|sent| Some((place(book, sent, grounds.claims.acks)?, sent))).collect();
        appends.sort_by_key(|(offset, sent)| (*offset, sent.asked));
        judgement.judged += appends.len() as u64;
        // The latest question among strictly lower offsets.
        let mut latest: Option<(i64, &Sent)> = None;
        for group in appends.chunk_by(|(a, _), (b, _)| a == b) {
            for (offset, sent) in group {
                let (Some((lower, later)), Some(answered)) = (latest, answered(sent)) else { continue };
                if answered < later.asked {
                    let why = format!(
                        "{} was acknowledged at offset {offset} of {key} before {} was sent, which is at offset {lower}",
                        sent.value, later.value
                    );
                    let operations = [Some(sent.asked), Some(answered), Some(later.asked), later.answered];
                    judgement.find("realtime-order", verdict, key, operations.into_iter().flatten().collect(), why);
                }
            }
            for (offset, sent) in group {
                if latest.is_none_or(|(_, later)| later.asked < sent.asked) {
                    latest = Some((*offset, sent));
                }
            }
        }
    }
    judgement
}

fn answered(sent: &Sent) -> Option<u64> {
    sent.answered.filter(|_| sent.outcome == Outcome::Ok)
}

/// Where the record certainly stands.
fn place(book: &Book, sent: &Sent, acks: Acks) -> Option<i64> {
    let places = book.reads.get(&sent.value);
    match (sent.outcome, sent.offset) {
        (Outcome::Ok, Some(offset)) if acks == Acks::All || places.is_some_and(|p| p.contains_key(&offset)) => {
            Some(offset)
        }
        (Outcome::Ok, Some(_)) | (Outcome::Fail | Outcome::Invoke, _) => None,
        (Outcome::Ok, None) | (Outcome::Info, _) => match places {
            Some(places) if places.len() == 1 => places.first_key_value().map(|(&offset, _)| offset),
            _ => None,
        },
    }
}
