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
    /// By offset, and the epoch in which it was told.
    records: BTreeMap<Offset, (LeaderEpoch, KeySent)>,
    /// By key.
    offsets: BTreeMap<u64, BTreeSet<Offset>>,
    /// Leaders of different epochs told of them.
    disputed: BTreeSet<Offset>,
    /// What somebody took, and might.
    gone: BTreeSet<Offset>,
    compactions: Vec<Compaction>,
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
        if let Some((known_epoch, known)) = self.records.get(&offset) {
            if epoch != *known_epoch {
                self.disputed.insert(offset);
            }
            if epoch < *known_epoch {
                return;
            }
            if let Some(offsets) = self.offsets.get_mut(&known.key) {
                offsets.remove(&offset);
            }
        }
        self.records.insert(offset, (epoch, key));
        self.offsets.entry(key.key).or_default().insert(offset);
    }

    /// Why the record at `offset` may not be gone at the time `now`, if it may not.
    fn must_stay(&self, offset: Offset, now: Timestamp, high_watermark: Offset) -> Option<&'static str> {
        let (_, record) = self.records.get(&offset)?;
        if high_watermark <= offset {
            return Some("which is not committed");
        }
        let is_superseded = self
            .offsets
            .get(&record.key)
            .is_some_and(|offsets| offsets.range(offset.plus(1)..high_watermark).next().is_some());
        if is_superseded {
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
            let kept: BTreeSet<Offset> = batch.offsets.into_iter().collect();
            if let Some(strange) = kept.iter().find(|&&offset| offset < batch.base || batch.end <= offset) {
                return Err(format!("{partition}: {name} keeps a record at {strange}, outside of its batch"));
            }
            for offset in (batch.base.0..batch.end.0).map(Offset).filter(|offset| !kept.contains(offset)) {
                let is_in_doubt = has_given_up && keys.disputed.range(offset..).next().is_some();
                if is_in_doubt || keys.gone.contains(&offset) {
                    continue;
                }
                if let Some(why) = keys.must_stay(offset, now, high_watermark) {
                    return Err(format!("{partition}: {name} takes the record at offset {offset} away, {why}"));
                }
                keys.gone.insert(offset);
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
