//! What committed metadata makes true on this node: the image, record by record, and the facts that are witnessed.

use host::Host;
use model::{BrokerId, Event, PartitionId};
use roles::controller::{Image, Record};

use super::log::CommittedBatch;

/// Applies one batch whole.
pub(super) fn apply<H: Host>(host: &H, image: &mut Image, batch: &CommittedBatch) {
    assert!(batch.base == image.end, "metadata is applied in order");
    for record in &batch.records {
        apply_record(host, image, record);
    }
    host.witness(Event::MetadataApplied { end: image.end, digest: image.digest() });
}

fn apply_record<H: Host>(host: &H, image: &mut Image, record: &Record) {
    match record {
        Record::NoOp
        | Record::TopicConfig(_)
        | Record::BrokerConfig(_)
        | Record::UnregisterBroker(_)
        | Record::ProducerIds(_) => image.apply(record),
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
                host.witness(Event::BrokerRegistered { broker: register.broker, epoch: registration.epoch });
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
