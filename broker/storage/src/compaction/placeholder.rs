//! A placeholder: a batch without records that stands for the offsets of what compaction took.
//!
//! So no log has a gap: a batch that is missing is damage, here as in every other log, and leader epochs, ends of segments and of
//! truncations are what they were. One placeholder stands for all neighbours of one epoch, in 61 bytes; readers pass over it, as
//! they do over the empty batches that Kafka's own compaction leaves.

use bytes::{Bytes, BytesMut};
use model::{BatchHeader, LeaderEpoch, Offset, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placeholder {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) epoch: LeaderEpoch,
    /// The latest of what it stands for: it grows old as that would have.
    pub(super) latest: Timestamp,
}

impl Placeholder {
    pub(super) fn of(header: &BatchHeader) -> Placeholder {
        Placeholder {
            base: header.base_offset,
            end: header.end_offset(),
            epoch: header.leader_epoch,
            latest: header.max_timestamp,
        }
    }

    /// One for this and for `next`, which begins where this one ends, if there can be.
    pub(super) fn joined(&self, next: &Placeholder) -> Option<Placeholder> {
        let fits = self.epoch == next.epoch && next.end.0 - self.base.0 <= i64::from(i32::MAX);
        fits.then(|| Placeholder { end: next.end, latest: self.latest.max(next.latest), ..*self })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let header = BatchHeader {
            base_offset: self.base,
            size: 0,
            leader_epoch: self.epoch,
            crc: 0,
            attributes: 0,
            last_offset_delta: (self.end.0 - self.base.0 - 1) as i32,
            base_timestamp: self.latest,
            max_timestamp: self.latest,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        header.encode(&[])
    }
}

/// The batches of a leader's answer for a log that ends at `end`. Compaction may have joined what the log already has with what it
/// lacks: then the placeholder that stands for both is cut to the latter.
pub fn fit_to_end(batches: Bytes, end: Offset) -> Bytes {
    let Ok(header) = BatchHeader::parse(&batches) else { return batches };
    let spans_end = header.base_offset < end && end < header.end_offset();
    if !header.is_placeholder() || !spans_end || batches.len() < header.size {
        return batches;
    }
    model::reached!("a follower cut a placeholder to what it lacked");
    let mut fitted = BytesMut::from(&Placeholder { base: end, ..Placeholder::of(&header) }.encode()[..]);
    fitted.extend_from_slice(&batches[header.size..]);
    fitted.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholder(base: i64, end: i64, epoch: i32) -> Placeholder {
        Placeholder { base: Offset(base), end: Offset(end), epoch: LeaderEpoch(epoch), latest: Timestamp(base) }
    }

    #[test]
    fn a_placeholder_is_a_whole_batch_of_no_records() {
        let bytes = placeholder(5, 9, 3).encode();
        let header = BatchHeader::verify(&bytes).unwrap();
        assert!(header.is_placeholder() && header.size == bytes.len());
        assert_eq!((header.base_offset, header.end_offset()), (Offset(5), Offset(9)));
        assert_eq!(Placeholder::of(&header), placeholder(5, 9, 3));
    }

    #[test]
    fn neighbours_join_within_an_epoch_and_as_far_as_a_batch_can_count() {
        let joined = placeholder(5, 9, 3).joined(&placeholder(9, 12, 3)).unwrap();
        assert_eq!((joined.base, joined.end, joined.latest), (Offset(5), Offset(12), Timestamp(9)));
        assert_eq!(placeholder(5, 9, 3).joined(&placeholder(9, 12, 4)), None);
        assert_eq!(placeholder(0, 9, 3).joined(&placeholder(9, 1 << 31, 3)), None);
    }

    #[test]
    fn what_a_log_has_of_a_placeholder_is_cut_off_and_nothing_else_is_touched() {
        let next = placeholder(9, 10, 3).encode();
        let answer = Bytes::from([placeholder(5, 9, 3).encode(), next.clone()].concat());
        let fitted = fit_to_end(answer.clone(), Offset(7));
        let expected = Placeholder { latest: Timestamp(5), ..placeholder(7, 9, 3) }.encode();
        assert_eq!(fitted, [expected, next].concat());
        assert_eq!(fit_to_end(answer.clone(), Offset(5)), answer);
        assert_eq!(fit_to_end(answer.clone(), Offset(9)), answer);
        assert_eq!(fit_to_end(Bytes::new(), Offset(9)), Bytes::new());
    }
}
