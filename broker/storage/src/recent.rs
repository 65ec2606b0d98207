//! What was appended last, in memory: followers and consumers that keep up read it without asking the disk.
//!
//! The logs of a node share one room. What came first goes first, whichever log it is of, so that a log that is quiet holds nothing for
//! long, and ten thousand of them no more than one. What is here was checked when it came, and need not be again.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;

/// The room of a node, for [`Log::keep_in`](crate::Log::keep_in).
pub struct RecentBatches {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

/// What somebody put here: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Default)]
struct Kept {
    /// Oldest first. The first has the number `gone`.
    batches: VecDeque<Bytes>,
    gone: u64,
    bytes: usize,
}

impl RecentBatches {
    /// Room for so many bytes; what is larger than all of it is not kept.
    pub fn new(bytes_max: usize) -> RecentBatches {
        RecentBatches { bytes_max, kept: Mutex::default() }
    }

    pub(crate) fn put(&self, batches: &Bytes) -> Ticket {
        let mut kept = self.kept.lock();
        let ticket = Ticket(kept.gone + kept.batches.len() as u64);
        kept.bytes += batches.len();
        kept.batches.push_back(batches.clone());
        while self.bytes_max < kept.bytes
            && let Some(first) = kept.batches.pop_front()
        {
            kept.bytes -= first.len();
            kept.gone += 1;
        }
        ticket
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<Bytes> {
        let kept = self.kept.lock();
        let at = usize::try_from(ticket.0.checked_sub(kept.gone)?).ok()?;
        kept.batches.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_goes_first_when_there_is_no_more_room() {
        let recent = RecentBatches::new(10);
        let [first, second, third] =
            [&b"aaaa"[..], b"bbbb", b"cccc"].map(|bytes| recent.put(&Bytes::from_static(bytes)));
        assert_eq!(recent.get(first), None);
        assert_eq!(recent.get(second), Some(Bytes::from_static(b"bbbb")));
        assert_eq!(recent.get(third), Some(Bytes::from_static(b"cccc")));
        let large = recent.put(&Bytes::from_static(&[0; 11]));
        assert_eq!([second, third, large].map(|ticket| recent.get(ticket)), [None, None, None]);
        assert_eq!(recent.kept.lock().bytes, 0);
        let next = recent.put(&Bytes::from_static(b"dd"));
        assert_eq!(recent.get(next), Some(Bytes::from_static(b"dd")));
    }
}
