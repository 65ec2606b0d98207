//! A decision in the making: records, and the image as they would leave it.

use model::{BrokerId, Bug, PartitionId, Planted};

use super::record::{BrokerChange, PartitionChange};
use super::{Image, Partition, Record};

pub(super) struct Draft {
    pub(super) image: Image,
    pub(super) records: Vec<Record>,
    pub(super) planted: Planted,
}

impl Draft {
    pub(super) fn new(image: &Image, planted: Planted) -> Draft {
        Draft { image: image.clone(), records: Vec::new(), planted }
    }

    pub(super) fn push(&mut self, record: Record) {
        self.image.apply(&record);
        self.records.push(record);
    }

    /// Fences a registered broker, or takes the fence away, and settles its partitions.
    pub(super) fn fence(&mut self, broker: BrokerId, fenced: bool) {
        self.change_broker(broker, Some(fenced), None);
    }

    pub(super) fn begin_controlled_shutdown(&mut self, broker: BrokerId) {
        self.change_broker(broker, None, Some(true));
    }

    fn change_broker(&mut self, broker: BrokerId, fenced: Option<bool>, in_controlled_shutdown: Option<bool>) {
        let Some(registration) = self.image.brokers.get(&broker) else { return };
        let epoch = registration.epoch;
        self.push(Record::BrokerChange(BrokerChange { broker, epoch, fenced, in_controlled_shutdown }));
        self.settle_partitions_of(broker);
    }

    /// Brings every partition with a replica on `broker` in line with whether it is active.
    pub(super) fn settle_partitions_of(&mut self, broker: BrokerId) {
        let mut changes = Vec::new();
        for topic in self.image.topics.values() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                if partition.replicas.contains(&broker) {
                    let id = PartitionId { topic: topic.id, index };
                    changes.extend(self.settled(id, partition));
                }
            }
        }
        changes.into_iter().for_each(|change| self.push(Record::PartitionChange(change)));
    }

    /// The change that a partition needs, if any: who is not active leaves the in-sync set, unless nobody would be left (the last one
    /// alone surely has everything), and only an active member of it leads.
    fn settled(&self, id: PartitionId, partition: &Partition) -> Option<PartitionChange> {
        let active: Vec<BrokerId> =
            partition.in_sync.iter().copied().filter(|&member| self.image.is_active(member)).collect();
        if active.is_empty() {
            model::reached!("nobody of an in-sync set was left");
        }
        if partition.leader.is_none() && !active.is_empty() {
            model::reached!("a partition without a leader got one");
        }
        let mut in_sync = if active.is_empty() { self.last_standing(partition) } else { active };
        let may_lead = |broker| self.image.is_active(broker) || self.planted.has(Bug::ElectFenced);
        let mut leader = partition.leader.filter(|leader| in_sync.contains(leader) && may_lead(*leader));
        if leader.is_none() {
            let live = || partition.replicas.iter().copied().filter(|&replica| self.image.is_active(replica));
            leader = live().find(|replica| in_sync.contains(replica));
            if self.planted.has(Bug::ElectOutOfSync)
                && let Some(any) = live().next_back()
            {
                leader = Some(any);
                in_sync = vec![any];
            }
        }
        if leader == partition.leader && in_sync == partition.in_sync {
            return None;
        }
        let keeps_epoch = leader == partition.leader || self.planted.has(Bug::LeaderWithoutNewEpoch);
        Some(PartitionChange {
            topic: id.topic,
            index: id.index,
            in_sync,
            leader,
            leader_epoch: if keeps_epoch { partition.leader_epoch } else { partition.leader_epoch.next() },
            partition_epoch: partition.partition_epoch.next(),
        })
    }

    /// Of an in-sync set without an active member, the one to wait for: the leader if there is one, it was the last to take records.
    fn last_standing(&self, partition: &Partition) -> Vec<BrokerId> {
        let last = partition.leader.filter(|leader| partition.in_sync.contains(leader));
        last.or(partition.in_sync.first().copied()).into_iter().collect()
    }
}
