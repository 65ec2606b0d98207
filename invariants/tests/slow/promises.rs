//! The promises over the trace, from their definitions: is one broken by what a broker tells at one place of a trace?

use evidence::What;
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId};

use super::*;

/// A promise, and whether the last entry of a trace breaks it.
pub(crate) type Reference = (&'static str, fn(&[Told], i32, &Event) -> bool);

pub(crate) const REFERENCES: &[Reference] = &[
    ("one leader an epoch", two_lead),
    ("epochs never fall", an_epoch_falls),
    ("the committed prefix never changes", another_batch_is_committed),
    ("replicas agree below the high watermark", replicas_disagree),
    ("an elected leader has every committed record", a_leader_lacks_something),
    ("the high watermark waits for every in-sync replica", somebody_is_not_waited_for),
    ("leaders count what followers have", too_much_is_counted),
    ("a truncation spares what is committed", something_committed_is_cut),
    ("offsets keep their order", offsets_are_out_of_order),
    ("nothing comes from nowhere", something_comes_from_nowhere),
    ("recovery keeps all that was synced", recovery_loses_something),
    ("metadata agrees", metadata_disagrees),
    ("snapshots stand for what was committed", a_snapshot_lies),
    ("the quorum commits by majority", the_quorum_lacks_a_majority),
    ("acks are honest", an_ack_lies),
];

/// All that was witnessed, with who did.
pub(super) fn witnessed(before: &[Told]) -> impl DoubleEndedIterator<Item = (i32, &Event)> {
    before.iter().filter_map(|(node, what)| match what {
        What::Witnessed(event) => Some((*node, event)),
        _ => None,
    })
}

/// Who is said to lead what in which epoch.
fn led(node: i32, event: &Event) -> Option<(PartitionId, LeaderEpoch, BrokerId)> {
    match *event {
        Event::BecameLeader { partition, epoch, .. } => Some((partition, epoch, BrokerId(node))),
        Event::BecameFollower { partition, epoch, leader, .. } => Some((partition, epoch, leader)),
        Event::QuorumLeader { epoch, .. } => Some((PartitionId::METADATA, epoch, BrokerId(node))),
        Event::QuorumFollower { epoch, leader } => Some((PartitionId::METADATA, epoch, leader)),
        Event::PartitionChanged { partition, leader: Some(leader), leader_epoch, .. } => {
            Some((partition, leader_epoch, leader))
        }
        _ => None,
    }
}

fn two_lead(before: &[Told], node: i32, event: &Event) -> bool {
    let Some((partition, epoch, leader)) = led(node, event) else { return false };
    let mut others = witnessed(before).filter_map(|(node, event)| led(node, event));
    others.any(|other| (other.0, other.1) == (partition, epoch) && other.2 != leader)
}

fn quorum_epoch(event: &Event) -> Option<LeaderEpoch> {
    match *event {
        Event::QuorumLeader { epoch, .. } | Event::QuorumFollower { epoch, .. } | Event::QuorumUnattached { epoch } => {
            Some(epoch)
        }
        _ => None,
    }
}

fn role_epoch(event: &Event) -> Option<(PartitionId, LeaderEpoch)> {
    match *event {
        Event::BecameLeader { partition, epoch, .. } | Event::BecameFollower { partition, epoch, .. } => {
            Some((partition, epoch))
        }
        _ => None,
    }
}

fn state(event: &Event) -> Option<(PartitionId, LeaderEpoch, PartitionEpoch)> {
    match *event {
        Event::PartitionChanged { partition, leader_epoch, partition_epoch, .. } => {
            Some((partition, leader_epoch, partition_epoch))
        }
        _ => None,
    }
}

/// What a broker last said that `says` makes something of.
pub(super) fn last<T>(told: &[Told], of: i32, says: impl Fn(&Event) -> Option<T>) -> Option<T> {
    witnessed(told).rev().filter(|(node, _)| *node == of).find_map(|(_, event)| says(event))
}

fn an_epoch_falls(before: &[Told], node: i32, event: &Event) -> bool {
    let vote = |event: &Event| match *event {
        Event::VoteCast { epoch, candidate } => Some((epoch, candidate)),
        _ => None,
    };
    let kept = |event: &Event| match *event {
        Event::EpochKept { epoch } => Some(epoch),
        _ => None,
    };
    let life = this_life(before, node);
    let voted = last(before, node, vote);
    match *event {
        Event::VoteCast { epoch, candidate } => {
            voted.is_some_and(|(voted, other)| epoch < voted || (epoch == voted && candidate != other))
        }
        Event::VoteGranted { epoch, candidate } => {
            let is_over = last(before, node, kept).is_some_and(|kept| epoch < kept);
            !is_over && voted != Some((epoch, candidate))
        }
        Event::EpochKept { epoch } => last(before, node, kept).is_some_and(|kept| epoch < kept),
        Event::QuorumLeader { epoch, .. } | Event::QuorumFollower { epoch, .. } | Event::QuorumUnattached { epoch } => {
            voted.is_some_and(|(voted, _)| epoch < voted)
                || last(life, node, quorum_epoch).is_some_and(|last| epoch < last)
        }
        Event::BecameLeader { partition, epoch, .. } | Event::BecameFollower { partition, epoch, .. } => {
            let role = |event: &Event| role_epoch(event).filter(|(of, _)| *of == partition);
            last(life, node, role).is_some_and(|(_, last)| epoch < last)
        }
        Event::PartitionChanged { partition, leader_epoch, partition_epoch, .. } => {
            let of = |event: &Event| state(event).filter(|(of, ..)| *of == partition);
            last(life, node, of).is_some_and(|(_, leader, state)| leader_epoch < leader || partition_epoch < state)
        }
        _ => false,
    }
}

fn another_batch_is_committed(before: &[Told], node: i32, event: &Event) -> bool {
    let Event::HighWatermarkAdvanced { partition, epoch, to } = *event else { return false };
    let from = own_high_watermark(before, node, partition).min(to);
    leading(before, node, partition) == Some(epoch)
        && differ(&log(before, node, partition), &canonical(before, partition), from, to)
}

fn replicas_disagree(before: &[Told], node: i32, event: &Event) -> bool {
    match *event {
        Event::Appended { partition, epoch, base, end, crc } => {
            let batch = Batch { base, end, epoch, crc };
            let is_other = |event: &Event| match *event {
                Event::Appended { partition: log, epoch, base, end, crc } => {
                    let other = Batch { base, end, epoch, crc };
                    log == partition && (other.epoch, other.base) == (batch.epoch, batch.base) && other != batch
                }
                _ => false,
            };
            let Some(followed) = following(before, node, partition) else {
                return witnessed(before).any(|(_, event)| is_other(event));
            };
            let leader = brokers(before).into_iter().find(|one| leading(before, *one, partition) == Some(followed));
            let lacks = |leader: i32| {
                let theirs = log(before, leader, partition);
                let is_witnessed = end_or_zero(before, leader, partition) <= base || holding(&theirs, base).is_some();
                is_witnessed && !theirs.contains(&batch)
            };
            witnessed(before).any(|(_, event)| is_other(event)) || leader.is_some_and(lacks)
        }
        Event::HighWatermarkAdvanced { partition, epoch, to } => {
            let from = own_high_watermark(before, node, partition).min(to).max(furthest_start(before, partition));
            leading(before, node, partition) != Some(epoch)
                && differ(&log(before, node, partition), &canonical(before, partition), from, to)
        }
        _ => false,
    }
}

fn end_or_zero(before: &[Told], of: i32, partition: PartitionId) -> Offset {
    end(before, of, partition).unwrap_or(Offset(0))
}

/// Judged once, when a trace is over.
pub(crate) fn replicas_disagree_in_the_end(trace: &[Told], partition: PartitionId) -> bool {
    let canonical = canonical(trace, partition);
    brokers(trace).into_iter().any(|node| {
        let to = own_high_watermark(trace, node, partition).min(high_watermark(trace, partition));
        differ(&log(trace, node, partition), &canonical, Offset(0), to)
    })
}

fn a_leader_lacks_something(before: &[Told], node: i32, event: &Event) -> bool {
    let (partition, epoch, log_end) = match *event {
        Event::BecameLeader { partition, epoch, log_end, .. } => (partition, epoch, log_end),
        Event::QuorumLeader { epoch, log_end } => (PartitionId::METADATA, epoch, log_end),
        _ => return false,
    };
    let required = committed_before(before, partition, epoch);
    let canonical = canonical(before, partition);
    log_end < required || differ(&log(before, node, partition), &canonical, Offset(0), required)
}

fn somebody_is_not_waited_for(before: &[Told], node: i32, event: &Event) -> bool {
    match event {
        Event::HighWatermarkAdvanced { partition, epoch, to } => {
            let (in_sync, at_most) = in_sync(before, node, *partition);
            let is_known = |broker: &BrokerId| brokers(before).contains(&broker.0) || broker.0 == node;
            let lags = |broker: &BrokerId| is_known(broker) && reached(before, broker.0, *partition) < *to;
            leading(before, node, *partition) == Some(*epoch)
                && !at_most.is_empty()
                && (at_most.iter().any(lags) || in_sync.len() < in_sync_min(before, node, *partition))
        }
        Event::PartitionChanged { partition, partition_epoch, in_sync, .. } => {
            let states = witnessed(before).filter_map(|(_, event)| match event {
                Event::PartitionChanged { partition: of, partition_epoch, in_sync, .. } if of == partition => {
                    Some((*partition_epoch, in_sync))
                }
                _ => None,
            });
            // Of those that tell of one state, the first counts.
            let newest = states.rev().max_by_key(|(state, _)| *state);
            let Some((_, members)) = newest.filter(|(state, _)| state < partition_epoch) else { return false };
            let committed = high_watermark(before, *partition);
            in_sync.iter().filter(|broker| !members.contains(broker)).any(|joining| {
                let is_known = brokers(before).contains(&joining.0) || joining.0 == node;
                let theirs = log(before, joining.0, *partition);
                is_known
                    && (reached(before, joining.0, *partition) < committed
                        || differ(&theirs, &canonical(before, *partition), Offset(0), committed))
            })
        }
        _ => false,
    }
}

fn too_much_is_counted(before: &[Told], _: i32, event: &Event) -> bool {
    let Event::FollowerCounted { partition, epoch, follower, end: counted } = *event else { return false };
    let of = follower.0;
    if !is_heard_of(before, of, partition) {
        return false;
    }
    let ever_followed = own(before, of, partition)
        .any(|event| matches!(event, Event::BecameFollower { epoch: followed, .. } if *followed == epoch));
    if leading(before, of, partition) == Some(epoch) || !ever_followed {
        return true;
    }
    let leader = brokers(before).into_iter().find(|one| leading(before, *one, partition) == Some(epoch));
    let last = counted.plus(-1);
    let theirs = holding(&log(before, of, partition), last);
    let ours = leader.and_then(|leader| holding(&log(before, leader, partition), last));
    following(before, of, partition) == Some(epoch)
        && (reached(before, of, partition) < counted
            || reached_safely(before, of, partition) < counted
            || theirs.is_some() && ours.is_some() && theirs != ours)
}

fn something_committed_is_cut(before: &[Told], node: i32, event: &Event) -> bool {
    match *event {
        Event::Truncated { partition, to, .. } => {
            let canonical = canonical(before, partition);
            let ours = log(before, node, partition);
            let gone = ours.iter().filter(|batch| to < batch.end && batch.end <= high_watermark(before, partition));
            leading(before, node, partition).is_some() || gone.into_iter().any(|batch| canonical.contains(batch))
        }
        Event::LogsParted { partition, leader_epoch, .. } => {
            following(before, node, partition).is_some_and(|followed| followed != leader_epoch)
        }
        _ => false,
    }
}

fn offsets_are_out_of_order(before: &[Told], node: i32, event: &Event) -> bool {
    let end = |log| end(before, node, log);
    match *event {
        Event::Appended { partition, base, end: batch_end, .. } => {
            // An empty log may begin in the middle of its first batch.
            let start = start(before, node, partition).unwrap_or(Offset(0));
            end(partition).is_some_and(|end| end != base && !(end == start && base < end && end < batch_end))
        }
        Event::Synced { partition, end: synced } => end(partition).is_some_and(|end| end < synced),
        Event::HighWatermarkAdvanced { partition, to, .. } => end(partition).is_some_and(|end| end < to),
        Event::Recovered { partition, log_start, log_end, .. } => {
            let earlier = start(before, node, partition);
            log_end < log_start || earlier.is_some_and(|earlier| log_start < earlier)
        }
        _ => false,
    }
}

fn something_comes_from_nowhere(before: &[Told], _: i32, event: &Event) -> bool {
    let Event::Appended { partition, crc, .. } = *event else { return false };
    let sent = || {
        witnessed(before).filter_map(|(_, event)| match event {
            Event::BatchSent { partition, crc } => Some((*partition, *crc)),
            _ => None,
        })
    };
    partition != PartitionId::METADATA && sent().next().is_some() && sent().all(|sent| sent != (partition, crc))
}

fn recovery_loses_something(before: &[Told], node: i32, event: &Event) -> bool {
    let Event::Recovered { partition, log_end, .. } = *event else { return false };
    let first = before.iter().find(|(other, _)| *other == node);
    let is_seen_from_start = first.is_some_and(|(_, what)| *what == What::NodeStarted);
    let is_of_nowhere = is_seen_from_start && Offset(0) < log_end && !is_heard_of(before, node, partition);
    is_of_nowhere
        || synced(before, node, partition).is_some_and(|synced| log_end < synced)
        || !lost_power(before, node, partition) && end(before, node, partition).is_some_and(|end| log_end < end)
}

/// Each word on what the snapshot of some metadata is made of.
fn content(event: &Event) -> Option<(Offset, LeaderEpoch, u32)> {
    match *event {
        Event::SnapshotTaken { end, epoch, content, .. }
        | Event::SnapshotInstalled { end, epoch, content }
        | Event::SnapshotLoaded { end, epoch, content, .. } => Some((end, epoch, content)),
        _ => None,
    }
}

fn a_snapshot_lies(before: &[Told], node: i32, event: &Event) -> bool {
    let own = || witnessed(before).filter(|(by, _)| *by == node).map(|(_, event)| event);
    let safe = own().filter_map(|event| match *event {
        Event::SnapshotTaken { end, .. } | Event::SnapshotInstalled { end, .. } => Some(end),
        _ => None,
    });
    let is_other = content(event).is_some_and(|(end, epoch, bytes)| {
        let mut others = witnessed(before).filter_map(|(_, other)| content(other));
        others.any(|other| (other.0, other.1) == (end, epoch) && other.2 != bytes)
    });
    is_other
        || match *event {
            Event::SnapshotTaken { end, .. } => own_high_watermark(before, node, PartitionId::METADATA) < end,
            Event::SnapshotInstalled { end, .. } => high_watermark(before, PartitionId::METADATA) < end,
            Event::LogStartAdvanced { partition: PartitionId::METADATA, to, .. } => safe.max() < Some(to),
            Event::QuorumJoined { .. } => {
                let started = before.iter().rposition(|(by, what)| *by == node && *what == What::NodeStarted);
                let life = &before[started.unwrap_or(0)..];
                let mut found = witnessed(life).filter(|(by, _)| *by == node).filter_map(|(_, event)| match *event {
                    Event::SnapshotLoaded { end, .. } => Some(end),
                    _ => None,
                });
                found.next_back() < safe.max()
            }
            _ => false,
        }
}

/// Each word on what metadata amounts to.
fn image(event: &Event) -> Option<(Offset, u64)> {
    match *event {
        Event::MetadataApplied { end, digest }
        | Event::SnapshotTaken { end, digest, .. }
        | Event::SnapshotLoaded { end, digest, .. } => Some((end, digest)),
        _ => None,
    }
}

fn metadata_disagrees(before: &[Told], node: i32, event: &Event) -> bool {
    if let Some((end, digest)) = image(event)
        && witnessed(before).filter_map(|(_, other)| image(other)).any(|other| other.0 == end && other.1 != digest)
    {
        return true;
    }
    match event {
        Event::MetadataApplied { end, .. } => {
            let applied = |event: &Event| match *event {
                Event::MetadataApplied { end, .. } => Some(end),
                _ => None,
            };
            last(this_life(before, node), node, applied).is_some_and(|last| *end < last)
        }
        Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync } => {
            let sorted = |members: &[BrokerId]| {
                let mut members = members.to_vec();
                members.sort_unstable();
                members
            };
            witnessed(before).any(|(_, other)| match other {
                Event::PartitionChanged {
                    partition: of,
                    leader: led,
                    leader_epoch: by,
                    partition_epoch: state,
                    in_sync: members,
                } if (of, state) == (partition, partition_epoch) => {
                    (led, by, sorted(members)) != (leader, leader_epoch, sorted(in_sync))
                }
                _ => false,
            })
        }
        _ => false,
    }
}

fn the_quorum_lacks_a_majority(before: &[Told], node: i32, event: &Event) -> bool {
    let log_of = PartitionId::METADATA;
    let Event::HighWatermarkAdvanced { partition: PartitionId::METADATA, epoch, to } = *event else { return false };
    let own = witnessed(before).rev().filter(|(by, _)| *by == node).find_map(|(_, event)| match event {
        Event::QuorumJoined { voters, .. } | Event::VotersChanged { voters } => Some(voters.clone()),
        _ => None,
    });
    let joined = witnessed(before).rev().find_map(|(_, event)| match event {
        Event::QuorumJoined { voters, .. } => Some(voters.clone()),
        _ => None,
    });
    let voters = own.or(joined).unwrap_or_default();
    if leading(before, node, log_of) != Some(epoch) || voters.is_empty() {
        return false;
    }
    let has_it =
        |voter: &&BrokerId| is_heard_of(before, voter.0, log_of) && to <= reached_safely(before, voter.0, log_of);
    let last = holding(&log(before, node, log_of), to.plus(-1));
    2 * voters.iter().filter(has_it).count() <= voters.len() || last.is_some_and(|last| last.epoch < epoch)
}

fn an_ack_lies(before: &[Told], node: i32, event: &Event) -> bool {
    let Event::Acked { partition, base, end: acked, acks, .. } = *event else { return false };
    let ours = log(before, node, partition);
    // Of a stretch that nobody witnessed nothing is known; an answer about no record at all is about none.
    let is_known = is_heard_of(before, node, partition) && (base == acked || holding(&ours, base).is_some());
    let begins_nowhere = is_known && ours.iter().all(|batch| batch.base != base);
    let is_short = |of: i32| on_disk(before, of, partition).is_some_and(|on_disk| on_disk < acked);
    if acks != -1 {
        return begins_nowhere || is_short(node) || end(before, node, partition).is_some_and(|end| end < acked);
    }
    let (in_sync, at_most) = in_sync(before, node, partition);
    let are_too_few = !in_sync.is_empty() && in_sync.len() < in_sync_min(before, node, partition);
    high_watermark(before, partition) < acked
        || differ(&ours, &canonical(before, partition), base, acked)
        || are_too_few
        || at_most.iter().any(|broker| is_short(broker.0))
        || begins_nowhere
}

/// Judged once, when a trace is over: is there a disk that holds something else than its broker wrote, or two that differ?
pub(crate) fn disks_differ(trace: &[Told], of: PartitionId) -> bool {
    let mut sound: Vec<(i32, Offset, Vec<Batch>)> = Vec::new();
    for (at, (node, what)) in trace.iter().enumerate() {
        let What::LogStored { start: begins, end: ends, batches, .. } = what else { continue };
        let before = &trace[..at];
        if lost_power(before, *node, of) || !is_heard_of(before, *node, of) {
            continue;
        }
        let stored = batches.iter().map(|one| Batch { base: one.base, end: one.end, epoch: one.epoch, crc: one.crc });
        let stored: Vec<Batch> = stored.filter(|batch| *begins < batch.end).collect();
        let wrote = log(before, *node, of);
        let is_other = |one: &Batch| holding(&wrote, one.base).is_some_and(|other| other != *one);
        if *begins < start(before, *node, of).unwrap_or(Offset(0))
            || *ends != end_or_zero(before, *node, of)
            || stored.iter().any(|one| *begins <= one.base && is_other(one))
        {
            return true;
        }
        sound.push((*node, *begins, stored));
    }
    let begins = sound.iter().map(|(_, begins, _)| *begins).max().unwrap_or(Offset(0));
    let committed = sound.iter().map(|(node, ..)| own_high_watermark(trace, *node, of)).min().unwrap_or(Offset(0));
    let Some(((_, _, first), others)) = sound.split_first() else { return false };
    others.iter().any(|(_, _, other)| differ(first, other, begins, committed))
}
