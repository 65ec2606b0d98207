//! The leader's part: appends, followers' fetches, the high watermark, answers to producers.

use std::collections::{BTreeMap, VecDeque};

use model::{BrokerEpoch, BrokerId, Bug, Event, LeaderEpoch, Offset, Time};

use super::in_sync::Change;
use super::members::Members;
use super::withheld::Refusals;
use super::{Acks, Assignment, FollowerFetch, LogView, Output, Refusal, Replica, Role, Ticket};

/// What one leadership knows.
pub(crate) struct Leader {
    /// Where the log ended when it began: a follower that has not reached it may lack committed records.
    pub(crate) epoch_start: Offset,
    pub(crate) in_sync: Members,
    /// The in-sync set as the controller may see it: ours and everything that was asked for since the metadata last moved. The
    /// high watermark waits for all of them (the maximal in-sync set, KIP-497).
    pub(crate) in_sync_at_most: Members,
    pub(crate) in_sync_min: usize,
    pub(crate) change: Change,
    /// Since the metadata last moved, a proposal was made that may yet get through.
    pub(crate) has_doubt: bool,
    pub(crate) followers: BTreeMap<BrokerId, Progress>,
    waiting_for_leader: VecDeque<Waiting>,
    waiting_for_all: VecDeque<Waiting>,
    pub(super) refusals: Refusals,
}

/// How far a follower is, by its own fetches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// It has everything below, safely.
    pub(crate) end: Offset,
    /// When it last had everything that the leader had.
    pub(crate) caught_up_at: Time,
    /// When it last fetched, and where our log ended then.
    last_fetch: (Time, Offset),
    pub(crate) broker_epoch: Option<BrokerEpoch>,
    /// Where its log begins.
    pub(crate) log_start: Offset,
}

impl Progress {
    /// Nothing was heard of it yet.
    fn unknown(now: Time, log_end: Offset) -> Progress {
        Progress {
            end: Offset(-1),
            caught_up_at: now,
            last_fetch: (now, log_end),
            broker_epoch: None,
            log_start: Offset::ZERO,
        }
    }
}

/// A producer that waits until its records, from `base` to `end`, are as safe as it asked for.
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) acks: Acks,
    pub(super) base: Offset,
    pub(super) end: Offset,
}

impl Leader {
    pub(crate) fn new(now: Time, local: BrokerId, log_end: Offset, assignment: &Assignment) -> Leader {
        let in_sync: Members = assignment.in_sync.iter().copied().collect();
        let unknown = Progress::unknown(now, log_end);
        Leader {
            epoch_start: log_end,
            in_sync_at_most: in_sync.clone(),
            in_sync,
            in_sync_min: assignment.in_sync_min,
            change: Change::None,
            has_doubt: false,
            followers: assignment.replicas.iter().filter(|&&id| id != local).map(|&id| (id, unknown)).collect(),
            waiting_for_leader: VecDeque::new(),
            waiting_for_all: VecDeque::new(),
            refusals: Refusals::default(),
        }
    }

    /// The same leadership, with another in-sync set or other replicas. Requests for changes of the older state can no longer succeed.
    /// A follower that is known keeps what is known of it.
    pub(crate) fn metadata_changed(&mut self, now: Time, local: BrokerId, log_end: Offset, assignment: &Assignment) {
        self.in_sync = assignment.in_sync.iter().copied().collect();
        self.in_sync_at_most = self.in_sync.clone();
        self.refusals.keep(|id| self.in_sync.contains(id));
        self.in_sync_min = assignment.in_sync_min;
        self.change = Change::None;
        self.has_doubt = false;
        self.followers.retain(|id, _| assignment.replicas.contains(id));
        for &id in assignment.replicas.iter().filter(|&&id| id != local) {
            self.followers.entry(id).or_insert_with(|| Progress::unknown(now, log_end));
        }
    }

    pub(crate) fn has_producers_waiting(&self) -> bool {
        !self.waiting_for_all.is_empty()
    }

    /// What waits is in the log: it may be committed by another leader yet.
    pub(crate) fn refuse_all_waiting(self, out: &mut Vec<Output>) {
        if self.has_producers_waiting() {
            model::reached!("a leader stepped down while producers waited");
        }
        let waiting = self.waiting_for_leader.into_iter().chain(self.waiting_for_all).map(|waiting| waiting.ticket);
        for ticket in waiting.chain(self.refusals.into_tickets()) {
            out.push(Output::Reply { ticket, result: Err(Refusal::NotLeaderOrFollower) });
        }
    }

    /// The offset below which every replica that may be in sync has everything.
    fn replicated_end(&self, local: BrokerId, log: LogView<'_>, planted: model::Planted) -> Offset {
        let own = if planted.has(Bug::AckBeforeSync) { log.end } else { log.safe_end };
        let followers = self.in_sync_at_most.iter().filter(|&id| id != local);
        let ends = followers.map(|id| self.followers.get(&id).map_or(Offset(-1), |progress| progress.end));
        if planted.has(Bug::HighWatermarkFromFastest) {
            return ends.max().unwrap_or(own).min(own);
        }
        ends.fold(own, Offset::min)
    }

    pub(crate) fn check(&self, local: BrokerId) {
        assert!(self.in_sync.is_subset(&self.in_sync_at_most));
        assert!(!self.followers.contains_key(&local));
        assert!(self.waiting_for_all.iter().zip(self.waiting_for_all.iter().skip(1)).all(|(a, b)| a.end <= b.end));
    }
}

impl Waiting {
    /// Takes its place by its end: a batch that came again may have to wait less than those that came before it.
    fn queue(self, queue: &mut VecDeque<Waiting>) {
        let place = queue.partition_point(|other| other.end <= self.end);
        queue.insert(place, self);
    }
}

impl Replica {
    /// May a producer's batches be appended now, and under which epoch?
    ///
    /// # Errors
    /// `NotLeaderOrFollower`; `NotEnoughReplicas` for acks=all below `min.insync.replicas`.
    pub fn admit(&self, acks: Acks) -> Result<LeaderEpoch, Refusal> {
        let Role::Leader(leader) = &self.role else { return Err(Refusal::NotLeaderOrFollower) };
        if acks == Acks::All && leader.in_sync.len() < leader.in_sync_min {
            model::reached!("a producer was refused for want of in-sync replicas");
            return Err(Refusal::NotEnoughReplicas);
        }
        Ok(self.leader_epoch)
    }

    /// The end of what is committed, for ListOffsets.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`, `FencedLeaderEpoch`, `UnknownLeaderEpoch`; `OffsetNotAvailable` until the high watermark has reached this leadership's start: an older one
    /// would seem to go back (KIP-207).
    pub fn committed_end(&self, epoch: LeaderEpoch) -> Result<Offset, Refusal> {
        let leader = self.leading(epoch)?;
        if self.high_watermark < leader.epoch_start {
            model::reached!("a new leader did not know yet what is committed");
            return Err(Refusal::OffsetNotAvailable);
        }
        Ok(self.high_watermark)
    }

    /// Where `epoch`, or the largest before it, ends in this leader's log, for OffsetForLeaderEpoch (KIP-320); none if it knows none
    /// so old. The leader's own epoch ends with its log: what a reader has seen lies below.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`; `FencedLeaderEpoch` or `UnknownLeaderEpoch` if it leads in another epoch than `current`.
    pub fn end_of_epoch(
        &self,
        log: LogView<'_>,
        current: LeaderEpoch,
        epoch: LeaderEpoch,
    ) -> Result<Option<(LeaderEpoch, Offset)>, Refusal> {
        self.leading(current)?;
        Ok(log.epochs.end_of(epoch, log.end))
    }

    /// How far a client may have records deleted that asks for all below `offset`; a negative one asks for all that is committed.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`; `OffsetOutOfRange` past the high watermark.
    pub fn admit_deletion(&self, offset: Offset) -> Result<Offset, Refusal> {
        self.leading(LeaderEpoch::NONE)?;
        if offset < Offset::ZERO {
            return Ok(self.high_watermark);
        }
        if self.high_watermark < offset {
            return Err(Refusal::OffsetOutOfRange);
        }
        Ok(offset)
    }

    /// The offset below which no in-sync replica holds a record any more.
    ///
    /// # Errors
    /// `NotLeaderOrFollower`.
    pub fn low_watermark(&self, log: LogView<'_>) -> Result<Offset, Refusal> {
        let leader = self.leading(LeaderEpoch::NONE)?;
        let followers = leader.followers.iter().filter(|(id, _)| leader.in_sync.contains(**id));
        Ok(followers.map(|(_, progress)| progress.log_start).fold(log.start, Offset::min))
    }

    pub(super) fn leading(&self, epoch: LeaderEpoch) -> Result<&Leader, Refusal> {
        let Role::Leader(leader) = &self.role else { return Err(Refusal::NotLeaderOrFollower) };
        self.check_epoch(epoch)?;
        Ok(leader)
    }

    /// Answers a producer once its records are safe. A planted fault has the leader decide alone.
    pub(super) fn wait(&mut self, log: LogView<'_>, waiting: Waiting, is_alone: bool, out: &mut Vec<Output>) {
        let Role::Leader(leader) = &mut self.role else {
            out.push(Output::Reply { ticket: waiting.ticket, result: Err(Refusal::NotLeaderOrFollower) });
            return;
        };
        match waiting.acks {
            Acks::None => {}
            Acks::All if !is_alone => waiting.queue(&mut leader.waiting_for_all),
            Acks::Leader | Acks::All => waiting.queue(&mut leader.waiting_for_leader),
        }
        self.advance(log, out);
    }

    pub(super) fn synced(&mut self, log: LogView<'_>, out: &mut Vec<Output>) {
        self.advance(log, out);
    }

    pub(super) fn fetch(&mut self, now: Time, log: LogView<'_>, fetch: FollowerFetch, out: &mut Vec<Output>) {
        if let Err(refusal) = self.admit_fetch(log, &fetch) {
            out.push(Output::FetchRefused(refusal));
            return;
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.followers.get_mut(&fetch.replica) else { return };
        if progress.end != fetch.offset {
            progress.end = fetch.offset;
            out.push(Output::Witness(Event::FollowerCounted {
                partition: self.partition,
                epoch: self.leader_epoch,
                follower: fetch.replica,
                end: fetch.offset,
            }));
        }
        progress.broker_epoch = Some(fetch.broker_epoch);
        progress.log_start = fetch.log_start;
        if log.end <= fetch.offset {
            progress.caught_up_at = now;
        } else if progress.last_fetch.1 <= fetch.offset {
            progress.caught_up_at = progress.caught_up_at.max(progress.last_fetch.0);
        }
        progress.last_fetch = (now, log.end);
        if let Some(sent_after) = fetch.sent_after {
            leader.refusals.heard(fetch.replica, sent_after);
            self.refuse_for_certain(out);
        }
        self.advance(log, out);
        self.propose_in_sync(now, Some(fetch.replica), out);
    }

    /// May a follower that asks so have records?
    ///
    /// # Errors
    /// `NotLeaderOrFollower`, `FencedLeaderEpoch`, `UnknownLeaderEpoch`, `UnknownReplica`, `OffsetOutOfRange`, `Diverging`.
    pub fn admit_fetch(&self, log: LogView<'_>, fetch: &FollowerFetch) -> Result<(), Refusal> {
        let leader = self.leading(fetch.leader_epoch)?;
        if !leader.followers.contains_key(&fetch.replica) {
            return Err(Refusal::UnknownReplica);
        }
        // Whoever has nothing that is still here need not cut anything off: it begins anew.
        if fetch.offset < log.start {
            model::reached!("a follower asked for what its leader had deleted");
            return Err(Refusal::OffsetOutOfRange);
        }
        if LeaderEpoch(0) <= fetch.last_epoch {
            let (epoch, end) = log.end_of(fetch.last_epoch);
            let is_older_than_all = log.epochs.entries().first().is_none_or(|first| fetch.last_epoch < first.epoch);
            if is_older_than_all && fetch.offset == log.start && fetch.log_start < log.start {
                // Whether the follower's last batch is the one that was deleted here nobody can tell any more: it goes there, too.
                model::reached!("a follower had a tail that nothing is left to compare with");
                return Err(Refusal::OffsetOutOfRange);
            }
            let is_unknown = epoch < fetch.last_epoch;
            if is_unknown && fetch.offset <= end {
                // Its offset alone would seem right (KIP-279).
                model::reached!("a leader did not know the last epoch of a follower with a shorter log");
            }
            if (is_unknown && !self.planted.has(Bug::EndWithoutEpoch)) || end < fetch.offset {
                model::reached!("a follower's log parted from its leader's");
                return Err(Refusal::Diverging { epoch, end });
            }
        }
        if log.end < fetch.offset {
            return Err(Refusal::OffsetOutOfRange);
        }
        Ok(())
    }

    /// Moves the high watermark as far as the maximal in-sync set allows, and answers whoever waited for that.
    pub(super) fn advance(&mut self, log: LogView<'_>, out: &mut Vec<Output>) {
        let Role::Leader(leader) = &mut self.role else { return };
        // With fewer in-sync replicas than the minimum a commit could be lost with the last of them (KIP-966).
        if leader.in_sync_min <= leader.in_sync.len() || self.planted.has(Bug::CommitBelowMinimum) {
            let to = leader.replicated_end(self.local, log, self.planted);
            self.raise_high_watermark(to, out);
        } else if self.high_watermark < log.safe_end {
            model::reached!("the high watermark waited for the minimum of in-sync replicas");
        }
        let Role::Leader(leader) = &mut self.role else { return };
        let own_end = if self.planted.has(Bug::AckBeforeSync) { log.end } else { log.safe_end };
        for (queue, reached) in
            [(&mut leader.waiting_for_leader, own_end), (&mut leader.waiting_for_all, self.high_watermark)]
        {
            while let Some(waiting) = queue.pop_front_if(|waiting| waiting.end <= reached) {
                let base = if self.planted.has(Bug::AckWrongOffset) { waiting.base.plus(1) } else { waiting.base };
                out.push(Output::Witness(Event::Acked {
                    partition: self.partition,
                    epoch: self.leader_epoch,
                    base,
                    end: waiting.end,
                    acks: if waiting.acks == Acks::All { -1 } else { 1 },
                }));
                out.push(Output::Reply { ticket: waiting.ticket, result: Ok(base) });
            }
        }
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        if let Role::Leader(leader) = &mut self.role {
            leader.waiting_for_leader.retain(|waiting| waiting.ticket != ticket);
            leader.waiting_for_all.retain(|waiting| waiting.ticket != ticket);
            leader.refusals.forget(ticket);
        }
    }

    pub(super) fn leader_state(&mut self) -> Option<&mut Leader> {
        match &mut self.role {
            Role::Leader(leader) => Some(leader),
            Role::Waiting | Role::Follower(_) => None,
        }
    }
}
