//! What committed metadata makes true on this node: the image, record by record, and the facts that are witnessed.

use host::Host;
use model::{BrokerId, Event, MetadataVersion, PartitionId};
use roles::controller::{Image, Partition, Record, Registration};

use super::log::CommittedBatch;

/// Applies one batch whole.
pub(super) fn apply<H: Host>(host: &H, image: &mut Image, batch: &CommittedBatch) {
    assert!(batch.base == image.end, "metadata is applied in order");
    for record in &batch.records {
        apply_record(host, image, record);
    }
    host.witness(Event::MetadataApplied { end: image.end, digest: image.digest() });
}

/// Puts the image of a snapshot in the place of `image`, and tells what is different.
pub(super) fn replace<H: Host>(host: &H, image: &mut Image, loaded: Image) {
    let before = std::mem::replace(image, loaded);
    if image.metadata_version() != before.metadata_version() {
        host.witness(Event::LevelFinalized { level: image.metadata_version() });
    }
    for (&broker, _) in before.brokers.iter().filter(|(id, _)| !image.brokers.contains_key(id)) {
        host.witness(Event::BrokerUnregistered { broker });
    }
    for (&topic, _) in before.topics.iter().filter(|(id, _)| !image.topics.contains_key(id)) {
        host.witness(Event::TopicRemoved { topic });
    }
    for (&topic, state) in image.topics.iter().filter(|(id, _)| !before.topics.contains_key(id)) {
        host.witness(Event::TopicMade { topic, name: state.name.clone() });
    }
    for (&broker, registration) in &image.brokers {
        let epoch = registration.epoch;
        let known = before.brokers.get(&broker).filter(|known| known.epoch == epoch);
        if known.is_none() {
            host.witness(Event::BrokerRegistered { broker, epoch, versions: registration.versions });
        }
        match (known.is_none_or(|known| known.fenced), registration.fenced) {
            (false, true) => host.witness(Event::BrokerFenced { broker }),
            (true, false) => host.witness(Event::BrokerUnfenced { broker }),
            (true, true) | (false, false) => {}
        }
    }
    for (id, partition) in image.partitions().filter(|(id, partition)| before.partition(*id) != Some(*partition)) {
        let is_elsewhere =
            |known: &Partition| (&known.replicas, &known.adding) != (&partition.replicas, &partition.adding);
        if before.partition(id).is_none_or(is_elsewhere) {
            witness_replicas(host, image, id);
        }
        witness_partition(host, image, id);
    }
    host.witness(Event::MetadataApplied { end: image.end, digest: image.digest() });
}

fn apply_record<H: Host>(host: &H, image: &mut Image, record: &Record) {
    let level = record.level();
    if MetadataVersion::OLDEST < level {
        host.witness(Event::NewerRecordApplied { level });
    }
    match record {
        Record::NoOp
        | Record::TopicConfig(_)
        | Record::BrokerConfig(_)
        | Record::Voters(_)
        | Record::ProducerIds(_) => image.apply(record),
        Record::FeatureLevel(feature) => {
            image.apply(record);
            host.witness(Event::LevelFinalized { level: feature.level });
        }
        Record::UnregisterBroker(unregister) => {
            image.apply(record);
            if !image.brokers.contains_key(&unregister.broker) {
                host.witness(Event::BrokerUnregistered { broker: unregister.broker });
            }
        }
        Record::Topic(made) => {
            image.apply(record);
            host.witness(Event::TopicMade { topic: made.id, name: made.name.clone() });
        }
        Record::RemoveTopic(remove) => {
            image.apply(record);
            host.witness(Event::TopicRemoved { topic: remove.topic });
        }
        Record::RegisterBroker(register) => {
            image.apply(record);
            if let Some(registration) = image.brokers.get(&register.broker) {
                let Registration { epoch, versions, .. } = *registration;
                host.witness(Event::BrokerRegistered { broker: register.broker, epoch, versions });
            }
        }
        Record::BrokerChange(change) => {
            let before = is_fenced(image, change.broker);
            image.apply(record);
            match (before, is_fenced(image, change.broker)) {
                (Some(false), Some(true)) => host.witness(Event::BrokerFenced { broker: change.broker }),
                (Some(true), Some(false)) => host.witness(Event::BrokerUnfenced { broker: change.broker }),
                _ => {}
            }
        }
        Record::Partition(partition) => {
            image.apply(record);
            let id = PartitionId { topic: partition.topic, index: partition.index };
            witness_replicas(host, image, id);
            witness_partition(host, image, id);
        }
        Record::PartitionChange(change) => {
            image.apply(record);
            let id = PartitionId { topic: change.topic, index: change.index };
            if change.replicas.is_some() {
                witness_replicas(host, image, id);
            }
            witness_partition(host, image, id);
        }
    }
}

fn is_fenced(image: &Image, broker: BrokerId) -> Option<bool> {
    image.brokers.get(&broker).map(|registration| registration.fenced)
}

fn witness_replicas<H: Host>(host: &H, image: &Image, id: PartitionId) {
    if let Some(partition) = image.partition(id) {
        host.witness(Event::ReplicasChanged {
            partition: id,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            adding: partition.adding.clone(),
        });
    }
}

fn witness_partition<H: Host>(host: &H, image: &Image, id: PartitionId) {
    if let Some(partition) = image.partition(id) {
        host.witness(Event::PartitionChanged {
            partition: id,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            in_sync: partition.in_sync.clone(),
        });
    }
}
