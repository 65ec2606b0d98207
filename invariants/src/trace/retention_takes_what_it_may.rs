//! Retention and deletion take only what they may.
//!
//! Broken if a log's start moves (a) past what was committed, the true high watermark; (b) back; (c) by age, when the latest record
//! that goes is younger than `retention.ms`; (d) by size, when less than `retention.bytes` are left; (e) by deletion, past what a
//! client had asked for; (f) on a follower, past where a leader's log began. A node's word on ages and sizes is taken: its
//! clock may be wrong, and what it says must fit; whether a snapshot stands for what goes of the metadata is a promise of its own. A log begins after a start where it began before, at the least,
//! unless its node had let the replica go meanwhile. Once an unclean election gave up what was committed, (a) is not asked: a log that the
//! new leader lacks may rightly begin past where that one's ends. And (b) a log goes back that its node gave up whole: of which it said so
//! before, while it followed an epoch by which an unclean election had given up what was committed, and where it then begins its leader's
//! log does, or did.

use std::collections::BTreeMap;

use evidence::{Entry, Harm, What};
use model::{Event, LeaderEpoch, LogStartReason, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

pub(crate) const NAME: &str = "retention takes only what it may";

#[derive(Default)]
pub(super) struct RetentionTakesWhatItMay {
    /// The furthest that clients asked to be deleted.
    asked: BTreeMap<PartitionId, Offset>,
    /// The furthest start of any log that did not take it from its leader.
    led: BTreeMap<PartitionId, Offset>,
    starts: BTreeMap<(PartitionId, NodeId), Offset>,
    /// Logs that are given up, or were and have nothing new yet, and where they are to begin.
    given_up: BTreeMap<(PartitionId, NodeId), Offset>,
    judged: u64,
}

impl RetentionTakesWhatItMay {
    fn advanced(
        &mut self,
        partition: PartitionId,
        to: Offset,
        reason: LogStartReason,
        node: NodeId,
        world: &World,
    ) -> Result<(), String> {
        self.judged += 1;
        let high_watermark = world.high_watermark(partition);
        let refuse =
            |why: String| Err(format!("{partition}: {} deletes its records below {to}, {why}", world.name(node)));
        if high_watermark < to && !has_given_up(partition, world) {
            return refuse(format!("and only those below {high_watermark} are committed"));
        }
        let start = self.starts.entry((partition, node)).or_default();
        if to < *start {
            return refuse(format!("where it had deleted those below {start}"));
        }
        *start = to;
        let led = self.led.entry(partition).or_default();
        match reason {
            LogStartReason::Leader | LogStartReason::BehindLeader if *led < to => {
                return refuse(format!("because its leader did, and no leader deleted more than those below {led}"));
            }
            LogStartReason::Leader | LogStartReason::BehindLeader => return Ok(()),
            LogStartReason::Age { latest, now, retention_ms } if now.0 - latest.0 <= retention_ms => {
                return refuse(format!(
                    "the latest of which is {} ms old, where retention.ms is {retention_ms}",
                    now.0 - latest.0
                ));
            }
            LogStartReason::Size { kept_bytes, retention_bytes } if kept_bytes < retention_bytes => {
                return refuse(format!("keeps {kept_bytes} bytes, where retention.bytes is {retention_bytes}"));
            }
            LogStartReason::Asked => {
                let asked = self.asked.get(&partition).copied().unwrap_or_default();
                if asked < to {
                    return refuse(format!("and clients asked for those below {asked}"));
                }
            }
            LogStartReason::Age { .. } | LogStartReason::Size { .. } | LogStartReason::Snapshot => {}
        }
        *led = (*led).max(to);
        Ok(())
    }
}

/// Why the log of `node` may not be given up by the word of the leader of `epoch`, to begin at `to`.
fn why_not_give_up(
    partition: PartitionId,
    epoch: LeaderEpoch,
    to: Offset,
    node: NodeId,
    world: &World,
) -> Option<String> {
    let (state, replica) = (world.partition(partition)?, world.replica(partition, node)?);
    if !state.has_given_up_by(epoch) {
        return Some(format!("and no unclean election had given up what was committed by epoch {epoch}"));
    }
    if replica.following != Some(epoch) {
        return Some(format!("by the word of the leader of epoch {epoch}, which it does not follow"));
    }
    let (_, leader) = world.leader_of(partition, epoch)?;
    (leader.start < to).then(|| format!("where the leader's log begins at {}", leader.start))
}

fn has_given_up(partition: PartitionId, world: &World) -> bool {
    world.partition(partition).is_some_and(|state| state.has_given_up())
}

impl Promise for RetentionTakesWhatItMay {
    fn name(&self) -> &'static str {
        NAME
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Appended]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match &entry.what {
            What::Witnessed(Event::DeletionAsked { partition, below }) => {
                let asked = self.asked.entry(*partition).or_default();
                *asked = (*asked).max(*below);
                Ok(())
            }
            What::Witnessed(Event::LogGivenUp { partition, leader_epoch, to, .. }) => {
                self.judged += 1;
                self.given_up.insert((*partition, node), *to);
                match why_not_give_up(*partition, *leader_epoch, *to, node, before) {
                    None => Ok(()),
                    Some(why) => Err(format!(
                        "{partition}: {} gives up all of its log, to begin at {to}, {why}",
                        before.name(node)
                    )),
                }
            }
            What::Witnessed(Event::LogBegunAnew { partition, to }) => {
                self.judged += 1;
                let start = self.starts.insert((*partition, node), *to).unwrap_or_default();
                let is_known = before.is_seen_from_start(node);
                if is_known && self.given_up.get(&(*partition, node)) != Some(to) {
                    return Err(format!(
                        "{partition}: the log of {} began at {start}, and begins anew at {to}, where it was not given up",
                        before.name(node)
                    ));
                }
                Ok(())
            }
            // What was given up is gone for good.
            What::Witnessed(Event::Appended { partition, .. }) => {
                if !self.given_up.is_empty() {
                    self.given_up.remove(&(*partition, node));
                }
                Ok(())
            }
            What::Witnessed(Event::LogStartAdvanced { partition, to, reason, .. }) => {
                self.advanced(*partition, *to, *reason, node, before)
            }
            What::Witnessed(Event::Recovered { partition, log_start, .. }) => {
                self.judged += 1;
                // It may have been on disk before its node could say so.
                let led = self.led.entry(*partition).or_default();
                *led = (*led).max(*log_start);
                let last = self.starts.insert((*partition, node), *log_start).unwrap_or_default();
                if self.given_up.get(&(*partition, node)) != Some(log_start) {
                    self.given_up.remove(&(*partition, node));
                }
                if *log_start < last {
                    return Err(format!(
                        "{partition}: the log of {} begins at {log_start} after a start, and its records below {last} were deleted",
                        before.name(node)
                    ));
                }
                let high_watermark = before.high_watermark(*partition);
                let is_past = high_watermark < *log_start && !has_given_up(*partition, before);
                if is_past && before.is_seen_from_start(node) {
                    return Err(format!(
                        "{partition}: the log of {} begins at {log_start} after a start, and only what is below {high_watermark} was committed",
                        before.name(node)
                    ));
                }
                Ok(())
            }
            What::Witnessed(Event::ReplicaRemoved { partition }) => {
                self.starts.remove(&(*partition, node));
                self.given_up.remove(&(*partition, node));
                Ok(())
            }
            What::DiskHurt { harm: Harm::Wiped | Harm::MovedAway, .. } => {
                self.starts.retain(|(_, owner), _| *owner != node);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
