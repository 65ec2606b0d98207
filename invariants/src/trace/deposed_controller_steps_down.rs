//! A deposed controller steps down (KRaft's check-quorum, KAFKA-15489).
//!
//! Broken if the leader of the metadata quorum still leads [`PATIENCE`] fetch timeouts after a later epoch has its leader: a
//! majority has turned away from it by then, and it must notice by itself, however it is cut off. A node that is down, or stands
//! still, cannot; one that wakes has the same time again.

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::{Entry, What};
use model::{Event, LeaderEpoch, Time};

use super::{Frequent, NodeId, Promise, World};

/// It gives up after one and a half; the rest is for clocks that run slowly and machines that are busy.
const PATIENCE: u32 = 4;

#[derive(Default)]
pub(super) struct DeposedControllerStepsDown {
    fetch_timeout: Duration,
    leaders: BTreeMap<NodeId, Leader>,
    /// The last epoch that had a leader, whatever became of that.
    newest: Option<LeaderEpoch>,
    /// The first moment at which somebody is late.
    next: Option<Time>,
    judged: u64,
}

struct Leader {
    epoch: LeaderEpoch,
    /// When it must have noticed; none while it is nobody's predecessor, or cannot notice.
    until: Option<Time>,
    is_paused: bool,
}

impl DeposedControllerStepsDown {
    fn elected(&mut self, node: NodeId, epoch: LeaderEpoch, now: Time) {
        self.judged += 1;
        let until = now + self.fetch_timeout * PATIENCE;
        for leader in self.leaders.values_mut().filter(|leader| leader.epoch < epoch && leader.until.is_none()) {
            leader.until = Some(until).filter(|_| !leader.is_paused);
        }
        self.newest = self.newest.max(Some(epoch));
        let until = Some(until).filter(|_| Some(epoch) < self.newest);
        self.leaders.insert(node, Leader { epoch, until, is_paused: false });
    }

    fn woke(&mut self, node: NodeId, now: Time) {
        let until = now + self.fetch_timeout * PATIENCE;
        if let Some(leader) = self.leaders.get_mut(&node) {
            leader.is_paused = false;
            leader.until = Some(until).filter(|_| Some(leader.epoch) < self.newest);
        }
    }

    fn plan(&mut self) {
        // Whoever was not told of the quorum's patience holds nobody to it.
        let untils = self.leaders.values().filter_map(|leader| leader.until);
        self.next = untils.min().filter(|_| !self.fetch_timeout.is_zero());
    }
}

impl Promise for DeposedControllerStepsDown {
    fn name(&self) -> &'static str {
        "a deposed controller steps down"
    }

    fn frequent(&self) -> &'static [Frequent] {
        // Time passes with every fact.
        Frequent::ALL
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        if self.next.is_some_and(|next| next < entry.time) {
            let late = self.leaders.iter().find(|(_, leader)| leader.until.is_some_and(|until| until < entry.time));
            if let Some((late, leader)) = late {
                return Err(format!(
                    "{} still leads epoch {} of the quorum, {} fetch timeouts after a later one began",
                    before.name(*late),
                    leader.epoch,
                    PATIENCE
                ));
            }
        }
        match &entry.what {
            What::Witnessed(Event::QuorumJoined { fetch_timeout_ms, .. }) => {
                self.fetch_timeout = Duration::from_millis(*fetch_timeout_ms);
            }
            What::Witnessed(Event::QuorumLeader { epoch, .. }) => self.elected(node, *epoch, entry.time),
            What::Witnessed(Event::QuorumFollower { .. } | Event::QuorumUnattached { .. })
            | What::NodeStarted
            | What::NodeCrashed
            | What::PowerLost
            | What::NodeStopped { .. } => {
                self.leaders.remove(&node);
            }
            What::NodePaused => {
                if let Some(leader) = self.leaders.get_mut(&node) {
                    leader.is_paused = true;
                    leader.until = None;
                }
            }
            What::NodeResumed => self.woke(node, entry.time),
            _ => return Ok(()),
        }
        self.plan();
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
