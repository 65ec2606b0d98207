//! The replica role: what one broker decides about one partition that it holds, as leader or as follower.
//!
//! ```text
//!   metadata ── Assigned ──▶ ┌─────────┐ ──▶ Truncate, AlterInSync
//!   log ─ Appended, Synced ▶ │ Replica │ ──▶ HighWatermark, Reply
//!   peers ──── Fetch ──────▶ └─────────┘ ──▶ Witness
//! ```
//! The log itself stays outside: each step is shown where it starts, ends, how far it is safe, and its epochs. Whoever wants to
//! append asks first ([`Replica::admit`], [`Replica::admit_fetched`]), writes, and then tells (`Appended`, `FollowerAppended`), so
//! that a write that fails leaves no trace in here.
//!
//! Absent from here: bytes, sockets, files, clocks. Time comes with the input.

mod follower;
mod in_sync;
mod leader;
mod members;
mod reading;
#[cfg(test)]
mod tests;
mod withheld;

use std::time::Duration;

use model::{
    BrokerEpoch, BrokerId, Bug, Epochs, Event, LeaderEpoch, Offset, PartitionEpoch, PartitionId, Planted,
    SequenceError, Time,
};
use thiserror::Error;

use self::follower::{Follower, Parting};
use self::leader::{Leader, Waiting};

/// The right to one answer. The shell keeps whom it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// When a producer wants to hear that its records are safe (`acks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Never: the answer is not sent.
    None,
    /// Once the leader has them, as safe as the flush policy says.
    Leader,
    /// Once every in-sync replica has them, as safe as the flush policy says.
    All,
}

/// The log as it stands before the step.
#[derive(Clone, Copy, Debug)]
pub struct LogView<'a> {
    pub start: Offset,
    pub end: Offset,
    /// Everything below survives what the flush policy promises: the synced end, or simply the end.
    pub safe_end: Offset,
    pub epochs: &'a Epochs,
}

/// What the metadata says of this partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub replicas: Vec<BrokerId>,
    pub in_sync: Vec<BrokerId>,
    /// `min.insync.replicas`, never more than there are replicas.
    pub in_sync_min: usize,
}

/// A follower's fetch: it has everything below `offset`, safely.
#[derive(Clone, Copy, Debug)]
pub struct FollowerFetch {
    pub replica: BrokerId,
    pub broker_epoch: BrokerEpoch,
    /// The leader epoch that the follower believes in.
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    /// The epoch of the record before `offset`; NONE if the follower's log is empty.
    pub last_epoch: LeaderEpoch,
    /// Where the follower's log begins.
    pub log_start: Offset,
    /// The follower sent it after this: it has read an answer that left then.
    pub sent_after: Option<Time>,
}

/// A consumer's fetch.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerFetch {
    /// The leader epoch that the consumer believes in.
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    /// The epoch of the last record before `offset` that it has read; NONE if it does not say.
    pub last_epoch: LeaderEpoch,
}

/// Where a follower goes on, and with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPosition {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    pub last_epoch: LeaderEpoch,
    pub log_start: Offset,
}

#[derive(Debug)]
pub enum Input {
    Assigned(Assignment),
    /// A producer's batches are in the leader's log, from `base` to the log's end.
    Appended {
        ticket: Ticket,
        acks: Acks,
        base: Offset,
    },
    /// A producer's batch came again: it is in the leader's log already, from `base` to `end`.
    Repeated {
        ticket: Ticket,
        acks: Acks,
        base: Offset,
        end: Offset,
    },
    /// A producer's batch does not follow on what the leader's log has of its producer.
    OutOfSequence {
        ticket: Ticket,
        why: SequenceError,
    },
    /// The log's safe end moved.
    Synced,
    /// A follower asks for more; the shell reads only if no refusal comes.
    Fetch(FollowerFetch),
    /// What a leader sent is in the follower's log.
    FollowerAppended {
        leader_high_watermark: Offset,
    },
    /// The log begins later than it did. What lies below was committed.
    LogStartMoved,
    /// The leader of `leader_epoch` says that the logs part: it ends `epoch` at `end` (KIP-595). Its log begins at `leader_start`, if it
    /// says so.
    Diverging {
        leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
        end: Offset,
        leader_start: Option<Offset>,
    },
    /// The log of the leader of `leader_epoch` begins at `leader_start`, and ends before `offset`.
    PastLeader {
        leader_epoch: LeaderEpoch,
        offset: Offset,
        leader_start: Offset,
    },
    /// The log that was given up is empty, and begins where it was to.
    BegunAnew,
    /// The controller refused the proposal, which therefore never holds.
    InSyncRefused {
        partition_epoch: PartitionEpoch,
    },
    /// Nobody knows whether the controller took the in-sync set.
    InSyncInDoubt {
        partition_epoch: PartitionEpoch,
    },
    /// Time passes.
    Tick,
    /// The topic is gone, or the replica is elsewhere: this one serves nobody any more.
    Removed,
    /// Nobody waits for this answer any more.
    Forget {
        ticket: Ticket,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Reply {
        ticket: Ticket,
        result: Result<Offset, Refusal>,
    },
    /// The log's tail from here on must go.
    Truncate {
        to: Offset,
    },
    /// All of the log must go; it begins anew, before where it began. No other assignment is to be told before it has.
    GiveUp {
        to: Offset,
    },
    /// Committed up to here: fetches and readers may look again.
    HighWatermark {
        to: Offset,
    },
    AlterInSync(InSyncProposal),
    /// The fetch of this step is answered with this instead of records.
    FetchRefused(Refusal),
    Witness(Event),
}

/// An in-sync set that a leader asks the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InSyncProposal {
    pub leader_epoch: LeaderEpoch,
    /// The state that it changes: the controller refuses it on any other.
    pub partition_epoch: PartitionEpoch,
    /// Members and, for followers, the registration under which each fetched (KIP-903).
    pub in_sync: Vec<(BrokerId, Option<BrokerEpoch>)>,
}

/// Why a request was not served. The names are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("this broker does not lead the partition: refresh the metadata")]
    NotLeaderOrFollower,
    #[error("the request's leader epoch is older than the leader's: refresh the metadata")]
    FencedLeaderEpoch,
    #[error("the request's leader epoch is newer than the leader's: try again")]
    UnknownLeaderEpoch,
    #[error("fewer in-sync replicas than min.insync.replicas: nothing was written, try again")]
    NotEnoughReplicas,
    /// The leader made sure that its log is the log.
    #[error(transparent)]
    OutOfSequence(#[from] SequenceError),
    #[error("the offset lies outside the log")]
    OffsetOutOfRange,
    #[error("the high watermark of this leader's epoch is not known yet: try again")]
    OffsetNotAvailable,
    #[error("the fetching broker does not hold a replica of this partition")]
    UnknownReplica,
    /// The follower must truncate: the leader's log ends `epoch` at `end`.
    #[error("the logs part: epoch {epoch} ends at {end}")]
    Diverging { epoch: LeaderEpoch, end: Offset },
}

/// One partition on one broker.
pub struct Replica {
    pub(crate) partition: PartitionId,
    pub(crate) local: BrokerId,
    pub(crate) lag_max: Duration,
    pub(crate) planted: Planted,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) partition_epoch: PartitionEpoch,
    pub(crate) high_watermark: Offset,
    role: Role,
}

enum Role {
    /// Nobody leads, as far as this broker knows.
    Waiting,
    Leader(Leader),
    Follower(Follower),
}

impl Replica {
    /// A replica whose log was just opened. `lag_max` is `replica.lag.time.max.ms`; nothing is known to be committed yet but what
    /// a checkpoint says.
    pub fn new(
        partition: PartitionId,
        local: BrokerId,
        lag_max: Duration,
        planted: Planted,
        high_watermark: Offset,
    ) -> Replica {
        Replica {
            partition,
            local,
            lag_max,
            planted,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: PartitionEpoch(-1),
            high_watermark,
            role: Role::Waiting,
        }
    }

    /// Takes one input; what follows from it goes to `out`, in order.
    pub fn step(&mut self, now: Time, log: LogView<'_>, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Assigned(assignment) => self.assigned(now, log, assignment, out),
            Input::Appended { ticket, acks, base } => {
                let is_alone = self.planted.has(Bug::AckBeforeReplication);
                self.wait(log, Waiting { ticket, acks, base, end: log.end }, is_alone, out);
            }
            Input::Repeated { ticket, acks, base, end } => {
                let is_alone = self.planted.has(Bug::RepeatedBatchAckedAtOnce);
                self.wait(log, Waiting { ticket, acks, base, end }, is_alone, out);
            }
            Input::OutOfSequence { ticket, why } => self.out_of_sequence(now, ticket, why, out),
            Input::Synced => self.synced(log, out),
            Input::Fetch(fetch) => self.fetch(now, log, fetch, out),
            Input::FollowerAppended { leader_high_watermark } => {
                self.follower_appended(log, leader_high_watermark, out);
            }
            Input::LogStartMoved => self.log_start_moved(log, out),
            Input::Diverging { leader_epoch, epoch, end, leader_start } => {
                self.diverging(log, leader_epoch, Parting { epoch, end, leader_start }, out);
            }
            Input::PastLeader { leader_epoch, offset, leader_start } => {
                self.past_leader(log, leader_epoch, offset, leader_start, out);
            }
            Input::BegunAnew => self.high_watermark = log.end,
            Input::InSyncRefused { partition_epoch } => self.in_sync_refused(partition_epoch, out),
            Input::InSyncInDoubt { partition_epoch } => self.in_sync_in_doubt(partition_epoch, out),
            Input::Tick => self.tick(now, log, out),
            Input::Removed => self.removed(out),
            Input::Forget { ticket } => self.forget(ticket),
        }
        self.check(log);
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    fn assigned(&mut self, now: Time, log: LogView<'_>, assignment: Assignment, out: &mut Vec<Output>) {
        if assignment.leader_epoch < self.leader_epoch || assignment.partition_epoch < self.partition_epoch {
            return; // Metadata only moves forward.
        }
        if assignment.partition_epoch == self.partition_epoch {
            // Of this state only the settings can have changed.
            if let Role::Leader(state) = &mut self.role {
                state.in_sync_min = assignment.in_sync_min;
                self.advance(log, out);
            }
            return;
        }
        let is_new_leadership = self.leader_epoch < assignment.leader_epoch;
        self.partition_epoch = assignment.partition_epoch;
        self.leader_epoch = assignment.leader_epoch;
        match assignment.leader {
            Some(leader) if leader == self.local => match &mut self.role {
                Role::Leader(state) if !is_new_leadership => {
                    state.metadata_changed(now, self.local, log.end, &assignment);
                    self.witness_in_sync(out);
                    self.refuse_for_certain(out);
                    self.advance(log, out);
                }
                _ => self.become_leader(now, log, &assignment, out),
            },
            Some(leader) => match &self.role {
                Role::Follower(_) if !is_new_leadership => {}
                _ => self.become_follower(log, leader, out),
            },
            None => self.step_down(Role::Waiting, out),
        }
    }

    fn become_leader(&mut self, now: Time, log: LogView<'_>, assignment: &Assignment, out: &mut Vec<Output>) {
        if self.high_watermark < log.end {
            model::reached!("a leader began with records that it did not know to be committed");
        }
        if log.safe_end < log.end {
            model::reached!("a leader began while its log was being synced");
        }
        self.step_down(Role::Leader(Leader::new(now, self.local, log.end, assignment)), out);
        out.push(Output::Witness(Event::BecameLeader {
            partition: self.partition,
            epoch: self.leader_epoch,
            log_end: log.end,
            high_watermark: self.high_watermark,
        }));
        self.witness_in_sync(out);
        self.advance(log, out);
    }

    fn become_follower(&mut self, log: LogView<'_>, leader: BrokerId, out: &mut Vec<Output>) {
        self.step_down(Role::Follower(Follower { leader }), out);
        out.push(Output::Witness(Event::BecameFollower {
            partition: self.partition,
            epoch: self.leader_epoch,
            leader,
            log_end: log.end,
        }));
        if self.planted.has(Bug::TruncateToHighWatermark) && self.high_watermark < log.end {
            out.push(Output::Truncate { to: self.high_watermark });
        }
    }

    /// Changes role. Whoever waits for an answer of the old leadership learns that its fate is in doubt.
    fn step_down(&mut self, role: Role, out: &mut Vec<Output>) {
        if let Role::Leader(leader) = std::mem::replace(&mut self.role, role) {
            leader.refuse_all_waiting(out);
        }
    }

    /// Whether the topic is gone or only this replica of it, whoever waits hears what is true of both: other replicas may have copied the
    /// records, and may have led, or still lead.
    fn removed(&mut self, out: &mut Vec<Output>) {
        if let Role::Leader(leader) = &self.role
            && leader.has_producers_waiting()
        {
            model::reached!("a leader's replica was removed while producers waited");
        }
        self.step_down(Role::Waiting, out);
    }

    /// Raises the high watermark to `to`; never lowers it.
    fn raise_high_watermark(&mut self, to: Offset, out: &mut Vec<Output>) -> bool {
        if to <= self.high_watermark {
            return false;
        }
        self.high_watermark = to;
        out.push(Output::HighWatermark { to });
        out.push(Output::Witness(Event::HighWatermarkAdvanced {
            partition: self.partition,
            epoch: self.leader_epoch,
            to,
        }));
        true
    }

    /// Compares the epoch that a request carries with ours (KIP-320). A negative one asks for no comparison.
    fn check_epoch(&self, epoch: LeaderEpoch) -> Result<(), Refusal> {
        if self.planted.has(Bug::ZombieLeader) { Ok(()) } else { self.compare_epoch(epoch) }
    }

    /// The same, whatever is planted: that bug is a leader's.
    fn compare_epoch(&self, epoch: LeaderEpoch) -> Result<(), Refusal> {
        if epoch < LeaderEpoch(0) || epoch == self.leader_epoch {
            Ok(())
        } else if epoch < self.leader_epoch {
            model::reached!("a request of an older leader epoch was refused");
            Err(Refusal::FencedLeaderEpoch)
        } else {
            model::reached!("a request knew a newer leader epoch than the leader");
            Err(Refusal::UnknownLeaderEpoch)
        }
    }

    fn check(&self, log: LogView<'_>) {
        assert!(log.start <= log.safe_end);
        assert!(log.safe_end <= log.end);
        if let Role::Leader(leader) = &self.role {
            leader.check(self.local);
        }
    }
}
