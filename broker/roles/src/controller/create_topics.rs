//! Topics are created: each is checked by itself, and refused or made whole.

use std::collections::{BTreeMap, BTreeSet};

use model::{BrokerId, LeaderEpoch, PartitionEpoch, TopicId};

use super::chance::Chance;
use super::draft::Draft;
use super::record::{PartitionRecord, TopicConfig, TopicRecord};
use super::{
    Controller, CreateTopics, CreatedTopic, Decision, NewTopic, Record, Refusal, Reply, placement, topic_settings,
};
use crate::limits::{PARTITIONS_CREATED_AT_ONCE_MAX, TOPIC_NAME_LENGTH_MAX};

impl Controller {
    pub(super) fn create_topics(&self, chance: u64, request: &CreateTopics) -> Result<Decision, Refusal> {
        let asked: usize = request.topics.iter().map(|topic| self.partition_count(topic)).sum();
        if PARTITIONS_CREATED_AT_ONCE_MAX < asked {
            return Err(Refusal::PolicyViolation { asked, max: PARTITIONS_CREATED_AT_ONCE_MAX });
        }
        let mut chance = Chance::new(chance);
        let mut draft = self.draft();
        let created: Vec<_> = request
            .topics
            .iter()
            .map(|topic| {
                let is_twice = 1 < request.topics.iter().filter(|other| other.name == topic.name).count();
                let result = if is_twice {
                    Err(Refusal::InvalidRequest(format!("topic \"{}\" is asked for twice", topic.name)))
                } else {
                    self.create_topic(&mut draft, &mut chance, topic)
                };
                (topic.name.clone(), result)
            })
            .collect();
        if !request.validate_only {
            return Ok(Decision { records: draft.records, reply: Reply::TopicsCreated(created) });
        }
        let validated = created
            .into_iter()
            .map(|(name, result)| (name, result.map(|created| CreatedTopic { id: None, ..created })));
        Ok(Decision { records: Vec::new(), reply: Reply::TopicsCreated(validated.collect()) })
    }

    fn partition_count(&self, topic: &NewTopic) -> usize {
        let asked = if topic.partitions == -1 { self.settings.default_partitions } else { topic.partitions };
        usize::try_from(asked).unwrap_or(0).max(topic.assignments.len())
    }

    fn create_topic(&self, draft: &mut Draft, chance: &mut Chance, topic: &NewTopic) -> Result<CreatedTopic, Refusal> {
        check_name(draft, &topic.name)?;
        let configs = topic_settings::check(&topic.configs)?;
        let assignments = if topic.assignments.is_empty() {
            self.place(draft, chance, topic)?
        } else {
            check_assignments(draft, topic)?
        };
        let id = fresh_id(draft, chance);
        let created = CreatedTopic {
            id: Some(id),
            partitions: i32::try_from(assignments.len()).unwrap_or(i32::MAX),
            replication_factor: assignments.first().map_or(0, |replicas| replicas.len() as i16),
        };
        draft.push(Record::Topic(TopicRecord { id, name: topic.name.clone() }));
        for (name, value) in configs {
            draft.push(Record::TopicConfig(TopicConfig { topic: id, name, value: Some(value) }));
        }
        for (index, replicas) in (0..).zip(assignments) {
            let record = partition_record(draft, id, index, replicas);
            draft.push(Record::Partition(record));
        }
        Ok(created)
    }

    fn place(&self, draft: &Draft, chance: &mut Chance, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        if topic.partitions == 0 || topic.partitions < -1 {
            return Err(Refusal::InvalidPartitions(topic.partitions));
        }
        let factor = match topic.replication_factor {
            -1 => self.settings.default_replication_factor,
            factor => factor,
        };
        let brokers = live_brokers(draft);
        let replicas = usize::try_from(factor).unwrap_or(0);
        if replicas == 0 || brokers.len() < replicas {
            return Err(Refusal::InvalidReplicationFactor { asked: factor, available: brokers.len() });
        }
        Ok(placement::place(&brokers, self.partition_count(topic), replicas, chance))
    }
}

/// Who may take replicas, with their racks.
pub(super) fn live_brokers(draft: &Draft) -> BTreeMap<BrokerId, Option<&str>> {
    let live = draft.image.brokers.iter().filter(|(_, registration)| registration.is_active());
    live.map(|(&broker, registration)| (broker, registration.rack.as_deref())).collect()
}

/// A partition that begins on these replicas, led by the first that is live.
pub(super) fn partition_record(draft: &Draft, topic: TopicId, index: i32, replicas: Vec<BrokerId>) -> PartitionRecord {
    let in_sync: Vec<BrokerId> = replicas.iter().copied().filter(|&replica| draft.image.is_active(replica)).collect();
    PartitionRecord {
        topic,
        index,
        leader: in_sync.first().copied(),
        replicas,
        in_sync,
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
    }
}

/// Kafka's rules: they keep names fit for directories.
pub fn check_topic_name(name: &str) -> Result<(), Refusal> {
    let invalid = |why: &str| Err(invalid_name(name, why));
    if name.is_empty() || name == "." || name == ".." {
        return invalid("it must be something other than nothing, \".\" and \"..\"");
    }
    if TOPIC_NAME_LENGTH_MAX < name.len() {
        return invalid("it may have 249 characters");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return invalid("it may have ASCII letters and digits, \".\", \"_\" and \"-\"");
    }
    if name == METADATA_TOPIC {
        return invalid("the metadata log has it");
    }
    Ok(())
}

fn invalid_name(name: &str, why: &str) -> Refusal {
    Refusal::InvalidTopic(format!("\"{name}\" is no topic name: {why}"))
}

/// The rules, and that it is not taken; metrics must be able to tell it from others too.
fn check_name(draft: &Draft, name: &str) -> Result<(), Refusal> {
    check_topic_name(name)?;
    if draft.image.topic_ids.contains_key(name) {
        return Err(Refusal::TopicAlreadyExists(name.into()));
    }
    let alike = |other: &&String| other.len() == name.len() && other.replace('.', "_") == name.replace('.', "_");
    if name.contains(['.', '_'])
        && let Some(other) = draft.image.topic_ids.keys().find(alike)
    {
        return Err(invalid_name(name, &format!("metrics could not tell it from \"{other}\"")));
    }
    Ok(())
}

const METADATA_TOPIC: &str = "__cluster_metadata";

fn check_assignments(draft: &Draft, topic: &NewTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
    if topic.partitions != -1 || topic.replication_factor != -1 {
        return Err(Refusal::InvalidRequest("with assignments, partitions and replication factor are -1".into()));
    }
    let invalid = |why: String| Err(Refusal::InvalidReplicaAssignment(why));
    let factor = topic.assignments.values().next().map_or(0, Vec::len);
    for ((index, replicas), expected) in topic.assignments.iter().zip(0..) {
        if *index != expected {
            return invalid(format!("partition {expected} has no assignment: they go from zero without a gap"));
        }
        check_replicas(draft, *index, replicas, factor)?;
    }
    Ok(topic.assignments.values().cloned().collect())
}

/// Do these brokers make sense as the replicas of a partition?
pub(super) fn check_replicas(draft: &Draft, index: i32, replicas: &[BrokerId], factor: usize) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::InvalidReplicaAssignment(why));
    if replicas.is_empty() || replicas.len() != factor {
        return invalid(format!("partition {index} has {} replicas, others have {factor}", replicas.len()));
    }
    if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
        return invalid(format!("partition {index} names a broker twice"));
    }
    if let Some(stranger) = replicas.iter().find(|replica| !draft.image.brokers.contains_key(replica)) {
        return invalid(format!("partition {index} names broker {stranger}, which is not registered"));
    }
    if !replicas.iter().any(|&replica| draft.image.is_active(replica)) {
        return invalid(format!("partition {index} names only brokers that are fenced or shutting down"));
    }
    Ok(())
}

/// An id that no topic has, nor one that means something else.
fn fresh_id(draft: &Draft, chance: &mut Chance) -> TopicId {
    loop {
        let id = TopicId((u128::from(chance.draw()) << 64) | u128::from(chance.draw()));
        if TopicId::METADATA < id && !draft.image.topics.contains_key(&id) {
            return id;
        }
    }
}
