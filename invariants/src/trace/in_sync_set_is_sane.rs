//! The in-sync set holds whom it should (Vanlightly's KIP-966 properties: `ValidControllerState`,
//! `ReplicationQuorumSuperset`; KIP-497, KIP-903).
//!
//! Broken if (a) metadata names a leader outside the in-sync set, a member without a replica, a member twice, or none; (b) a
//! fenced broker leads, or is in the set of one that does; (c) a set that a leader asked for holds another process of a
//! broker than the one that fetched, or a leader asks for one that has less than it had itself when it began (KAFKA-7128);
//! (d) a leader that the controller still counts on waits for fewer than the controller
//! counts as in sync, or may count by what the leader asked for and never heard of. The controller may drop members before
//! their leader hears of it; where nobody would be left, all of them stay, since each has everything, and nobody leads. A
//! node that starts again passes through old states once more: each is
//! judged by what that node knew then.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Entry, What};
use model::{BrokerEpoch, BrokerId, Event, LeaderEpoch, PartitionEpoch, PartitionId};

use super::world::InSyncState;
use super::{NodeId, Promise, World};

type Members = Vec<(BrokerId, Option<BrokerEpoch>)>;

#[derive(Default)]
pub(super) struct InSyncSetIsSane {
    /// What leaders asked for, by the state that it was to change.
    proposals: BTreeMap<(PartitionId, PartitionEpoch), Vec<Members>>,
    /// What leaders asked for on a state, and cannot know the fate of.
    doubts: BTreeMap<(PartitionId, NodeId), (LeaderEpoch, PartitionEpoch, BTreeSet<BrokerId>)>,
    /// Metadata as each node has applied it.
    images: BTreeMap<NodeId, Image>,
    judged: u64,
}

#[derive(Default)]
struct Image {
    /// Each broker's registration, and whether it is fenced.
    brokers: BTreeMap<BrokerId, (BrokerEpoch, bool)>,
    partitions: BTreeMap<PartitionId, (Option<BrokerId>, Vec<BrokerId>)>,
    replicas: BTreeMap<PartitionId, BTreeSet<BrokerId>>,
    /// Something above changed with the batch that is being applied.
    is_changed: bool,
}

impl Image {
    fn fence(&mut self, broker: BrokerId, fenced: bool) {
        if let Some(known) = self.brokers.get_mut(&broker) {
            known.1 = fenced;
            self.is_changed = true;
        }
    }

    fn is_fenced(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(|(_, fenced)| *fenced)
    }
}

fn list<'a>(brokers: impl IntoIterator<Item = &'a BrokerId>) -> String {
    brokers.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

impl InSyncSetIsSane {
    /// One state, by itself.
    fn state(
        &mut self,
        node: NodeId,
        partition: PartitionId,
        leader: Option<BrokerId>,
        in_sync: &[BrokerId],
    ) -> Result<(), String> {
        self.judged += 1;
        let members: BTreeSet<BrokerId> = in_sync.iter().copied().collect();
        if members.is_empty() || members.len() != in_sync.len() {
            return Err(format!("{partition}: the in-sync set is {{{}}}", list(in_sync)));
        }
        if let Some(leader) = leader.filter(|leader| !members.contains(leader)) {
            return Err(format!("{partition}: broker {leader} leads, but {{{}}} are in sync", list(in_sync)));
        }
        let replicas = self.images.get(&node).and_then(|image| image.replicas.get(&partition));
        let stranger = replicas.and_then(|replicas| members.difference(replicas).next());
        match stranger {
            Some(stranger) => Err(format!("{partition}: broker {stranger} is in sync and holds no replica")),
            None => Ok(()),
        }
    }

    /// Who joins in the same epoch does so by its leader's proposal, which must speak of the process that is registered. Whoever is
    /// elected from outside was asked for by nobody: that the claims allow it, others judge.
    fn joins(
        &self,
        partition: PartitionId,
        newest: &InSyncState,
        in_sync: &[BrokerId],
        image: &Image,
    ) -> Result<(), String> {
        let Some(proposals) = self.proposals.get(&(partition, newest.partition_epoch)) else { return Ok(()) };
        for joining in in_sync.iter().filter(|member| !newest.members.contains(member)) {
            let registered = image.brokers.get(joining).map(|(epoch, _)| *epoch);
            let mut asked = proposals.iter().flatten().filter(|(member, _)| member == joining).map(|(_, epoch)| *epoch);
            if registered.is_some()
                && asked.clone().next().is_some()
                && asked.all(|asked| asked.is_some() && asked != registered)
            {
                return Err(format!(
                    "{partition}: broker {joining} is taken for in sync, but the process that fetched is not the one that is registered"
                ));
            }
        }
        Ok(())
    }

    /// What one batch of metadata leaves: fenced brokers neither lead nor make others wait.
    fn batch(&mut self, node: NodeId) -> Result<(), String> {
        let Some(image) = self.images.get_mut(&node).filter(|image| image.is_changed) else { return Ok(()) };
        image.is_changed = false;
        for (partition, (leader, in_sync)) in &image.partitions {
            if let Some(leader) = leader.filter(|leader| image.is_fenced(*leader)) {
                return Err(format!("{partition}: broker {leader} leads, and is fenced"));
            }
            let fenced = in_sync.iter().find(|member| image.is_fenced(**member));
            // Without a leader nobody is made to wait: the set stays until one of it is back.
            if let Some(fenced) = fenced.filter(|_| leader.is_some()) {
                return Err(format!("{partition}: broker {fenced} is fenced, and in sync with {{{}}}", list(in_sync)));
            }
        }
        Ok(())
    }
}

/// The leader of this epoch, if it leads still, waits for all of `in_sync`.
fn is_waited_for(
    partition: PartitionId,
    leader: Option<BrokerId>,
    epoch: LeaderEpoch,
    in_sync: &[BrokerId],
    world: &World,
) -> Result<(), String> {
    let leads = |leader: BrokerId| world.replica_of(partition, leader).filter(|known| known.leading == Some(epoch));
    let Some((leader, replica)) = leader.and_then(|leader| Some((leader, leads(leader)?))) else { return Ok(()) };
    let missed = in_sync.iter().find(|member| !replica.in_sync_at_most.contains(member));
    match missed.filter(|_| !replica.in_sync_at_most.is_empty()) {
        None => Ok(()),
        Some(missed) => Err(format!(
            "{partition}: broker {missed} is in sync by the metadata, but leader {leader} waits for {{{}}} only",
            list(&replica.in_sync_at_most)
        )),
    }
}

/// A leader takes back only who has all that it had itself when it began: any of it may be committed (KAFKA-7128).
fn has_reached_the_start(partition: PartitionId, members: &Members, node: NodeId, world: &World) -> Result<(), String> {
    let Some(leader) = world.replica(partition, node).filter(|replica| replica.leading.is_some()) else {
        return Ok(());
    };
    for (member, _) in members.iter().filter(|(member, _)| !leader.in_sync.contains(member)) {
        // What it did since it turned to a later leader is not held against one that has not heard.
        let follower = world.replica_of(partition, *member).filter(|replica| replica.following == leader.leading);
        let reached = follower.map(|replica| replica.reached);
        if let Some(reached) = reached.filter(|&reached| reached < leader.leading_from) {
            return Err(format!(
                "{partition}: {} asks for broker {member} in sync, whose log ends at {reached}, before {} where its own epoch began",
                world.name(node),
                leader.leading_from
            ));
        }
    }
    Ok(())
}

impl Promise for InSyncSetIsSane {
    fn name(&self) -> &'static str {
        "the in-sync set holds whom it should"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::NodeStarted | What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                self.images.remove(&node);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match event {
            Event::ReplicasChanged { partition, replicas, .. } => {
                let image = self.images.entry(node).or_default();
                image.replicas.insert(*partition, replicas.iter().copied().collect());
                Ok(())
            }
            Event::TopicRemoved { topic } => {
                let image = self.images.entry(node).or_default();
                image.partitions.retain(|partition, _| partition.topic != *topic);
                image.replicas.retain(|partition, _| partition.topic != *topic);
                Ok(())
            }
            Event::BrokerRegistered { broker, epoch, .. } => {
                let image = self.images.entry(node).or_default();
                image.brokers.insert(*broker, (*epoch, true));
                image.is_changed = true;
                Ok(())
            }
            Event::BrokerFenced { broker } => {
                self.images.entry(node).or_default().fence(*broker, true);
                Ok(())
            }
            Event::BrokerUnfenced { broker } => {
                self.images.entry(node).or_default().fence(*broker, false);
                Ok(())
            }
            Event::InSyncInDoubt { partition, epoch, partition_epoch } => {
                let asked = self.proposals.get(&(*partition, *partition_epoch)).and_then(|proposals| proposals.last());
                let asked: BTreeSet<BrokerId> = asked.into_iter().flatten().map(|(member, _)| *member).collect();
                let doubt =
                    self.doubts.entry((*partition, node)).or_insert((*epoch, *partition_epoch, BTreeSet::new()));
                if (doubt.0, doubt.1) != (*epoch, *partition_epoch) {
                    *doubt = (*epoch, *partition_epoch, BTreeSet::new());
                }
                doubt.2.extend(asked);
                Ok(())
            }
            Event::InSyncProposed { partition, partition_epoch, members, .. } => {
                has_reached_the_start(*partition, members, node, before)?;
                self.proposals.entry((*partition, *partition_epoch)).or_default().push(members.clone());
                Ok(())
            }
            Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync } => {
                let image = self.images.entry(node).or_default();
                image.partitions.insert(*partition, (*leader, in_sync.clone()));
                image.is_changed = true;
                self.state(node, *partition, *leader, in_sync)?;
                let newest = before.partition(*partition).and_then(|state| state.newest());
                if newest.is_some_and(|newest| *partition_epoch <= newest.partition_epoch) {
                    return Ok(());
                }
                let newest = newest.filter(|newest| newest.leader_epoch == *leader_epoch);
                if let (Some(newest), Some(image)) = (newest, self.images.get(&node)) {
                    self.joins(*partition, newest, in_sync, image)?;
                }
                is_waited_for(*partition, *leader, *leader_epoch, in_sync, before)
            }
            Event::InSyncKnown { partition, epoch, partition_epoch, at_most, .. } => {
                if let Some((_, _, asked)) = self
                    .doubts
                    .get(&(*partition, node))
                    .filter(|(led, state, _)| (led, state) == (epoch, partition_epoch))
                    && let Some(forgotten) = asked.iter().find(|member| !at_most.contains(member))
                {
                    return Err(format!(
                        "{partition}: {} asked for broker {forgotten} in sync, cannot know whether it got it, and waits for {{{}}} only",
                        before.name(node),
                        list(at_most)
                    ));
                }
                let newest = before.partition(*partition).and_then(|state| state.newest());
                let Some(newest) = newest.filter(|newest| newest.leader_epoch == *epoch) else { return Ok(()) };
                self.judged += 1;
                match newest.members.iter().find(|member| !at_most.contains(member)) {
                    None => Ok(()),
                    Some(missed) => Err(format!(
                        "{partition}: {} leads and waits for {{{}}}, but broker {missed} is in sync by the metadata too",
                        before.name(node),
                        list(at_most)
                    )),
                }
            }
            Event::MetadataApplied { .. } => self.batch(node),
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
