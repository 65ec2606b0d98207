//! The follower's part: where to fetch, what to take, where to cut.

use model::{BrokerId, Bug, Event, LeaderEpoch, Offset};

use super::{FetchPosition, LogView, Output, Refusal, Replica, Role};

pub(crate) struct Follower {
    pub(crate) leader: BrokerId,
}

/// Where a leader says that its log parts from a follower's: it ends `epoch` at `end`.
#[derive(Clone, Copy)]
pub(super) struct Parting {
    pub(super) epoch: LeaderEpoch,
    pub(super) end: Offset,
    pub(super) leader_start: Option<Offset>,
}

impl Replica {
    /// Where this follower goes on; none if it does not follow. It asks from the end of what it holds *safely*, since the leader
    /// counts what it asks from as replicated.
    pub fn fetch_position(&self, log: LogView<'_>) -> Option<FetchPosition> {
        let Role::Follower(follower) = &self.role else { return None };
        Some(FetchPosition {
            leader: follower.leader,
            leader_epoch: self.leader_epoch,
            offset: log.safe_end,
            last_epoch: log.epochs.epoch_at(log.safe_end.plus(-1)).unwrap_or(LeaderEpoch::NONE),
            log_start: log.start,
        })
    }

    /// Where this follower's log should begin, now that the log of the leader of `leader_epoch` begins at `leader_start`: no further
    /// than what is known to be committed. None if it stays.
    pub fn follow_log_start(
        &self,
        log: LogView<'_>,
        leader_epoch: LeaderEpoch,
        leader_start: Offset,
    ) -> Option<Offset> {
        let is_following = matches!(self.role, Role::Follower(_)) && leader_epoch == self.leader_epoch;
        Some(leader_start.min(self.high_watermark)).filter(|&to| is_following && log.start < to)
    }

    /// What lies below a log's start was committed, whoever says so. A leader knows that itself.
    pub(super) fn log_start_moved(&mut self, log: LogView<'_>, out: &mut Vec<Output>) {
        if let Role::Follower(_) | Role::Waiting = &self.role {
            self.raise_high_watermark(log.start, out);
        }
    }

    /// The leader of `leader_epoch` refuses the offset `offset`, and its log begins at `leader_start`. If all that this follower has
    /// lies below, it goes on there, with nothing. Otherwise it keeps what it has: what is out of range for a moment must not cost a
    /// log (KAFKA-2143).
    pub fn begin_anew(
        &self,
        log: LogView<'_>,
        leader_epoch: LeaderEpoch,
        offset: Offset,
        leader_start: Offset,
    ) -> Option<Offset> {
        let is_following = matches!(self.role, Role::Follower(_)) && leader_epoch == self.leader_epoch;
        let is_behind = offset == log.end && log.end <= leader_start;
        Some(leader_start).filter(|_| is_following && is_behind)
    }

    /// May what the leader of `leader_epoch` sent for `offset` be appended? An answer to an older question must not touch the log
    /// (KAFKA-18991).
    ///
    /// # Errors
    /// `FencedLeaderEpoch` if the leadership is another by now; `OffsetOutOfRange` if the log moved meanwhile.
    pub fn admit_fetched(&self, log: LogView<'_>, leader_epoch: LeaderEpoch, offset: Offset) -> Result<(), Refusal> {
        let Role::Follower(_) = &self.role else { return Err(Refusal::NotLeaderOrFollower) };
        if leader_epoch != self.leader_epoch && !self.planted.has(Bug::StaleFetchAnswer) {
            model::reached!("records of an older leadership came late");
            return Err(Refusal::FencedLeaderEpoch);
        }
        if offset != log.end {
            return Err(Refusal::OffsetOutOfRange);
        }
        Ok(())
    }

    pub(super) fn follower_appended(&mut self, log: LogView<'_>, leader_high_watermark: Offset, out: &mut Vec<Output>) {
        if let Role::Follower(_) = &self.role {
            self.raise_high_watermark(leader_high_watermark.min(log.end), out);
        }
    }

    /// Cuts the log where it parts from the leader's: by epoch, never by the high watermark (KIP-101, KIP-279).
    pub(super) fn diverging(
        &mut self,
        log: LogView<'_>,
        leader_epoch: LeaderEpoch,
        Parting { epoch, end, leader_start }: Parting,
        out: &mut Vec<Output>,
    ) {
        let Role::Follower(_) = &self.role else { return };
        if leader_epoch != self.leader_epoch && !self.planted.has(Bug::StaleFetchAnswer) {
            model::reached!("the leader changed while a follower was to truncate");
            return;
        }
        // What lies below a start was committed; whoever lacks it was elected all the same, uncleanly, and later than any of this was written.
        let is_older = log.epochs.entries().last().is_some_and(|last| last.epoch < leader_epoch);
        if let Some(to) = leader_start.filter(|&to| is_older && to <= end && end < log.start)
            && leader_epoch == self.leader_epoch
            && self.may_give_up()
        {
            return self.give_up(log, to, out);
        }
        let own_end = log.epochs.end_of(epoch, log.end).map_or(log.start, |(_, end)| end);
        let to = own_end.min(end).max(log.start);
        if to < log.end {
            if own_end < end {
                model::reached!("a follower lacked the end of an epoch that its leader has");
            }
            self.high_watermark = self.high_watermark.min(to);
            let partition = self.partition;
            out.push(Output::Witness(Event::LogsParted { partition, leader_epoch, epoch, end }));
            out.push(Output::Truncate { to });
        }
    }

    /// The leader's log ends before this one, which is empty, begins: the same, of a follower that has no records any more.
    pub(super) fn past_leader(
        &mut self,
        log: LogView<'_>,
        leader_epoch: LeaderEpoch,
        offset: Offset,
        leader_start: Offset,
        out: &mut Vec<Output>,
    ) {
        let is_following = matches!(self.role, Role::Follower(_)) && leader_epoch == self.leader_epoch;
        let is_empty = offset == log.end && log.start == log.end;
        if is_following && is_empty && leader_start < offset && self.may_give_up() {
            self.give_up(log, leader_start, out);
        }
    }

    fn may_give_up(&self) -> bool {
        !self.planted.has(Bug::StartPastLeader)
    }

    /// Nothing of this log is its leader's, and to keep where it begins would leave out what the leader has written before. So all of it
    /// goes, and it begins where the leader's does.
    fn give_up(&mut self, log: LogView<'_>, to: Offset, out: &mut Vec<Output>) {
        let (partition, leader_epoch) = (self.partition, self.leader_epoch);
        out.push(Output::Witness(Event::LogGivenUp { partition, leader_epoch, start: log.start, end: log.end, to }));
        out.push(Output::GiveUp { to });
    }
}
