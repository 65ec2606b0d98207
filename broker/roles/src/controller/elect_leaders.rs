//! Leaders are elected because somebody asks for it (KIP-183, KIP-460), or because too many are not where they were meant to be.
//!
//! An unclean election gives a partition without a leader to a replica that was not in sync, and what that one lacks is lost: only an
//! operator's order does that, or a topic's own word (`unclean.leader.election.enable`).

use std::collections::BTreeMap;

use model::{BrokerId, PartitionId};

use super::draft::{Draft, changed};
use super::record::PartitionChange;
use super::{Controller, Decision, ElectLeaders, Election, Record, Refusal, Reply};
use crate::limits::LEADERS_MOVED_AT_ONCE_MAX;

impl Controller {
    pub(super) fn elect_leaders(&self, request: &ElectLeaders) -> Decision {
        let mut draft = self.draft();
        let mut results = Vec::new();
        for (name, index) in self.asked(request) {
            let topic = draft.image.topic_by_name(&name).map(|topic| topic.id);
            let elected = match topic.map(|topic| PartitionId { topic, index }) {
                Some(id) => elect(&draft, request.election, id),
                None => Err(Refusal::UnknownTopicOrPartition),
            };
            let elected = elected.map(|change| draft.push(Record::PartitionChange(change)));
            // Of all partitions, only those are told of for which there was something to do.
            if request.partitions.is_some() || elected != Err(Refusal::ElectionNotNeeded) {
                results.push(((name, index), elected));
            }
        }
        Decision { records: draft.records, reply: Reply::LeadersElected(results) }
    }

    /// What was named, or everything.
    fn asked(&self, request: &ElectLeaders) -> Vec<(String, i32)> {
        let all = || {
            let topics = self.image.topics.values();
            let of =
                topics.flat_map(|topic| (0..).take(topic.partitions.len()).map(|index| (topic.name.clone(), index)));
            of.collect()
        };
        request.partitions.clone().unwrap_or_else(all)
    }

    /// Gives partitions back to their preferred leaders, for each broker that leads too few of its own
    /// (`leader.imbalance.per.broker.percentage`).
    pub(super) fn balance_leaders(&self) -> Decision {
        let mut own: BTreeMap<BrokerId, (usize, Vec<PartitionId>)> = BTreeMap::new();
        for (id, partition) in self.image.partitions() {
            let Some(&preferred) = partition.replicas.first() else { continue };
            let (count, elsewhere) = own.entry(preferred).or_default();
            *count += 1;
            if partition.leader != Some(preferred) {
                elsewhere.push(id);
            }
        }
        let tolerated = self.settings.leader_imbalance.map_or(100, |imbalance| imbalance.percentage_max);
        let mut draft = self.draft();
        let too_many = |count: usize, elsewhere: usize| count * tolerated < elsewhere * 100;
        let unbalanced = own.into_values().filter(|(count, elsewhere)| too_many(*count, elsewhere.len()));
        for id in unbalanced.flat_map(|(_, elsewhere)| elsewhere).take(LEADERS_MOVED_AT_ONCE_MAX) {
            if let Ok(change) = elect(&draft, Election::Preferred, id) {
                model::reached!("a partition was given back to its preferred leader");
                draft.push(Record::PartitionChange(change));
            }
        }
        Decision { records: draft.records, reply: Reply::LeadersBalanced }
    }
}

fn elect(draft: &Draft, election: Election, id: PartitionId) -> Result<PartitionChange, Refusal> {
    let partition = draft.image.partition(id).ok_or(Refusal::UnknownTopicOrPartition)?;
    let may_lead = |broker: &BrokerId| draft.image.is_online(partition, *broker);
    match election {
        Election::Preferred => {
            let preferred = partition.replicas.first().copied().ok_or(Refusal::PreferredLeaderNotAvailable)?;
            if partition.leader == Some(preferred) {
                return Err(Refusal::ElectionNotNeeded);
            }
            if !partition.in_sync.contains(&preferred) || !may_lead(&preferred) {
                return Err(Refusal::PreferredLeaderNotAvailable);
            }
            Ok(changed(id, partition, Some(preferred), partition.in_sync.clone(), false))
        }
        Election::Unclean => {
            if partition.leader.is_some() {
                return Err(Refusal::ElectionNotNeeded);
            }
            let is_there = |replica: &BrokerId| draft.image.is_active(*replica);
            let on_a_lost_disk = || partition.replicas.iter().copied().find(is_there);
            let any = draft.any_live(partition).or_else(on_a_lost_disk).ok_or(Refusal::NoEligibleLeader)?;
            model::reached!("a replica that was not in sync was elected by order");
            let mut change = changed(id, partition, Some(any), vec![any], false);
            if !may_lead(&any) {
                // The disk that it lay on is gone: it begins with nothing, wherever its broker says.
                let others = partition.directories.iter().filter(|(replica, _)| **replica != any);
                change.directories = Some(others.map(|(&replica, &directory)| (replica, directory)).collect());
            }
            Ok(change)
        }
    }
}
