//! What the metadata log says of the cluster, up to one offset: brokers, topics, partitions.
//!
//! Every node applies the same records in the same order and so holds the same image; `digest` proves it.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use model::{
    BrokerEpoch, BrokerId, DirectoryId, Endpoint, LeaderEpoch, MetadataVersion, MetadataVersions, Offset,
    PartitionEpoch, PartitionId, ProducerId, TopicId,
};

use super::fold::Fold;
use super::record::{
    BrokerChange, BrokerConfig, FeatureLevel, PartitionChange, PartitionRecord, Record, RegisterBroker, RemoveTopic,
    TopicConfig, TopicRecord, UnregisterBroker,
};
use crate::quorum::VoterSet;

/// The cluster as the metadata log describes it. Cheap to clone: topics are shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Metadata is applied up to here, exclusive.
    pub end: Offset,
    pub brokers: BTreeMap<BrokerId, Registration>,
    pub topics: BTreeMap<TopicId, Arc<Topic>>,
    pub topic_ids: BTreeMap<String, TopicId>,
    /// What was set for a broker, or for all of them (none), while they run.
    pub(super) broker_configs: Arc<BTreeMap<(Option<BrokerId>, String), String>>,
    /// Who votes in the metadata quorum, if that was ever changed; else those that are configured to.
    pub voters: Option<Arc<VoterSet>>,
    /// The first producer id that no broker has.
    pub next_producer_id: ProducerId,
    /// The level that metadata is at, if a record ever said.
    pub(super) level: Option<MetadataVersion>,
    /// The sum of the hashes of all that is above but `end`: kept up with each change, the same in any order of changes.
    pub(super) digest: u64,
}

/// The last process that a broker made itself known with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registration {
    pub epoch: BrokerEpoch,
    pub incarnation: u128,
    pub endpoint: Endpoint,
    pub rack: Option<String>,
    /// The metadata that it reads.
    pub versions: MetadataVersions,
    /// May not lead, nor be in sync: it has not caught up with the metadata, or went silent.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// The log directories that it can use; none of a broker that says nothing of them.
    pub directories: Vec<DirectoryId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    pub id: TopicId,
    pub name: String,
    /// By index.
    pub partitions: Vec<Partition>,
    /// Only what was set for this topic.
    pub configs: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// In order of preference.
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
    /// Of the replicas, those that a move brings: they stay out of the count of those that must be there until it is over.
    pub adding: Vec<BrokerId>,
    /// Of the replicas, those that go when the move is over.
    pub removing: Vec<BrokerId>,
    /// None: no member of the in-sync set is there to lead.
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    /// Who led it last, where nobody does: it has the most, or nobody knows who has (KIP-966).
    pub last_leader: Option<BrokerId>,
    /// In which log directory each replica lies of whom that is known (KIP-858).
    pub directories: BTreeMap<BrokerId, DirectoryId>,
}

impl Partition {
    /// True while replicas come or go.
    pub fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
}

impl Registration {
    /// True if it may lead and be in sync.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }
}

impl Image {
    /// Takes in the record at offset `end`. A change of something that is not there changes nothing.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::NoOp => {}
            Record::RegisterBroker(register) => self.register_broker(register),
            Record::BrokerChange(change) => self.change_broker(change),
            Record::Topic(topic) => self.add_topic(topic),
            Record::Partition(partition) => self.add_partition(partition),
            Record::PartitionChange(change) => self.change_partition(change),
            Record::TopicConfig(config) => self.set_config(config),
            Record::BrokerConfig(config) => self.set_broker_config(config),
            Record::RemoveTopic(remove) => self.remove_topic(*remove),
            Record::UnregisterBroker(broker) => self.unregister_broker(*broker),
            Record::Voters(voters) => self.take_voters(voters),
            Record::ProducerIds(ids) => self.take_producer_ids(ids.next),
            Record::FeatureLevel(level) => self.take_level(level),
        }
        self.end = self.end.plus(1);
    }

    /// A hash of the content, equal on any two nodes of one build that applied the same records.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.topics.get(&partition.topic)?.partitions.get(usize::try_from(partition.index).ok()?)
    }

    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// Every partition of every topic.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        self.topics.iter().flat_map(|(&topic, state)| {
            (0..).zip(&state.partitions).map(move |(index, partition)| (PartitionId { topic, index }, partition))
        })
    }

    /// What was set for one broker, or with none for all of them.
    pub fn broker_config(&self, broker: Option<BrokerId>, name: &str) -> Option<&str> {
        self.broker_configs_of(broker).find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Names and values of all that was set for one broker, or with none for all of them.
    pub fn broker_configs_of(&self, broker: Option<BrokerId>) -> impl Iterator<Item = (&str, &str)> {
        let from = (broker, String::new());
        let of_broker = self.broker_configs.range(from..).take_while(move |((of, _), _)| *of == broker);
        of_broker.map(|((_, name), value)| (name.as_str(), value.as_str()))
    }

    /// True if the same is set for brokers here and there.
    pub fn has_broker_configs_of(&self, other: &Image) -> bool {
        Arc::ptr_eq(&self.broker_configs, &other.broker_configs)
    }

    /// True if this broker is registered, unfenced and not about to leave.
    pub fn is_active(&self, broker: BrokerId) -> bool {
        self.brokers.get(&broker).is_some_and(Registration::is_active)
    }

    /// True if this replica may lead its partition and be in sync: its broker is active, and has the directory that it lies in.
    pub fn is_online(&self, partition: &Partition, replica: BrokerId) -> bool {
        self.is_active(replica) && !self.is_in_lost_directory(partition, replica)
    }

    /// True if this replica lies in a directory that its broker does not have any more.
    pub fn is_in_lost_directory(&self, partition: &Partition, replica: BrokerId) -> bool {
        partition.directories.get(&replica).is_some_and(|directory| {
            self.brokers.get(&replica).is_some_and(|registration| !registration.directories.contains(directory))
        })
    }

    fn register_broker(&mut self, register: &RegisterBroker) {
        let registration = Registration {
            epoch: register.epoch.unwrap_or(BrokerEpoch(self.end.0)),
            incarnation: register.incarnation,
            endpoint: register.endpoint.clone(),
            rack: register.rack.clone(),
            versions: register.versions.unwrap_or_default(),
            fenced: true,
            in_controlled_shutdown: false,
            directories: register.directories.clone().unwrap_or_default(),
        };
        self.enters(&(register.broker, &registration));
        if let Some(before) = self.brokers.insert(register.broker, registration) {
            self.leaves(&(register.broker, &before));
        }
    }

    fn change_broker(&mut self, change: &BrokerChange) {
        let Some(registration) = self.brokers.get_mut(&change.broker) else { return };
        if registration.epoch != change.epoch {
            return;
        }
        let before = Fold::of(&(change.broker, &*registration));
        registration.fenced = change.fenced.unwrap_or(registration.fenced);
        registration.in_controlled_shutdown =
            change.in_controlled_shutdown.unwrap_or(registration.in_controlled_shutdown);
        if let Some(directories) = &change.directories {
            registration.directories.clone_from(directories);
        }
        let after = Fold::of(&(change.broker, &*registration));
        self.replaces(before, after);
    }

    fn add_topic(&mut self, topic: &TopicRecord) {
        if self.topics.contains_key(&topic.id) || self.topic_ids.contains_key(&topic.name) {
            return;
        }
        self.enters(&(topic.id, &topic.name));
        self.topic_ids.insert(topic.name.clone(), topic.id);
        let name = topic.name.clone();
        let topic = Topic { id: topic.id, name, partitions: Vec::new(), configs: BTreeMap::new() };
        self.topics.insert(topic.id, Arc::new(topic));
    }

    fn add_partition(&mut self, record: &PartitionRecord) {
        let Some(topic) = self.topics.get_mut(&record.topic) else { return };
        if usize::try_from(record.index) != Ok(topic.partitions.len()) {
            return;
        }
        let partition = Partition {
            replicas: record.replicas.clone(),
            in_sync: record.in_sync.clone(),
            adding: Vec::new(),
            removing: Vec::new(),
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            last_leader: None,
            directories: BTreeMap::new(),
        };
        let entering = Fold::of(&(record.topic, record.index, &partition));
        Arc::make_mut(topic).partitions.push(partition);
        self.replaces(0, entering);
    }

    fn change_partition(&mut self, change: &PartitionChange) {
        let Some(topic) = self.topics.get_mut(&change.topic) else { return };
        let index = usize::try_from(change.index).unwrap_or(usize::MAX);
        if topic.partitions.len() <= index {
            return;
        }
        let partition = &mut Arc::make_mut(topic).partitions[index];
        let before = Fold::of(&(change.topic, change.index, &*partition));
        partition.in_sync.clone_from(&change.in_sync);
        for (list, changed) in [
            (&mut partition.replicas, &change.replicas),
            (&mut partition.adding, &change.adding),
            (&mut partition.removing, &change.removing),
        ] {
            if let Some(changed) = changed {
                list.clone_from(changed);
            }
        }
        partition.last_leader = change.last_leader.or(partition.last_leader).filter(|_| change.leader.is_none());
        if let Some(directories) = &change.directories {
            partition.directories = directories.iter().copied().collect();
        }
        let Partition { replicas, directories, .. } = partition;
        directories.retain(|replica, _| replicas.contains(replica));
        partition.leader = change.leader;
        partition.leader_epoch = change.leader_epoch;
        partition.partition_epoch = change.partition_epoch;
        let after = Fold::of(&(change.topic, change.index, &*partition));
        self.replaces(before, after);
    }

    fn take_voters(&mut self, voters: &VoterSet) {
        if let Some(before) = self.voters.replace(Arc::new(voters.clone())) {
            self.leaves(&("voters", before));
        }
        self.enters(&("voters", voters));
    }

    /// A lower level has no word for what came with a later one: that is forgotten.
    fn take_level(&mut self, FeatureLevel { level, .. }: &FeatureLevel) {
        if let Some(before) = self.level.replace(*level) {
            self.leaves(&("level", before));
        }
        self.enters(&("level", level));
        if level.has_last_leaders() {
            return;
        }
        let led_before = self.partitions().filter(|(_, partition)| partition.last_leader.is_some());
        let forgotten: Vec<PartitionId> = led_before.map(|(id, _)| id).collect();
        for PartitionId { topic, index } in forgotten {
            let partitions = self.topics.get_mut(&topic).map(|topic| &mut Arc::make_mut(topic).partitions);
            if let Some(partition) = partitions.and_then(|partitions| partitions.get_mut(index as usize)) {
                let before = Fold::of(&(topic, index, &*partition));
                partition.last_leader = None;
                let after = Fold::of(&(topic, index, &*partition));
                self.replaces(before, after);
            }
        }
    }

    fn take_producer_ids(&mut self, next: ProducerId) {
        let before = std::mem::replace(&mut self.next_producer_id, next);
        if before != ProducerId::default() {
            self.leaves(&("producer ids", before));
        }
        self.enters(&("producer ids", next));
    }

    fn set_config(&mut self, config: &TopicConfig) {
        let Some(topic) = self.topics.get_mut(&config.topic) else { return };
        let configs = &mut Arc::make_mut(topic).configs;
        let before = match &config.value {
            Some(value) => configs.insert(config.name.clone(), value.clone()),
            None => configs.remove(&config.name),
        };
        if let Some(before) = before {
            self.leaves(&(config.topic, &config.name, &before));
        }
        if let Some(value) = &config.value {
            self.enters(&(config.topic, &config.name, value));
        }
    }

    fn unregister_broker(&mut self, unregister: UnregisterBroker) {
        if self.brokers.get(&unregister.broker).is_some_and(|known| known.epoch == unregister.epoch)
            && let Some(gone) = self.brokers.remove(&unregister.broker)
        {
            self.leaves(&(unregister.broker, &gone));
        }
    }

    fn remove_topic(&mut self, remove: RemoveTopic) {
        let Some(topic) = self.topics.remove(&remove.topic) else { return };
        self.topic_ids.remove(&topic.name);
        self.leaves(&(topic.id, &topic.name));
        for (index, partition) in (0_i32..).zip(&topic.partitions) {
            self.leaves(&(topic.id, index, partition));
        }
        for (name, value) in &topic.configs {
            self.leaves(&(topic.id, name, value));
        }
    }

    fn set_broker_config(&mut self, config: &BrokerConfig) {
        let key = (config.broker, config.name.clone());
        let configs = Arc::make_mut(&mut self.broker_configs);
        let before = match &config.value {
            Some(value) => configs.insert(key.clone(), value.clone()),
            None => configs.remove(&key),
        };
        if let Some(before) = before {
            self.leaves(&(&key, &before));
        }
        if let Some(value) = &config.value {
            self.enters(&(&key, value));
        }
    }

    fn enters(&mut self, content: &impl Hash) {
        self.replaces(0, Fold::of(content));
    }

    fn leaves(&mut self, content: &impl Hash) {
        self.replaces(Fold::of(content), 0);
    }

    fn replaces(&mut self, before: u64, after: u64) {
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(broker: i32, incarnation: u128) -> Record {
        let endpoint = Endpoint::new("somewhere", 9092);
        Record::RegisterBroker(RegisterBroker {
            broker: BrokerId(broker),
            incarnation,
            endpoint,
            rack: None,
            epoch: None,
            versions: None,
            directories: None,
        })
    }

    fn fence(broker: i32, epoch: i64, fenced: bool) -> Record {
        Record::BrokerChange(BrokerChange {
            broker: BrokerId(broker),
            epoch: BrokerEpoch(epoch),
            fenced: Some(fenced),
            ..BrokerChange::default()
        })
    }

    fn orders() -> [Record; 2] {
        let partition = PartitionRecord {
            topic: TopicId(7),
            index: 0,
            replicas: vec![BrokerId(1)],
            in_sync: vec![BrokerId(1)],
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
        };
        [Record::Topic(TopicRecord { id: TopicId(7), name: "orders".into() }), Record::Partition(partition)]
    }

    fn image(records: &[Record]) -> Image {
        let mut image = Image::default();
        records.iter().for_each(|record| image.apply(record));
        image
    }

    #[test]
    fn a_registration_has_the_offset_of_its_record_as_epoch_and_starts_fenced() {
        let image = image(&[Record::NoOp, register(1, 5), register(1, 6)]);
        assert_eq!(image.brokers[&BrokerId(1)].epoch, BrokerEpoch(2));
        assert!(image.brokers[&BrokerId(1)].fenced);
        assert_eq!(image.end, Offset(3));
    }

    #[test]
    fn the_change_of_an_earlier_registration_is_void() {
        let image = image(&[register(1, 5), register(1, 6), fence(1, 0, false)]);
        assert!(image.brokers[&BrokerId(1)].fenced);
    }

    #[test]
    fn two_images_with_the_same_content_have_the_same_digest_however_they_came_to_it() {
        let [topic, partition] = orders();
        let one = image(&[register(1, 5), fence(1, 0, false), fence(1, 0, true), topic.clone(), partition.clone()]);
        let other = image(&[register(1, 5), topic.clone(), partition]);
        assert_eq!(one.digest(), other.digest());
        assert_ne!(one.digest(), image(&[register(1, 5), topic]).digest());
    }

    #[test]
    fn a_setting_that_is_taken_back_leaves_no_trace_in_the_digest() {
        let [topic, partition] = orders();
        let set = |value: Option<&str>| {
            let name = "retention.ms".into();
            Record::TopicConfig(TopicConfig { topic: TopicId(7), name, value: value.map(Into::into) })
        };
        let before = image(&[topic.clone(), partition.clone()]);
        let after = image(&[topic, partition, set(Some("5")), set(Some("6")), set(None)]);
        assert_eq!(before.digest(), after.digest());
        assert!(after.topics[&TopicId(7)].configs.is_empty());
    }

    #[test]
    fn a_topic_that_is_removed_leaves_no_trace_in_the_digest() {
        let [topic, partition] = orders();
        let set = Record::TopicConfig(TopicConfig { topic: TopicId(7), name: "a".into(), value: Some("b".into()) });
        let before = image(&[register(1, 5)]);
        let remove = Record::RemoveTopic(RemoveTopic { topic: TopicId(7) });
        let after = image(&[register(1, 5), topic, partition, set, remove]);
        assert_eq!(before.digest(), after.digest());
        assert!(after.topics.is_empty() && after.topic_ids.is_empty());
    }

    #[test]
    fn a_change_of_something_unknown_changes_nothing_but_the_end() {
        let [_, partition] = orders();
        let image = image(&[partition, fence(9, 9, false)]);
        assert_eq!(image, Image { end: Offset(2), ..Image::default() });
    }
}
