//! The scene: who leads what, as the trace last told it. Faults are aimed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use evidence::{Entry, What};
use model::{BrokerId, Event, LeaderEpoch, PartitionEpoch, PartitionId, Time, TopicId};
use scenarios::PartitionName;

/// What a bystander who reads the trace knows of the cluster. Cheap to clone: each fault is aimed by a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    topics: Arc<BTreeMap<String, TopicId>>,
    /// Topics that are no more. Another one may have the same name.
    removed: Arc<BTreeSet<TopicId>>,
    partitions: Arc<BTreeMap<PartitionId, Seen>>,
    controller: Option<(LeaderEpoch, BrokerId)>,
    /// Nodes that ended by themselves, with an error, and were not started again.
    gave_up: Arc<BTreeSet<String>>,
    /// Nodes that gave up a log directory, and have not started since.
    lost_directory: Arc<BTreeSet<String>>,
    /// Logs that a process has opened and that still runs, by node.
    opened: Arc<BTreeMap<String, BTreeSet<PartitionId>>>,
    /// Logs that a node found damaged since it started, by node.
    damaged: Arc<BTreeMap<String, BTreeSet<PartitionId>>>,
}

/// One partition, as the newest metadata that anybody applied says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    version: (LeaderEpoch, PartitionEpoch),
    pub(crate) leader: Option<BrokerId>,
    pub(crate) in_sync: BTreeSet<BrokerId>,
    /// When its leader's epoch began, as far as anybody heard; none while it is the first.
    elected_at: Option<Time>,
    /// In which state it came to who holds it.
    placed: PartitionEpoch,
    /// Who holds it. While it moves, those whom it moves to come first, and then those who are to give it up.
    pub(crate) replicas: Vec<BrokerId>,
    /// Who of them is on its way.
    pub(crate) adding: BTreeSet<BrokerId>,
}

/// What an entry changed in the scene.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Leader,
    Offline,
    InSyncShrank,
    InSyncGrew,
    Controller,
}

/// The number of a server by its name: `broker 2`, `controller 4`.
pub(crate) fn number_of(node: &str) -> Option<BrokerId> {
    let (role, number) = node.rsplit_once(' ')?;
    matches!(role, "broker" | "controller").then(|| number.parse().ok().map(BrokerId))?
}

impl Scene {
    pub(crate) fn name_topic(&mut self, name: &str, id: TopicId) {
        Arc::make_mut(&mut self.topics).insert(name.to_owned(), id);
    }

    /// Takes the next entry of the trace, and says what is new in it.
    pub(crate) fn observe(&mut self, entry: &Entry) -> Vec<Change> {
        let event = match &entry.what {
            What::Witnessed(event) => event,
            What::NodeStopped { error } => {
                Arc::make_mut(&mut self.opened).remove(&*entry.node.0);
                if error.is_some() {
                    Arc::make_mut(&mut self.gave_up).insert(entry.node.0.to_string());
                }
                return Vec::new();
            }
            What::NodeCrashed | What::PowerLost => {
                Arc::make_mut(&mut self.opened).remove(&*entry.node.0);
                return Vec::new();
            }
            What::NodeStarted => {
                Arc::make_mut(&mut self.opened).remove(&*entry.node.0);
                Arc::make_mut(&mut self.gave_up).remove(&*entry.node.0);
                Arc::make_mut(&mut self.lost_directory).remove(&*entry.node.0);
                Arc::make_mut(&mut self.damaged).remove(&*entry.node.0);
                return Vec::new();
            }
            _ => return Vec::new(),
        };
        match event {
            Event::Recovered { partition, .. } => {
                Arc::make_mut(&mut self.opened).entry(entry.node.0.to_string()).or_default().insert(*partition);
                Vec::new()
            }
            Event::LogDamaged { partition } => {
                Arc::make_mut(&mut self.damaged).entry(entry.node.0.to_string()).or_default().insert(*partition);
                Vec::new()
            }
            Event::LogDirectoryFailed { replicas, .. } => {
                Arc::make_mut(&mut self.lost_directory).insert(entry.node.0.to_string());
                if let Some(opened) = Arc::make_mut(&mut self.opened).get_mut(&*entry.node.0) {
                    opened.retain(|partition| !replicas.contains(partition));
                }
                Vec::new()
            }
            Event::ReplicaRemoved { partition } => {
                if let Some(opened) = Arc::make_mut(&mut self.opened).get_mut(&*entry.node.0) {
                    opened.remove(partition);
                }
                Vec::new()
            }
            Event::TopicMade { topic, name } => {
                // Whoever starts again hears of all that ever were.
                if !self.removed.contains(topic) {
                    Arc::make_mut(&mut self.topics).insert(name.clone(), *topic);
                }
                Vec::new()
            }
            Event::TopicRemoved { topic } => {
                Arc::make_mut(&mut self.removed).insert(*topic);
                Vec::new()
            }
            Event::QuorumLeader { epoch, .. } => self.controller_is(*epoch, number_of(&entry.node.0)),
            Event::ReplicasChanged { partition, partition_epoch, replicas, adding } => {
                let seen = Arc::make_mut(&mut self.partitions).entry(*partition).or_default();
                seen.place(*partition_epoch, replicas, adding);
                Vec::new()
            }
            Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch, in_sync } => {
                let seen = Arc::make_mut(&mut self.partitions).entry(*partition).or_default();
                seen.change((*leader_epoch, *partition_epoch), *leader, in_sync.iter().copied().collect(), entry.time)
            }
            _ => Vec::new(),
        }
    }

    fn controller_is(&mut self, epoch: LeaderEpoch, node: Option<BrokerId>) -> Vec<Change> {
        let Some(node) = node else { return Vec::new() };
        if self.controller.is_some_and(|(known, _)| epoch < known) {
            return Vec::new();
        }
        let before = self.controller.replace((epoch, node));
        if before.is_some_and(|(_, before)| before != node) { vec![Change::Controller] } else { Vec::new() }
    }

    /// The newest leader of the metadata quorum.
    pub(crate) fn controller(&self) -> Option<BrokerId> {
        self.controller.map(|(_, node)| node)
    }

    /// Did this node end by itself, with an error?
    pub(crate) fn gave_up(&self, node: &str) -> bool {
        self.gave_up.contains(node)
    }

    /// Does it go on without a log directory whose disk failed?
    pub(crate) fn has_lost_directory(&self, node: &str) -> bool {
        self.lost_directory.contains(node)
    }

    /// Has the process that runs on this node opened its log of the partition?
    pub(crate) fn has_opened(&self, node: &str, partition: &PartitionName) -> bool {
        self.is_among(&self.opened, node, partition)
    }

    /// Has it found that log damaged since it started?
    pub(crate) fn has_found_damaged(&self, node: &str, partition: &PartitionName) -> bool {
        self.is_among(&self.damaged, node, partition)
    }

    fn is_among(&self, logs: &BTreeMap<String, BTreeSet<PartitionId>>, node: &str, partition: &PartitionName) -> bool {
        let id = self.id(partition);
        id.is_some_and(|id| logs.get(node).is_some_and(|logs| logs.contains(&id)))
    }

    fn id(&self, name: &PartitionName) -> Option<PartitionId> {
        let topic = *self.topics.get(&name.topic)?;
        Some(PartitionId { topic, index: i32::try_from(name.index).ok()? })
    }

    /// Every partition, by its name.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (PartitionName, &Seen)> {
        self.topics.iter().flat_map(|(topic, id)| {
            let of_topic = self.partitions.iter().filter(move |(partition, _)| partition.topic == *id);
            of_topic.filter_map(move |(partition, seen)| {
                Some((PartitionName { topic: topic.clone(), index: u32::try_from(partition.index).ok()? }, seen))
            })
        })
    }

    /// True if a partition has another leader since then: this one, or any if none is named.
    pub(crate) fn has_elected(&self, name: Option<&PartitionName>, since: Time) -> bool {
        let is_new = |seen: &Seen| seen.elected_at.is_some_and(|at| since <= at);
        match name {
            Some(name) => self.partition(name).is_some_and(is_new),
            None => self.partitions().any(|(_, seen)| is_new(seen)),
        }
    }

    pub(crate) fn partition(&self, name: &PartitionName) -> Option<&Seen> {
        self.partitions.get(&self.id(name)?)
    }
}

impl Seen {
    fn place(&mut self, epoch: PartitionEpoch, replicas: &[BrokerId], adding: &[BrokerId]) {
        if self.replicas.is_empty() || self.placed < epoch {
            self.placed = epoch;
            self.replicas = replicas.to_vec();
            self.adding = adding.iter().copied().collect();
        }
    }

    fn change(
        &mut self,
        version: (LeaderEpoch, PartitionEpoch),
        leader: Option<BrokerId>,
        in_sync: BTreeSet<BrokerId>,
        now: Time,
    ) -> Vec<Change> {
        let is_first = self.in_sync.is_empty();
        if !is_first && version <= self.version {
            return Vec::new();
        }
        if version.0 != self.version.0 && leader.is_some() && !is_first {
            self.elected_at = Some(now);
        }
        self.version = version;
        let before = (std::mem::replace(&mut self.leader, leader), std::mem::replace(&mut self.in_sync, in_sync));
        if is_first {
            return Vec::new();
        }
        let news = [
            (leader.is_some() && leader != before.0 && before.0.is_some(), Change::Leader),
            (leader.is_none() && before.0.is_some(), Change::Offline),
            (!before.1.is_subset(&self.in_sync), Change::InSyncShrank),
            (!self.in_sync.is_subset(&before.1), Change::InSyncGrew),
        ];
        news.into_iter().filter_map(|(is_so, change)| is_so.then_some(change)).collect()
    }
}

#[cfg(test)]
mod tests {
    use evidence::NodeName;

    use super::*;

    fn entry(node: &str, event: Event) -> Entry {
        Entry { index: 0, time: Time(0), node: NodeName(node.into()), what: What::Witnessed(event) }
    }

    fn changed(leader: Option<i32>, epochs: (i32, i32), in_sync: &[i32]) -> Entry {
        entry(
            "broker 1",
            Event::PartitionChanged {
                partition: PartitionId { topic: TopicId(7), index: 0 },
                leader: leader.map(BrokerId),
                leader_epoch: LeaderEpoch(epochs.0),
                partition_epoch: PartitionEpoch(epochs.1),
                in_sync: in_sync.iter().copied().map(BrokerId).collect(),
            },
        )
    }

    fn placed(epoch: i32, replicas: &[i32], adding: &[i32]) -> Entry {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect();
        entry(
            "broker 1",
            Event::ReplicasChanged {
                partition: PartitionId { topic: TopicId(7), index: 0 },
                partition_epoch: PartitionEpoch(epoch),
                replicas: ids(replicas),
                adding: ids(adding),
            },
        )
    }

    #[test]
    fn who_gave_its_replica_up_holds_none() {
        let mut scene = Scene::default();
        scene.name_topic("payments", TopicId(7));
        let moves = [placed(0, &[5, 2, 3], &[]), placed(1, &[1, 2, 5, 3], &[1]), placed(2, &[1, 2, 5], &[])];
        // Whoever starts again tells all of it once more.
        for entry in moves.iter().chain(&moves) {
            assert_eq!(scene.observe(entry), []);
        }
        let seen = scene.partition(&"payments/0".parse().unwrap()).unwrap();
        assert_eq!(seen.replicas, [1, 2, 5].map(BrokerId));
        assert!(seen.adding.is_empty());
    }

    #[test]
    fn the_newest_metadata_counts_and_stale_copies_of_it_do_not() {
        let mut scene = Scene::default();
        scene.name_topic("orders", TopicId(7));
        assert_eq!(scene.observe(&changed(Some(1), (0, 0), &[1, 2, 3])), []);
        assert_eq!(scene.observe(&changed(Some(2), (1, 1), &[2, 3])), [Change::Leader, Change::InSyncShrank]);
        assert_eq!(scene.observe(&changed(Some(1), (0, 0), &[1, 2, 3])), []);
        let orders = "orders/0".parse().unwrap();
        assert!(scene.has_elected(Some(&orders), Time(0)) && !scene.has_elected(Some(&orders), Time(1)));
        assert!(scene.has_elected(None, Time(0)) && !scene.has_elected(Some(&"orders/1".parse().unwrap()), Time(0)));
        let seen = scene.partition(&orders).unwrap();
        assert_eq!((seen.leader, seen.in_sync.len()), (Some(BrokerId(2)), 2));
    }

    #[test]
    fn another_node_that_leads_the_quorum_is_another_controller() {
        let mut scene = Scene::default();
        let leads = |node: &str, epoch| {
            entry(node, Event::QuorumLeader { epoch: LeaderEpoch(epoch), log_end: model::Offset(0) })
        };
        assert_eq!(scene.observe(&leads("controller 4", 1)), []);
        assert_eq!(scene.observe(&leads("controller 5", 2)), [Change::Controller]);
        assert_eq!(scene.observe(&leads("controller 4", 1)), []);
        assert_eq!(scene.controller(), Some(BrokerId(5)));
    }
}
