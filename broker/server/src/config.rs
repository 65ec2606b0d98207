//! The configuration of one node: every key, its default and its reason. Names are Kafka's where Kafka has the key.

pub(crate) mod keys;

use std::sync::LazyLock;
use std::time::Duration;

use model::{BrokerId, ClusterId, Endpoint, MetadataVersion};
use roles::controller::{TopicDefaults, TopicSetting};

/// When an append is safe enough to speak of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// Every replica syncs a batch, grouped with others, before it counts as replicated. Survives a loss of power everywhere.
    Commit,
    /// The operating system syncs when it likes: Kafka's way. Survives crashes of processes, not of all machines at once.
    Os,
}

/// Who serves consumers (KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaSelector {
    /// Leaders alone.
    Leader,
    /// A follower in sync that stands in the consumer's rack, if the leader stands in another.
    RackAware,
}

/// One member of the metadata quorum: who, and where it listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub id: BrokerId,
    pub endpoint: Endpoint,
}

/// Everything that one node must be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `node.id`
    pub node_id: BrokerId,
    /// `cluster.id`; none lets a node that is its own whole quorum make one up on its first start.
    pub cluster_id: Option<ClusterId>,
    /// `process.roles` has `broker`: holds partitions and serves clients.
    pub is_broker: bool,
    /// `listeners`: where this node listens, for clients and peers alike.
    pub listener: Endpoint,
    /// `advertised.listeners`: what clients are told to connect to; none means the listener itself.
    pub advertised: Option<Endpoint>,
    /// `metrics.listener` (ours): where metrics, health and readiness are asked for by HTTP; none: nowhere.
    pub metrics_listener: Option<Endpoint>,
    /// `controller.quorum.voters`: who votes in the metadata quorum until that is changed, and where a node begins to look for it.
    pub voters: Vec<Voter>,
    /// `process.roles` has `controller`, and the node is not among the configured voters: it may be added to them.
    pub may_join_quorum: bool,
    /// `log.dirs`: where partitions lie, as the host knows the directories; one at least.
    pub log_directories: Vec<String>,
    /// `metadata.log.dir`; none: the first of the others.
    pub metadata_log_directory: Option<String>,
    /// `broker.rack`
    pub rack: Option<String>,
    /// `replica.selector.class`
    pub replica_selector: ReplicaSelector,
    /// `flush.policy`
    pub flush_policy: FlushPolicy,
    /// `log.retention.check.interval.ms`: how often records are looked for that retention lets go.
    pub retention_check_interval: Duration,
    /// `log.cleaner.backoff.ms`: how long the cleaner rests when no log is to be compacted.
    pub cleaner_backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`: memory for the keys of the log that is being compacted.
    pub cleaner_key_bytes_max: u64,
    /// `log.cleaner.io.max.bytes.per.second`: what the cleaner reads at most.
    pub cleaner_bytes_per_second_max: u64,
    /// `num.partitions`
    pub default_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// What topics take that say nothing themselves: `log.segment.bytes`, `min.insync.replicas`, `message.max.bytes`, …
    pub topic_defaults: TopicDefaults,
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `auto.leader.rebalance.enable`
    pub auto_leader_rebalance: bool,
    /// `leader.imbalance.check.interval.seconds`
    pub leader_imbalance_check_interval: Duration,
    /// `leader.imbalance.per.broker.percentage`
    pub leader_imbalance_percentage: usize,
    /// `replica.lag.time.max.ms`: a follower that has not caught up for so long leaves the in-sync set.
    pub replica_lag_time_max: Duration,
    /// `replica.fetch.wait.max.ms`: how long a leader holds a follower's fetch that finds nothing.
    pub replica_fetch_wait_max: Duration,
    /// `replica.fetch.max.bytes`: for one partition in one fetch.
    pub replica_fetch_max_bytes: i32,
    /// `broker.heartbeat.interval.ms`
    pub broker_heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`: a broker that is silent for so long is fenced.
    pub broker_session_timeout: Duration,
    /// `controller.quorum.election.timeout.ms`: a candidate that did not win tries again after this, plus chance.
    pub quorum_election_timeout: Duration,
    /// `controller.quorum.fetch.timeout.ms`: a follower that heard nothing from its leader for so long stands for election.
    pub quorum_fetch_timeout: Duration,
    /// `metadata.log.segment.bytes`
    pub metadata_segment_bytes: u64,
    /// `metadata.log.max.record.bytes.between.snapshots`: a snapshot of the metadata is taken after so much of it.
    pub metadata_snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`: or so long after the first record that is in none; zero: only by size.
    pub metadata_snapshot_interval: Duration,
    /// `metadata.max.retention.bytes`: older snapshots, and the log before the next one, go when there is more; -1: never.
    pub metadata_retention_bytes: i64,
    /// `metadata.max.retention.ms`: or when they are older.
    pub metadata_retention: Duration,
    /// `request.timeout.ms`, for requests between nodes.
    pub request_timeout: Duration,
    /// `socket.request.max.bytes`: a frame that claims more closes its connection.
    pub request_bytes_max: usize,
    /// `max.connections`
    pub connections_max: usize,
    /// `producer.id.expiration.ms`: a producer that wrote nothing to a partition for so long is forgotten there.
    pub producer_silence_max: Duration,
    /// `max.incremental.fetch.session.cache.slots`
    pub fetch_session_slots_max: usize,
    /// What this program knows of metadata, and of the requests that came with it. Nothing that an operator writes changes it: a trial runs
    /// nodes as those of an earlier release by it.
    pub metadata_version_max: MetadataVersion,
    /// `controlled.shutdown.max.wait.ms` (ours): how long an orderly stop waits for leaders to move.
    pub controlled_shutdown_wait_max: Duration,
}

/// What every key is that nobody sets.
pub(crate) static VOID: LazyLock<Config> = LazyLock::new(|| Config::single(Endpoint::new("localhost", 9092)));

impl Config {
    /// One node, broker and controller in one, that listens at `listener`: what `broker serve` starts.
    pub fn single(listener: Endpoint) -> Config {
        Config {
            node_id: BrokerId(1),
            cluster_id: None,
            is_broker: true,
            voters: vec![Voter { id: BrokerId(1), endpoint: listener.clone() }],
            may_join_quorum: false,
            listener,
            advertised: None,
            metrics_listener: None,
            log_directories: vec!["data".into()],
            metadata_log_directory: None,
            rack: None,
            replica_selector: ReplicaSelector::Leader,
            flush_policy: FlushPolicy::Commit,
            retention_check_interval: Duration::from_secs(300),
            cleaner_backoff: Duration::from_secs(15),
            cleaner_key_bytes_max: 128 << 20,
            cleaner_bytes_per_second_max: i64::MAX as u64,
            default_partitions: 1,
            default_replication_factor: 1,
            topic_defaults: TopicDefaults::default(),
            auto_create_topics: true,
            auto_leader_rebalance: true,
            leader_imbalance_check_interval: Duration::from_secs(300),
            leader_imbalance_percentage: 10,
            replica_lag_time_max: Duration::from_secs(10),
            replica_fetch_wait_max: Duration::from_millis(500),
            replica_fetch_max_bytes: 1 << 20,
            broker_heartbeat_interval: Duration::from_secs(2),
            broker_session_timeout: Duration::from_secs(9),
            quorum_election_timeout: Duration::from_secs(1),
            quorum_fetch_timeout: Duration::from_secs(2),
            metadata_segment_bytes: 64 << 20,
            metadata_snapshot_bytes: 20 << 20,
            metadata_snapshot_interval: Duration::from_secs(3600),
            metadata_retention_bytes: 100 << 20,
            metadata_retention: Duration::from_secs(7 * 86_400),
            request_timeout: Duration::from_secs(5),
            request_bytes_max: 100 << 20,
            connections_max: 10_000,
            producer_silence_max: Duration::from_secs(86_400),
            fetch_session_slots_max: 1_000,
            metadata_version_max: MetadataVersion::NEWEST,
            controlled_shutdown_wait_max: Duration::from_secs(10),
        }
    }

    /// The number that this node's configuration gives for a topic that says nothing itself, by the broker's key; none if that
    /// is no number, or the key of no setting.
    pub fn topic_number(&self, key: &str) -> Option<u64> {
        TopicSetting::of_broker(key).and_then(|setting| self.topic_defaults.get(setting).parse().ok())
    }

    /// Where the metadata lies.
    pub fn metadata_directory(&self) -> &str {
        let first = || self.log_directories.first().map_or("", String::as_str);
        self.metadata_log_directory.as_deref().unwrap_or_else(first)
    }

    /// Every directory that this node uses.
    pub fn directories(&self) -> Vec<String> {
        let metadata = self.metadata_log_directory.iter().filter(|own| !self.log_directories.contains(own));
        self.log_directories.iter().chain(metadata).cloned().collect()
    }

    /// True if this node votes in the metadata quorum from the beginning.
    pub fn is_controller(&self) -> bool {
        self.voters.iter().any(|voter| voter.id == self.node_id)
    }

    /// Where clients and peers are told to find this node.
    pub fn advertised(&self) -> &Endpoint {
        self.advertised.as_ref().unwrap_or(&self.listener)
    }
}
