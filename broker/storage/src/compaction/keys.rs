//! The last offset of each key in the part of a log that was never compacted: what a compaction goes by.
//!
//! Keys are kept whole, since two keys that only look alike would cost one of them its value. So their size is bounded by
//! `log.cleaner.dedupe.buffer.size`: a compaction that meets more of them ends where they no longer fit, and the next one goes on there.

use std::collections::BTreeMap;

use model::Offset;

/// Bytes that a key costs beyond its own: its offset, and its place in the map.
const KEY_OVERHEAD_BYTES: u64 = 64;

pub(super) struct Keys {
    latest: BTreeMap<Box<[u8]>, Offset>,
    bytes: u64,
    bytes_max: u64,
}

impl Keys {
    pub(super) fn new(bytes_max: u64) -> Keys {
        Keys { latest: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Takes the records of one batch, oldest first, if there is room for all. The first batch always has room: a compaction that
    /// takes none would never come further.
    pub(super) fn take<'a>(&mut self, batch: impl Iterator<Item = (&'a [u8], Offset)> + Clone) -> bool {
        let needed: u64 = batch.clone().map(|(key, _)| key.len() as u64 + KEY_OVERHEAD_BYTES).sum();
        if self.bytes_max < self.bytes + needed && !self.latest.is_empty() {
            return false;
        }
        for (key, offset) in batch {
            match self.latest.get_mut(key) {
                Some(latest) => *latest = (*latest).max(offset),
                None => {
                    self.bytes += key.len() as u64 + KEY_OVERHEAD_BYTES;
                    self.latest.insert(key.into(), offset);
                }
            }
        }
        true
    }

    /// True if a later record than the one at `offset` has the same key.
    pub(super) fn supersede(&self, key: &[u8], offset: Offset) -> bool {
        self.latest.get(key).is_some_and(|&latest| offset < latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_a_key_supersedes_the_ones_before_it_and_no_other() {
        let mut keys = Keys::new(1 << 20);
        let records = [(&b"a"[..], Offset(0)), (b"b", Offset(1)), (b"a", Offset(2))];
        assert!(keys.take(records.into_iter()));
        assert!(keys.supersede(b"a", Offset(0)) && !keys.supersede(b"a", Offset(2)));
        assert!(!keys.supersede(b"b", Offset(1)) && !keys.supersede(b"c", Offset(0)));
    }

    #[test]
    fn a_batch_that_does_not_fit_is_left_for_the_next_time_unless_it_is_the_first() {
        let mut keys = Keys::new(KEY_OVERHEAD_BYTES + 1);
        assert!(keys.take([(&b"a"[..], Offset(0)), (b"b", Offset(1))].into_iter()));
        assert!(!keys.take([(&b"c"[..], Offset(2))].into_iter()));
        assert!(!keys.supersede(b"c", Offset(0)));
    }
}
