//! The numbers of an idempotent producer's batches, by which a broker knows one that comes again (KIP-98, KIP-360).
//!
//! ```text
//!   producer id, epoch ── one line of sequences a partition: 0..4  5..5  6..19  …
//!                                                                  └─ given up: nothing fits after it, so a new epoch begins at 0
//! ```
//! A batch keeps its number through all attempts. Absent from here: the batches.

use std::collections::BTreeMap;

use model::{Endpoint, ProducerId, sequence_after};

use crate::TopicPartition;

/// Who the producer is to the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: ProducerId,
    pub(super) epoch: i16,
}

/// The number of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) identity: Identity,
    pub(super) first_sequence: i32,
}

#[derive(Default)]
pub(super) struct Sequences {
    /// None until the cluster gave one.
    identity: Option<Identity>,
    lines: BTreeMap<TopicPartition, Line>,
}

/// What one partition was sent under one epoch.
struct Line {
    identity: Identity,
    next: i32,
    /// Who took a batch of it, the last of all that were sent: a broker that was new to it refuses gaps from then on.
    known_to: Option<Endpoint>,
    broken: Option<Break>,
}

/// Why a line cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// A batch of it is certainly not in the log and will not come again under its number: nothing after it can be there.
    Missing,
    /// A batch was given up that may be in the log, and so may those after it.
    InDoubt,
}

impl Sequences {
    pub(super) fn is_identified(&self) -> bool {
        self.identity.is_some()
    }

    pub(super) fn identify(&mut self, id: ProducerId) {
        self.identity = Some(Identity { id, epoch: 0 });
    }

    /// The brokers do not know this producer any more: it must become another.
    pub(super) fn forget_identity(&mut self) {
        self.identity = None;
    }

    /// The number of the next batch of a partition, of `records` records. None if the producer has no identity yet.
    pub(super) fn stamp(&mut self, partition: &TopicPartition, records: usize) -> Option<Stamp> {
        let line = match self.lines.get_mut(partition) {
            Some(line) => line,
            None => {
                let identity = self.identity?;
                self.lines.entry(partition.clone()).or_insert(Line { identity, next: 0, known_to: None, broken: None })
            }
        };
        assert!(line.broken.is_none(), "a broken line takes no more");
        let stamp = Stamp { identity: line.identity, first_sequence: line.next };
        line.next = sequence_after(line.next, i32::try_from(records).unwrap_or(i32::MAX));
        Some(stamp)
    }

    /// A batch of the line of a partition was taken.
    pub(super) fn note_taken(&mut self, partition: &TopicPartition, stamp: Stamp, by: &Endpoint) {
        if let Some(line) = self.lines.get_mut(partition).filter(|line| line.identity == stamp.identity)
            && line.known_to.as_ref() != Some(by)
        {
            line.known_to = Some(by.clone());
        }
    }

    /// A batch of a partition was not taken, or nobody knows: whoever leads now may be new to the line. One that began with an empty log, since
    /// it had fallen behind what was deleted, knows none whose records went.
    pub(super) fn note_not_taken(&mut self, partition: &TopicPartition) {
        if let Some(line) = self.lines.get_mut(partition) {
            line.known_to = None;
        }
    }

    /// False while this leader may take any number of a partition for its first: whoever sends it two then may have the second taken and
    /// the first refused.
    pub(super) fn may_pipeline(&self, partition: &TopicPartition, leader: &Endpoint) -> bool {
        self.lines.get(partition).is_some_and(|line| line.known_to.as_ref() == Some(leader))
    }

    /// Ends the line of a partition. What was in doubt before stays in doubt.
    pub(super) fn break_off(&mut self, partition: &TopicPartition, why: Break) {
        if let Some(line) = self.lines.get_mut(partition)
            && line.broken != Some(Break::InDoubt)
        {
            line.broken = Some(why);
        }
    }

    pub(super) fn broken(&self, partition: &TopicPartition) -> Option<Break> {
        self.lines.get(partition)?.broken
    }

    /// Lets a partition begin at zero again, under an epoch that comes after that of its broken line.
    pub(super) fn begin_again(&mut self, partition: &TopicPartition) {
        let Some(line) = self.lines.remove(partition) else { return };
        if self.identity == Some(line.identity) {
            let next = line.identity.epoch.checked_add(1);
            self.identity = next.map(|epoch| Identity { epoch, ..line.identity });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(stamp: Option<Stamp>) -> (i64, i16, i32) {
        stamp.map(|stamp| (stamp.identity.id.0, stamp.identity.epoch, stamp.first_sequence)).unwrap()
    }

    #[test]
    fn nothing_has_a_number_before_the_producer_is_known() {
        let mut sequences = Sequences::default();
        let orders = TopicPartition::new("orders", 0);
        assert_eq!(sequences.stamp(&orders, 1), None);
        sequences.identify(ProducerId(4));
        assert_eq!(number(sequences.stamp(&orders, 1)), (4, 0, 0));
    }

    #[test]
    fn each_partition_counts_its_own_records() {
        let mut sequences = Sequences::default();
        sequences.identify(ProducerId(4));
        let [orders, bills] = [TopicPartition::new("orders", 0), TopicPartition::new("bills", 0)];
        sequences.stamp(&orders, 3);
        assert_eq!(number(sequences.stamp(&orders, 1)), (4, 0, 3));
        assert_eq!(number(sequences.stamp(&bills, 1)), (4, 0, 0));
    }

    #[test]
    fn the_first_batch_that_a_leader_is_sent_goes_alone() {
        let mut sequences = Sequences::default();
        sequences.identify(ProducerId(4));
        let orders = TopicPartition::new("orders", 0);
        let [leader, other] = ["one:9092", "two:9092"].map(|endpoint| endpoint.parse::<Endpoint>().unwrap());
        assert!(!sequences.may_pipeline(&orders, &leader));
        let first = sequences.stamp(&orders, 1).unwrap();
        assert!(!sequences.may_pipeline(&orders, &leader));
        sequences.note_taken(&orders, first, &leader);
        assert!(sequences.may_pipeline(&orders, &leader));
        assert!(!sequences.may_pipeline(&orders, &other));
        sequences.note_not_taken(&orders);
        assert!(!sequences.may_pipeline(&orders, &leader), "it may have begun anew");
        sequences.note_taken(&orders, first, &leader);
        sequences.break_off(&orders, Break::Missing);
        sequences.begin_again(&orders);
        sequences.stamp(&orders, 1);
        sequences.note_taken(&orders, first, &leader);
        assert!(!sequences.may_pipeline(&orders, &leader), "it is of an earlier line");
    }

    #[test]
    fn a_broken_line_begins_again_under_a_later_epoch_and_others_go_on() {
        let mut sequences = Sequences::default();
        sequences.identify(ProducerId(4));
        let [orders, bills] = [TopicPartition::new("orders", 0), TopicPartition::new("bills", 0)];
        sequences.stamp(&orders, 3);
        sequences.stamp(&bills, 2);
        sequences.break_off(&orders, Break::InDoubt);
        sequences.break_off(&orders, Break::Missing);
        assert_eq!(sequences.broken(&orders), Some(Break::InDoubt));
        sequences.begin_again(&orders);
        assert_eq!(number(sequences.stamp(&orders, 1)), (4, 1, 0));
        assert_eq!(number(sequences.stamp(&bills, 1)), (4, 0, 2));
    }

    #[test]
    fn after_the_last_epoch_comes_another_producer_id() {
        let last = Some(Identity { id: ProducerId(4), epoch: i16::MAX });
        let mut sequences = Sequences { identity: last, ..Sequences::default() };
        let orders = TopicPartition::new("orders", 0);
        sequences.stamp(&orders, 1);
        sequences.break_off(&orders, Break::Missing);
        sequences.begin_again(&orders);
        assert_eq!(sequences.stamp(&orders, 1), None);
        sequences.identify(ProducerId(5));
        assert_eq!(number(sequences.stamp(&orders, 1)), (5, 0, 0));
    }
}
