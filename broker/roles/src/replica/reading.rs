//! What consumers read: of a leader what is committed; of a follower what it knows to be committed (KIP-392).
//!
//! A follower hears of the high watermark with its leader's answers, so its own is older, never newer. A consumer that read further
//! elsewhere is told to try again, or to go back to the leader, who alone can say that an offset is none.

use model::{BrokerId, Bug, LeaderEpoch, Offset};

use super::{ConsumerFetch, LogView, Refusal, Replica, Role};

impl LogView<'_> {
    /// The largest epoch of records here that is not beyond `epoch`, and its end. Of an epoch older than any record here nothing is known but
    /// that it ended before the first of these.
    pub(super) fn end_of(self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let first = self.epochs.entries().first().map_or(self.end, |first| first.start);
        self.epochs.end_of(epoch, self.end).unwrap_or((epoch, first))
    }
}

impl ConsumerFetch {
    /// Does the log hold what the consumer has read? An unclean election may have given it up, and others may stand there now (KIP-320).
    fn compare(&self, log: LogView<'_>) -> Result<(), Refusal> {
        let (epoch, end) = log.end_of(self.last_epoch);
        if LeaderEpoch(0) <= self.last_epoch && (epoch < self.last_epoch || end < self.offset) {
            model::reached!("a consumer had read what its log holds no more");
            return Err(Refusal::Diverging { epoch, end });
        }
        Ok(())
    }
}

impl Replica {
    /// May a consumer read from an offset of the leader? The answer is the end (exclusive) of what it may see.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`, `FencedLeaderEpoch`, `UnknownLeaderEpoch`, `OffsetOutOfRange`, `Diverging`.
    pub fn admit_read(&self, log: LogView<'_>, fetch: &ConsumerFetch) -> Result<Offset, Refusal> {
        self.leading(fetch.leader_epoch)?;
        if fetch.offset < log.start {
            return Err(Refusal::OffsetOutOfRange);
        }
        fetch.compare(log)?;
        if log.end < fetch.offset {
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
        fetch: &ConsumerFetch,
        leader_high_watermark: Offset,
    ) -> Result<Offset, Refusal> {
        match &self.role {
            Role::Leader(_) => return self.admit_read(log, fetch),
            Role::Waiting => return Err(Refusal::NotLeaderOrFollower),
            Role::Follower(_) => self.compare_epoch(fetch.leader_epoch)?,
        }
        let (start, end, offset) = (log.start, log.end, fetch.offset);
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
        // A follower that is behind has not parted: only what it knows to be committed can tell.
        fetch.compare(log)?;
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
