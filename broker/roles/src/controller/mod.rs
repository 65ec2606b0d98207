//! The controller: decides about brokers and partitions, over the image that the metadata log builds.

mod fold;
mod image;
mod record;

pub use image::{Image, Partition, Registration, Topic};
pub use record::{
    BrokerChange, PartitionChange, PartitionRecord, Record, RecordError, RegisterBroker, TopicConfig, TopicRecord,
};
