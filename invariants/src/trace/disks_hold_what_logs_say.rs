//! Disks hold what logs say: when all is over, the files of each replica hold the batches that its broker witnessed, and nothing that
//! contradicts them (Kafka's ReplicaVerificationTool and DumpLogSegments; TigerBeetle's StorageChecker).
//!
//! Broken if (a) a log's files begin before the start that its broker told of, or end elsewhere than its log; (b) they hold another batch
//! than was witnessed there; (c) a checksum, an index, a checkpoint or a snapshot of producers contradicts the batches; (d) the files of two
//! replicas differ from where both begin up to the high watermark of both. Of what compaction made the epoch counts between replicas, and
//! after a loss of power, which may undo the exchange of files; else the borders too.
//!
//! Not asked of a log that the world hurt, that its node has not opened since it lost its power, or gave up; and of what a snapshot tells
//! of a producer, not after the log had forgotten it, nor once the world hurt the log, be it whole again: what batches tell of
//! producers is read from their headers, and no checksum is looked at for that.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Entry, What};
use model::{Event, Offset, PartitionId, ProducerId};

use super::shadow::{Batch, Shadow};
use super::world::Replica;
use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct DisksHoldWhatLogsSay {
    /// Logs that their nodes gave up, and have not opened since.
    given_up: BTreeSet<(PartitionId, NodeId)>,
    forgotten: BTreeSet<(PartitionId, NodeId, ProducerId)>,
    /// Logs that the world hurt ever.
    were_hurt: BTreeSet<(PartitionId, NodeId)>,
    /// Whoever lost its power ever.
    went_dark: BTreeSet<NodeId>,
    stored: BTreeMap<PartitionId, Vec<Stored>>,
    judged: u64,
}

/// What the files of one replica hold.
struct Stored {
    node: NodeId,
    start: Offset,
    log: Shadow,
}

impl DisksHoldWhatLogsSay {
    /// The replica whose log a file belongs to, if anything may be asked of it.
    fn answerable<'a>(&self, file: &str, node: NodeId, world: &'a World) -> Option<(PartitionId, &'a Replica)> {
        let partition = world.partition_of(file)?;
        let replica = world.replica(partition, node)?;
        let is_excused = replica.is_hurt || replica.lost_power || self.given_up.contains(&(partition, node));
        (!is_excused).then_some((partition, replica))
    }

    /// Why a batch in the files is not the one that was witnessed there.
    fn differs(&self, stored: &Batch, node: NodeId, replica: &Replica) -> Option<Batch> {
        let witnessed = replica.log.holding(stored.base)?;
        let borders = |batch: &Batch| (batch.base, batch.end);
        let is_same =
            witnessed.agrees_with(stored) && (borders(witnessed) == borders(stored) || self.went_dark.contains(&node));
        (!is_same).then_some(*witnessed)
    }

    fn judge(
        &mut self,
        node: NodeId,
        world: &World,
        (directory, stored): (&str, Stored),
        end: Offset,
    ) -> Result<(), String> {
        let Some((partition, replica)) = self.answerable(&format!("{directory}/"), node, world) else { return Ok(()) };
        self.judged += 1;
        let (words, name) = (world.words(partition), world.name(node));
        if stored.start < replica.start {
            return Err(format!(
                "{words}: on the disk of {name} the log begins at {}, and {name} said at {}",
                stored.start, replica.start
            ));
        }
        if end != replica.end {
            return Err(format!(
                "{words}: on the disk of {name} the log ends at {end}, and {name} said at {}",
                replica.end
            ));
        }
        // Of a batch that spans the start, the shadow may have a part alone.
        let differs = |found: &Batch| Some((*found, self.differs(found, node, replica)?));
        let whole = |batch: &&Batch| stored.start <= batch.base;
        let first = stored.log.overlapping(stored.start, end).filter(whole).find_map(differs);
        if let Some((found, witnessed)) = first {
            return Err(format!("{words}: on the disk of {name} stands {found}, and {name} wrote {witnessed}"));
        }
        self.stored.entry(partition).or_default().push(stored);
        Ok(())
    }
}

impl Promise for DisksHoldWhatLogsSay {
    fn name(&self) -> &'static str {
        "disks hold what logs say"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::LogDirectoryFailed { replicas, .. }) => {
                self.given_up.extend(replicas.iter().map(|&partition| (partition, node)));
            }
            What::Witnessed(Event::StorageFailed { partition } | Event::LogDamaged { partition }) => {
                self.given_up.insert((*partition, node));
            }
            What::Witnessed(Event::Recovered { partition, .. }) => {
                self.given_up.remove(&(*partition, node));
            }
            What::Witnessed(Event::ProducerForgotten { partition, producer }) => {
                self.forgotten.insert((*partition, node, *producer));
            }
            What::PowerLost => _ = self.went_dark.insert(node),
            What::DiskHurt { file, .. } => {
                self.were_hurt.extend(before.partition_of(file).map(|partition| (partition, node)));
            }
            What::LogFlawed { file, position, reason, producer } => {
                let Some((partition, _)) = self.answerable(file, node, before) else { return Ok(()) };
                let was_hurt = self.were_hurt.contains(&(partition, node));
                if producer.is_some_and(|producer| was_hurt || self.forgotten.contains(&(partition, node, producer))) {
                    return Ok(());
                }
                let (words, name) = (before.words(partition), before.name(node));
                return Err(format!("{words}: {file} on the disk of {name} is wrong at byte {position}: {reason}"));
            }
            What::LogStored { directory, start, end, batches } => {
                let mut log = Shadow::default();
                if let Some(partition) = before.partition_of(&format!("{directory}/")) {
                    for batch in batches {
                        log.append(before.batch(partition, batch.base, batch.end, batch.epoch, batch.crc));
                    }
                }
                let stored = Stored { node, start: *start, log };
                return self.judge(node, before, (directory.as_str(), stored), *end);
            }
            _ => {}
        }
        Ok(())
    }

    fn at_end(&self, world: &World) -> Result<(), String> {
        for (&partition, all) in &self.stored {
            let start = all.iter().map(|stored| stored.start).max().unwrap_or_default();
            let told = |stored: &Stored| Some(world.replica(partition, stored.node)?.high_watermark);
            let end = all.iter().filter_map(told).min().unwrap_or_default();
            let Some((first, others)) = all.split_first() else { continue };
            for other in others {
                if let Some((ours, theirs)) = first.log.conflict(&other.log, start, end) {
                    let (words, one, another) =
                        (world.words(partition), world.name(first.node), world.name(other.node));
                    return Err(format!(
                        "{words}: on the disk of {one} stands {ours}, on that of {another} {theirs}, and both count it as committed"
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
