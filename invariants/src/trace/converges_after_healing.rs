//! The cluster converges after healing (L3 of the references; TigerBeetle's liveness mode).
//!
//! When a quiet phase ends, its *core*, the nodes that are whole by then, must have found itself: one of them controls; all of
//! them have the same metadata; each partition is led by one of them, has every replica among them in sync, and no others; it
//! took a record, and does not move any more if all who are to hold it are there; and those replicas hold the same log, all of it
//! committed. Broken otherwise. Who goes on without one of its log directories holds nothing of what lay there.
//!
//! A stall is allowed for a reason that the trace proves, and told with it: nobody of the last in-sync set is in the core with its log, so
//! that nobody there may be elected; or a node of the core gave up by itself, as one does whose disk fails, and those that are left
//! are fewer than `min.insync.replicas`, or no majority of voters, or had less than [`NOTICED`] to go on without it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Time, TopicId};

use super::{Frequent, NodeId, Promise, World};

pub(crate) const NAME: &str = "the cluster converges after healing";

/// By then everybody has noticed that a node is gone: more than three times the longest session that a tale gives its brokers.
const NOTICED: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(crate) struct ConvergesAfterHealing {
    partitions: BTreeMap<PartitionId, State>,
    /// Topics that were deleted: whoever reads the metadata from its beginning meets them again.
    removed: BTreeSet<TopicId>,
    controller: Option<(LeaderEpoch, NodeId)>,
    /// Metadata of each node, in this life of it.
    applied: BTreeMap<NodeId, (Offset, u64)>,
    /// Nodes that gave up by themselves, when and why.
    gave_up: BTreeMap<NodeId, (Time, String)>,
    /// Replicas that lay in a log directory which their node goes on without.
    lost: BTreeSet<(NodeId, PartitionId)>,
    now: Time,
    quiet: Option<Quiet>,
    allowed: BTreeSet<String>,
    judged: u64,
}

/// A partition by the newest metadata that anybody applied.
#[derive(Default)]
struct State {
    version: (LeaderEpoch, PartitionEpoch),
    leader: Option<BrokerId>,
    in_sync: BTreeSet<BrokerId>,
    /// Who holds it, in which state it came to that, and who of them is on its way.
    replicas: BTreeSet<BrokerId>,
    placed: PartitionEpoch,
    adding: BTreeSet<BrokerId>,
}

struct Quiet {
    core: BTreeSet<NodeId>,
    /// Partitions of which a record was acknowledged since it began.
    acked: BTreeSet<PartitionId>,
}

/// Something that has not converged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) what: String,
    /// The reason that makes it legitimate, if the trace proves one.
    pub(crate) excuse: Option<String>,
}

impl ConvergesAfterHealing {
    /// What is not as it must be in the end, while a quiet phase lasts.
    pub(crate) fn stalls(&self, world: &World) -> Vec<Stall> {
        let Some(quiet) = &self.quiet else { return Vec::new() };
        let whole: BTreeSet<NodeId> =
            quiet.core.iter().copied().filter(|node| !self.gave_up.contains_key(node)).collect();
        let mut stalls = Vec::new();
        if let Some(what) = self.metadata_stall(&whole, world) {
            stalls.push(Stall { what, excuse: self.lost_quorum(&whole, world) });
        }
        for (&partition, state) in self.partitions.iter().filter(|(id, _)| id.topic != TopicId::METADATA) {
            if let Some(what) = self.partition_stall(partition, state, quiet, &whole, world) {
                let excuse = self.excuse(partition, state, &whole, world).or_else(|| self.lost_quorum(&whole, world));
                stalls.push(Stall { what, excuse });
            }
        }
        stalls
    }

    fn metadata_stall(&self, whole: &BTreeSet<NodeId>, world: &World) -> Option<String> {
        let Some((_, controller)) = self.controller.filter(|(_, node)| whole.contains(node)) else {
            return Some("no node of the core is the controller".into());
        };
        let newest = self.applied.get(&controller);
        let behind = whole.iter().find(|node| self.applied.get(node) != newest)?;
        Some(format!("{} has other metadata than the controller", world.name(*behind)))
    }

    fn partition_stall(
        &self,
        partition: PartitionId,
        state: &State,
        quiet: &Quiet,
        whole: &BTreeSet<NodeId>,
        world: &World,
    ) -> Option<String> {
        let name = world.words(partition);
        let is_here = |broker: &BrokerId| self.is_here(*broker, partition, whole, world);
        let members: BTreeSet<BrokerId> = state.replicas.iter().copied().filter(is_here).collect();
        let Some(leader) = state.leader.filter(|leader| members.contains(leader)) else {
            return Some(format!("{name} has no leader in the core"));
        };
        if state.in_sync != members {
            return Some(format!("{name} has {} in sync, not {}", brokers(&state.in_sync), brokers(&members)));
        }
        if !state.adding.is_empty() && state.adding.is_subset(&members) {
            let coming = brokers(&state.adding);
            return Some(format!(
                "{name} is still on its way to {coming}, though all of its new replicas are in the core"
            ));
        }
        if !quiet.acked.contains(&partition) {
            return Some(format!("{name} took no record"));
        }
        let Some(led) = world.replica_of(partition, leader) else {
            return Some(format!("broker {leader} leads {name} and holds nothing of it"));
        };
        for &member in &members {
            let Some(replica) = world.replica_of(partition, member) else {
                return Some(format!("broker {member} holds nothing of {name}"));
            };
            if replica.end != led.end || replica.log.conflict(&led.log, Offset::ZERO, led.end).is_some() {
                return Some(format!("broker {member} holds another log of {name} than its leader, broker {leader}"));
            }
            if replica.high_watermark != led.end {
                return Some(format!(
                    "broker {member} knows {name} to be committed up to {}, and it ends at {}",
                    replica.high_watermark, led.end
                ));
            }
        }
        None
    }

    /// Is this broker in the core, and not without its log of the partition?
    fn is_here(&self, broker: BrokerId, partition: PartitionId, whole: &BTreeSet<NodeId>, world: &World) -> bool {
        world.node_of(broker).is_some_and(|node| whole.contains(&node) && !self.lost.contains(&(node, partition)))
    }

    /// Why a partition may be out of service for good.
    fn excuse(&self, partition: PartitionId, state: &State, whole: &BTreeSet<NodeId>, world: &World) -> Option<String> {
        let name = world.words(partition);
        let is_here = |broker: &BrokerId| self.is_here(*broker, partition, whole, world);
        if state.in_sync.iter().any(is_here) {
            let left = state.replicas.iter().filter(|id| is_here(id)).count();
            let are_too_few = world.replicas(partition).any(|(_, replica)| left < replica.in_sync_min);
            return state.replicas.iter().find_map(|id| {
                let (since, reason) = self.gave_up.get(&world.node_of(*id)?)?;
                let is_new = self.now.since(*since) < NOTICED;
                (are_too_few || is_new).then(|| format!("broker {id}, which holds {name}, gave up: {reason}"))
            });
        }
        let left = if state.in_sync.len() == 1 { "which is left broken" } else { "which are left broken" };
        Some(format!("the only eligible replicas of {name} are {}, {left}", brokers(&state.in_sync)))
    }

    /// Whether too few voters run, since some gave up.
    fn lost_quorum(&self, whole: &BTreeSet<NodeId>, world: &World) -> Option<String> {
        let voters = world.voters();
        let running = voters.iter().filter(|node| whole.contains(node)).count();
        let (gone, (_, reason)) = self.gave_up.iter().find(|(node, _)| voters.contains(node))?;
        (running <= voters.len() / 2)
            .then(|| format!("no majority of voters is left: {} gave up: {reason}", world.name(*gone)))
    }

    fn end(&mut self, before: &World) -> Result<(), String> {
        let stalls = self.stalls(before);
        self.judged += 1 + self.partitions.len() as u64;
        self.quiet = None;
        let mut broken = Vec::new();
        for stall in stalls {
            match stall.excuse {
                Some(excuse) => _ = self.allowed.insert(format!("{}: {excuse}", stall.what)),
                None => broken.push(stall.what),
            }
        }
        if broken.is_empty() { Ok(()) } else { Err(broken.join("; ")) }
    }

    fn witnessed(&mut self, node: NodeId, event: &Event) {
        match event {
            Event::QuorumLeader { epoch, .. } if self.controller.is_none_or(|(known, _)| known <= *epoch) => {
                self.controller = Some((*epoch, node));
            }
            Event::LogDirectoryFailed { replicas, .. } => {
                self.lost.extend(replicas.iter().map(|&partition| (node, partition)));
            }
            Event::MetadataApplied { end, digest } => _ = self.applied.insert(node, (*end, *digest)),
            Event::TopicRemoved { topic } => {
                self.removed.insert(*topic);
                self.partitions.retain(|partition, _| partition.topic != *topic);
            }
            Event::PartitionChanged { partition, .. } | Event::ReplicasChanged { partition, .. }
                if self.removed.contains(&partition.topic) => {}
            Event::ReplicasChanged { partition, partition_epoch, replicas, adding } => {
                let state = self.partitions.entry(*partition).or_default();
                if state.replicas.is_empty() || state.placed < *partition_epoch {
                    state.placed = *partition_epoch;
                    state.replicas = replicas.iter().copied().collect();
                    state.adding = adding.iter().copied().collect();
                }
            }
            Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync } => {
                let state = self.partitions.entry(*partition).or_default();
                let version = (*leader_epoch, *partition_epoch);
                if state.in_sync.is_empty() || state.version < version {
                    state.version = version;
                    state.leader = *leader;
                    state.in_sync = in_sync.iter().copied().collect();
                }
            }
            Event::Acked { partition, .. } => {
                if let Some(quiet) = &mut self.quiet {
                    quiet.acked.insert(*partition);
                }
            }
            _ => {}
        }
    }
}

impl Promise for ConvergesAfterHealing {
    fn name(&self) -> &'static str {
        NAME
    }

    fn frequent(&self) -> &'static [Frequent] {
        &[Frequent::Acked]
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        self.now = entry.time;
        match &entry.what {
            What::Witnessed(event) => self.witnessed(node, event),
            What::NodeStarted => {
                self.applied.remove(&node);
                self.gave_up.remove(&node);
                self.lost.retain(|(owner, _)| *owner != node);
            }
            What::NodeStopped { error: Some(error) } => {
                self.gave_up.insert(node, (entry.time, error.clone()));
            }
            What::QuietBegan { core } => {
                let core = core.iter().filter_map(|name| before.known_node(name)).collect();
                self.quiet = Some(Quiet { core, acked: BTreeSet::new() });
            }
            What::QuietEnded => return self.end(before),
            _ => {}
        }
        Ok(())
    }

    fn judged(&self) -> u64 {
        self.judged
    }

    fn allowed(&self) -> Option<String> {
        let told: Vec<&str> = self.allowed.iter().map(String::as_str).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

fn brokers(ids: &BTreeSet<BrokerId>) -> String {
    let words: Vec<String> = ids.iter().map(|id| format!("broker {id}")).collect();
    if words.is_empty() { "nobody".into() } else { words.join(" and ") }
}
