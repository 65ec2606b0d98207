//! The metadata quorum: who leads, what is committed. Raft pulled by its followers, as KRaft does it (KIP-595, KIP-996).
//!
//! ```text
//!               election timeout          majority would vote         majority voted
//!  Unattached ────────────────▶ Prospective ─────────────▶ Candidate ───────────────▶ Leader
//!      ▲  ▲                         │  ▲                     │                          │
//!      │  └── a later epoch ────────┼──┼─────────────────────┴──── no majority fetches ─┘
//!      │                            ▼  │ fetch timeout
//!      └─ the leader resigned ── Follower ◀── a leader is known
//! ```
//! A node that does not vote is an observer: only Unattached (it looks for the leader) and Follower.
//!
//! What makes it safe:
//! - epoch and vote are on disk before any message leaves that depends on them: such outputs wait inside for `StatePersisted`;
//! - a vote goes only to a log that is not behind the voter's own, and once an epoch;
//! - the high watermark is what a majority has *synced*, and moves only once a record of the leader's own epoch is below it;
//! - a log is cut by comparing epochs (KIP-101, KIP-279), and never below what is known to be committed;
//! - a snapshot stands for committed records alone (KIP-630), and is in the place of a log only when it is on disk;
//! - voters change one at a time, and not before a leader has committed a record of its own epoch.
//!
//! Fault model: messages are lost, delayed, repeated, reordered; nodes stop, restart, and lose what was not synced; clocks stand
//! still or run at any speed. Not survived: a majority of disks lost, a disk that lies about a sync, nodes that lie.
//!
//! Who votes is told by the log too (KIP-853): by its last record of voters, committed or not; before the first one, by configuration. A
//! vote is given to whoever asks, voter or not by the log of the one who is asked: that log may lack the record that says so.
//!
//! Absent from here: bytes of records, sockets, files, clocks, randomness (each step is given time and 64 random bits).

mod describe;
mod election;
mod epoch;
mod fetching;
mod follower;
mod leader;
mod membership;
mod message;
mod positions;
mod snapshot;
#[cfg(test)]
mod tests;
mod unattached;
mod vote;
mod voters;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use minicbor::{Decode, Encode};
use model::{BrokerId, DirectoryId, LeaderEpoch, Offset, Planted, SnapshotId, Time};

pub use self::describe::{Description, ReplicaProgress};
use self::election::{Candidate, Prospective};
use self::follower::Follower;
use self::leader::Leader;
pub use self::membership::{ChangeRefusal, VoterChange};
pub use self::message::{
    BeginEpochRequest, Body, EndEpochRequest, FetchRequest, FetchSnapshotRequest, Piece, Refusal, Request, RequestId,
    Response, Span, VoteRequest,
};
pub use self::positions::Positions;
pub use self::snapshot::{Cadence, Keeping, Kept};
use self::unattached::Unattached;
pub use self::voters::{Replica, Voter, VoterHistory, VoterSet};
use crate::limits::QUORUM_EPOCH_MAX;
pub use crate::replica::Ticket;

/// Who this node is in the quorum, and its patience.
#[derive(Clone, Debug)]
pub struct Config {
    pub id: BrokerId,
    /// Of this node's disk; none if it was never given one.
    pub directory: Option<DirectoryId>,
    /// A node waits once to twice as long for an election to end.
    pub election_timeout: Duration,
    /// A follower gives its leader up after this, a leader itself after half as much again.
    pub fetch_timeout: Duration,
    pub planted: Planted,
}

/// What must outlive a loss of power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct QuorumState {
    #[n(0)]
    pub epoch: LeaderEpoch,
    /// Whom this node voted for in this epoch.
    #[n(1)]
    pub voted_for: Option<BrokerId>,
    /// Who won this epoch, as far as this node heard.
    #[n(2)]
    pub leader: Option<BrokerId>,
}

/// What a node finds of an earlier life, and in its configuration.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub state: QuorumState,
    pub log: Positions,
    pub voters: VoterHistory,
}

#[derive(Clone, Debug)]
pub enum Input {
    /// Time passes; nothing else happened. Due at [`Quorum::deadline`].
    Tick,
    /// A peer asks. Every ticket gets one reply, unless this node stops.
    Request { ticket: Ticket, request: Request },
    /// A peer answered.
    Answered { id: RequestId, from: BrokerId, response: Response },
    /// No answer will come, or in time.
    Failed { id: RequestId },
    /// It could not be asked: its machine says that nobody listens there.
    Refused { id: RequestId },
    /// The state of `PersistState { version }`, or a later one, is on disk.
    StatePersisted { version: u64 },
    /// This leader's own records are in its log, which ends at `end` now.
    Appended { end: Offset },
    /// The log was cut where a batch ends, which may be before the offset that was asked for.
    Truncated { end: Offset },
    /// Everything below `end` is on disk. Never of a sync that began before a truncation.
    LogSynced { end: Offset },
    /// A snapshot of what is committed is on disk.
    SnapshotTaken { snapshot: SnapshotId },
    /// The log begins where this snapshot ends, and older snapshots are gone.
    LogStartMoved { to: SnapshotId },
    /// The snapshot of `InstallSnapshot` is on disk, in the place of all that the log had, which ends at `end` now: there too. It says who
    /// votes, if that was ever changed.
    SnapshotInstalled { snapshot: SnapshotId, end: Offset, voters: Option<VoterSet> },
    /// It is not whole, or there is no room for it: everything is as it was.
    SnapshotRefused { snapshot: SnapshotId },
    /// Somebody is to vote, or not to. Every ticket gets one `VotersChangeEnded`, unless this node stops.
    ChangeVoters { ticket: Ticket, change: VoterChange },
    /// This node is about to stop: if it leads, it tells the others.
    Resign,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make this outlive a loss of power, then say `StatePersisted`. A later one may take its place.
    PersistState {
        version: u64,
        state: QuorumState,
    },
    Send {
        id: RequestId,
        to: BrokerId,
        request: Request,
    },
    Reply {
        ticket: Ticket,
        response: Response,
    },
    /// Reply with the batches from `from` on, as many as fit.
    ReplyRecords {
        ticket: Ticket,
        epoch: LeaderEpoch,
        from: Offset,
        high_watermark: Offset,
    },
    /// Reply with bytes of this snapshot from `position` on, or that it has none there.
    ReplyPiece {
        ticket: Ticket,
        epoch: LeaderEpoch,
        snapshot: SnapshotId,
        position: u64,
    },
    /// A vote is being told to its candidate with the next reply.
    VoteGranted {
        epoch: LeaderEpoch,
        candidate: BrokerId,
    },
    /// Append the one record that begins this leader's epoch.
    AppendLeaderChange {
        epoch: LeaderEpoch,
    },
    /// Append the one record that says who votes.
    AppendVoters {
        epoch: LeaderEpoch,
        voters: VoterSet,
    },
    /// Append these batches as they are.
    AppendFetched {
        records: Bytes,
    },
    Truncate {
        to: Offset,
    },
    /// Keep these bytes of a snapshot until all are there. One at position zero begins another one.
    KeepPiece {
        position: u64,
        bytes: Bytes,
    },
    /// All bytes of this snapshot are there. If they are whole, make them outlive a loss of power, put them in the place of all that
    /// the log has, and say `SnapshotInstalled`; else `SnapshotRefused`.
    InstallSnapshot {
        snapshot: SnapshotId,
    },
    /// Everything below is committed for good.
    HighWatermark {
        to: Offset,
    },
    RoleChanged {
        epoch: LeaderEpoch,
        standing: Standing,
    },
    /// By this node's log, these vote from now on.
    VotersChanged {
        voters: VoterSet,
    },
    /// The change is committed, was refused, or may be either.
    VotersChangeEnded {
        ticket: Ticket,
        result: Result<(), ChangeRefusal>,
    },
    /// The leader's log lacks what was committed: its disk or a quorum's was lost. Somebody must look at it; nothing was cut.
    CommittedIsMissing {
        leader: BrokerId,
        leader_end: Offset,
        high_watermark: Offset,
    },
}

/// What a node is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Leader,
    Follower(BrokerId),
    /// Without a leader: it waits, stands, or looks for one.
    Unattached,
}

/// One node's part in the quorum.
#[derive(Debug)]
pub struct Quorum {
    config: Config,
    state: QuorumState,
    /// Of the last `PersistState`.
    version: u64,
    /// Of the last one with another epoch or vote: what depends on it waits until `persisted` is there.
    version_required: u64,
    persisted: u64,
    log: Positions,
    voters: VoterHistory,
    high_watermark: Offset,
    /// A snapshot that is on its way to the disk: until it is there, this node asks for nothing and does not stand.
    installing: Option<SnapshotId>,
    /// The last epoch whose leader this node gave up because nobody listened there.
    hurried_in: LeaderEpoch,
    role: Role,
    next_request: u64,
    /// Outputs of this and earlier steps, each with the version that must be on disk first.
    held: VecDeque<(u64, Output)>,
    now: Time,
    chance: u64,
}

#[derive(Debug)]
enum Role {
    Unattached(Unattached),
    Prospective(Prospective),
    Candidate(Candidate),
    Follower(Follower),
    Leader(Leader),
}

impl Quorum {
    /// A node that starts with what it finds on its disk. Its first [`deadline`](Quorum::deadline) may be at once.
    pub fn new(config: Config, recovered: Recovered, now: Time, chance: u64) -> Quorum {
        let Recovered { state: persisted, log, voters } = recovered;
        // A record of an epoch proves the epoch, whatever the state file says.
        let state = if persisted.epoch < log.last_epoch() {
            QuorumState { epoch: log.last_epoch(), voted_for: None, leader: None }
        } else {
            persisted
        };
        let mut quorum = Quorum {
            config,
            state,
            version: 0,
            version_required: 0,
            persisted: 0,
            high_watermark: log.snapshot_end(),
            log,
            voters,
            installing: None,
            hurried_in: LeaderEpoch::NONE,
            role: Role::Unattached(Unattached::default()),
            next_request: 0,
            held: VecDeque::new(),
            now,
            chance,
        };
        match quorum.state.leader {
            Some(leader) if leader != quorum.config.id => quorum.role = Role::Follower(Follower::new(&quorum, leader)),
            _ if quorum.is_only_voter() => quorum.role = Role::Unattached(Unattached::electing_at(&quorum, now)),
            _ => quorum.role = Role::Unattached(Unattached::patient(&mut quorum)),
        }
        quorum
    }

    /// Takes one input at `now`, with 64 random bits, and pushes what must be done, in order.
    pub fn step(&mut self, now: Time, chance: u64, input: Input, out: &mut Vec<Output>) {
        let before = (self.state, self.high_watermark);
        self.now = self.now.max(now);
        self.chance = chance;
        match input {
            Input::Tick => {}
            Input::Request { ticket, request } => self.request(ticket, request),
            Input::Answered { id, from, response } => self.answered(id, from, response),
            Input::Failed { id } => self.failed(id),
            Input::Refused { id } => self.connection_refused(id),
            Input::StatePersisted { version } => self.state_persisted(version),
            Input::Appended { end } => self.appended(end),
            Input::Truncated { end } => self.truncate(end.min(self.log.end)),
            Input::LogSynced { end } => self.log_synced(end),
            Input::SnapshotTaken { snapshot } => self.log.taken(snapshot),
            Input::LogStartMoved { to } => self.log.begin_at(to),
            Input::SnapshotInstalled { snapshot, end, voters } => self.snapshot_installed(snapshot, end, voters),
            Input::SnapshotRefused { snapshot } => self.snapshot_refused(snapshot),
            Input::ChangeVoters { ticket, change } => self.change_voters(ticket, &change),
            Input::Resign => self.resign(),
        }
        self.tick();
        self.release(out);
        self.check(before);
    }

    /// When a `Tick` is due, if nothing else happens before.
    pub fn deadline(&self) -> Time {
        match &self.role {
            Role::Unattached(unattached) => unattached.deadline(self),
            Role::Prospective(prospective) => prospective.deadline,
            Role::Candidate(candidate) => candidate.deadline,
            Role::Follower(follower) => follower.deadline(self),
            Role::Leader(leader) => leader.deadline(self),
        }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.state.epoch
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader of this epoch, if this node leads or follows it.
    pub fn leader(&self) -> Option<BrokerId> {
        match &self.role {
            Role::Leader(_) => Some(self.config.id),
            Role::Follower(follower) => Some(follower.leader),
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) => None,
        }
    }

    pub fn log_end(&self) -> Offset {
        self.log.end
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Who votes, by this node's log.
    pub fn voters(&self) -> &VoterSet {
        self.voters.current()
    }

    fn request(&mut self, ticket: Ticket, request: Request) {
        if !(LeaderEpoch::NONE..=QUORUM_EPOCH_MAX).contains(&request.epoch()) {
            return self.reply(ticket, Body::Refused(Refusal::InvalidRequest));
        }
        match request {
            Request::Vote(vote) => self.vote_requested(ticket, vote),
            Request::BeginEpoch(begin) => self.begin_epoch_requested(ticket, begin),
            Request::EndEpoch(end) => self.end_epoch_requested(ticket, &end),
            Request::Fetch(fetch) => self.fetch_requested(ticket, fetch),
            Request::FetchSnapshot(fetch) => self.fetch_snapshot_requested(ticket, fetch),
        }
    }

    fn answered(&mut self, id: RequestId, from: BrokerId, response: Response) {
        if !(LeaderEpoch::NONE..=QUORUM_EPOCH_MAX).contains(&response.epoch) {
            return self.failed(id);
        }
        // Whatever was asked in an epoch that has passed, its answer can still tell of a later one.
        // Except that whoever lets us stand no longer counts on the leader that it still knows by name: to follow that one again
        // would undo the vote, and with two voters in step, every election.
        let has_let_stand = matches!(response.body, Body::Vote { granted: true });
        self.learn(response.epoch, response.leader.filter(|_| !has_let_stand));
        match response.body {
            Body::Vote { granted } => self.vote_answered(id, from, response.epoch, granted),
            Body::Noted => {}
            Body::Records { high_watermark, spans, records } => {
                self.records_fetched(id, response.epoch, high_watermark, spans, records);
            }
            Body::Diverging { epoch, end } => self.divergence_fetched(id, response.epoch, epoch, end),
            Body::Snapshot(snapshot) => self.snapshot_offered(id, response.epoch, snapshot),
            Body::Piece(piece) => self.piece_fetched(id, response.epoch, piece),
            Body::Refused(refusal) => self.refused(id, from, response.epoch, refusal),
        }
    }

    fn refused(&mut self, id: RequestId, from: BrokerId, epoch: LeaderEpoch, refusal: Refusal) {
        match refusal {
            Refusal::NotLeader if epoch == self.state.epoch => self.leader_denies(id, from),
            Refusal::SnapshotNotFound | Refusal::PositionOutOfRange => self.snapshot_is_gone(id),
            Refusal::NotLeader
            | Refusal::FencedLeaderEpoch
            | Refusal::UnknownLeaderEpoch
            | Refusal::InvalidVoter
            | Refusal::InvalidRequest => {}
        }
        self.vote_answered(id, from, epoch, false);
        self.failed(id);
    }

    fn failed(&mut self, id: RequestId) {
        self.fetch_failed(id);
    }

    fn state_persisted(&mut self, version: u64) {
        assert!(version <= self.version);
        self.persisted = self.persisted.max(version);
        self.own_vote_persisted();
    }

    /// The log ends at `to` now, and what it said of voters behind that was never so.
    fn truncate(&mut self, to: Offset) {
        self.log.truncate(to);
        if self.voters.truncate(to) {
            model::reached!("a change of the voters was cut");
            self.tell_voters();
        }
    }

    fn log_synced(&mut self, end: Offset) {
        self.log.synced = self.log.synced.max(end.min(self.log.end));
        self.advance_high_watermark();
    }

    fn tick(&mut self) {
        match &self.role {
            Role::Unattached(_) => self.tick_unattached(),
            Role::Prospective(prospective) if prospective.deadline <= self.now => self.stand(),
            Role::Candidate(candidate) if candidate.deadline <= self.now => self.stand(),
            Role::Prospective(_) | Role::Candidate(_) => {}
            Role::Follower(_) => self.tick_follower(),
            Role::Leader(_) => self.tick_leader(),
        }
    }

    fn change_role(&mut self, role: Role) {
        let before = self.leader();
        let (changes, fetches) = match std::mem::replace(&mut self.role, role) {
            Role::Leader(leader) => leader.into_waiting(),
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) | Role::Follower(_) => Default::default(),
        };
        for ticket in fetches {
            self.reply(ticket, Body::Refused(Refusal::NotLeader));
        }
        for ticket in changes {
            model::reached!("a leader changed the voters and heard no more of it");
            self.perform(Output::VotersChangeEnded { ticket, result: Err(ChangeRefusal::InDoubt) });
        }
        let standing = match &self.role {
            Role::Leader(_) => Standing::Leader,
            Role::Follower(follower) => Standing::Follower(follower.leader),
            Role::Prospective(_) | Role::Candidate(_) if before.is_none() => return,
            Role::Unattached(_) | Role::Prospective(_) | Role::Candidate(_) => Standing::Unattached,
        };
        self.perform(Output::RoleChanged { epoch: self.state.epoch, standing });
    }

    fn persist(&mut self, state: QuorumState) {
        assert!(self.state.epoch <= state.epoch, "epochs never fall");
        self.version += 1;
        // Who leads is a hint; only what this node promised must be safe before it speaks.
        if (state.epoch, state.voted_for) != (self.state.epoch, self.state.voted_for) {
            self.version_required = self.version;
        }
        self.state = state;
        self.perform(Output::PersistState { version: self.version, state });
    }

    fn reply(&mut self, ticket: Ticket, body: Body) {
        let leader = self.leader();
        self.speak(Output::Reply { ticket, response: Response { epoch: self.state.epoch, leader, body } });
    }

    fn send(&mut self, to: BrokerId, request: Request) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.speak(Output::Send { id, to, request });
        id
    }

    /// An output that tells others: it waits for the state that it speaks of.
    fn speak(&mut self, output: Output) {
        let required = if self.config.planted.has(model::Bug::UnsyncedVote) { 0 } else { self.version_required };
        self.held.push_back((required, output));
    }

    /// An output that concerns this node alone.
    fn perform(&mut self, output: Output) {
        self.held.push_back((0, output));
    }

    fn release(&mut self, out: &mut Vec<Output>) {
        for (required, output) in std::mem::take(&mut self.held) {
            if required <= self.persisted {
                out.push(output);
            } else {
                self.held.push_back((required, output));
            }
        }
    }

    fn replica(&self) -> Replica {
        Replica { id: self.config.id, directory: self.config.directory }
    }

    fn is_voter(&self) -> bool {
        self.voters().has(self.replica())
    }

    /// A voter stands, and so does one whose removal is not committed: it may be the only one left that has the record of it.
    fn may_stand(&self) -> bool {
        self.is_voter() || self.voters.before().has(self.replica())
    }

    fn is_only_voter(&self) -> bool {
        self.is_voter() && self.voters().len() == 1
    }

    fn other_voters(&self) -> Vec<Replica> {
        self.voters().iter().filter(|voter| voter.id != self.config.id).map(Voter::replica).collect()
    }

    /// Between one and two election timeouts from now, so that seldom two stand at once.
    fn election_deadline(&mut self) -> Time {
        self.now + self.config.election_timeout + self.part_of(self.config.election_timeout)
    }

    /// Any time less than `most`, by chance.
    fn part_of(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX).max(1);
        let part = Duration::from_nanos(self.chance % most);
        self.chance = self.chance.rotate_left(23);
        part
    }

    fn check(&self, (before, high_watermark): (QuorumState, Offset)) {
        assert!(before.epoch <= self.state.epoch, "epochs never fall");
        assert!(
            before.epoch < self.state.epoch || before.voted_for.is_none() || before.voted_for == self.state.voted_for,
            "one vote an epoch"
        );
        assert!(high_watermark <= self.high_watermark, "what is committed stays committed");
        assert!(self.high_watermark <= self.log.end);
        assert!(self.log.start <= self.log.synced);
        assert!(self.log.synced <= self.log.end);
        assert!(self.installing.is_none() || !self.is_leader());
        assert!(self.log.last_epoch() <= self.state.epoch);
        assert!(self.persisted <= self.version);
        assert!(self.version_required <= self.version);
        match &self.role {
            Role::Unattached(_) => {}
            Role::Prospective(_) => assert!(self.may_stand()),
            Role::Candidate(_) => assert!(self.may_stand() && self.state.voted_for == Some(self.config.id)),
            Role::Follower(follower) => {
                assert!(follower.leader != self.config.id && self.state.leader == Some(follower.leader));
            }
            Role::Leader(leader) => {
                assert!(!self.is_removed() && self.state.voted_for == Some(self.config.id));
                assert!(self.state.leader == Some(self.config.id));
                assert!(leader.epoch_start < self.log.end);
                assert!(self.log.last_epoch() == self.state.epoch);
            }
        }
    }
}
