//! One fetch at a time: what is under way, and when the next one may go.

use model::{BrokerId, LeaderEpoch, Offset, Time};

use super::follower::Follower;
use super::message::{FetchRequest, FetchSnapshotRequest, Request, RequestId};
use super::snapshot::Pieces;
use super::{Quorum, Role};
use crate::limits::QUORUM_RETRY_BACKOFF;

#[derive(Debug, Default)]
pub(super) struct Fetching {
    under_way: Option<RequestId>,
    not_before: Time,
}

impl Fetching {
    pub(super) fn from(not_before: Time) -> Fetching {
        Fetching { under_way: None, not_before }
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        self.under_way.is_none() && self.not_before <= now
    }

    pub(super) fn deadline(&self, quorum: &Quorum) -> Time {
        // While a fetch, a sync or an installation is under way, its end is the next event.
        let is_busy = quorum.log.synced < quorum.log.end || quorum.installing.is_some();
        if self.under_way.is_some() || is_busy { Time(u64::MAX) } else { self.not_before }
    }

    /// True if `id` is the fetch under way, which ends with this.
    pub(super) fn ends(&mut self, id: RequestId) -> bool {
        let ends = self.under_way == Some(id);
        if ends {
            self.under_way = None;
        }
        ends
    }

    pub(super) fn is_under_way(&self, id: RequestId) -> bool {
        self.under_way == Some(id)
    }

    pub(super) fn back_off(&mut self, now: Time) {
        self.not_before = now + QUORUM_RETRY_BACKOFF;
    }
}

impl Quorum {
    fn fetching(&mut self) -> Option<&mut Fetching> {
        match &mut self.role {
            Role::Unattached(unattached) => Some(unattached.fetching()),
            Role::Follower(follower) => Some(&mut follower.fetching),
            Role::Prospective(_) | Role::Candidate(_) | Role::Leader(_) => None,
        }
    }

    /// Asks for what comes after this log's end, once all of it is safe: the leader counts on that.
    pub(super) fn send_fetch(&mut self, to: BrokerId) {
        if self.log.synced < self.log.end || self.installing.is_some() {
            return;
        }
        let request = self.next_fetch();
        let id = self.send(to, request);
        if let Some(fetching) = self.fetching() {
            fetching.under_way = Some(id);
        }
    }

    fn next_fetch(&self) -> Request {
        let (epoch, replica, directory) = (self.state.epoch, self.config.id, self.config.directory);
        if let Role::Follower(Follower { pieces: Some(Pieces { snapshot, position, .. }), .. }) = self.role {
            return Request::FetchSnapshot(FetchSnapshotRequest { epoch, replica, directory, snapshot, position });
        }
        Request::Fetch(FetchRequest {
            epoch,
            replica,
            directory,
            offset: self.log.end,
            last_epoch: if self.log.end == Offset::ZERO { LeaderEpoch::NONE } else { self.log.last_epoch() },
        })
    }

    /// The fetch `id` brought nothing: the next one goes a little later.
    pub(super) fn fetch_failed(&mut self, id: RequestId) {
        let now = self.now;
        if let Some(fetching) = self.fetching()
            && fetching.ends(id)
        {
            fetching.back_off(now);
        }
    }
}
