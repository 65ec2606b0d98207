//! What a broker knows of producers is what its log tells (Kafka's producer state; KIP-98).
//!
//! Broken if what a replica says it knows, when its log was cut or it begins to lead, is not what all the batches of that log tell,
//! read one after the other; but for producers that it forgot after a long silence. With more, it takes a batch that is gone for
//! one that is there, and with less, one that is there for a new one. What it remembers of batches below its log's start is not
//! asked for, nor anything of a log of which the world itself destroyed a part on this node. Compaction leaves the last batches of
//! each producer, and any others may go: where an unclean election then takes those that were left, nobody can know what the ones before
//! them told, and nothing that goes by these is asked for.
//!
//! Broken, too, if a leader tells a producer that its batch leaves a gap, where the batches between were acknowledged before: a
//! leader that was deposed knows less than the log has, and must not speak for it.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Entry, Harm, What};
use model::{Event, Offset, PartitionId, Producer, ProducerId, ProducerStamp, Producers, Timestamp};

use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct ProducerStateIsItsRebuild {
    flush_on_commit: bool,
    logs: BTreeMap<(PartitionId, NodeId), Log>,
    /// The last sequence of each producer and epoch that was acknowledged as being on every in-sync replica.
    acknowledged: BTreeMap<(PartitionId, ProducerId, i16), i32>,
    /// By what each leader asks itself: the sequence that it waits for, and the last that was acknowledged by then.
    questions: BTreeMap<(PartitionId, NodeId, u64), (i32, i32)>,
    judged: u64,
}

#[derive(Default)]
struct Log {
    /// The batches of producers, and where each begins and ends.
    batches: Vec<(ProducerStamp, Offset, Offset)>,
    /// Where those begin that compaction may have taken, since later ones told enough, and these are gone.
    faded: BTreeSet<Offset>,
    has_forgotten: bool,
    /// Some of it was written before the trace began; or a producer that was forgotten may be known again, since its batches were
    /// read again, and nobody witnessed which were.
    is_in_doubt: bool,
}

impl Log {
    /// None if nobody can know.
    fn rebuild(&self, start: Offset) -> Option<Producers> {
        let mut producers = Producers::default();
        for (stamp, base, end) in self.batches.iter().filter(|(_, _, end)| start < *end) {
            producers.note(stamp, *base, *end);
        }
        let has_faded = |(_, producer): (ProducerId, &Producer)| {
            producer.batches.iter().any(|batch| self.faded.contains(&batch.base))
        };
        (!self.is_in_doubt && !producers.iter().any(has_faded)).then_some(producers)
    }

    /// It ends at `end`; `is_faded` says it of what begins somewhere, should later batches go.
    fn ends_at(&mut self, end: Offset, is_faded: impl Fn(Offset) -> bool) {
        let count = self.batches.len();
        self.batches.retain(|(_, _, last)| *last <= end);
        self.faded.retain(|base| *base < end);
        if self.batches.len() < count {
            self.faded.extend(self.batches.iter().map(|(_, base, _)| *base).filter(|base| is_faded(*base)));
        }
        self.is_in_doubt |= self.has_forgotten;
    }

    fn forgets(&mut self, producer: ProducerId) {
        self.batches.retain(|(stamp, _, _)| stamp.id != producer);
        self.has_forgotten = true;
    }
}

impl ProducerStateIsItsRebuild {
    pub(super) fn new(flush_on_commit: bool) -> ProducerStateIsItsRebuild {
        ProducerStateIsItsRebuild { flush_on_commit, ..ProducerStateIsItsRebuild::default() }
    }

    fn acknowledges(&mut self, partition: PartitionId, node: NodeId, base: Offset) {
        let Some(log) = self.logs.get(&(partition, node)) else { return };
        let Some((stamp, _, _)) = log.batches.iter().rev().find(|(_, first, _)| *first == base) else { return };
        let last = self.acknowledged.entry((partition, stamp.id, stamp.epoch)).or_insert(stamp.last_sequence);
        // A batch that came again may be acknowledged after later ones.
        if comes_before(*last, stamp.last_sequence) {
            *last = stamp.last_sequence;
        }
    }

    fn log(&mut self, partition: PartitionId, node: NodeId) -> &mut Log {
        self.logs.entry((partition, node)).or_default()
    }
}

/// True if compaction may have taken the batch at `base` from this log. Only an unclean election cuts a log below where compaction
/// has been: elsewhere the last batches of each producer are still there.
fn is_faded(world: &World, partition: PartitionId, node: NodeId, base: Offset) -> bool {
    let has_given_up = world.partition(partition).is_some_and(|state| state.has_given_up());
    let batch = world.replica(partition, node).and_then(|replica| replica.log.holding(base));
    has_given_up && batch.is_some_and(|batch| batch.is_compacted())
}

/// True if `earlier` is less than half the circle of sequences before `later`.
fn comes_before(earlier: i32, later: i32) -> bool {
    let distance = later.wrapping_sub(earlier) & i32::MAX;
    0 < distance && distance < i32::MAX / 2
}

impl Promise for ProducerStateIsItsRebuild {
    fn name(&self) -> &'static str {
        "producer state equals its rebuild"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::ProducerAppended, Frequent::Acked]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::DiskHurt { harm: Harm::Wiped, .. } => {
                self.logs.retain(|(_, owner), _| *owner != node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match *event {
            Event::ProducerAppended {
                partition,
                producer: id,
                producer_epoch: epoch,
                first_sequence,
                last_sequence,
                base,
                end,
            } => {
                // No admission goes by time.
                let stamp = ProducerStamp { id, epoch, first_sequence, last_sequence, timestamp: Timestamp::default() };
                self.log(partition, node).batches.push((stamp, base, end));
            }
            Event::Acked { partition, base, acks: -1, .. } if self.flush_on_commit => {
                self.acknowledges(partition, node, base);
            }
            Event::SequenceQuestioned { partition, producer, producer_epoch, expected, question } => {
                let known = self.acknowledged.get(&(partition, producer, producer_epoch));
                // After a restart questions count from the beginning.
                self.questions.remove(&(partition, node, question));
                if let Some(&last) = known {
                    self.questions.insert((partition, node, question), (expected, last));
                }
            }
            Event::SequenceRefused { partition, question } => {
                let Some((expected, last)) = self.questions.remove(&(partition, node, question)) else {
                    return Ok(());
                };
                let is_given_up = before
                    .partition(partition)
                    .zip(before.replica(partition, node))
                    .is_some_and(|(state, replica)| replica.is_hurt || state.has_given_up());
                if is_given_up {
                    return Ok(());
                }
                self.judged += 1;
                if !comes_before(last, expected) {
                    let name = before.name(node);
                    return Err(format!(
                        "{partition}: {name} tells a producer that sequence {expected} comes next, but all up to {last} was acknowledged before"
                    ));
                }
            }
            Event::ProducerForgotten { partition, producer } => self.log(partition, node).forgets(producer),
            Event::Truncated { partition, to, .. } => {
                self.log(partition, node).ends_at(to, |base| is_faded(before, partition, node, base));
            }
            Event::Recovered { partition, log_end, .. } => {
                let is_new = !self.logs.contains_key(&(partition, node));
                let log = self.log(partition, node);
                log.ends_at(log_end, |base| is_faded(before, partition, node, base));
                log.is_in_doubt |= is_new && Offset::ZERO < log_end && !before.is_seen_from_start(node);
            }
            Event::LogBegunAnew { partition, .. } => _ = self.logs.insert((partition, node), Log::default()),
            Event::LogStartAdvanced { partition, to, .. } => {
                self.log(partition, node).batches.retain(|(_, _, end)| to < *end);
            }
            Event::ProducersKnown { partition, start, end, digest } => {
                let is_hurt = before.replica(partition, node).is_some_and(|replica| replica.is_hurt);
                let Some(rebuilt) = self.log(partition, node).rebuild(start).filter(|_| !is_hurt) else {
                    return Ok(());
                };
                self.judged += 1;
                if rebuilt.digest() != digest {
                    let name = before.name(node);
                    return Err(format!(
                        "{partition}: {name} knows other producers than its log, which has {start}..{end}, tells of"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
