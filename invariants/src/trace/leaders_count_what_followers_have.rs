//! Leaders count what followers have (TLA+ `ValidFetcherState`: a leader fetches from nobody, a follower from its log's end).
//!
//! Broken if a leader counts (a) itself, or a broker that leads in the same epoch; (b) a follower that never followed this
//! epoch: it believes in another, and may cut what was counted (KIP-320); (c) more than the follower's log ever held since
//! it last truncated, or a log that ends with another batch than its own has there (KIP-279; equal ends mean equal logs);
//! (d) under `flush.policy = commit`, more than the follower ever had on its disk. A fetch may be on its way for long:
//! what a follower did since it left the epoch is not held against the leader that has not heard.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionId};

use super::{Frequent, NodeId, Promise, World};

pub(super) struct LeadersCountWhatFollowersHave {
    flush_on_commit: bool,
    /// The epochs that each broker ever followed.
    followed: BTreeMap<(PartitionId, BrokerId), BTreeSet<LeaderEpoch>>,
    judged: u64,
}

impl LeadersCountWhatFollowersHave {
    pub(super) fn new(flush_on_commit: bool) -> LeadersCountWhatFollowersHave {
        LeadersCountWhatFollowersHave { flush_on_commit, followed: BTreeMap::new(), judged: 0 }
    }

    fn counted(
        &mut self,
        partition: PartitionId,
        epoch: LeaderEpoch,
        follower: BrokerId,
        end: Offset,
        leader: &str,
        world: &World,
    ) -> Result<(), String> {
        let Some(replica) = world.replica_of(partition, follower) else { return Ok(()) };
        self.judged += 1;
        if replica.leading == Some(epoch) {
            return Err(format!("{partition}: {leader} counts broker {follower}, which leads epoch {epoch} itself"));
        }
        let has_followed = self.followed.get(&(partition, follower)).is_some_and(|epochs| epochs.contains(&epoch));
        if !has_followed {
            return Err(format!(
                "{partition}: {leader} counts broker {follower} in epoch {epoch}, which that broker does not follow"
            ));
        }
        if replica.following != Some(epoch) {
            return Ok(());
        }
        if replica.reached < end {
            return Err(format!(
                "{partition}: {leader} counts broker {follower} up to {end}, but its log ends at {}",
                replica.reached
            ));
        }
        let last = end.plus(-1);
        let ours = world.leader_of(partition, epoch).and_then(|(_, leading)| leading.log.holding(last));
        if let (Some(theirs), Some(ours)) = (replica.log.holding(last), ours)
            && !theirs.agrees_with(ours)
        {
            return Err(format!(
                "{partition}: {leader} counts broker {follower} up to {end}, which has {theirs} where the leader has {ours}"
            ));
        }
        if self.flush_on_commit && replica.reached_safely < end {
            return Err(format!(
                "{partition}: {leader} counts broker {follower} up to {end}, which has only what is below {} on its disk",
                replica.reached_safely
            ));
        }
        Ok(())
    }
}

impl Promise for LeadersCountWhatFollowersHave {
    fn name(&self) -> &'static str {
        "leaders count what followers have"
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::FollowerCounted]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            What::Witnessed(Event::BecameFollower { partition, epoch, .. }) => {
                if let Some(broker) = before.broker(node) {
                    self.followed.entry((partition, broker)).or_default().insert(epoch);
                }
                Ok(())
            }
            What::Witnessed(Event::FollowerCounted { partition, epoch, follower, end }) => {
                self.counted(partition, epoch, follower, end, &before.name(node).0, before)
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
