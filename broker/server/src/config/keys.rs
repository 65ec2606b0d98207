//! The table of a node's keys: name, type, range and meaning of each, once. The configuration file, `broker config describe`,
//! docs/configuration.md and DescribeConfigs are all made from it and from the table of topics' settings; defaults are read from
//! [`Config`] itself.

use std::time::Duration;

use model::{BrokerId, ClusterId, Endpoint};
use roles::controller::{TOPIC_SETTINGS, TopicSetting, Unit};

use super::{Config, FlushPolicy, ReplicaSelector, Voter};

/// A configuration on its way: what the keys say, before the rules between them.
pub struct Draft {
    pub config: Config,
    /// `process.roles`, if it was given.
    pub roles: Option<Roles>,
    /// True once `controller.quorum.voters` was given.
    pub has_voters: bool,
}

#[derive(Clone, Copy)]
pub struct Roles {
    pub broker: bool,
    pub controller: bool,
}

impl Draft {
    pub fn new(config: Config) -> Draft {
        Draft { config, roles: None, has_voters: false }
    }
}

/// One key.
#[derive(Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub shape: Shape,
    /// What follows from leaving it out, where that is not one plain value.
    pub absent: Option<&'static str>,
    pub means: &'static str,
}

#[derive(Clone, Copy)]
pub enum Shape {
    /// From and to, both allowed.
    Integer {
        unit: Unit,
        from: i64,
        to: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    },
    Boolean {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Text {
        form: &'static str,
        get: fn(&Config) -> Option<String>,
        set: fn(&mut Draft, &str) -> Result<(), String>,
    },
    /// What topics take that say nothing themselves.
    Topics(&'static TopicSetting),
}

/// Every key: first the node's own, then what it says for topics.
pub fn keys() -> impl Iterator<Item = Key> {
    let of_topics = |setting: &'static TopicSetting| {
        Some(Key { name: setting.broker_key?, shape: Shape::Topics(setting), absent: None, means: setting.means })
    };
    KEYS.iter().copied().chain(TOPIC_SETTINGS.iter().filter_map(of_topics))
}

impl Key {
    /// Its value in `config`; none if it has none.
    pub fn value(&self, config: &Config) -> Option<String> {
        match self.shape {
            Shape::Integer { get, .. } => Some(get(config).to_string()),
            Shape::Boolean { get, .. } => Some(get(config).to_string()),
            Shape::Text { get, .. } => get(config),
            Shape::Topics(setting) => Some(config.topic_defaults.get(setting).into()),
        }
    }
}

const INT_MAX: i64 = i32::MAX as i64;

macro_rules! count {
    ($field:ident as $kind:ty, $from:expr, $to:expr) => {
        Shape::Integer {
            unit: Unit::Count,
            from: $from,
            to: $to,
            get: |config| config.$field as i64,
            set: |config, value| config.$field = value as $kind,
        }
    };
}

macro_rules! bytes {
    ($field:ident as $kind:ty, $from:expr) => {
        Shape::Integer {
            unit: Unit::Bytes,
            from: $from,
            to: INT_MAX,
            get: |config| config.$field as i64,
            set: |config, value| config.$field = value as $kind,
        }
    };
}

macro_rules! milliseconds {
    ($field:ident, $from:expr) => {
        Shape::Integer {
            unit: Unit::Milliseconds,
            from: $from,
            to: INT_MAX,
            get: |config| config.$field.as_millis() as i64,
            set: |config, value| config.$field = Duration::from_millis(value as u64),
        }
    };
}

/// The node's own keys, in the order in which a person meets them.
const KEYS: &[Key] = &[
    Key {
        name: "node.id",
        shape: Shape::Integer {
            unit: Unit::Count,
            from: 0,
            to: INT_MAX,
            get: |config| i64::from(config.node_id.0),
            set: |config, value| config.node_id = BrokerId(value as i32),
        },
        absent: None,
        means: "Who this node is. No two nodes of a cluster share one, and a node keeps its own for life.",
    },
    Key {
        name: "cluster.id",
        shape: Shape::Text {
            form: "letters, digits, `-`, `_` and `.`, at most 64",
            get: |config| config.cluster_id.as_ref().map(|id| id.0.clone()),
            set: set_cluster_id,
        },
        absent: Some("made up on the first start of a node that is its whole quorum"),
        means: "The cluster's name, the same on every node. A data directory that belongs to another cluster is refused.",
    },
    Key {
        name: "process.roles",
        shape: Shape::Text { form: "`broker`, `controller` or `broker,controller`", get: get_roles, set: set_roles },
        absent: Some("`broker`, and `controller` too if the node is among the voters"),
        means: "What this node does: a broker holds partitions and serves clients, a controller votes on the metadata, or may be added to those who do (`broker quorum add`).",
    },
    Key {
        name: "listeners",
        shape: Shape::Text {
            form: "`host:port`, or `PLAINTEXT://host:port`",
            get: |config| Some(config.listener.to_string()),
            set: |draft, text| endpoint(text).map(|endpoint| draft.config.listener = endpoint),
        },
        absent: None,
        means: "Where this node listens, for clients and for other nodes alike. `0.0.0.0` listens on every interface.",
    },
    Key {
        name: "advertised.listeners",
        shape: Shape::Text {
            form: "`host:port`, or `PLAINTEXT://host:port`",
            get: |config| config.advertised.as_ref().map(ToString::to_string),
            set: |draft, text| endpoint(text).map(|endpoint| draft.config.advertised = Some(endpoint)),
        },
        absent: Some("what `listeners` says"),
        means: "Where clients and other nodes are told to find this node, if that is not where it listens.",
    },
    Key {
        name: "metrics.listener",
        shape: Shape::Text {
            form: "`host:port`",
            get: |config| config.metrics_listener.as_ref().map(ToString::to_string),
            set: |draft, text| endpoint(text).map(|endpoint| draft.config.metrics_listener = Some(endpoint)),
        },
        absent: Some("nowhere"),
        means: "Where this node answers HTTP: `/metrics` for Prometheus, `/health` and `/ready` for whoever keeps it running.",
    },
    Key {
        name: "controller.quorum.voters",
        shape: Shape::Text {
            form: "`id@host:port`, several with commas",
            get: |config| Some(config.voters.iter().map(voter_text).collect::<Vec<_>>().join(",")),
            set: set_voters,
        },
        absent: Some("this node alone"),
        means: "The nodes that vote on the metadata from the beginning, the same list on every node. A majority of them must be up: use 3, or 5. Once voters were added or removed (`broker quorum add`, `broker quorum remove`) the metadata log says who votes, and this is where a node begins to look.",
    },
    Key {
        name: "log.dirs",
        shape: Shape::Text {
            form: "directories, with commas",
            get: |config| Some(config.log_directories.join(",")),
            set: set_log_directories,
        },
        absent: None,
        means: "Where the data lives, relative to the working directory: one directory, or one on each disk. Made if they are not there; one process at a time uses them. A new partition goes where the fewest are. A directory whose disk fails is given up, and the node goes on with the others, unless the metadata was in it.",
    },
    Key {
        name: "metadata.log.dir",
        shape: Shape::Text {
            form: "one directory",
            get: |config| config.metadata_log_directory.clone(),
            set: |draft, text| {
                draft.config.metadata_log_directory = Some(directory(text)?);
                Ok(())
            },
        },
        absent: Some("the first of `log.dirs`"),
        means: "Where the metadata log lives. If its disk fails, the node stops.",
    },
    Key {
        name: "broker.rack",
        shape: Shape::Text {
            form: "a name",
            get: |config| config.rack.clone(),
            set: |draft, text| match text.trim() {
                "" => Err("is empty: name the rack, or leave the key out".into()),
                rack => {
                    draft.config.rack = Some(rack.into());
                    Ok(())
                }
            },
        },
        absent: Some("no rack"),
        means: "The rack, room or zone that this node would be lost together with.",
    },
    Key {
        name: "replica.selector.class",
        shape: Shape::Text {
            form: "`org.apache.kafka.common.replica.RackAwareReplicaSelector` or `org.apache.kafka.common.replica.LeaderSelector`",
            get: get_replica_selector,
            set: set_replica_selector,
        },
        absent: Some("only leaders serve consumers"),
        means: "Who serves consumers. The rack-aware selector sends a consumer that names its rack (`client.rack`) to a follower in sync \
                there, if the leader is elsewhere. The names are Kafka's; no others can be loaded.",
    },
    Key {
        name: "flush.policy",
        shape: Shape::Text { form: "`commit` or `os`", get: get_flush_policy, set: set_flush_policy },
        absent: None,
        means: "When a record counts as written. `commit`: once it is synced to the disk, so that it survives a loss of power \
                everywhere at once. `os`: once the operating system has it, Kafka's way, faster and less safe.",
    },
    Key {
        name: "log.retention.check.interval.ms",
        shape: milliseconds!(retention_check_interval, 1),
        absent: None,
        means: "How often a broker looks for records that retention lets go.",
    },
    Key {
        name: "log.cleaner.backoff.ms",
        shape: milliseconds!(cleaner_backoff, 1),
        absent: None,
        means: "How long the cleaner rests when no log is to be compacted.",
    },
    Key {
        name: "log.cleaner.dedupe.buffer.size",
        shape: bytes!(cleaner_key_bytes_max as u64, 1024),
        absent: None,
        means: "Memory for the keys of the log that is being compacted. A log that has more is compacted in several turns.",
    },
    Key {
        name: "log.cleaner.io.max.bytes.per.second",
        shape: Shape::Integer {
            unit: Unit::Bytes,
            from: 1024,
            to: i64::MAX,
            get: |config| i64::try_from(config.cleaner_bytes_per_second_max).unwrap_or(i64::MAX),
            set: |config, value| config.cleaner_bytes_per_second_max = value as u64,
        },
        absent: None,
        means: "What the cleaner reads in a second at most, so that it is in nobody's way.",
    },
    Key {
        name: "log.cleaner.threads",
        shape: Shape::Integer { unit: Unit::Count, from: 1, to: 1, get: |_| 1, set: |_, _| {} },
        absent: None,
        means: "One cleaner compacts one log after the other.",
    },
    Key {
        name: "num.partitions",
        shape: count!(default_partitions as i32, 1, 10_000),
        absent: None,
        means: "Partitions of a topic that does not say how many it wants.",
    },
    Key {
        name: "default.replication.factor",
        shape: count!(default_replication_factor as i16, 1, i16::MAX as i64),
        absent: None,
        means: "Replicas of a topic that does not say how many it wants: 3 survives the loss of any one node, and of two with luck.",
    },
    Key {
        name: "auto.create.topics.enable",
        shape: Shape::Boolean {
            get: |config| config.auto_create_topics,
            set: |config, value| config.auto_create_topics = value,
        },
        absent: None,
        means: "Whether a topic that a client asks for and that is not there is made.",
    },
    Key {
        name: "auto.leader.rebalance.enable",
        shape: Shape::Boolean {
            get: |config| config.auto_leader_rebalance,
            set: |config, value| config.auto_leader_rebalance = value,
        },
        absent: None,
        means: "Whether partitions are given back to their preferred leaders after a while, so that load stays spread.",
    },
    Key {
        name: "leader.imbalance.check.interval.seconds",
        shape: Shape::Integer {
            unit: Unit::Count,
            from: 1,
            to: INT_MAX,
            get: |config| config.leader_imbalance_check_interval.as_secs() as i64,
            set: |config, value| config.leader_imbalance_check_interval = Duration::from_secs(value as u64),
        },
        absent: None,
        means: "How often it is looked whether leaders are where they were meant to be, in seconds.",
    },
    Key {
        name: "leader.imbalance.per.broker.percentage",
        shape: count!(leader_imbalance_percentage as usize, 0, 100),
        absent: None,
        means: "Of the partitions that a broker is meant to lead, so many in a hundred may be led by others.",
    },
    Key {
        name: "replica.lag.time.max.ms",
        shape: milliseconds!(replica_lag_time_max, 100),
        absent: None,
        means: "A follower that has not caught up for so long leaves the in-sync set, and writes no longer wait for it.",
    },
    Key {
        name: "replica.fetch.wait.max.ms",
        shape: milliseconds!(replica_fetch_wait_max, 1),
        absent: None,
        means: "How long a leader holds a follower's request that finds nothing new.",
    },
    Key {
        name: "replica.fetch.max.bytes",
        shape: bytes!(replica_fetch_max_bytes as i32, 1024),
        absent: None,
        means: "How much of one partition a follower asks for at a time. A larger batch still comes, alone.",
    },
    Key {
        name: "broker.heartbeat.interval.ms",
        shape: milliseconds!(broker_heartbeat_interval, 10),
        absent: None,
        means: "How often a broker tells the controller that it lives.",
    },
    Key {
        name: "broker.session.timeout.ms",
        shape: milliseconds!(broker_session_timeout, 100),
        absent: None,
        means: "A broker that is silent for so long loses its leaderships to others. Shorter fails over sooner, and in error. One whose process is gone, as its machine says, is not waited for.",
    },
    Key {
        name: "controller.quorum.election.timeout.ms",
        shape: milliseconds!(quorum_election_timeout, 10),
        absent: None,
        means: "A candidate that did not win tries again after this, and up to as much again by chance.",
    },
    Key {
        name: "controller.quorum.fetch.timeout.ms",
        shape: milliseconds!(quorum_fetch_timeout, 10),
        absent: None,
        means: "A voter that heard nothing from its leader for so long stands for election. One whose leader's process is gone, as its machine says, stands at once.",
    },
    Key {
        name: "metadata.log.segment.bytes",
        shape: bytes!(metadata_segment_bytes as u64, 1024),
        absent: None,
        means: "The metadata log is cut into files of at most so many bytes.",
    },
    Key {
        name: "metadata.log.max.record.bytes.between.snapshots",
        shape: bytes!(metadata_snapshot_bytes as u64, 1),
        absent: None,
        means: "A snapshot of the metadata is taken after so many bytes of its log: what a start reads, and a new node fetches.",
    },
    Key {
        name: "metadata.log.max.snapshot.interval.ms",
        shape: milliseconds!(metadata_snapshot_interval, 0),
        absent: None,
        means: "Or so long after the first record that is in no snapshot. 0: only by size.",
    },
    Key {
        name: "metadata.max.retention.bytes",
        shape: Shape::Integer {
            unit: Unit::Bytes,
            from: -1,
            to: i64::MAX,
            get: |config| config.metadata_retention_bytes,
            set: |config, value| config.metadata_retention_bytes = value,
        },
        absent: None,
        means: "When the metadata log and its snapshots have more than this, older snapshots go, and what the log has before the next one. -1: never.",
    },
    Key {
        name: "metadata.max.retention.ms",
        shape: Shape::Integer {
            unit: Unit::Milliseconds,
            from: -1,
            to: i64::MAX,
            get: |config| i64::try_from(config.metadata_retention.as_millis()).unwrap_or(-1),
            set: |config, value| {
                config.metadata_retention = u64::try_from(value).map_or(Duration::MAX, Duration::from_millis)
            },
        },
        absent: None,
        means: "So do those that are older than this. -1: never.",
    },
    Key {
        name: "request.timeout.ms",
        shape: milliseconds!(request_timeout, 100),
        absent: None,
        means: "How long a node waits for another's answer.",
    },
    Key {
        name: "socket.request.max.bytes",
        shape: bytes!(request_bytes_max as usize, 1024),
        absent: None,
        means: "A request that claims to be larger closes its connection.",
    },
    Key {
        name: "max.connections",
        shape: count!(connections_max as usize, 1, 1_000_000),
        absent: None,
        means: "Connections at a time; one more is closed at once.",
    },
    Key {
        name: "max.incremental.fetch.session.cache.slots",
        shape: count!(fetch_session_slots_max as usize, 0, 1_000_000),
        absent: None,
        means: "How many fetchers at a time may leave unsaid what has not changed since their last request. Others name all of it.",
    },
    Key {
        name: "controlled.shutdown.max.wait.ms",
        shape: milliseconds!(controlled_shutdown_wait_max, 0),
        absent: None,
        means: "How long an orderly stop waits for other brokers to take over what this one leads.",
    },
    Key {
        name: "producer.id.expiration.ms",
        shape: milliseconds!(producer_silence_max, 1),
        absent: None,
        means: "An idempotent producer that wrote nothing to a partition for so long is forgotten there: what it sends again after that is taken for new, or, where records were deleted, refused as of an unknown producer, which then begins a new epoch.",
    },
];

fn set_cluster_id(draft: &mut Draft, text: &str) -> Result<(), String> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if text.is_empty() || 64 < text.len() || !text.chars().all(is_name) {
        return Err(format!("\"{text}\" is no name for a cluster"));
    }
    draft.config.cluster_id = Some(ClusterId(text.into()));
    Ok(())
}

fn get_roles(config: &Config) -> Option<String> {
    let roles = [("broker", config.is_broker), ("controller", config.is_controller() || config.may_join_quorum)];
    Some(roles.iter().filter(|(_, has)| *has).map(|(role, _)| *role).collect::<Vec<_>>().join(","))
}

fn set_roles(draft: &mut Draft, text: &str) -> Result<(), String> {
    let mut roles = Roles { broker: false, controller: false };
    for role in text.split(',').map(str::trim) {
        match role {
            "broker" => roles.broker = true,
            "controller" => roles.controller = true,
            other => return Err(format!("has \"{other}\", which is no role")),
        }
    }
    draft.roles = Some(roles);
    Ok(())
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    if text.contains(',') {
        return Err("names several endpoints: clients and nodes share one".into());
    }
    let place = match text.split_once("://") {
        Some(("PLAINTEXT", place)) => place,
        Some((protocol, _)) => return Err(format!("asks for {protocol}; only PLAINTEXT is offered")),
        None => text,
    };
    place.parse().map_err(|why| format!("cannot be read: {why}"))
}

fn voter_text(voter: &Voter) -> String {
    format!("{}@{}", voter.id, voter.endpoint)
}

fn set_log_directories(draft: &mut Draft, text: &str) -> Result<(), String> {
    let directories = text.split(',').map(directory).collect::<Result<Vec<_>, _>>()?;
    if let Some(twice) = directories.iter().find(|one| 1 < directories.iter().filter(|other| other == one).count()) {
        return Err(format!("names {twice} twice"));
    }
    let is_inside =
        |inner: &String, outer: &String| inner.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('/'));
    for inner in &directories {
        if let Some(outer) = directories.iter().find(|outer| is_inside(inner, outer)) {
            return Err(format!("names {inner}, which is inside of {outer}: give each disk a directory of its own"));
        }
    }
    draft.config.log_directories = directories;
    Ok(())
}

/// One directory, without the slash that it may end with.
fn directory(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("is empty".into()),
        "/" => Ok("/".into()),
        named => Ok(named.trim_end_matches('/').into()),
    }
}

fn set_voters(draft: &mut Draft, text: &str) -> Result<(), String> {
    let mut voters: Vec<Voter> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (id, place) =
            part.split_once('@').ok_or_else(|| format!("has \"{part}\", which does not say who it is"))?;
        let id = id.parse().ok().filter(|id| 0 <= *id).map(BrokerId);
        let id = id.ok_or_else(|| format!("has \"{part}\", whose id is no number from 0 on"))?;
        let endpoint = endpoint(place)?;
        if voters.iter().any(|voter| voter.id == id) {
            return Err(format!("names node {id} twice"));
        }
        if voters.iter().any(|voter| voter.endpoint == endpoint) {
            return Err(format!("names {endpoint} twice"));
        }
        voters.push(Voter { id, endpoint });
    }
    draft.config.voters = voters;
    draft.has_voters = true;
    Ok(())
}

const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";
const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

fn get_replica_selector(config: &Config) -> Option<String> {
    match config.replica_selector {
        ReplicaSelector::Leader => None,
        ReplicaSelector::RackAware => Some(RACK_AWARE_SELECTOR.into()),
    }
}

fn set_replica_selector(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.config.replica_selector = match text.trim() {
        LEADER_SELECTOR => ReplicaSelector::Leader,
        RACK_AWARE_SELECTOR => ReplicaSelector::RackAware,
        other => return Err(format!("is \"{other}\", which is no selector that is known here")),
    };
    Ok(())
}

fn get_flush_policy(config: &Config) -> Option<String> {
    let word = match config.flush_policy {
        FlushPolicy::Commit => "commit",
        FlushPolicy::Os => "os",
    };
    Some(word.into())
}

fn set_flush_policy(draft: &mut Draft, text: &str) -> Result<(), String> {
    draft.config.flush_policy = match text {
        "commit" => FlushPolicy::Commit,
        "os" => FlushPolicy::Os,
        other => return Err(format!("is \"{other}\", which is no policy")),
    };
    Ok(())
}
