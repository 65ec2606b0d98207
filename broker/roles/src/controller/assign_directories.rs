//! In which log directory of its broker each replica lies (KIP-858): what a broker loses with a disk is known by it.
//!
//! A replica of which nobody said that counts as there for as long as its broker is. One that lay in a directory which its broker lost
//! and now lies in another begins with nothing: it is out of the in-sync set first, and where it is the last one in there it keeps its
//! place on the lost disk until that is back, or somebody orders an unclean election.

use model::{BrokerId, Bug, DirectoryId, PartitionId};

use super::draft::{Draft, changed};
use super::{AssignDirectories, Controller, Decision, Partition, Record, Refusal, Reply};

impl Controller {
    pub(super) fn assign_directories(&self, request: &AssignDirectories) -> Result<Decision, Refusal> {
        self.registration(request.broker, request.broker_epoch)?;
        let mut draft = self.draft();
        let assigned =
            request.replicas.iter().map(|&(id, directory)| assign(&mut draft, request.broker, id, directory));
        let reply = Reply::DirectoriesAssigned(assigned.collect());
        Ok(Decision { records: draft.records, reply })
    }
}

fn assign(draft: &mut Draft, broker: BrokerId, id: PartitionId, directory: DirectoryId) -> Result<(), Refusal> {
    let partition = draft.image.partition(id).ok_or(Refusal::UnknownTopicOrPartition)?;
    if !partition.replicas.contains(&broker) {
        return Err(Refusal::NotReplica(broker));
    }
    if partition.directories.get(&broker) == Some(&directory) {
        return Ok(());
    }
    let mut next = partition.clone();
    let is_empty = draft.image.is_in_lost_directory(partition, broker);
    if is_empty && partition.in_sync.contains(&broker) && !draft.planted.has(Bug::ReplacedDiskStaysInSync) {
        next.in_sync.retain(|member| *member != broker);
        if next.in_sync.is_empty() {
            model::reached!("the last replica in sync lay on a disk that was replaced");
            return Err(Refusal::IneligibleReplica(broker));
        }
    }
    next.directories.insert(broker, directory);
    let change = settled(draft, id, partition, &next);
    draft.push(Record::PartitionChange(change));
    Ok(())
}

/// The change from one state to the next, of which the in-sync set and the directories are others, with a leader who is there.
fn settled(draft: &Draft, id: PartitionId, before: &Partition, next: &Partition) -> super::PartitionChange {
    let directories = next.directories.iter().map(|(&replica, &directory)| (replica, directory)).collect();
    let change = draft.settled(id, next).unwrap_or_else(|| {
        let leader = next.leader.filter(|leader| next.in_sync.contains(leader));
        changed(id, before, leader, next.in_sync.clone(), false)
    });
    super::PartitionChange { directories: Some(directories), ..change }
}
