//! What a trace tells, by definitions that are slow and obvious: each looks at the whole trace again, and keeps nothing in between.

#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod cluster;
pub(crate) mod promises;

use evidence::What;
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId};

/// What a broker did or witnessed, by its number.
pub(crate) type Told = (i32, What);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) base: Offset,
    pub(crate) end: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) crc: u32,
}

impl Batch {
    fn shares_an_offset_with(&self, from: Offset, to: Offset) -> bool {
        self.base < to && from < self.end
    }
}

/// The partition that an event is about.
pub(crate) fn partition_of(event: &Event) -> Option<PartitionId> {
    match *event {
        Event::QuorumLeader { .. } | Event::QuorumFollower { .. } | Event::QuorumUnattached { .. } => {
            Some(PartitionId::METADATA)
        }
        Event::Appended { partition, .. }
        | Event::Truncated { partition, .. }
        | Event::Recovered { partition, .. }
        | Event::Synced { partition, .. }
        | Event::HighWatermarkAdvanced { partition, .. }
        | Event::BecameLeader { partition, .. }
        | Event::BecameFollower { partition, .. }
        | Event::ReplicaPlaced { partition, .. }
        | Event::InSyncKnown { partition, .. } => Some(partition),
        _ => None,
    }
}

/// What a broker witnessed of its own replica, in order.
fn own(before: &[Told], of: i32, log: PartitionId) -> impl DoubleEndedIterator<Item = &Event> {
    before.iter().filter(move |(node, _)| *node == of).filter_map(move |(_, what)| match what {
        What::Witnessed(event) if partition_of(event) == Some(log) => Some(event),
        _ => None,
    })
}

/// Did a broker ever speak of its replica?
pub(crate) fn is_heard_of(before: &[Told], of: i32, log: PartitionId) -> bool {
    own(before, of, log).next().is_some()
}

/// Brokers in the order in which they were first heard of.
pub(crate) fn brokers(before: &[Told]) -> Vec<i32> {
    let mut seen = Vec::new();
    for (node, _) in before {
        if !seen.contains(node) {
            seen.push(*node);
        }
    }
    seen
}

/// The batches of a replica's log.
pub(crate) fn log(before: &[Told], of: i32, log: PartitionId) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for event in own(before, of, log) {
        match *event {
            Event::Appended { base, end, epoch, crc, .. } => {
                batches.retain(|batch| batch.end <= base);
                batches.push(Batch { base, end, epoch, crc });
            }
            Event::Truncated { to: end, .. } => batches.retain(|batch| batch.end <= end),
            // What lies below its start is nobody's to read.
            Event::Recovered { log_start: start, log_end: end, .. } => {
                batches.retain(|batch| start < batch.end && batch.end <= end);
            }
            _ => {}
        }
    }
    batches
}

/// Where a log ends; none if it was never heard of.
pub(crate) fn end(before: &[Told], of: i32, log: PartitionId) -> Option<Offset> {
    let last = own(before, of, log).rev().find_map(|event| match *event {
        Event::Appended { end, .. } | Event::Truncated { to: end, .. } | Event::Recovered { log_end: end, .. } => {
            Some(end)
        }
        _ => None,
    });
    last.or(is_heard_of(before, of, log).then_some(Offset(0)))
}

/// Where a replica's log begins: none if it was never opened.
pub(crate) fn start(before: &[Told], of: i32, log: PartitionId) -> Option<Offset> {
    own(before, of, log).rev().find_map(|event| match *event {
        Event::Recovered { log_start, .. } => Some(log_start),
        _ => None,
    })
}

/// Where the replica begins that begins last: what lies below is about to go from all.
pub(crate) fn furthest_start(before: &[Told], log: PartitionId) -> Offset {
    brokers(before).into_iter().filter_map(|of| start(before, of, log)).max().unwrap_or(Offset(0))
}

/// The furthest that a log came since it was last truncated.
pub(crate) fn reached(before: &[Told], of: i32, log: PartitionId) -> Offset {
    let mut furthest = Offset(0);
    for event in own(before, of, log) {
        match *event {
            Event::Truncated { to, .. } => furthest = to,
            Event::Appended { end, .. } | Event::Recovered { log_end: end, .. } => furthest = furthest.max(end),
            _ => {}
        }
    }
    furthest
}

/// The furthest that it was ever on the disk since, whatever a loss of power took.
pub(crate) fn reached_safely(before: &[Told], of: i32, log: PartitionId) -> Offset {
    own(before, of, log).fold(Offset(0), |safe, event| match *event {
        Event::Truncated { to, .. } => safe.min(to),
        Event::Synced { end, .. } | Event::Recovered { log_end: end, .. } => safe.max(end),
        _ => safe,
    })
}

/// Its owner's word on what survives a loss of power.
pub(crate) fn synced(before: &[Told], of: i32, log: PartitionId) -> Option<Offset> {
    own(before, of, log).fold(None, |synced: Option<Offset>, event| match *event {
        Event::Synced { end, .. } => synced.max(Some(end)),
        Event::Truncated { to: end, .. } | Event::Recovered { log_end: end, .. } => {
            synced.map(|synced| synced.min(end))
        }
        _ => synced,
    })
}

/// What is on the disk: what was synced, and what a start found.
pub(crate) fn on_disk(before: &[Told], of: i32, log: PartitionId) -> Option<Offset> {
    own(before, of, log).fold(None, |on_disk: Option<Offset>, event| match *event {
        Event::Synced { end, .. } => on_disk.max(Some(end)),
        Event::Truncated { to, .. } => on_disk.map(|on_disk| on_disk.min(to)),
        Event::Recovered { log_end, .. } => Some(log_end),
        _ => on_disk,
    })
}

fn ends_a_life(what: &What) -> bool {
    matches!(what, What::NodeStarted | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. })
}

/// What a broker did in its life that lasts.
pub(crate) fn this_life(before: &[Told], of: i32) -> &[Told] {
    let end = before.iter().rposition(|(node, what)| *node == of && ends_a_life(what));
    &before[end.map_or(0, |end| end + 1)..]
}

/// Did the machine go dark since the log was last opened?
pub(crate) fn lost_power(before: &[Told], of: i32, log: PartitionId) -> bool {
    let is_opened = |(node, what): &Told| {
        *node == of && matches!(what, What::Witnessed(Event::Recovered { partition, .. }) if *partition == log)
    };
    let opened = before.iter().rposition(is_opened).map_or(0, |at| at + 1);
    (opened..before.len()).any(|at| before[at] == (of, What::PowerLost) && is_heard_of(&before[..at], of, log))
}

/// The part that a broker last took in this life: leader or not, and in which epoch.
fn part(before: &[Told], of: i32, log: PartitionId) -> Option<(bool, Option<LeaderEpoch>)> {
    own(this_life(before, of), of, log).rev().find_map(|event| match *event {
        Event::BecameLeader { epoch, .. } | Event::QuorumLeader { epoch, .. } => Some((true, Some(epoch))),
        Event::BecameFollower { epoch, .. } => Some((false, Some(epoch))),
        Event::QuorumFollower { .. } | Event::QuorumUnattached { .. } => Some((false, None)),
        _ => None,
    })
}

pub(crate) fn leading(before: &[Told], of: i32, log: PartitionId) -> Option<LeaderEpoch> {
    part(before, of, log).filter(|(leads, _)| *leads).and_then(|(_, epoch)| epoch)
}

pub(crate) fn following(before: &[Told], of: i32, log: PartitionId) -> Option<LeaderEpoch> {
    part(before, of, log).filter(|(leads, _)| !*leads).and_then(|(_, epoch)| epoch)
}

/// A leader's last word on who is in sync, and who may be.
pub(crate) fn in_sync(before: &[Told], of: i32, log: PartitionId) -> (Vec<BrokerId>, Vec<BrokerId>) {
    let life: Vec<&Event> = own(this_life(before, of), of, log).collect();
    let is_over = |event: &&Event| {
        matches!(event, Event::BecameFollower { .. } | Event::QuorumFollower { .. } | Event::QuorumUnattached { .. })
    };
    let said = life.iter().rev().take_while(|event| !is_over(event)).find_map(|event| match event {
        Event::InSyncKnown { in_sync, at_most, .. } => Some((in_sync.clone(), at_most.clone())),
        _ => None,
    });
    said.unwrap_or_default()
}

pub(crate) fn in_sync_min(before: &[Told], of: i32, log: PartitionId) -> usize {
    let said = own(before, of, log).rev().find_map(|event| match event {
        Event::ReplicaPlaced { in_sync_min, .. } => Some(*in_sync_min),
        _ => None,
    });
    said.unwrap_or(0) as usize
}

/// How far a broker knows its log to be committed, in this life.
pub(crate) fn own_high_watermark(before: &[Told], of: i32, log: PartitionId) -> Offset {
    own(this_life(before, of), of, log).fold(Offset(0), |high_watermark, event| match *event {
        Event::HighWatermarkAdvanced { to, .. } => high_watermark.max(to),
        Event::Truncated { to, .. } => high_watermark.min(to),
        _ => high_watermark,
    })
}

/// The moments at which a leader moved the high watermark: where in the trace, who, in which epoch, how far.
fn advances(before: &[Told], log: PartitionId) -> Vec<(usize, i32, LeaderEpoch, Offset)> {
    let advance = |at: usize| match before[at] {
        (node, What::Witnessed(Event::HighWatermarkAdvanced { partition, epoch, to })) if partition == log => {
            (leading(&before[..at], node, log) == Some(epoch)).then_some((at, node, epoch, to))
        }
        _ => None,
    };
    (0..before.len()).filter_map(advance).collect()
}

/// The furthest that any leader moved the high watermark.
pub(crate) fn high_watermark(before: &[Told], log: PartitionId) -> Offset {
    advances(before, log).into_iter().map(|(.., to)| to).max().unwrap_or(Offset(0))
}

/// The furthest that leaders of earlier epochs moved it.
pub(crate) fn committed_before(before: &[Told], log: PartitionId, epoch: LeaderEpoch) -> Offset {
    let earlier = advances(before, log).into_iter().filter(|(_, _, by, _)| *by < epoch);
    earlier.map(|(.., to)| to).max().unwrap_or(Offset(0))
}

/// What was committed: the batches that leaders had below the high watermark when they moved it.
pub(crate) fn canonical(before: &[Told], partition: PartitionId) -> Vec<Batch> {
    let mut canonical: Vec<Batch> = Vec::new();
    for (at, leader, _, to) in advances(before, partition) {
        let known = canonical.last().map_or(Offset(0), |last| last.end);
        let had = log(&before[..at], leader, partition);
        canonical.extend(had.into_iter().filter(|batch| known <= batch.base && batch.end <= to));
    }
    canonical
}

/// Do two logs hold different batches at an offset, of which ours has something in `from..to`?
pub(crate) fn differ(ours: &[Batch], theirs: &[Batch], from: Offset, to: Offset) -> bool {
    let ours = ours.iter().filter(|batch| from < to && batch.shares_an_offset_with(from, to));
    ours.into_iter()
        .any(|one| theirs.iter().any(|other| one.shares_an_offset_with(other.base, other.end) && one != other))
}

pub(crate) fn holding(log: &[Batch], offset: Offset) -> Option<Batch> {
    log.iter().copied().find(|batch| batch.base <= offset && offset < batch.end)
}
