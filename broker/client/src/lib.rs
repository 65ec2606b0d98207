//! What a Rust user of the log holds: a producer, a consumer, an admin, and the one connection that they and the brokers use.
//!
//! Absent from here: sockets, clocks and tasks other than the Host's; knowledge of how a broker works inside.

mod admin;
mod backoff;
mod channel;
mod cluster;
mod config;
mod consumer;
mod deletion;
mod error;
mod features;
mod fetch_session;
mod node;
mod partition;
mod placement;
mod producer;
mod quorum;
mod sizes;
mod throttle;

pub use admin::{Admin, ClusterInfo, NewTopic, Resource, SettingInfo};
pub use channel::{CallError, Channel};
pub use cluster::{Cluster, PartitionInfo, TopicInfo};
pub use config::ClientConfig;
pub use consumer::{ConsumeError, Consumer, ConsumerConfig, Isolation, OutOfRange, Polled, Position};
pub use error::ClientError;
pub use features::{FeaturesInfo, LevelUpdate};
pub use fetch_session::{Ask, FetchSession};
pub use partition::{TopicPartition, partition_of_key};
pub use placement::{Election, Move, Target};
pub use producer::{Acks, Message, Producer, ProducerConfig, Reason, SendError, Sent};
pub use protocol::records::{Compression, Record, RecordHeader, StoredRecord};
pub use quorum::{QuorumInfo, QuorumReplica};
pub use sizes::Sizes;
