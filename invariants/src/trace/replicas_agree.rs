//! Replicas agree below the high watermark, and one leader writes one batch at an offset (log matching: Raft; Kafka's
//! ReplicaVerificationTool compares up to the high watermark).
//!
//! Broken if (a) two logs hold different batches at the same base offset and of the same leader epoch; (b) a follower writes
//! what the leader that it follows, and that still leads, does not have; (c) a follower moves its high watermark over a
//! batch that is not the committed one; (d) at the end a log holds another batch than the
//! committed one below its own high watermark. What lies below the start of any log is about to go from all. Above the high watermark logs may differ: the tail of a deposed leader goes when it
//! follows again. The same bytes under another epoch are another batch: a producer's retry may stand at the same offset
//! of two leaders.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{Event, LeaderEpoch, Offset, PartitionId};

use super::shadow::{Batch, NEAR_END};
use super::{Frequent, NodeId, Promise, World};

#[derive(Default)]
pub(super) struct ReplicasAgree {
    /// Every batch that was ever written, and who had it first: of each leader by offset.
    written: BTreeMap<(PartitionId, LeaderEpoch), Vec<(Batch, NodeId)>>,
    judged: u64,
}

/// A leader's log only grows while it leads: what its follower writes must be there.
fn copies_its_leader(partition: PartitionId, batch: Batch, node: NodeId, world: &World) -> Result<(), String> {
    let following = world.replica(partition, node).and_then(|replica| replica.following);
    let Some((leader, theirs)) = following.and_then(|epoch| world.leader_of(partition, epoch)) else { return Ok(()) };
    let is_witnessed = theirs.end <= batch.base || theirs.log.holding(batch.base).is_some();
    if !is_witnessed || theirs.log.holding(batch.base).is_some_and(|there| there.agrees_with(&batch)) {
        return Ok(());
    }
    Err(format!(
        "{partition}: {} writes {batch}, which its leader {} does not have",
        world.name(node),
        world.name(leader)
    ))
}

impl Promise for ReplicasAgree {
    fn name(&self) -> &'static str {
        "replicas agree below the high watermark"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Appended, Frequent::HighWatermarkAdvanced]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            What::Witnessed(Event::Appended { partition, epoch, base, end, crc }) => {
                self.judged += 1;
                let batch = before.batch(partition, base, end, epoch, crc);
                if batch.is_compacted() {
                    return copies_its_leader(partition, batch, node, before);
                }
                let written = self.written.entry((partition, epoch)).or_default();
                // Nearly always the last, or what its followers copy.
                let from_end = written.iter().rev().take(NEAR_END).take_while(|(known, _)| base <= known.base).count();
                let place = match from_end {
                    NEAR_END => written.partition_point(|(known, _)| known.base < base),
                    near => written.len() - near,
                };
                match written.get(place).filter(|(known, _)| known.base == base) {
                    None => written.insert(place, (batch, node)),
                    Some((first, _)) if *first == batch => {}
                    Some((first, owner)) => {
                        return Err(format!(
                            "{partition}: {} has {batch} where {} has {first}: two batches at one offset of one epoch",
                            before.name(node),
                            before.name(*owner)
                        ));
                    }
                }
                copies_its_leader(partition, batch, node, before)
            }
            What::Witnessed(Event::HighWatermarkAdvanced { partition, epoch, to }) => {
                let Some(replica) = before.replica(partition, node).filter(|replica| replica.leading != Some(epoch))
                else {
                    return Ok(());
                };
                self.judged += 1;
                let Some(state) = before.partition(partition).filter(|state| !state.is_given_up(epoch)) else {
                    return Ok(());
                };
                let from = replica.high_watermark.min(to).max(before.furthest_start(partition));
                match replica.log.conflict(&state.canonical, from, to) {
                    None => Ok(()),
                    Some((ours, committed)) => Err(format!(
                        "{partition}: {} counts {ours} as committed where {committed} was committed",
                        before.name(node)
                    )),
                }
            }
            _ => Ok(()),
        }
    }

    fn at_end(&self, world: &World) -> Result<(), String> {
        for partition in world.partitions() {
            let Some(state) = world.partition(partition) else { continue };
            for (node, replica) in world.replicas(partition) {
                let to = replica.high_watermark.min(state.high_watermark);
                if let Some((ours, committed)) = replica.log.conflict(&state.canonical, Offset::ZERO, to) {
                    return Err(format!(
                        "{partition}: at the end {} has {ours} where {committed} was committed",
                        world.name(node)
                    ));
                }
            }
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
