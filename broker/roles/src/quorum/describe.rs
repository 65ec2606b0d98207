//! What a leader tells of the quorum (DescribeQuorum, KIP-836).

use model::{BrokerId, DirectoryId, LeaderEpoch, Offset, Time};

use super::voters::Replica;
use super::{Quorum, Role};

/// The quorum as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    pub voters: Vec<ReplicaProgress>,
    pub observers: Vec<ReplicaProgress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaProgress {
    pub id: BrokerId,
    pub directory: Option<DirectoryId>,
    /// None until it fetched in this epoch.
    pub log_end: Option<Offset>,
    pub last_fetch: Option<Time>,
    pub last_caught_up: Option<Time>,
}

impl Quorum {
    /// None unless this node leads.
    pub fn describe(&self, now: Time) -> Option<Description> {
        let Role::Leader(leader) = &self.role else { return None };
        let itself = ReplicaProgress {
            id: self.config.id,
            directory: self.config.directory,
            log_end: Some(self.log.end),
            last_fetch: Some(now),
            last_caught_up: Some(now),
        };
        let others = leader.progress.iter().map(|(&Replica { id, directory }, progress)| ReplicaProgress {
            id,
            directory,
            log_end: progress.synced,
            last_fetch: progress.synced.map(|_| progress.last_fetch),
            last_caught_up: progress.last_caught_up,
        });
        let (voters, observers) = others.chain([itself]).partition(|replica| {
            let ReplicaProgress { id, directory, .. } = *replica;
            self.voters().has(Replica { id, directory })
        });
        Some(Description {
            leader: self.config.id,
            epoch: self.state.epoch,
            high_watermark: self.high_watermark,
            voters,
            observers,
        })
    }
}
