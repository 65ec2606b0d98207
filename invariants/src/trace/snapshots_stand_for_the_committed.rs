//! Snapshots stand for what was committed (KIP-630; Raft, section 7).
//!
//! Broken if (a) a node takes a snapshot of metadata that it does not know to be committed, or installs one that ends beyond what any
//! leader committed; (b) two snapshots of the same metadata are not the same bytes; (c) the metadata log lets go of what no snapshot on
//! that node's disk stands for (KAFKA-14238); (d) a node comes back with less than the newest snapshot that was safe on its disk. What is
//! in a snapshot is judged by "metadata agrees". Of a disk that the world hurt nothing is asked.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::{Event, LeaderEpoch, Offset, PartitionId};

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct SnapshotsStandForTheCommitted {
    contents: BTreeMap<(Offset, LeaderEpoch), (u32, NodeId)>,
    /// How far the newest snapshot reaches that is safe on each node's disk; none since the world hurt that disk.
    safe: BTreeMap<NodeId, Option<Offset>>,
    /// How far the one reaches that each node found in this life.
    found: BTreeMap<NodeId, Offset>,
    judged: u64,
}

impl SnapshotsStandForTheCommitted {
    fn content(&mut self, id: (Offset, LeaderEpoch), content: u32, node: NodeId, world: &World) -> Result<(), String> {
        self.judged += 1;
        let (first, owner) = *self.contents.entry(id).or_insert((content, node));
        if first == content {
            return Ok(());
        }
        Err(format!(
            "the snapshot of metadata below {} has other bytes on {} than on {}",
            id.0,
            world.name(node),
            world.name(owner)
        ))
    }

    fn within(&mut self, end: Offset, committed: Offset, node: NodeId, world: &World) -> Result<(), String> {
        let safe = self.safe.entry(node).or_default();
        *safe = (*safe).max(Some(end));
        if end <= committed {
            return Ok(());
        }
        let name = world.name(node);
        Err(format!("{name} has a snapshot of metadata below {end}, and only what is below {committed} is committed"))
    }

    fn witnessed(&mut self, event: &Event, node: NodeId, world: &World) -> Result<(), String> {
        match *event {
            Event::SnapshotTaken { end, epoch, content, .. } => {
                self.content((end, epoch), content, node, world)?;
                let replica = world.replica(PartitionId::METADATA, node);
                self.within(end, replica.map_or(Offset::ZERO, |replica| replica.high_watermark), node, world)
            }
            Event::SnapshotInstalled { end, epoch, content } => {
                self.content((end, epoch), content, node, world)?;
                self.within(end, world.high_watermark(PartitionId::METADATA), node, world)
            }
            Event::SnapshotLoaded { end, epoch, content, .. } => {
                self.found.insert(node, end);
                self.content((end, epoch), content, node, world)
            }
            Event::LogStartAdvanced { partition: PartitionId::METADATA, to, .. } => {
                self.judged += 1;
                let Some(safe) = self.safe.get(&node).copied().unwrap_or(Some(Offset::ZERO)) else { return Ok(()) };
                if to <= safe {
                    return Ok(());
                }
                let name = world.name(node);
                Err(format!("{name} lets go of metadata below {to}, and its snapshots stand for what is below {safe}"))
            }
            Event::QuorumJoined { .. } => {
                let (safe, found) = (self.safe.get(&node).copied().flatten(), self.found.get(&node));
                match (safe, found) {
                    (Some(safe), found) if found < Some(&safe) => {
                        let found = found.copied().unwrap_or_default();
                        let name = world.name(node);
                        Err(format!("{name} had a snapshot of metadata below {safe}, and comes back with {found}"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

impl Promise for SnapshotsStandForTheCommitted {
    fn name(&self) -> &'static str {
        "snapshots stand for what was committed"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(event) => self.witnessed(event, node, before),
            What::NodeStarted => {
                self.found.remove(&node);
                Ok(())
            }
            What::DiskHurt { .. } => {
                self.safe.insert(node, None);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
