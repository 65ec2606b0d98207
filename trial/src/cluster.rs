//! The cluster of a scenario: which nodes there are, and the configuration of each.
//!
//! Brokers are the nodes `broker 1`, `broker 2`, …; controllers on nodes of their own are numbered on from them:
//! `controller 4`, …. A node's name is its host name too, and each listens on port 9092.

use std::time::Duration;

use model::{BrokerId, ClusterId, Endpoint, MetadataVersion};
use scenarios::{Cluster, ConfigValue, FlushPolicy};
use server::{Config, ReplicaSelector, Voter};

/// The port of every node of a simulated cluster.
const PORT: u16 = 9092;

/// The id of every simulated cluster.
const CLUSTER_ID: &str = "trial-AAAAAAAAAAAAAAAA";

/// One node, before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) id: BrokerId,
    pub(crate) config: Config,
}

/// The nodes of a cluster, brokers first.
pub(crate) fn plans(cluster: &Cluster) -> Vec<Plan> {
    let brokers = i32::try_from(cluster.brokers).unwrap_or(i32::MAX);
    let controllers = i32::try_from(cluster.controllers).unwrap_or(0);
    let nodes: Vec<BrokerId> = (1..=brokers + controllers).map(BrokerId).collect();
    let may_vote = |id: BrokerId| controllers == 0 || id.0 > brokers;
    let voters = usize::try_from(cluster.voters.unwrap_or(u32::MAX)).unwrap_or(usize::MAX);
    let name = |id: BrokerId| if id.0 <= brokers { format!("broker {id}") } else { format!("controller {id}") };
    let endpoint = |id: BrokerId| Endpoint::new(name(id), PORT);
    let voters: Vec<Voter> =
        nodes.iter().filter(|id| may_vote(**id)).take(voters).map(|&id| Voter { id, endpoint: endpoint(id) }).collect();
    let plan = |id: BrokerId| {
        let mut config = Config::single(endpoint(id));
        config.node_id = id;
        config.cluster_id = Some(ClusterId(CLUSTER_ID.into()));
        config.is_broker = id.0 <= brokers;
        config.voters = voters.clone();
        config.may_join_quorum = may_vote(id) && !config.is_controller();
        // What a scenario does not declare is not there: a topic made by a look-up would hide a mistake.
        config.auto_create_topics = false;
        config.flush_policy = match cluster.flush_policy {
            FlushPolicy::Commit => server::FlushPolicy::Commit,
            FlushPolicy::Os => server::FlushPolicy::Os,
        };
        config.log_directories = log_directories(cluster.log_dirs);
        if !cluster.racks.is_empty() {
            let place = usize::try_from(id.0 - 1).unwrap_or(0) % cluster.racks.len();
            config.rack = Some(cluster.racks[place].clone());
            config.replica_selector = ReplicaSelector::RackAware;
        }
        for (key, value) in &cluster.config {
            set(&mut config, key, value);
        }
        Plan { name: name(id), id, config }
    };
    nodes.into_iter().map(plan).collect()
}

/// `data`, `data2`, `data3`, …
fn log_directories(count: u32) -> Vec<String> {
    (1..=count).map(|number| if number == 1 { "data".into() } else { format!("data{number}") }).collect()
}

/// Where a client begins to ask.
pub(crate) fn bootstrap(plans: &[Plan]) -> Vec<Endpoint> {
    plans.iter().filter(|plan| plan.config.is_broker).map(|plan| plan.config.listener.clone()).collect()
}

/// Sets a key by Kafka's name.
///
/// # Panics
/// If the key or its value is none that [`scenarios::SERVER_KEYS`] allows: a scenario that was read has no other.
pub(crate) fn set(config: &mut Config, key: &str, value: &ConfigValue) {
    let number = || match value {
        ConfigValue::Number(number) => *number,
        ConfigValue::Bool(_) | ConfigValue::Text(_) => panic!("{key} = {value} is no number"),
    };
    let int = || i32::try_from(number()).unwrap_or(i32::MAX);
    let size = || usize::try_from(number()).unwrap_or(0);
    let millis = || Duration::from_millis(u64::try_from(number()).unwrap_or(0));
    match key {
        "log.retention.check.interval.ms" => config.retention_check_interval = millis(),
        "log.cleaner.backoff.ms" => config.cleaner_backoff = millis(),
        "log.cleaner.dedupe.buffer.size" => {
            config.cleaner_key_bytes_max = number().try_into().unwrap_or(0);
        }
        "num.partitions" => config.default_partitions = int(),
        "default.replication.factor" => config.default_replication_factor = i16::try_from(number()).unwrap_or(i16::MAX),
        "auto.create.topics.enable" => config.auto_create_topics = *value == ConfigValue::Bool(true),
        "replica.lag.time.max.ms" => config.replica_lag_time_max = millis(),
        "replica.fetch.wait.max.ms" => config.replica_fetch_wait_max = millis(),
        "replica.fetch.max.bytes" => config.replica_fetch_max_bytes = int(),
        "broker.heartbeat.interval.ms" => config.broker_heartbeat_interval = millis(),
        "broker.session.timeout.ms" => config.broker_session_timeout = millis(),
        "controller.quorum.election.timeout.ms" => config.quorum_election_timeout = millis(),
        "controller.quorum.fetch.timeout.ms" => config.quorum_fetch_timeout = millis(),
        "metadata.log.segment.bytes" => config.metadata_segment_bytes = size() as u64,
        "metadata.log.max.record.bytes.between.snapshots" => config.metadata_snapshot_bytes = size() as u64,
        "metadata.log.max.snapshot.interval.ms" => config.metadata_snapshot_interval = millis(),
        "metadata.max.retention.bytes" => config.metadata_retention_bytes = number(),
        "metadata.max.retention.ms" => {
            config.metadata_retention = u64::try_from(number()).map_or(Duration::MAX, Duration::from_millis);
        }
        "request.timeout.ms" => config.request_timeout = millis(),
        "socket.request.max.bytes" => config.request_bytes_max = size(),
        "max.connections" => config.connections_max = size(),
        "max.incremental.fetch.session.cache.slots" => config.fetch_session_slots_max = size(),
        "controlled.shutdown.max.wait.ms" => config.controlled_shutdown_wait_max = millis(),
        "release" => config.metadata_version_max = MetadataVersion(u16::try_from(number()).unwrap_or(u16::MAX)),
        "producer.id.expiration.ms" => config.producer_silence_max = millis(),
        of_topics => {
            if let Err(refused) = config.topic_defaults.set(of_topics, &value.to_string()) {
                panic!("{refused}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scenarios::SERVER_KEYS;

    use super::*;

    #[test]
    fn every_key_that_a_scenario_may_set_changes_the_configuration() {
        for key in SERVER_KEYS {
            let values = match key.number_min {
                Some(min) => [ConfigValue::Number(min + 4321), ConfigValue::Number(min + 1234)],
                None => [ConfigValue::Bool(true), ConfigValue::Bool(false)],
            };
            let [one, other] = values.map(|value| {
                let config = [(key.name.to_owned(), value)].into();
                plans(&Cluster { config, ..Cluster::default() }).remove(0).config
            });
            assert_ne!(one, other, "{} changes nothing", key.name);
        }
    }

    #[test]
    fn separate_controllers_are_numbered_on_from_the_brokers_and_vote_alone() {
        let plans = plans(&Cluster { brokers: 2, controllers: 1, ..Cluster::default() });
        let names: Vec<_> = plans.iter().map(|plan| plan.name.as_str()).collect();
        assert_eq!(names, ["broker 1", "broker 2", "controller 3"]);
        let voters: Vec<_> = plans[0].config.voters.iter().map(|voter| voter.endpoint.to_string()).collect();
        assert_eq!(voters, ["controller 3:9092"]);
        assert_eq!(plans.iter().map(|plan| plan.config.is_broker).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(bootstrap(&plans).len(), 2);
    }

    #[test]
    fn controllers_that_do_not_vote_from_the_beginning_may_join_later() {
        let plans = plans(&Cluster { brokers: 4, voters: Some(3), ..Cluster::default() });
        assert_eq!(plans.iter().map(|plan| plan.config.is_controller()).collect::<Vec<_>>(), [true, true, true, false]);
        assert!(plans[3].config.may_join_quorum && !plans[2].config.may_join_quorum);
    }
}
