//! What consumers read: of a leader what is committed; of a follower what it knows to be committed (KIP-392).
//!
//! A follower hears of the high watermark with its leader's answers, so its own is older, never newer. A consumer that read further
//! elsewhere is told to try again, or to go back to the leader, who alone can say that an offset is none.

use model::{BrokerId, Bug, LeaderEpoch, Offset};

use super::{LogView, Refusal, Replica, Role};

impl Replica {
    /// May a consumer that believes in `epoch` read from `offset` of the leader? The answer is the end (exclusive) of what it may see.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`, `FencedLeaderEpoch`, `UnknownLeaderEpoch`, `OffsetOutOfRange`.
    pub fn admit_read(&self, log: LogView<'_>, epoch: LeaderEpoch, offset: Offset) -> Result<Offset, Refusal> {
        self.leading(epoch)?;
        if offset < log.start || log.end < offset {
            return Err(Refusal::OffsetOutOfRange);
        }
        if self.planted.has(Bug::ServeUncommitted) {
            return Ok(log.end);
        }
        Ok(self.high_watermark.max(log.start))
    }

    /// As [`Replica::admit_read`], of the leader or of a follower. `leader_high_watermark` is what the leader said last.
    ///
    /// # Errors
    /// Those of `admit_read`; `OffsetNotAvailable` from a follower that does not know, or does not have, what its leader had
    /// committed.
    pub fn admit_read_near(
        &self,
        log: LogView<'_>,
        epoch: LeaderEpoch,
        offset: Offset,
        leader_high_watermark: Offset,
    ) -> Result<Offset, Refusal> {
        match &self.role {
            Role::Leader(_) => return self.admit_read(log, epoch, offset),
            Role::Waiting => return Err(Refusal::NotLeaderOrFollower),
            Role::Follower(_) => self.compare_epoch(epoch)?,
        }
        let (start, end) = (log.start, log.end);
        if self.planted.has(Bug::FollowerServesUncommitted) && start <= offset && offset <= end {
            return Ok(end);
        }
        let committed = self.high_watermark.clamp(start, end);
        if offset < start || leader_high_watermark.max(end) < offset {
            model::reached!("a follower could not tell whether an offset is one");
            return Err(Refusal::OffsetOutOfRange);
        }
        if committed < offset {
            model::reached!("a follower did not know yet that an offset was committed");
            return Err(Refusal::OffsetNotAvailable);
        }
        Ok(committed)
    }

    /// Whom this replica follows; none if it leads, or nobody does.
    pub fn follows(&self) -> Option<BrokerId> {
        match &self.role {
            Role::Follower(follower) => Some(follower.leader),
            Role::Leader(_) | Role::Waiting => None,
        }
    }

    /// Who of these brokers should serve a consumer at `offset` in this leader's place: a follower in sync that has the offset, the one that
    /// has most. None if there is none.
    pub fn nearer_reader(&self, offset: Offset, near: &[BrokerId]) -> Option<BrokerId> {
        let Role::Leader(leader) = &self.role else { return None };
        let followers = leader.followers.iter().filter(|(id, progress)| {
            near.contains(id) && leader.in_sync.contains(**id) && progress.log_start <= offset && offset <= progress.end
        });
        let best =
            followers.max_by_key(|(id, progress)| (progress.end, progress.caught_up_at, std::cmp::Reverse(**id)));
        best.map(|(id, _)| *id)
    }
}
