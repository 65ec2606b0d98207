//! Partitions move to other brokers while they are written to (KIP-455).
//!
//! ```text
//!   1,2,3 ── asked to be 4,5,3 ──▶ replicas 4,5,3,1,2 adding 4,5 removing 1,2 ── 4 and 5 are in sync ──▶ 4,5,3
//!                                             └───────── cancelled ─────────▶ 1,2,3
//! ```
//! Nobody is taken out before all who come are in sync; a cancelled move leaves the replicas that were there before.

use model::{BrokerId, PartitionId};

use super::draft::Draft;
use super::record::PartitionChange;
use super::{Controller, Decision, Partition, Reassign, Reassignment, Record, Refusal, Reply};

impl Controller {
    pub(super) fn reassign(&self, request: &Reassign) -> Decision {
        let mut draft = self.draft();
        let mut results = Vec::new();
        for asked in &request.partitions {
            let same = |other: &&Reassignment| (&other.topic, other.index) == (&asked.topic, asked.index);
            let change = if 1 < request.partitions.iter().filter(same).count() {
                Err(Refusal::InvalidRequest(format!("{}/{} is moved twice", asked.topic, asked.index)))
            } else {
                change(&draft, request, asked)
            };
            results.push(change.map(|change| draft.push(Record::PartitionChange(change))));
        }
        Decision { records: draft.records, reply: Reply::Reassigned(results) }
    }
}

fn change(draft: &Draft, request: &Reassign, asked: &Reassignment) -> Result<PartitionChange, Refusal> {
    let topic = draft.image.topic_by_name(&asked.topic).ok_or(Refusal::UnknownTopicOrPartition)?;
    let id = PartitionId { topic: topic.id, index: asked.index };
    let partition = draft.image.partition(id).ok_or(Refusal::UnknownTopicOrPartition)?;
    let before = without(&partition.replicas, &partition.adding);
    let Some(target) = &asked.replicas else {
        if !partition.is_moving() {
            return Err(Refusal::NoReassignmentInProgress);
        }
        model::reached!("a move was cancelled");
        return moved(draft, id, partition, before, Vec::new(), Vec::new());
    };
    check(draft, target)?;
    if !request.allows_other_factor && target.len() != before.len() {
        return Err(Refusal::OtherReplicationFactor { has: before.len(), asked: target.len() });
    }
    let adding = without(target, &before);
    let removing = without(&before, target);
    let replicas = target.iter().chain(&removing).copied().collect();
    moved(draft, id, partition, replicas, adding, removing)
}

fn check(draft: &Draft, target: &[BrokerId]) -> Result<(), Refusal> {
    let invalid = |why: String| Err(Refusal::InvalidReplicaAssignment(why));
    if target.is_empty() {
        return invalid("a partition has one replica at least".into());
    }
    if let Some(twice) = target.iter().find(|id| 1 < target.iter().filter(|other| other == id).count()) {
        return invalid(format!("broker {twice} is named twice"));
    }
    if let Some(stranger) = target.iter().find(|id| !draft.image.brokers.contains_key(id)) {
        return invalid(format!("broker {stranger} is not registered"));
    }
    Ok(())
}

/// The partition with these replicas from now on; the move is over at once if everybody who comes is in sync.
fn moved(
    draft: &Draft,
    id: PartitionId,
    partition: &Partition,
    replicas: Vec<BrokerId>,
    adding: Vec<BrokerId>,
    removing: Vec<BrokerId>,
) -> Result<PartitionChange, Refusal> {
    let in_sync: Vec<BrokerId> = partition.in_sync.iter().copied().filter(|id| replicas.contains(id)).collect();
    if in_sync.is_empty() {
        let why = "nobody who is in sync would be left: whoever comes is in sync first".into();
        return Err(Refusal::InvalidReplicaAssignment(why));
    }
    let next = Partition { replicas, adding, removing, in_sync, ..partition.clone() };
    let next = completed(draft, &next).unwrap_or(next);
    Ok(difference(draft, id, partition, next))
}

/// The partition after its move, if everybody who comes is in sync and somebody who stays is.
pub(super) fn completed(draft: &Draft, partition: &Partition) -> Option<Partition> {
    if !partition.is_moving() || partition.adding.iter().any(|id| !partition.in_sync.contains(id)) {
        return None;
    }
    let replicas = without(&partition.replicas, &partition.removing);
    let in_sync = without(&partition.in_sync, &partition.removing);
    // One of them must be there, or the partition would be led by nobody.
    if !in_sync.iter().any(|&id| draft.image.is_online(partition, id)) {
        return None;
    }
    model::reached!("a move was completed");
    Some(Partition { replicas, adding: Vec::new(), removing: Vec::new(), in_sync, ..partition.clone() })
}

/// The change from one state to the next, with a leader of its in-sync set.
pub(super) fn difference(draft: &Draft, id: PartitionId, before: &Partition, next: Partition) -> PartitionChange {
    let may_lead = |broker: &BrokerId| next.in_sync.contains(broker) && draft.image.is_online(&next, *broker);
    let kept = before.leader.filter(may_lead);
    let leader = kept.or_else(|| next.replicas.iter().copied().find(may_lead));
    PartitionChange {
        topic: id.topic,
        index: id.index,
        leader,
        leader_epoch: if leader == before.leader { before.leader_epoch } else { before.leader_epoch.next() },
        partition_epoch: before.partition_epoch.next(),
        in_sync: next.in_sync,
        replicas: Some(next.replicas),
        adding: Some(next.adding),
        removing: Some(next.removing),
        last_leader: None,
        directories: None,
    }
}

fn without(all: &[BrokerId], some: &[BrokerId]) -> Vec<BrokerId> {
    all.iter().copied().filter(|id| !some.contains(id)).collect()
}
