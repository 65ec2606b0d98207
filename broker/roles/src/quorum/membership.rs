//! The leader changes who votes (KIP-853): one voter at a time, by a record of its log.
//!
//! ```text
//!  refused while nothing of its own epoch is committed, while a change is pending, if a voter to be added lags, if no majority is there
//!     │
//!  append the record ── counts with the new voters from here on ── committed ── answer; a leader that was removed resigns
//! ```
//! Why nothing before a record of its own epoch: a leader may have an uncommitted change of an earlier one in its log, and another node a
//! rival change; with both about, two majorities need not meet (Ongaro's correction to single-server changes, raft-dev, 2015).

use model::{Bug, Offset};

use super::leader::Progress;
use super::voters::{Replica, Voter, VoterSet};
use super::{Output, Quorum, Role, Ticket};

/// One change of the voters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VoterChange {
    Add(Voter),
    /// Without a directory: whichever the voter has.
    Remove(Replica),
    /// A voter listens elsewhere: it says so itself.
    Update(Voter),
}

/// Why the voters are as they were, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    NotLeader,
    /// Nothing of the leader's own epoch is committed yet: soon.
    TooEarly,
    /// Another change is not committed yet.
    Pending,
    AlreadyVotes,
    DoesNotVote,
    /// The node to be added does not fetch, or lacks records: soon, if it runs.
    LagsBehind,
    /// The node to be added has no directory of its own name: it is a broker and nothing else.
    NoController,
    LastVoter,
    /// Metadata of the cluster's level cannot tell who votes.
    BelowLevel,
    /// Of the voters that there would be, no majority has been heard of late: nothing would ever be committed.
    NoMajority,
    /// Its leader is none any more: the change may still be committed.
    InDoubt,
}

/// A change in this leader's log, and who waits for it to be committed.
#[derive(Debug)]
pub(super) struct Pending {
    at: Offset,
    pub(super) ticket: Ticket,
}

impl Quorum {
    pub(super) fn change_voters(&mut self, ticket: Ticket, change: &VoterChange) {
        match self.changed_voters(change) {
            // It was said before, and is committed.
            Ok(voters) if voters == *self.voters() => {
                self.perform(Output::VotersChangeEnded { ticket, result: Ok(()) })
            }
            Ok(voters) => self.append_voters(ticket, voters),
            Err(refusal) => self.perform(Output::VotersChangeEnded { ticket, result: Err(refusal) }),
        }
    }

    /// Who would vote after `change`.
    fn changed_voters(&self, change: &VoterChange) -> Result<VoterSet, ChangeRefusal> {
        let Role::Leader(leader) = &self.role else { return Err(ChangeRefusal::NotLeader) };
        let is_hasty = self.config.planted.has(Bug::VotersBeforeCommit);
        if self.high_watermark <= leader.epoch_start && !is_hasty {
            return Err(ChangeRefusal::TooEarly);
        }
        if self.voters.is_changing() && !self.config.planted.has(Bug::VotersTwiceAtOnce) {
            model::reached!("a change of the voters waited for another one");
            return Err(ChangeRefusal::Pending);
        }
        let current = self.voters.current();
        let changed = match change {
            VoterChange::Add(voter) => {
                if current.contains(voter.id) {
                    return Err(ChangeRefusal::AlreadyVotes);
                }
                // Of a node that came back with another disk, the one that it has now is meant.
                let replicas = leader.progress.iter().filter(|(replica, _)| voter.is(**replica));
                let newest = replicas.max_by_key(|(_, progress)| progress.last_fetch);
                let (&Replica { id, directory }, progress) = newest.ok_or(ChangeRefusal::LagsBehind)?;
                if !self.is_caught_up(progress) {
                    return Err(ChangeRefusal::LagsBehind);
                }
                if directory.is_none() && !self.voters.is_configured(id) {
                    return Err(ChangeRefusal::NoController);
                }
                current.with(Voter { directory, ..voter.clone() })
            }
            VoterChange::Update(voter) => {
                let replica = voter.replica();
                let known =
                    current.get(voter.id).filter(|known| known.is(replica)).ok_or(ChangeRefusal::DoesNotVote)?;
                current.with(Voter { directory: known.directory, ..voter.clone() })
            }
            VoterChange::Remove(Replica { id, directory }) => {
                let voter = current.get(*id).ok_or(ChangeRefusal::DoesNotVote)?;
                if directory.is_some() && voter.directory.is_some() && voter.directory != *directory {
                    return Err(ChangeRefusal::DoesNotVote);
                }
                current.without(*id)
            }
        };
        if changed.is_empty() {
            return Err(ChangeRefusal::LastVoter);
        }
        let heard = changed.iter().filter(|voter| {
            let progress = leader.progress.get(&voter.replica());
            voter.is(self.replica()) || progress.is_some_and(|progress| self.was_heard(progress))
        });
        // A leader that has committed nothing may have heard nobody either.
        if heard.count() < changed.majority() && !is_hasty { Err(ChangeRefusal::NoMajority) } else { Ok(changed) }
    }

    /// It had all that this leader had, a moment ago.
    fn is_caught_up(&self, progress: &Progress) -> bool {
        progress.last_caught_up.is_some_and(|at| self.now <= at + self.config.fetch_timeout)
    }

    fn was_heard(&self, progress: &Progress) -> bool {
        progress.synced.is_some() && self.now <= progress.last_fetch + self.config.fetch_timeout
    }

    fn append_voters(&mut self, ticket: Ticket, voters: VoterSet) {
        let (epoch, at, now) = (self.state.epoch, self.log.end, self.now);
        let Role::Leader(leader) = &mut self.role else { return };
        leader.changes.push(Pending { at, ticket });
        for voter in voters.iter().filter(|voter| voter.id != self.config.id) {
            leader.progress.entry(voter.replica()).or_insert_with(|| Progress::new(now));
        }
        self.log.append(epoch, at.plus(1));
        self.voters.append(at, voters.clone());
        self.perform(Output::AppendVoters { epoch, voters });
        self.tell_voters();
        self.advance_high_watermark();
    }

    /// Somebody else votes from now on.
    pub(super) fn tell_voters(&mut self) {
        let voters = self.voters.current().clone();
        self.perform(Output::VotersChanged { voters });
    }

    /// Changes below the high watermark are over.
    pub(super) fn end_changes(&mut self) {
        let high_watermark = self.high_watermark;
        let Role::Leader(leader) = &mut self.role else { return };
        let count = leader.changes.partition_point(|pending| pending.at < high_watermark);
        let ended: Vec<Pending> = leader.changes.drain(..count).collect();
        for Pending { ticket, .. } in ended {
            self.perform(Output::VotersChangeEnded { ticket, result: Ok(()) });
        }
    }

    /// A leader that does not vote leads on only until that is committed.
    pub(super) fn is_removed(&self) -> bool {
        !self.is_voter() && !self.voters.is_changing()
    }
}
