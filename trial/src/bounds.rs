//! Bounds: what a scenario expects in numbers, measured from the trace.
//!
//! A partition is without a living leader from when the node that leads it dies, goes dark, stands still or stops, or the
//! metadata name no leader, until another is elected or the same one is back. Who is only cut off is alive.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, PartitionId, Time};
use scenarios::{Expect, Span};

use crate::scene::number_of;

/// What is counted and timed while the workload goes on.
#[derive(Debug, Default)]
struct Measured {
    down: BTreeSet<BrokerId>,
    leaders: BTreeMap<PartitionId, (LeaderEpoch, Option<BrokerId>)>,
    /// Partitions without a living leader, and since when.
    without: BTreeMap<PartitionId, Time>,
    elections: u32,
    failover: Duration,
}

/// True if some bound is measured from the trace.
pub(crate) fn need_trace(expect: &Expect) -> bool {
    expect.elections_at_most.is_some() || expect.failover_at_most.is_some()
}

/// Bounds that were not kept, in sentences. `from` and `to` are the workload's begin and end.
pub(crate) fn missed(expect: &Expect, entries: &[Entry], from: Time, to: Time, acknowledged: u64) -> Vec<String> {
    let mut measured = Measured::default();
    if need_trace(expect) {
        for entry in entries.iter().take_while(|entry| entry.time <= to) {
            measured.observe(entry, entry.time >= from);
            measured.look_at_the_clock(entry.time, from);
        }
        measured.end(from, to);
    }
    let mut missed = Vec::new();
    if let Some(most) = expect.elections_at_most.filter(|most| *most < measured.elections) {
        missed.push(format!("leaders were elected {} times, more than {most}", measured.elections));
    }
    if let Some(most) = expect.failover_at_most.filter(|most| most.0 < measured.failover) {
        let took = Span(Duration::from_millis(u64::try_from(measured.failover.as_millis()).unwrap_or(u64::MAX)));
        missed.push(format!("a partition was without a living leader for {took}, longer than {most}"));
    }
    if let Some(least) = expect.acknowledged_at_least.filter(|least| acknowledged < *least) {
        missed.push(format!("{acknowledged} records were acknowledged, fewer than {least}"));
    }
    missed
}

impl Measured {
    fn observe(&mut self, entry: &Entry, counts: bool) {
        let node = number_of(&entry.node.0);
        match &entry.what {
            What::NodeCrashed | What::PowerLost | What::NodePaused | What::NodeStopped { .. } => {
                self.down.extend(node);
            }
            What::NodeStarted | What::NodeResumed => {
                node.map(|node| self.down.remove(&node));
            }
            What::Witnessed(Event::PartitionChanged { partition, leader, leader_epoch, .. }) => {
                let known = self.leaders.get(partition).copied();
                if known.is_some_and(|(epoch, _)| *leader_epoch < epoch) {
                    return;
                }
                let is_new = known.is_some_and(|(epoch, _)| epoch < *leader_epoch);
                self.elections += u32::from(counts && is_new && leader.is_some());
                self.leaders.insert(*partition, (*leader_epoch, *leader));
            }
            _ => {}
        }
    }

    /// Who has a living leader now, and who has not.
    fn look_at_the_clock(&mut self, now: Time, from: Time) {
        for (partition, (_, leader)) in &self.leaders {
            if leader.is_some_and(|leader| !self.down.contains(&leader)) {
                if let Some(since) = self.without.remove(partition).filter(|_| from <= now) {
                    self.failover = self.failover.max(now.since(since.max(from)));
                }
            } else {
                self.without.entry(*partition).or_insert(now);
            }
        }
    }

    fn end(&mut self, from: Time, to: Time) {
        for since in self.without.values() {
            self.failover = self.failover.max(to.since((*since).max(from)));
        }
    }
}

#[cfg(test)]
mod tests {
    use evidence::NodeName;
    use model::{PartitionEpoch, TopicId};

    use super::*;

    fn entry(seconds: u64, node: &str, what: What) -> Entry {
        Entry { index: 0, time: Time(seconds * 1_000_000_000), node: NodeName(node.into()), what }
    }

    fn led(seconds: u64, leader: i32, epoch: i32) -> Entry {
        let event = Event::PartitionChanged {
            partition: PartitionId { topic: TopicId(7), index: 0 },
            leader: Some(BrokerId(leader)),
            leader_epoch: LeaderEpoch(epoch),
            partition_epoch: PartitionEpoch(epoch),
            in_sync: vec![BrokerId(leader)],
        };
        entry(seconds, "broker 3", What::Witnessed(event))
    }

    fn told(expect: &Expect, entries: &[Entry]) -> Vec<String> {
        missed(expect, entries, Time(2_000_000_000), Time(30_000_000_000), 5)
    }

    #[test]
    fn a_failover_takes_from_the_leaders_death_to_the_next_leader() {
        let entries = [led(1, 1, 0), entry(5, "broker 1", What::NodeCrashed), led(9, 2, 1), led(10, 1, 0)];
        let within =
            |seconds| Expect { failover_at_most: Some(Span(Duration::from_secs(seconds))), ..Expect::default() };
        assert_eq!(told(&within(4), &entries), Vec::<String>::new());
        assert_eq!(told(&within(3), &entries), ["a partition was without a living leader for 4s, longer than 3s"]);
        let never = &entries[..2];
        assert_eq!(told(&within(20), never), ["a partition was without a living leader for 25s, longer than 20s"]);
    }

    #[test]
    fn an_election_counts_once_and_only_during_the_workload() {
        let entries = [led(0, 1, 0), led(1, 2, 1), led(3, 1, 2), led(3, 1, 2), led(4, 2, 1), led(5, 3, 3)];
        let at_most = |most| Expect { elections_at_most: Some(most), ..Expect::default() };
        assert_eq!(told(&at_most(2), &entries), Vec::<String>::new());
        assert_eq!(told(&at_most(1), &entries), ["leaders were elected 2 times, more than 1"]);
    }

    #[test]
    fn too_few_acknowledged_records_are_told() {
        let at_least = |least| Expect { acknowledged_at_least: Some(least), ..Expect::default() };
        assert_eq!(told(&at_least(5), &[]), Vec::<String>::new());
        assert_eq!(told(&at_least(6), &[]), ["5 records were acknowledged, fewer than 6"]);
    }
}
