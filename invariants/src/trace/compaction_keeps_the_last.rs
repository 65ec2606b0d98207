//! Compaction takes only what it may, and the last value of each key stays.
//!
//! Broken if a log whose files were compacted lacks (a) a record that was not committed, or has no part in what is committed; (b)
//! the last committed record of a key; (c) a tombstone that nothing follows, before `delete.retention.ms` have passed since a
//! compaction first kept it, by the wall clocks of those who compacted. Also if (d) it keeps a record that was never at its offset.
//! What one node took rightly, others may take at any time. Records whose keys nobody told prove nothing; nor do those, after an unclean
//! election, that leaders of different epochs had at one offset: the word of the later one may be what was given up.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Entry, What};
use model::{Event, KeySent, LeaderEpoch, Offset, PartitionId, Timestamp};

use super::{NodeId, Promise, World};

pub(crate) const NAME: &str = "compaction keeps the last value of each key";

#[derive(Default)]
pub(super) struct CompactionKeepsTheLast {
    logs: BTreeMap<PartitionId, Keys>,
    /// What stands in the file that a node is writing.
    pending: BTreeMap<(PartitionId, NodeId), Vec<Kept>>,
    judged: u64,
}

/// A batch that was compacted.
struct Kept {
    base: Offset,
    end: Offset,
    offsets: Vec<Offset>,
}

/// The keys of one partition's records.
#[derive(Default)]
struct Keys {
    /// By offset.
    records: Vec<Record>,
    /// Of each key, where its records are.
    offsets: BTreeMap<u64, Vec<Offset>>,
    /// Leaders of different epochs told of them.
    disputed: BTreeSet<Offset>,
    compactions: Vec<Compaction>,
}

/// A record, as the leader of `epoch` told of it.
struct Record {
    offset: Offset,
    epoch: LeaderEpoch,
    key: KeySent,
    /// Somebody took it, and might.
    is_gone: bool,
}

struct Compaction {
    from: Offset,
    to: Offset,
    now: Timestamp,
    delete_retention_ms: i64,
}

impl Keys {
    /// The record at `offset` has this key, unless a later leader's word is known.
    fn tell(&mut self, offset: Offset, epoch: LeaderEpoch, key: KeySent) {
        let at = self.first_from(offset);
        match self.records.get_mut(at).filter(|known| known.offset == offset) {
            Some(known) => {
                if epoch != known.epoch {
                    self.disputed.insert(offset);
                }
                if epoch < known.epoch {
                    return;
                }
                if let Some(offsets) = self.offsets.get_mut(&known.key.key) {
                    offsets.retain(|other| *other != offset);
                }
                (known.epoch, known.key) = (epoch, key);
            }
            None => self.records.insert(at, Record { offset, epoch, key, is_gone: false }),
        }
        let offsets = self.offsets.entry(key.key).or_default();
        let at = offsets.partition_point(|other| *other < offset);
        offsets.insert(at, offset);
    }

    /// The number of the first record at or after `offset`. Nearly always it is the next to come.
    fn first_from(&self, offset: Offset) -> usize {
        match self.records.last() {
            Some(last) if offset <= last.offset => self.records.partition_point(|record| record.offset < offset),
            _ => self.records.len(),
        }
    }

    /// Why this record may not be gone at the time `now`, if it may not.
    fn must_stay(&self, record: &Record, now: Timestamp, high_watermark: Offset) -> Option<&'static str> {
        let Record { offset, key: record, .. } = *record;
        if high_watermark <= offset {
            return Some("which is not committed");
        }
        let of_key = &self.offsets[&record.key];
        let next = of_key.get(of_key.partition_point(|other| *other <= offset));
        if next.is_some_and(|next| *next < high_watermark) {
            return None;
        }
        if !record.is_tombstone {
            return Some("the last one of its key");
        }
        let mut passed =
            self.compactions.iter().filter(|compaction| compaction.from <= offset && offset < compaction.to);
        let is_old = passed.any(|first| first.now.0.saturating_add(first.delete_retention_ms) <= now.0);
        (!is_old).then_some("a tombstone that was to stay for delete.retention.ms")
    }
}

impl CompactionKeepsTheLast {
    fn judge(
        &mut self,
        partition: PartitionId,
        compaction: Compaction,
        node: NodeId,
        world: &World,
    ) -> Result<(), String> {
        self.judged += 1;
        let high_watermark = world.high_watermark(partition);
        let has_given_up = world.partition(partition).is_some_and(|state| state.has_given_up());
        let name = world.name(node);
        let (from, to, now) = (compaction.from, compaction.to, compaction.now);
        if high_watermark < to {
            return Err(format!(
                "{partition}: {name} compacts {from}..{to}, and only what is below {high_watermark} is committed"
            ));
        }
        let keys = self.logs.entry(partition).or_default();
        for batch in self.pending.remove(&(partition, node)).unwrap_or_default() {
            let mut kept = batch.offsets;
            kept.sort_unstable();
            if let Some(strange) = kept.iter().find(|&&offset| offset < batch.base || batch.end <= offset) {
                return Err(format!("{partition}: {name} keeps a record at {strange}, outside of its batch"));
            }
            for at in keys.first_from(batch.base)..keys.first_from(batch.end) {
                let record = &keys.records[at];
                let offset = record.offset;
                let is_in_doubt = has_given_up && keys.disputed.range(offset..).next().is_some();
                if record.is_gone || kept.binary_search(&offset).is_ok() || is_in_doubt {
                    continue;
                }
                if let Some(why) = keys.must_stay(record, now, high_watermark) {
                    return Err(format!("{partition}: {name} takes the record at offset {offset} away, {why}"));
                }
                keys.records[at].is_gone = true;
            }
        }
        keys.compactions.push(compaction);
        Ok(())
    }
}

impl Promise for CompactionKeepsTheLast {
    fn name(&self) -> &'static str {
        NAME
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::KeysWritten { partition, epoch, base, keys }) => {
                let known = self.logs.entry(*partition).or_default();
                for (delta, key) in (0..).zip(keys) {
                    known.tell(base.plus(delta), *epoch, *key);
                }
                Ok(())
            }
            What::Witnessed(Event::BatchCompacted { partition, base, end, kept, .. }) => {
                let batch = Kept { base: *base, end: *end, offsets: kept.clone() };
                self.pending.entry((*partition, node)).or_default().push(batch);
                Ok(())
            }
            What::Witnessed(Event::Compacted { partition, from, to, now, delete_retention_ms }) => {
                // What was written before for a file that came to nothing, or for another one, says nothing here.
                if let Some(pending) = self.pending.get_mut(&(*partition, node)) {
                    pending.retain(|batch| *from <= batch.base && batch.end <= *to);
                }
                let (from, to, now, delete_retention_ms) = (*from, *to, *now, *delete_retention_ms);
                self.judge(*partition, Compaction { from, to, now, delete_retention_ms }, node, before)
            }
            What::NodeStarted | What::NodeCrashed | What::NodeStopped { .. } | What::PowerLost => {
                self.pending.retain(|(_, owner), _| *owner != node);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
