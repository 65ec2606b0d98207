//! Where a lost record went, by the replicas' own word: on disk and not delivered, cut away, or never written.

use model::{Offset, PartitionId};

use super::World;

/// What the logs hold at `offset`, and who cut something away there; none if nobody ever bore witness of the partition.
pub(crate) fn whereabouts(world: &World, partition: PartitionId, offset: Offset) -> Option<String> {
    let state = world.partition(partition)?;
    let mut parts = Vec::new();
    let mut holders = 0;
    for (node, replica) in world.replicas(partition) {
        let name = world.name(node);
        parts.push(match replica.log.holding(offset) {
            Some(batch) => {
                holders += 1;
                format!("{name} holds {batch} there")
            }
            None if replica.end <= offset => format!("the log of {name} ends at {}", replica.end),
            None => format!("{name} told nothing of what it holds there"),
        });
    }
    for cut in state.cuts.iter().filter(|cut| cut.to <= offset && offset < cut.from) {
        let how = if cut.by_recovery { "recovery" } else { "truncation" };
        parts.push(format!("a {how} cut {} from {} to {} (entry {})", world.name(cut.node), cut.from, cut.to, cut.at));
    }
    let side = if offset < state.high_watermark { "below" } else { "not below" };
    let held = if holders == 0 { "no replica holds the offset" } else { "the offset is held" };
    Some(format!("{held}, {side} the high watermark {}: {}", state.high_watermark, parts.join(", ")))
}
