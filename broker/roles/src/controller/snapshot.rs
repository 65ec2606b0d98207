//! An image as records, so that a snapshot of it can stand for all that made it (KIP-630): the same image always gives the same ones.

use model::{BrokerEpoch, BrokerId, Bug, Offset, PartitionId, Planted, ProducerId};

use super::image::{Image, Partition, Registration, Topic};
use super::record::{
    BrokerChange, BrokerConfig, FeatureLevel, PartitionChange, PartitionRecord, ProducerIds, Record, RegisterBroker,
    TopicConfig, TopicRecord,
};

impl Image {
    /// Records from which [`Image::from_records`] makes this image again.
    pub fn records(&self, planted: Planted) -> Vec<Record> {
        // Whatever an image comes to hold must be told here too, or this does not compile.
        let Image { end: _, brokers, topics, topic_ids: _, broker_configs, voters, next_producer_id, level, digest: _ } =
            self;
        // First of all, so that whoever does not know the level reads no further.
        let mut records: Vec<Record> = level.map(FeatureLevel::of).map(Record::FeatureLevel).into_iter().collect();
        for (&broker, registration) in brokers {
            tell_broker(broker, registration, &mut records);
        }
        for topic in topics.values() {
            tell_topic(topic, &mut records);
        }
        for ((broker, name), value) in broker_configs.iter() {
            let (name, value) = (name.clone(), Some(value.clone()));
            records.push(Record::BrokerConfig(BrokerConfig { broker: *broker, name, value }));
        }
        records.extend(voters.as_deref().cloned().map(Record::Voters));
        if *next_producer_id != ProducerId::default() && !planted.has(Bug::SnapshotForgetsProducerIds) {
            // Who took the last block is known no more, and nobody asks.
            let (broker, broker_epoch) = (BrokerId(-1), BrokerEpoch(-1));
            records.push(Record::ProducerIds(ProducerIds { broker, broker_epoch, next: *next_producer_id }));
        }
        records
    }

    /// The image of which these are the records, with all that lies below `end`.
    pub fn from_records<'a>(records: impl IntoIterator<Item = &'a Record>, end: Offset) -> Image {
        let mut image = Image::default();
        records.into_iter().for_each(|record| image.apply(record));
        image.end = end;
        image
    }
}

fn tell_broker(broker: BrokerId, registration: &Registration, records: &mut Vec<Record>) {
    let Registration { epoch, incarnation, endpoint, rack, versions, fenced, in_controlled_shutdown, directories } =
        registration;
    records.push(Record::RegisterBroker(RegisterBroker {
        broker,
        incarnation: *incarnation,
        endpoint: endpoint.clone(),
        rack: rack.clone(),
        epoch: Some(*epoch),
        versions: Some(*versions),
        directories: (!directories.is_empty()).then(|| directories.clone()),
    }));
    records.push(Record::BrokerChange(BrokerChange {
        broker,
        epoch: *epoch,
        fenced: Some(*fenced),
        in_controlled_shutdown: Some(*in_controlled_shutdown),
        directories: None,
    }));
}

fn tell_topic(topic: &Topic, records: &mut Vec<Record>) {
    let Topic { id, name, partitions, configs } = topic;
    records.push(Record::Topic(TopicRecord { id: *id, name: name.clone() }));
    for (index, partition) in (0..).zip(partitions) {
        tell_partition(PartitionId { topic: *id, index }, partition, records);
    }
    for (name, value) in configs {
        let (name, value) = (name.clone(), Some(value.clone()));
        records.push(Record::TopicConfig(TopicConfig { topic: *id, name, value }));
    }
}

fn tell_partition(id: PartitionId, partition: &Partition, records: &mut Vec<Record>) {
    let Partition {
        replicas,
        in_sync,
        adding,
        removing,
        leader,
        leader_epoch,
        partition_epoch,
        last_leader,
        directories,
    } = partition;
    let PartitionId { topic, index } = id;
    records.push(Record::Partition(PartitionRecord {
        topic,
        index,
        replicas: replicas.clone(),
        in_sync: in_sync.clone(),
        leader: *leader,
        leader_epoch: *leader_epoch,
        partition_epoch: *partition_epoch,
    }));
    if partition.is_moving() || last_leader.is_some() || !directories.is_empty() {
        records.push(Record::PartitionChange(PartitionChange {
            topic,
            index,
            in_sync: in_sync.clone(),
            leader: *leader,
            leader_epoch: *leader_epoch,
            partition_epoch: *partition_epoch,
            replicas: None,
            adding: Some(adding.clone()),
            removing: Some(removing.clone()),
            last_leader: *last_leader,
            directories: (!directories.is_empty())
                .then(|| directories.iter().map(|(&replica, &directory)| (replica, directory)).collect()),
        }));
    }
}
