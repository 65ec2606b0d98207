//! Triage of a loss: where an acknowledged record went, by the replicas' own word.
//!
//! | the record | means |
//! |---|---|
//! | on no replica, and cut by some | truncated: by whom, when, to follow which epoch, or by a recovery |
//! | on no replica, and cut by none | it was never there, or nobody bore witness |
//! | below a replica's log start | retention took it |
//! | on a replica, below the high watermark | it was not delivered: a fault between the log and the reader |
//! | on a replica, not below it | the high watermark is stuck |
//!
//! A batch at the same offset is the same record only if it is the one that was acknowledged.

use std::fmt::Write;

use model::{Offset, PartitionId};

use super::World;
use super::world::{Cut, CutWhy};

/// What became of `offset`, and what each replica holds there; none if nobody ever bore witness of the partition.
pub(crate) fn whereabouts(world: &World, partition: PartitionId, offset: Offset) -> Option<String> {
    let state = world.partition(partition)?;
    let acknowledged = state.acknowledged.holding(offset);
    let mut parts = Vec::new();
    let (mut holders, mut retained) = (0, true);
    for (node, replica) in world.replicas(partition) {
        let name = world.name(node);
        retained &= replica.start <= offset;
        parts.push(match (replica.log.holding(offset), acknowledged) {
            (Some(batch), Some(acknowledged)) if !batch.agrees_with(acknowledged) => {
                format!("{name} holds {batch} where {acknowledged} was acknowledged")
            }
            (Some(batch), _) => {
                holders += 1;
                format!("{name} holds {batch} there")
            }
            (None, _) if offset < replica.start => format!("the log of {name} begins at {}", replica.start),
            (None, _) if replica.end <= offset => format!("the log of {name} ends at {}", replica.end),
            (None, _) => format!("{name} told nothing of what it holds there"),
        });
    }
    let cuts: Vec<&Cut> = state.cuts.iter().filter(|cut| cut.to <= offset && offset < cut.from).collect();
    let high_watermark = state.high_watermark;
    let fate = match holders {
        0 if !retained => "it lies below the log's start: retention took it".into(),
        0 if cuts.is_empty() => "it is on no replica, and nobody cut it".into(),
        0 => format!("it is on no replica: it was truncated. {}", told(&cuts, world)),
        _ if offset < high_watermark => {
            format!("it is there, below the high watermark {high_watermark}: it was not delivered")
        }
        _ => format!("it is there, not below the high watermark {high_watermark}, which is stuck"),
    };
    Some(format!("{fate}; {}", parts.join(", ")))
}

/// Who cut, when, and why.
fn told(cuts: &[&Cut], world: &World) -> String {
    let mut text = String::new();
    for cut in cuts {
        let name = world.name(cut.node);
        let seconds = cut.time.0 as f64 / 1e9;
        let _ = match cut.why {
            CutWhy::Recovery => write!(text, "{name} recovered with {} of {}", cut.to, cut.from),
            CutWhy::Following(Some(epoch)) => {
                write!(text, "{name} cut its log from {} to {} to follow epoch {epoch}", cut.from, cut.to)
            }
            CutWhy::Following(None) => write!(text, "{name} cut its log from {} to {}", cut.from, cut.to),
        };
        let _ = write!(text, " at {seconds:.3} s (entry {}), ", cut.at);
    }
    text.trim_end_matches(", ").to_owned()
}
