//! A leader changes its partition's in-sync set (KIP-497), and only to brokers that surely are whom it saw (KIP-903).

use model::{BrokerId, Bug, Planted};

use super::draft::{Draft, changed};
use super::reassign::{completed, difference};
use super::{
    AlterPartition, Controller, Decision, Image, InSyncChange, Partition, PartitionState, Record, Refusal, Reply,
};

impl Controller {
    pub(super) fn alter_partition(&self, request: &AlterPartition) -> Result<Decision, Refusal> {
        self.registration(request.broker, request.broker_epoch)?;
        let mut draft = self.draft();
        let altered =
            request.partitions.iter().map(|change| (change.partition, alter(&mut draft, request.broker, change)));
        let reply = Reply::PartitionsAltered(altered.collect());
        Ok(Decision { records: draft.records, reply })
    }
}

fn alter(draft: &mut Draft, broker: BrokerId, change: &InSyncChange) -> Result<PartitionState, Refusal> {
    let partition = check(&draft.image, broker, change, draft.planted)?;
    let in_sync: Vec<BrokerId> = change.in_sync.iter().map(|&(member, _)| member).collect();
    // Even the set that holds already is a change: the new partition epoch voids proposals that are still on their way.
    let next = Partition { in_sync, ..partition.clone() };
    let change_made = match completed(draft, &next) {
        Some(next) => difference(draft, change.partition, partition, next),
        None => changed(change.partition, partition, partition.leader, next.in_sync, false),
    };
    let state = PartitionState {
        leader: change_made.leader,
        leader_epoch: change_made.leader_epoch,
        in_sync: change_made.in_sync.clone(),
        partition_epoch: change_made.partition_epoch,
    };
    draft.push(Record::PartitionChange(change_made));
    Ok(state)
}

fn check<'a>(
    image: &'a Image,
    broker: BrokerId,
    change: &InSyncChange,
    planted: Planted,
) -> Result<&'a Partition, Refusal> {
    if !image.topics.contains_key(&change.partition.topic) {
        return Err(Refusal::UnknownTopicId);
    }
    let partition = image.partition(change.partition).ok_or(Refusal::UnknownTopicOrPartition)?;
    if change.leader_epoch < partition.leader_epoch {
        return Err(Refusal::FencedLeaderEpoch);
    }
    if partition.leader_epoch < change.leader_epoch || partition.partition_epoch < change.partition_epoch {
        return Err(Refusal::NotController);
    }
    if partition.leader != Some(broker) {
        return Err(Refusal::InvalidRequest("only the leader changes the in-sync set".into()));
    }
    if change.partition_epoch < partition.partition_epoch && !planted.has(Bug::StaleAlterPartition) {
        model::reached!("an in-sync set was proposed over an older one");
        return Err(Refusal::InvalidUpdateVersion);
    }
    let mut members: Vec<BrokerId> = change.in_sync.iter().map(|&(member, _)| member).collect();
    if !members.contains(&broker) {
        return Err(Refusal::InvalidRequest("a leader is in sync with itself".into()));
    }
    if let Some(stranger) = members.iter().find(|member| !partition.replicas.contains(member)) {
        return Err(Refusal::InvalidRequest(format!("broker {stranger} holds no replica")));
    }
    members.sort_unstable();
    if members.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refusal::InvalidRequest("a broker is in sync once".into()));
    }
    for &(member, epoch) in &change.in_sync {
        let eligible = image.brokers.get(&member).is_some_and(|registration| {
            let is_same = |epoch| epoch == registration.epoch || planted.has(Bug::BrokerEpochUnchecked);
            registration.is_active() && epoch.is_none_or(is_same)
        });
        let eligible = eligible && !image.is_in_lost_directory(partition, member);
        if !eligible {
            model::reached!("a replica was kept out of the in-sync set, since it is another process or fenced");
            return Err(Refusal::IneligibleReplica(member));
        }
    }
    Ok(partition)
}
