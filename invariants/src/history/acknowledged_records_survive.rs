//! Acknowledged records survive (Jepsen's `lost-write` and `unseen`).
//!
//! Broken if a record whose send was answered `ok` was never read by anyone, although somebody read past its offset
//! (`lost-write`) or polled its key after the answer (`unseen`). It needs readers that between them read each key from
//! its start to its end once the sends are over. Sends with `info` may be missing, and so may those with `fail`. Legal:
//! the record lies below a start that an offset look-up named, or in a known hole. Allowed: acks other than all, an
//! unclean election that is claimed, more losses of power than the crash budget where disks are not waited for. A record
//! that nobody tried to read after its answer leaves the promise unknown.

use evidence::{Acks, Outcome};

use super::ledger::{Book, Ledger, Sent};
use super::{Gravity, Grounds, Judgement};

pub(super) const NAME: &str = "acknowledged records survive";

pub(super) fn judge(ledger: &Ledger, grounds: &Grounds<'_>) -> Judgement {
    let mut judgement = Judgement::default();
    let excuse = excuse(grounds);
    let verdict = if excuse.is_some() { Gravity::Allowed } else { Gravity::Broken };
    let excuse = excuse.map_or(String::new(), |excuse| format!(" ({excuse})"));
    for (key, book) in &ledger.keys {
        for sent in book.sends.iter().filter(|sent| sent.outcome == Outcome::Ok) {
            if book.reads.contains_key(&sent.value) || sent.offset.is_some_and(|offset| book.is_gone(offset)) {
                judgement.judged += 1;
                continue;
            }
            let whereabouts = sent.offset.and_then(|offset| (grounds.whereabouts)(key, offset));
            let whereabouts = whereabouts.map_or(String::new(), |text| format!("; {text}"));
            let operations = [Some(sent.asked), sent.answered].into_iter().flatten().collect();
            let (value, offset) =
                (&sent.value, sent.offset.map_or("an unknown offset".into(), |o| format!("offset {o}")));
            match fate(book, sent) {
                Fate::Lost { highest } => {
                    judgement.judged += 1;
                    let why = format!(
                        "{value} was acknowledged at {offset} of {key} and is lost: readers came as far as {highest} and never saw it{whereabouts}{excuse}"
                    );
                    judgement.find("lost-write", verdict, key, operations, why);
                }
                Fate::Unseen => {
                    judgement.judged += 1;
                    let last =
                        book.highest_read().map_or("no record".into(), |offset| format!("offset {offset} at most"));
                    let why = format!(
                        "{value} was acknowledged at {offset} of {key} and never seen: readers that polled later saw {last}{whereabouts}{excuse}"
                    );
                    judgement.find("unseen", verdict, key, operations, why);
                }
                Fate::Unread => {
                    judgement.unjudged += 1;
                    let why =
                        format!("{value} was acknowledged at {offset} of {key}, and nobody polled the key afterwards");
                    judgement.find("unseen", Gravity::Informational, key, operations, why);
                }
            }
        }
    }
    judgement
}

enum Fate {
    /// Somebody read past it.
    Lost { highest: i64 },
    /// Somebody looked later, and it was not there.
    Unseen,
    /// Nobody looked.
    Unread,
}

fn fate(book: &Book, sent: &Sent) -> Fate {
    match (sent.offset, book.highest_read()) {
        (Some(offset), Some(highest)) if offset <= highest => Fate::Lost { highest },
        _ if sent.answered < book.last_poll_asked => Fate::Unseen,
        _ => Fate::Unread,
    }
}

/// Why a loss is allowed.
fn excuse(grounds: &Grounds<'_>) -> Option<String> {
    match grounds.claims.acks {
        Acks::All => {}
        Acks::Leader => return Some("acks=1 does not survive the leader".into()),
        Acks::None => return Some("acks=0 promises nothing".into()),
    }
    if grounds.claims.unclean_election {
        return Some("the claims allow an unclean election".into());
    }
    grounds.excused_loss.clone()
}
