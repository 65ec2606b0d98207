//! The cleaner: compacts the logs of this node, one at a time, the dirtiest first (`log.cleaner.*`).
//!
//! It reads and writes in small steps and rests after each, at least as long as `log.cleaner.io.max.bytes.per.second` asks, so that
//! it is in nobody's way. A log whose records make no sense is left alone for the rest of this node's life.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use host::{Host, buggify};
use model::PartitionId;
use storage::{Step, StorageError};

use crate::LATE;
use crate::node::Node;
use crate::partition::{Partition, PartitionError};

/// Between two steps, however fast the cleaner may be: others have their turn.
const REST_MIN: Duration = Duration::from_micros(100);

/// However long it rests: whoever gives a partition up waits for its compaction to end.
const NAP_MAX: Duration = Duration::from_millis(200);

/// How a compaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// There is no room, or the log has changed: later.
    GivenUp,
    /// Its records make no sense.
    Hopeless,
}

/// What a compaction did, for the operator.
#[derive(Debug, Default)]
struct Tally {
    read_bytes: u64,
    files: usize,
    records_kept: usize,
    batches_rewritten: usize,
}

pub(crate) async fn run<H: Host>(node: Arc<Node<H>>) {
    let mut hopeless: BTreeSet<PartitionId> = BTreeSet::new();
    loop {
        let dirtiest = dirtiest(&node, &hopeless);
        let ratio = dirtiest.as_ref().map(|(due, _)| due.dirty_ratio());
        node.metrics.cleaner.looked(node.host.now(), ratio, hopeless.len());
        let end = match dirtiest {
            Some((_, partition)) => {
                let end = compact(&node, &partition).await;
                if end == End::Hopeless {
                    hopeless.insert(partition.id);
                }
                end
            }
            None => End::GivenUp,
        };
        if end != End::Done {
            node.host.sleep(node.config.cleaner_backoff).await;
        }
    }
}

/// The log that is to be compacted next: one that is overdue, else the one of which the largest part is dirty.
fn dirtiest<H: Host>(node: &Node<H>, hopeless: &BTreeSet<PartitionId>) -> Option<(storage::Due, Arc<Partition<H>>)> {
    let now = node.host.wall_clock();
    let partitions = node.partitions().into_iter().filter(|partition| !hopeless.contains(&partition.id));
    let due = partitions.filter_map(|partition| match partition.compaction_due(now) {
        Ok(due) => due.map(|due| (due, partition)),
        Err(error) => {
            node.note(partition.id, &error);
            None
        }
    });
    let rank = |due: &storage::Due| (due.is_overdue, due.dirty_ratio());
    // Of equals the first, so that the order does not depend on how many there are.
    due.reduce(|most, next| if rank(&most.0) < rank(&next.0) { next } else { most })
}

async fn compact<H: Host>(node: &Node<H>, partition: &Partition<H>) -> End {
    let mut tally = Tally::default();
    let end = match run_compaction(node, partition, &mut tally).await {
        Ok(end) => end,
        Err(PartitionError::Storage(error @ StorageError::Uncompactable { .. })) => {
            tracing::warn!(id = %partition.id, %error, "leaves a log as it is until the next start");
            End::Hopeless
        }
        Err(_) if partition.is_given_up() => End::GivenUp,
        Err(error) => {
            tracing::warn!(id = %partition.id, %error, "cannot compact a log");
            node.note(partition.id, &error);
            End::GivenUp
        }
    };
    let Tally { read_bytes, files, records_kept, batches_rewritten } = tally;
    tracing::info!(id = %partition.id, ?end, read_bytes, files, batches_rewritten, records_kept, "compacted a log");
    end
}

async fn run_compaction<H: Host>(
    node: &Node<H>,
    partition: &Partition<H>,
    tally: &mut Tally,
) -> Result<End, PartitionError> {
    let host = &node.host;
    let begun = partition.begin_compaction(host.wall_clock(), node.config.cleaner_key_bytes_max);
    let Some(mut compacting) = begun else { return Ok(End::GivenUp) };
    loop {
        if partition.is_given_up() {
            return Ok(End::GivenUp);
        }
        match compacting.step()? {
            Step::Worked { bytes, rewritten } => {
                tally.read_bytes += bytes;
                node.metrics.cleaner.read_bytes.add(bytes);
                tally.batches_rewritten += rewritten.len();
                tally.records_kept += rewritten.iter().map(|batch| batch.kept.len()).sum::<usize>();
                partition.will_be_rewritten(rewritten);
                let until = host.now() + rest(bytes, node.config.cleaner_bytes_per_second_max);
                while host.now() < until && !partition.is_given_up() {
                    host.sleep(until.since(host.now()).min(NAP_MAX)).await;
                }
            }
            Step::Ready(pending) => {
                let swap = pending.run().await?;
                if buggify!(node.host, "a compacted file took its place late") {
                    host.sleep(LATE).await;
                }
                if !partition.swap(&compacting, swap)? {
                    return Ok(End::GivenUp);
                }
                tally.files += 1;
            }
            Step::Done => break,
        }
    }
    partition.finish_compaction(compacting.keep().await?)?;
    node.metrics.cleaner.runs.add(1);
    model::reached!("a log was compacted");
    Ok(End::Done)
}

/// How long to rest after reading so many bytes.
fn rest(bytes: u64, bytes_per_second_max: u64) -> Duration {
    let seconds = bytes as f64 / bytes_per_second_max.max(1) as f64;
    Duration::from_secs_f64(seconds.min(60.0)).max(REST_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cleaner_rests_as_long_as_its_speed_asks_and_never_not_at_all() {
        assert_eq!(rest(1 << 20, 1 << 20), Duration::from_secs(1));
        assert_eq!(rest(1 << 20, u64::MAX), REST_MIN);
        assert_eq!(rest(0, 1), REST_MIN);
        assert_eq!(rest(u64::MAX, 1), Duration::from_secs(60));
    }
}
