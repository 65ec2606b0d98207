//! What members of the quorum say to each other. The shell turns these into Kafka's own messages.

use bytes::Bytes;
use model::{BrokerId, DirectoryId, LeaderEpoch, Offset, SnapshotId};

use super::voters::VoterSet;

/// Pairs a request with its answer; never used twice by one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Vote(VoteRequest),
    BeginEpoch(BeginEpochRequest),
    EndEpoch(EndEpochRequest),
    Fetch(FetchRequest),
    FetchSnapshot(FetchSnapshotRequest),
}

/// Asks for a vote, or (KIP-996) whether one would be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The epoch that the candidate stands in; of a pre-vote, the one that it is in.
    pub epoch: LeaderEpoch,
    pub candidate: BrokerId,
    /// The disk whose vote is asked for; none: whichever the node has.
    pub voter: Option<DirectoryId>,
    /// The epoch of the last record of the candidate's log; NONE if it is empty.
    pub last_epoch: LeaderEpoch,
    pub log_end: Offset,
    pub pre_vote: bool,
}

/// A leader makes itself known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginEpochRequest {
    pub epoch: LeaderEpoch,
    pub leader: BrokerId,
}

/// A leader goes, and names who should follow it, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndEpochRequest {
    pub epoch: LeaderEpoch,
    pub leader: BrokerId,
    pub successors: Vec<BrokerId>,
}

/// Asks for what comes next. Everything below `offset` is safe on the one who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    pub epoch: LeaderEpoch,
    pub replica: BrokerId,
    /// The disk that holds what it says it has.
    pub directory: Option<DirectoryId>,
    pub offset: Offset,
    /// The epoch of the record before `offset`; NONE at the start.
    pub last_epoch: LeaderEpoch,
}

/// Asks for the bytes of a snapshot from `position` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSnapshotRequest {
    pub epoch: LeaderEpoch,
    pub replica: BrokerId,
    pub directory: Option<DirectoryId>,
    pub snapshot: SnapshotId,
    pub position: u64,
}

/// An answer, with what its sender knows of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub epoch: LeaderEpoch,
    pub leader: Option<BrokerId>,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Vote {
        granted: bool,
    },
    /// An epoch's begin or end is noted.
    Noted,
    /// Batches, one after the other in `records`, each with its span; perhaps none.
    Records {
        high_watermark: Offset,
        spans: Vec<Span>,
        records: Bytes,
    },
    /// The logs part: the leader's largest epoch at or below the asked one, and where it ends there.
    Diverging {
        epoch: LeaderEpoch,
        end: Offset,
    },
    /// What comes next is gone from the leader's log: this snapshot stands for it.
    Snapshot(SnapshotId),
    /// Bytes of a snapshot of `size` bytes, from `position` on.
    Piece(Piece),
    Refused(Refusal),
}

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub snapshot: SnapshotId,
    pub size: u64,
    pub position: u64,
    pub bytes: Bytes,
}

impl Request {
    /// The epoch that its sender is in, or stands in.
    pub fn epoch(&self) -> LeaderEpoch {
        match self {
            Request::Vote(vote) => vote.epoch,
            Request::BeginEpoch(begin) => begin.epoch,
            Request::EndEpoch(end) => end.epoch,
            Request::Fetch(fetch) => fetch.epoch,
            Request::FetchSnapshot(fetch) => fetch.epoch,
        }
    }
}

/// What a batch spans, as its verified header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub epoch: LeaderEpoch,
    pub start: Offset,
    pub end: Offset,
    /// Who votes from here on, if it says so.
    pub voters: Option<VoterSet>,
}

/// Why a request is not answered; Kafka's errors of the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The one who asks is in an epoch that has passed.
    FencedLeaderEpoch,
    /// The one who asks is in an epoch that is not known here yet.
    UnknownLeaderEpoch,
    NotLeader,
    /// The one who is asked has another disk than the voter that is meant.
    InvalidVoter,
    InvalidRequest,
    /// The snapshot is gone: a newer one stands for it.
    SnapshotNotFound,
    /// The snapshot has no byte there.
    PositionOutOfRange,
}
