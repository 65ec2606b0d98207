//! The leader: it answers fetches, counts who has what, commits, and resigns when no majority fetches from it.

use std::collections::BTreeMap;

use model::{BrokerId, Bug, Offset, Time};

use super::membership::Pending;
use super::message::{BeginEpochRequest, Body, EndEpochRequest, FetchRequest, Refusal, Request};
use super::positions::Comparison;
use super::unattached::Unattached;
use super::voters::{Replica, VoterSet};
use super::{Output, Quorum, QuorumState, Role, Ticket};
use crate::limits::{QUORUM_FETCH_WAIT_DIVISOR, QUORUM_OBSERVERS_MAX};

#[derive(Debug)]
pub(super) struct Leader {
    /// Where its first record lies.
    pub(super) epoch_start: Offset,
    /// Of every voter but itself, and of observers that fetched: what a node has on another disk is another replica's.
    pub(super) progress: BTreeMap<Replica, Progress>,
    /// Changes of the voters that are not committed, by rising offset: one at a time.
    pub(super) changes: Vec<Pending>,
    /// When nodes that were configured to vote, and do not, are told again that there is a leader.
    announce_at: Time,
}

#[derive(Debug)]
pub(super) struct Progress {
    /// It has everything below on its disk; None until it fetched in this epoch.
    pub(super) synced: Option<Offset>,
    pub(super) last_fetch: Time,
    /// When it last had all that this leader had.
    pub(super) last_caught_up: Option<Time>,
    /// When it is told again that there is a leader.
    announce_at: Time,
    /// The high watermark that it was told last in this epoch: it is told a newer one at once.
    told: Offset,
    waiting: Option<Waiting>,
}

/// A fetch that found nothing new, until something is.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    offset: Offset,
    until: Time,
}

impl Progress {
    pub(super) fn new(now: Time) -> Progress {
        Progress {
            synced: None,
            last_fetch: now,
            last_caught_up: None,
            announce_at: now,
            told: Offset::ZERO,
            waiting: None,
        }
    }
}

impl Leader {
    pub(super) fn deadline(&self, quorum: &Quorum) -> Time {
        let announce =
            quorum.other_voters().into_iter().filter_map(|voter| Some(self.progress.get(&voter)?.announce_at));
        let waits = self.progress.values().filter_map(|progress| Some(progress.waiting.as_ref()?.until));
        let strangers = quorum.has_removed().then_some(self.announce_at);
        announce.chain(waits).chain(strangers).chain([self.resign_at(quorum)]).min().unwrap_or(Time(u64::MAX))
    }

    /// When a majority will have been silent for one and a half fetch timeouts (KAFKA-15489).
    fn resign_at(&self, quorum: &Quorum) -> Time {
        // So many others make a majority, with this leader itself if it votes.
        let needed = quorum.voters().majority() - usize::from(quorum.is_voter());
        if needed == 0 || quorum.config.planted.has(Bug::NoCheckQuorum) {
            return Time(u64::MAX);
        }
        let others = quorum.other_voters();
        let heard = others.iter().filter_map(|voter| Some(self.progress.get(voter)?.last_fetch));
        let mut heard: Vec<Time> = heard.collect();
        heard.sort_unstable_by(|one, other| other.cmp(one));
        heard[needed - 1] + quorum.config.fetch_timeout * 3 / 2
    }

    /// Forgets the observer that was silent longest if there is one too many with `replica`; its waiting fetch has no answer then.
    fn make_room_for(&mut self, replica: Replica, voters: &VoterSet) -> Vec<Ticket> {
        if self.progress.contains_key(&replica) || self.progress.len() < voters.len() + QUORUM_OBSERVERS_MAX {
            return Vec::new();
        }
        let observers = self.progress.iter().filter(|(replica, _)| !voters.has(**replica));
        let silent = observers.min_by_key(|(_, progress)| progress.last_fetch).map(|(&replica, _)| replica);
        let forgotten = silent.and_then(|replica| self.progress.remove(&replica));
        forgotten.and_then(|progress| Some(progress.waiting?.ticket)).into_iter().collect()
    }

    /// Whoever waits for a change of the voters, and whoever waits for records.
    pub(super) fn into_waiting(self) -> (Vec<Ticket>, Vec<Ticket>) {
        let fetches = self.progress.into_values().filter_map(|progress| Some(progress.waiting?.ticket));
        (self.changes.into_iter().map(|pending| pending.ticket).collect(), fetches.collect())
    }
}

impl Quorum {
    pub(super) fn become_leader(&mut self) {
        let epoch_start = self.log.end;
        let progress = self.other_voters().into_iter().map(|voter| (voter, Progress::new(self.now))).collect();
        self.persist(QuorumState { leader: Some(self.config.id), ..self.state });
        let (changes, announce_at) = (Vec::new(), self.now);
        self.change_role(Role::Leader(Leader { epoch_start, progress, changes, announce_at }));
        // It has at least one record of its own to commit, and with it all before (Raft, section 5.4.2).
        self.log.append(self.state.epoch, self.log.end.plus(1));
        self.perform(Output::AppendLeaderChange { epoch: self.state.epoch });
        self.tick_leader();
    }

    pub(super) fn tick_leader(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        if leader.resign_at(self) <= self.now {
            model::reached!("a metadata leader resigned for want of a majority");
            return self.resign();
        }
        if self.is_removed() {
            model::reached!("a metadata leader resigned since it votes no more");
            return self.resign();
        }
        self.announce();
        self.answer_waiting();
    }

    /// Tells every voter that does not fetch that there is a leader.
    fn announce(&mut self) {
        let epoch = self.state.epoch;
        let again = self.now + self.config.fetch_timeout / 2;
        let mut silent = Vec::new();
        for voter in self.other_voters() {
            let Role::Leader(leader) = &mut self.role else { return };
            let Some(progress) = leader.progress.get_mut(&voter) else { continue };
            if progress.announce_at <= self.now {
                progress.announce_at = again;
                silent.push(voter);
            }
        }
        for voter in silent.into_iter().map(|voter| voter.id).chain(self.silent_strangers()) {
            self.send(voter, Request::BeginEpoch(BeginEpochRequest { epoch, leader: self.config.id }));
        }
    }

    /// Nodes that were configured to vote, do not, and do not fetch: those that they would ask may all be elsewhere by now.
    fn silent_strangers(&mut self) -> Vec<BrokerId> {
        let (now, patience) = (self.now, self.config.fetch_timeout);
        let Role::Leader(leader) = &mut self.role else { return Vec::new() };
        if now < leader.announce_at {
            return Vec::new();
        }
        leader.announce_at = now + patience;
        let lately = leader
            .progress
            .iter()
            .filter(|(_, progress)| progress.synced.is_some() && now < progress.last_fetch + patience);
        let heard: Vec<BrokerId> = lately.map(|(replica, _)| replica.id).collect();
        self.voters.removed().filter(|id| *id != self.config.id && !heard.contains(id)).collect()
    }

    /// Were some nodes configured to vote that do not?
    fn has_removed(&self) -> bool {
        self.voters.removed().next().is_some()
    }

    pub(super) fn fetch_requested(&mut self, ticket: Ticket, fetch: FetchRequest) {
        self.learn(fetch.epoch, None);
        if !self.is_leader() {
            return self.reply(ticket, Body::Refused(Refusal::NotLeader));
        }
        if fetch.epoch < self.state.epoch {
            return self.reply(ticket, Body::Refused(Refusal::FencedLeaderEpoch));
        }
        if fetch.replica == self.config.id || fetch.offset < Offset::ZERO {
            return self.reply(ticket, Body::Refused(Refusal::InvalidRequest));
        }
        let replica = self.voters().known_as(Replica { id: fetch.replica, directory: fetch.directory });
        self.heard_from(replica);
        match self.log.compare(fetch.offset, fetch.last_epoch) {
            Comparison::Prefix => {}
            Comparison::Diverges { epoch, end } => return self.reply(ticket, Body::Diverging { epoch, end }),
            Comparison::BelowStart(snapshot) => return self.reply(ticket, Body::Snapshot(snapshot)),
        }
        let wait = self.config.fetch_timeout / QUORUM_FETCH_WAIT_DIVISOR;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&replica) else { return };
        progress.synced = Some(fetch.offset);
        if fetch.offset == self.log.end {
            progress.last_caught_up = Some(self.now);
        }
        progress.waiting = Some(Waiting { ticket, offset: fetch.offset, until: self.now + wait });
        self.advance_high_watermark();
        self.answer_waiting();
    }

    /// A replica asks for something: it lives, and knows who leads.
    pub(super) fn heard_from(&mut self, replica: Replica) {
        let again = self.now + self.config.fetch_timeout / 2;
        let Role::Leader(leader) = &mut self.role else { return };
        let mut earlier = leader.make_room_for(replica, self.voters.current());
        let progress = leader.progress.entry(replica).or_insert_with(|| Progress::new(self.now));
        progress.last_fetch = self.now;
        progress.announce_at = again;
        earlier.extend(progress.waiting.take().map(|waiting| waiting.ticket));
        // One fetch a replica waits: a second one means that nobody reads the first answer.
        for ticket in earlier {
            self.reply(ticket, Body::Refused(Refusal::InvalidRequest));
        }
    }

    pub(super) fn appended(&mut self, end: Offset) {
        assert!(self.is_leader(), "only a leader appends of its own");
        self.log.append(self.state.epoch, end);
        self.answer_waiting();
    }

    /// Commits what a majority of voters has on disk, once a record of this epoch is among it.
    pub(super) fn advance_high_watermark(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let planted = self.config.planted;
        let counted =
            if planted.has(Bug::VotersCountedAsBefore) { self.voters.before() } else { self.voters.current() };
        let mut synced: Vec<Offset> = counted
            .iter()
            .map(|voter| match leader.progress.get(&voter.replica()) {
                _ if voter.id == self.config.id => self.log.synced,
                progress => progress.and_then(|progress| progress.synced).unwrap_or(Offset::ZERO),
            })
            .collect();
        if !planted.has(Bug::CommitUnsorted) {
            synced.sort_unstable_by(|one, other| other.cmp(one));
        }
        let by_majority = synced[counted.majority() - 1].min(self.log.end);
        if leader.epoch_start < by_majority || planted.has(Bug::CommitEarlierEpoch) {
            self.raise_high_watermark(by_majority);
            self.end_changes();
        }
        self.answer_waiting();
    }

    /// Answers every fetch for which there is something new, or whose patience is over.
    fn answer_waiting(&mut self) {
        let (epoch, log_end, high_watermark) = (self.state.epoch, self.log.end, self.high_watermark);
        let Role::Leader(leader) = &mut self.role else { return };
        let mut answered = Vec::new();
        for progress in leader.progress.values_mut() {
            if progress.waiting.as_ref().is_some_and(|waiting| {
                waiting.offset < log_end || progress.told < high_watermark || waiting.until <= self.now
            }) {
                progress.told = high_watermark;
                answered.extend(progress.waiting.take());
            }
        }
        for Waiting { ticket, offset, .. } in answered {
            self.speak(Output::ReplyRecords { ticket, epoch, from: offset, high_watermark });
        }
    }

    /// Gives the leadership up and names the best successors.
    pub(super) fn resign(&mut self) {
        let Role::Leader(leader) = &self.role else { return };
        let mut ends: Vec<(Offset, BrokerId)> = self
            .other_voters()
            .into_iter()
            .filter_map(|voter| Some((leader.progress.get(&voter)?.synced.unwrap_or(Offset::ZERO), voter.id)))
            .collect();
        ends.sort_unstable_by(|one, other| other.cmp(one));
        let successors: Vec<BrokerId> = ends.into_iter().map(|(_, voter)| voter).collect();
        let end = EndEpochRequest { epoch: self.state.epoch, leader: self.config.id, successors: successors.clone() };
        let unattached = Unattached::patient(self);
        self.become_unattached(unattached);
        for voter in successors {
            self.send(voter, Request::EndEpoch(end.clone()));
        }
    }
}
