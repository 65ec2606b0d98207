//! A topic gets more partitions. Those that are there stay as they are.

use model::BrokerId;

use super::chance::Chance;
use super::create_topics::{check_replicas, live_brokers, partition_record};
use super::draft::Draft;
use super::{Controller, CreatePartitions, Decision, MorePartitions, Record, Refusal, Reply, placement};
use crate::limits::PARTITIONS_CREATED_AT_ONCE_MAX;

impl Controller {
    pub(super) fn create_partitions(&self, chance: u64, request: &CreatePartitions) -> Decision {
        let mut chance = Chance::new(chance);
        let mut draft = self.draft();
        let mut results = Vec::new();
        for topic in &request.topics {
            let is_twice = 1 < request.topics.iter().filter(|other| other.name == topic.name).count();
            results.push(if is_twice {
                Err(Refusal::InvalidRequest(format!("topic \"{}\" is asked for twice", topic.name)))
            } else {
                add(&mut draft, &mut chance, topic)
            });
        }
        let records = if request.validate_only { Vec::new() } else { draft.records };
        Decision { records, reply: Reply::PartitionsCreated(results) }
    }
}

fn add(draft: &mut Draft, chance: &mut Chance, asked: &MorePartitions) -> Result<(), Refusal> {
    let topic = draft.image.topic_by_name(&asked.name).ok_or(Refusal::UnknownTopicOrPartition)?;
    let (id, has) = (topic.id, topic.partitions.len());
    let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
    let more = usize::try_from(asked.count).unwrap_or(0).saturating_sub(has);
    if more == 0 {
        return Err(Refusal::NoMorePartitions { has, asked: asked.count });
    }
    if PARTITIONS_CREATED_AT_ONCE_MAX < draft.records.len() + more {
        return Err(Refusal::PolicyViolation { asked: more, max: PARTITIONS_CREATED_AT_ONCE_MAX });
    }
    let assignments = match &asked.assignments {
        Some(assignments) => {
            check(draft, assignments, has, more, factor)?;
            assignments.clone()
        }
        None => {
            let brokers = live_brokers(draft);
            if brokers.len() < factor {
                let asked = i16::try_from(factor).unwrap_or(i16::MAX);
                return Err(Refusal::InvalidReplicationFactor { asked, available: brokers.len() });
            }
            placement::place(&brokers, more, factor, chance)
        }
    };
    for (index, replicas) in (has as i32..).zip(assignments) {
        let record = partition_record(draft, id, index, replicas);
        draft.push(Record::Partition(record));
    }
    Ok(())
}

fn check(draft: &Draft, assignments: &[Vec<BrokerId>], has: usize, more: usize, factor: usize) -> Result<(), Refusal> {
    if assignments.len() != more {
        let given = assignments.len();
        let why = format!("{more} partitions are added to {has}, and {given} are assigned");
        return Err(Refusal::InvalidReplicaAssignment(why));
    }
    (has as i32..).zip(assignments).try_for_each(|(index, replicas)| check_replicas(draft, index, replicas, factor))
}
