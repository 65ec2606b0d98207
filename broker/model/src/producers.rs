//! What a log tells of the producers that wrote it: enough to know a batch that comes again from a new one, and one that fits
//! from one that leaves a gap (KIP-98, KIP-360).
//!
//! ```text
//!   sequences of one producer in one partition:   0..4  5..5  6..19 │ 20.. fits │ 6..19 comes again │ 25.. leaves a gap
//!                                                 └──── in the log ─┘
//! ```
//! A function of the batches in the log, in their order: every replica comes to the same, and so does whoever reads the log again.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::{BatchHeader, Offset, ProducerId, Timestamp};

/// Batches of each producer that are known again when they come again: as many as a producer may have under way.
pub const PRODUCER_BATCHES_KEPT: usize = 5;

/// Who wrote a batch, and the batch's place among all that it wrote to the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    pub id: ProducerId,
    /// A later one of the same producer puts an end to the one before.
    pub epoch: i16,
    /// Of the first record. After the largest number comes zero.
    pub first_sequence: i32,
    pub last_sequence: i32,
    /// The latest of its records.
    pub timestamp: Timestamp,
}

/// What a batch is to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be appended.
    New,
    /// It is there already.
    Again { base: Offset, end: Offset },
}

/// Why a batch may not be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SequenceError {
    #[error("sequence {asked} of producer {producer} is out of order: {expected} comes next")]
    OutOfOrder { producer: ProducerId, epoch: i16, expected: i32, asked: i32 },
    #[error("epoch {asked} of producer {producer} has passed: {current} has begun")]
    InvalidProducerEpoch { producer: ProducerId, current: i16, asked: i16 },
    #[error(
        "producer {producer} is not known, sequence {asked} is not its first, and what it wrote may be deleted: the log begins at {log_start}"
    )]
    UnknownProducer { producer: ProducerId, asked: i32, log_start: Offset },
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Producers(#[n(0)] BTreeMap<ProducerId, Producer>);

/// The latest epoch of one producer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Producer {
    #[n(0)]
    pub epoch: i16,
    /// Its last batches, oldest first; never none.
    #[n(1)]
    pub batches: VecDeque<ProducerBatch>,
    /// The latest of the last batch.
    #[n(2)]
    pub last_timestamp: Timestamp,
}

/// A batch of a producer that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct ProducerBatch {
    #[n(0)]
    pub first_sequence: i32,
    #[n(1)]
    pub last_sequence: i32,
    #[n(2)]
    pub base: Offset,
    #[n(3)]
    pub end: Offset,
}

impl BatchHeader {
    /// Who wrote the batch; none without idempotence, and of control records, which have no sequence.
    pub fn stamp(&self) -> Option<ProducerStamp> {
        if self.producer_id < 0 || self.base_sequence < 0 || self.is_control() {
            return None;
        }
        Some(ProducerStamp {
            id: ProducerId(self.producer_id),
            epoch: self.producer_epoch,
            first_sequence: self.base_sequence,
            last_sequence: sequence_after(self.base_sequence, self.last_offset_delta),
            timestamp: self.max_timestamp,
        })
    }
}

/// The sequence `count` records on: after the largest comes zero.
pub fn sequence_after(sequence: i32, count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

impl Producers {
    /// What a batch with this stamp is to the log. Of a producer that the log does not know, any sequence may come: what it
    /// wrote before may have been deleted.
    ///
    /// # Errors
    /// See [`SequenceError`].
    pub fn admit(&self, stamp: &ProducerStamp) -> Result<Admission, SequenceError> {
        let Some(known) = self.0.get(&stamp.id) else { return Ok(Admission::New) };
        if stamp.epoch < known.epoch {
            let (current, asked) = (known.epoch, stamp.epoch);
            return Err(SequenceError::InvalidProducerEpoch { producer: stamp.id, current, asked });
        }
        let mut expected = 0;
        if stamp.epoch == known.epoch {
            if let Some(written) = known.batches.iter().find(|written| written.is(stamp)) {
                return Ok(Admission::Again { base: written.base, end: written.end });
            }
            expected = known.batches.back().map_or(0, |last| sequence_after(last.last_sequence, 1));
        }
        if stamp.first_sequence != expected {
            let ProducerStamp { id: producer, epoch, first_sequence: asked, .. } = *stamp;
            return Err(SequenceError::OutOfOrder { producer, epoch, expected, asked });
        }
        Ok(Admission::New)
    }

    /// Takes note of a batch that is in the log, after all that were noted before.
    pub fn note(&mut self, stamp: &ProducerStamp, base: Offset, end: Offset) {
        let producer = self.0.entry(stamp.id).or_insert_with(|| Producer::new(stamp.epoch));
        if producer.epoch != stamp.epoch {
            *producer = Producer::new(stamp.epoch);
        }
        if producer.batches.len() == PRODUCER_BATCHES_KEPT {
            producer.batches.pop_front();
        }
        let ProducerStamp { first_sequence, last_sequence, timestamp, .. } = *stamp;
        producer.last_timestamp = timestamp;
        producer.batches.push_back(ProducerBatch { first_sequence, last_sequence, base, end });
    }

    /// True if something is known of a batch that ends above `end`.
    pub fn reach_beyond(&self, end: Offset) -> bool {
        self.0.values().any(|producer| producer.batches.back().is_some_and(|last| end < last.end))
    }

    /// Forgets one producer: whatever it writes next counts as new to this, and may be refused by a log that lets records go.
    pub fn forget(&mut self, id: ProducerId) {
        self.0.remove(&id);
    }

    /// Each producer, and where the last batch ends that is known of it.
    pub fn ends(&self) -> impl Iterator<Item = (ProducerId, Offset)> {
        self.0.iter().map(|(&id, producer)| (id, producer.batches.back().map_or(Offset::ZERO, |last| last.end)))
    }

    /// What the batches tell that end after `start`: all that there is to know, if the log begins there.
    pub fn since(&self, start: Offset) -> Producers {
        let mut since = self.clone();
        since.0.retain(|_, producer| {
            producer.batches.retain(|written| start < written.end);
            !producer.batches.is_empty()
        });
        since
    }

    /// True if a batch of this producer is known.
    pub fn knows(&self, id: ProducerId) -> bool {
        self.0.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (ProducerId, &Producer)> {
        self.0.iter().map(|(&id, producer)| (id, producer))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash of all that admission goes by, the same for the same batches in one build.
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (id, producer) in &self.0 {
            (id, producer.epoch, &producer.batches).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Producer {
    fn new(epoch: i16) -> Producer {
        let batches = VecDeque::with_capacity(PRODUCER_BATCHES_KEPT);
        Producer { epoch, batches, last_timestamp: Timestamp::default() }
    }
}

impl ProducerBatch {
    fn is(&self, stamp: &ProducerStamp) -> bool {
        self.first_sequence == stamp.first_sequence && self.last_sequence == stamp.last_sequence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp(epoch: i16, first_sequence: i32, records: i32) -> ProducerStamp {
        let last_sequence = sequence_after(first_sequence, records - 1);
        ProducerStamp { id: ProducerId(7), epoch, first_sequence, last_sequence, timestamp: Timestamp(5) }
    }

    fn after(batches: &[(ProducerStamp, i64, i64)]) -> Producers {
        let mut producers = Producers::default();
        batches.iter().for_each(|(stamp, base, end)| producers.note(stamp, Offset(*base), Offset(*end)));
        producers
    }

    fn expects(epoch: i16, expected: i32, asked: i32) -> Result<Admission, SequenceError> {
        Err(SequenceError::OutOfOrder { producer: ProducerId(7), epoch, expected, asked })
    }

    #[test]
    fn the_next_sequence_fits_and_a_gap_does_not() {
        let producers = after(&[(stamp(0, 0, 3), 10, 13)]);
        assert_eq!(producers.admit(&stamp(0, 3, 1)), Ok(Admission::New));
        assert_eq!(producers.admit(&stamp(0, 4, 1)), expects(0, 3, 4));
        assert_eq!(producers.admit(&stamp(0, 2, 1)), expects(0, 3, 2));
    }

    #[test]
    fn a_batch_that_comes_again_is_known_as_long_as_it_may_be_under_way() {
        let batches: Vec<_> = (0..6).map(|n| (stamp(0, n, 1), i64::from(n), i64::from(n) + 1)).collect();
        let producers = after(&batches);
        for (again, base, end) in &batches[1..] {
            assert_eq!(producers.admit(again), Ok(Admission::Again { base: Offset(*base), end: Offset(*end) }));
        }
        assert_eq!(producers.admit(&batches[0].0), expects(0, 6, 0));
    }

    #[test]
    fn another_cut_of_the_same_sequences_is_no_repetition() {
        let producers = after(&[(stamp(0, 0, 3), 0, 3)]);
        assert_eq!(producers.admit(&stamp(0, 0, 2)), expects(0, 3, 0));
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_ends_the_one_before() {
        let mut producers = after(&[(stamp(3, 0, 3), 0, 3)]);
        assert_eq!(producers.admit(&stamp(4, 3, 1)), expects(4, 0, 3));
        assert_eq!(producers.admit(&stamp(4, 0, 1)), Ok(Admission::New));
        producers.note(&stamp(4, 0, 1), Offset(3), Offset(4));
        let error = SequenceError::InvalidProducerEpoch { producer: ProducerId(7), current: 4, asked: 3 };
        assert_eq!(producers.admit(&stamp(3, 3, 1)), Err(error));
    }

    #[test]
    fn after_the_largest_sequence_comes_zero() {
        let producers = after(&[(stamp(0, i32::MAX - 1, 4), 0, 4)]);
        assert_eq!(producers.admit(&stamp(0, 2, 1)), Ok(Admission::New));
        assert_eq!(sequence_after(i32::MAX, 1), 0);
    }

    #[test]
    fn what_lies_below_the_start_of_a_log_is_not_told_by_it() {
        let batches = [(stamp(0, 0, 1), 0, 1), (stamp(0, 1, 2), 1, 3), (stamp(0, 3, 1), 3, 4)];
        let producers = after(&batches);
        assert_eq!(producers.since(Offset(0)), producers);
        assert_eq!(producers.since(Offset(2)), after(&batches[1..]));
        assert!(producers.since(Offset(4)).is_empty());
    }

    #[test]
    fn any_sequence_of_an_unknown_producer_fits() {
        let mut producers = after(&[(stamp(0, 0, 1), 0, 1)]);
        producers.forget(ProducerId(7));
        assert_eq!(producers.admit(&stamp(0, 41, 1)), Ok(Admission::New));
    }

    proptest! {
        /// The log is the judge: a batch is there already if the same sequences of the epoch stand among its producer's last five.
        #[test]
        fn admission_agrees_with_a_look_at_the_whole_log(
            attempts in proptest::collection::vec((0_i16..3, 0_i32..12, 1_i32..4), 0..80),
        ) {
            let mut log: Vec<ProducerStamp> = Vec::new();
            let mut producers = Producers::default();
            for (epoch, first, records) in attempts {
                let asked = stamp(epoch, first, records);
                let current = log.last().map_or(epoch, |last| last.epoch);
                let of_epoch: Vec<_> = log.iter().enumerate().filter(|(_, known)| known.epoch == epoch).collect();
                let again = of_epoch.iter().rev().take(PRODUCER_BATCHES_KEPT).find(|(_, known)| **known == asked);
                let next = of_epoch.last().map_or(0, |(_, last)| last.last_sequence + 1);
                let admission = producers.admit(&asked);
                if epoch < current {
                    let is_refused = matches!(admission, Err(SequenceError::InvalidProducerEpoch { .. }));
                    prop_assert!(is_refused);
                } else if let Some((at, _)) = again {
                    let (base, end) = (Offset(*at as i64), Offset(*at as i64 + 1));
                    prop_assert_eq!(admission, Ok(Admission::Again { base, end }));
                } else if log.is_empty() || first == next {
                    prop_assert_eq!(admission, Ok(Admission::New));
                    producers.note(&asked, Offset(log.len() as i64), Offset(log.len() as i64 + 1));
                    log.push(asked);
                } else {
                    prop_assert_eq!(admission, expects(epoch, next, first));
                }
            }
        }

        #[test]
        fn what_is_kept_reads_back(batches in proptest::collection::vec((0_i64..4, 0_i16..3, 0_i32..9), 0..40)) {
            let mut producers = Producers::default();
            for (at, (id, epoch, first)) in (0..).zip(batches) {
                producers.note(&ProducerStamp { id: ProducerId(id), ..stamp(epoch, first, 1) }, Offset(at), Offset(at + 1));
            }
            let bytes = minicbor::to_vec(&producers).unwrap();
            prop_assert_eq!(minicbor::decode::<Producers>(&bytes).unwrap(), producers);
        }
    }
}
