//! A decision in the making: records, and the image as they would leave it.

use model::{BrokerId, Bug, DirectoryId, MetadataVersion, PartitionId, Planted};

use super::record::{BrokerChange, PartitionChange, UnregisterBroker};
use super::{Image, Partition, Record, Settings, TopicDefaults, TopicSetting};

pub(super) struct Draft {
    pub(super) image: Image,
    pub(super) records: Vec<Record>,
    pub(super) planted: Planted,
    defaults: TopicDefaults,
    /// What this program knows.
    newest: MetadataVersion,
}

impl Draft {
    pub(super) fn new(image: &Image, settings: &Settings) -> Draft {
        Draft {
            image: image.clone(),
            records: Vec::new(),
            planted: settings.planted,
            defaults: settings.topic_defaults.clone(),
            newest: settings.metadata_version_max,
        }
    }

    pub(super) fn push(&mut self, mut record: Record) {
        if let Record::PartitionChange(change) = &mut record {
            change.last_leader = self.last_leader(change);
        }
        self.image.apply(&record);
        self.records.push(record);
    }

    /// Who led a partition last, if it is left without a leader by `change` and metadata of this level can tell.
    fn last_leader(&self, change: &PartitionChange) -> Option<BrokerId> {
        let level =
            if self.planted.has(Bug::NewerRecordsBelowLevel) { self.newest } else { self.image.metadata_version() };
        let id = PartitionId { topic: change.topic, index: change.index };
        let before = self.image.partition(id).filter(|_| level.has_last_leaders() && change.leader.is_none())?;
        before.leader.or(before.last_leader)
    }

    /// Fences a registered broker, or takes the fence away, and settles its partitions.
    pub(super) fn fence(&mut self, broker: BrokerId, fenced: bool) {
        self.change_broker(broker, |change| change.fenced = Some(fenced));
        self.settle_partitions_of(&[broker]);
    }

    /// Fences brokers that fell silent together: none of them is elected in between, to be the last one standing.
    pub(super) fn fence_all(&mut self, brokers: &[BrokerId]) {
        brokers.iter().for_each(|&broker| self.change_broker(broker, |change| change.fenced = Some(true)));
        self.settle_partitions_of(brokers);
    }

    /// A broker is gone for good: first nothing is led or kept in sync by it.
    pub(super) fn unregister(&mut self, broker: BrokerId) {
        let Some(registration) = self.image.brokers.get(&broker) else { return };
        let epoch = registration.epoch;
        self.fence(broker, true);
        self.push(Record::UnregisterBroker(UnregisterBroker { broker, epoch }));
    }

    pub(super) fn begin_controlled_shutdown(&mut self, broker: BrokerId) {
        self.change_broker(broker, |change| change.in_controlled_shutdown = Some(true));
        self.settle_partitions_of(&[broker]);
    }

    /// A broker has these log directories left, and leads nothing that lies in the others.
    pub(super) fn leave_directories(&mut self, broker: BrokerId, left: Vec<DirectoryId>) {
        self.change_broker(broker, |change| change.directories = Some(left));
        self.settle_partitions_of(&[broker]);
    }

    fn change_broker(&mut self, broker: BrokerId, change: impl FnOnce(&mut BrokerChange)) {
        let Some(registration) = self.image.brokers.get(&broker) else { return };
        let mut changed = BrokerChange { broker, epoch: registration.epoch, ..BrokerChange::default() };
        change(&mut changed);
        self.push(Record::BrokerChange(changed));
    }

    /// Brings every partition with a replica on one of `brokers` in line with who is active.
    pub(super) fn settle_partitions_of(&mut self, brokers: &[BrokerId]) {
        self.change_partitions_of(brokers, |draft, id, partition| draft.settled(id, partition));
    }

    /// A new process of `broker` may lack what the one before had not synced and had answered for all the same: where others of an
    /// in-sync set are waited for, it is not.
    pub(super) fn distrust(&mut self, broker: BrokerId) {
        self.change_partitions_of(&[broker], |_, id, partition| {
            let others: Vec<BrokerId> = partition.in_sync.iter().copied().filter(|&member| member != broker).collect();
            if others.is_empty() || others.len() == partition.in_sync.len() {
                return None;
            }
            let leader = partition.leader.filter(|leader| *leader != broker);
            Some(changed(id, partition, leader, others, false))
        });
    }

    fn change_partitions_of(
        &mut self,
        brokers: &[BrokerId],
        change: impl Fn(&Draft, PartitionId, &Partition) -> Option<PartitionChange>,
    ) {
        let mut changes = Vec::new();
        for topic in self.image.topics.values() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                if brokers.iter().any(|broker| partition.replicas.contains(broker)) {
                    let id = PartitionId { topic: topic.id, index };
                    changes.extend(change(self, id, partition));
                }
            }
        }
        changes.into_iter().for_each(|change| self.push(Record::PartitionChange(change)));
    }

    /// Does its topic rather lose records than be without a leader (`unclean.leader.election.enable`)?
    fn elects_unclean(&self, id: PartitionId) -> bool {
        let Some(setting) = TopicSetting::of_topic("unclean.leader.election.enable") else { return false };
        let topic = self.image.topics.get(&id.topic).map(|topic| &**topic);
        setting.sources(&self.image, topic, &self.defaults).first().is_some_and(|(_, value)| *value == "true")
    }

    /// Whom an unclean election takes: who led last, if that one is there, since it has the most; else the first that is.
    pub(super) fn any_live(&self, partition: &Partition) -> Option<BrokerId> {
        let last = partition.last_leader.filter(|last| partition.replicas.contains(last));
        let mut candidates = last.into_iter().chain(partition.replicas.iter().copied());
        candidates.find(|&replica| self.image.is_online(partition, replica))
    }

    /// The change that a partition needs, if any: who is not there leaves the in-sync set, or whose disk is not, unless nobody would be
    /// left. Then the set stays as it is and nobody leads: whatever was committed, each of its members has, and the first to be back may
    /// lead (as in KIP-966). Only a member of the set leads that is there.
    pub(super) fn settled(&self, id: PartitionId, partition: &Partition) -> Option<PartitionChange> {
        let is_online = |replica| self.image.is_online(partition, replica);
        let active: Vec<BrokerId> = partition.in_sync.iter().copied().filter(|&member| is_online(member)).collect();
        if active.is_empty() {
            model::reached!("nobody of an in-sync set was left");
        }
        if partition.leader.is_none() && !active.is_empty() {
            model::reached!("a partition without a leader got one");
        }
        let mut in_sync = if active.is_empty() { partition.in_sync.clone() } else { active };
        let may_lead = |broker| is_online(broker) || self.planted.has(Bug::ElectFenced);
        let mut leader = partition.leader.filter(|leader| in_sync.contains(leader) && may_lead(*leader));
        if leader.is_none() {
            let live = || partition.replicas.iter().copied().filter(|&replica| is_online(replica));
            leader = live().find(|replica| in_sync.contains(replica));
            if self.planted.has(Bug::ElectOutOfSync)
                && let Some(any) = live().next_back()
            {
                leader = Some(any);
                in_sync = vec![any];
            }
        }
        if leader.is_none()
            && self.elects_unclean(id)
            && let Some(any) = self.any_live(partition)
        {
            model::reached!("a replica that was not in sync was elected, since its topic allows it");
            (leader, in_sync) = (Some(any), vec![any]);
        }
        if leader == partition.leader && in_sync == partition.in_sync {
            return None;
        }
        Some(changed(id, partition, leader, in_sync, self.planted.has(Bug::LeaderWithoutNewEpoch)))
    }
}

/// Other replicas stay as they are. A new leader has a new leader epoch, unless it `keeps_epoch`; every change has a new partition epoch.
pub(super) fn changed(
    id: PartitionId,
    partition: &Partition,
    leader: Option<BrokerId>,
    in_sync: Vec<BrokerId>,
    keeps_epoch: bool,
) -> PartitionChange {
    let keeps_epoch = keeps_epoch || leader == partition.leader;
    PartitionChange {
        topic: id.topic,
        index: id.index,
        in_sync,
        leader,
        leader_epoch: if keeps_epoch { partition.leader_epoch } else { partition.leader_epoch.next() },
        partition_epoch: partition.partition_epoch.next(),
        replicas: None,
        adding: None,
        removing: None,
        last_leader: None,
        directories: None,
    }
}
