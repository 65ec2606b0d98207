//! Snapshots of the metadata (KIP-630): when one is taken, how long it stays, and how a node gets one from its leader.
//!
//! ```text
//!  follower                                leader
//!  Fetch (offset, last epoch) ───────────▶ its log begins later, or nobody knows that epoch any more
//!           ◀─────────────────── snapshot  end, epoch
//!  FetchSnapshot (snapshot, position) ───▶
//!           ◀─────────────────────── piece size, bytes           … until all are there
//!  verify, sync, put it in the place of the log, Fetch from its end on
//! ```

use std::time::Duration;

use model::{LeaderEpoch, Offset, SnapshotId, Time, Timestamp};

use super::message::{Body, FetchSnapshotRequest, Piece, Refusal, RequestId};
use super::voters::{Replica, VoterSet};
use super::{Output, Quorum, Role, Ticket};
use crate::limits::QUORUM_SNAPSHOT_BYTES_MAX;

/// How much of a snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pieces {
    pub(super) snapshot: SnapshotId,
    /// Where the next piece begins.
    pub(super) position: u64,
    /// Of the whole, as the first piece said.
    size: u64,
}

impl Pieces {
    fn takes(&self, piece: &Piece) -> bool {
        let length = piece.bytes.len() as u64;
        let is_same = piece.snapshot == self.snapshot && (self.position == 0 || piece.size == self.size);
        let fits = piece.position == self.position && 0 < length && length <= piece.size.saturating_sub(self.position);
        is_same && fits && piece.size <= QUORUM_SNAPSHOT_BYTES_MAX
    }
}

impl Quorum {
    pub(super) fn fetch_snapshot_requested(&mut self, ticket: Ticket, fetch: FetchSnapshotRequest) {
        self.learn(fetch.epoch, None);
        if !self.is_leader() {
            return self.reply(ticket, Body::Refused(Refusal::NotLeader));
        }
        if fetch.epoch < self.state.epoch {
            return self.reply(ticket, Body::Refused(Refusal::FencedLeaderEpoch));
        }
        if fetch.replica == self.config.id {
            return self.reply(ticket, Body::Refused(Refusal::InvalidRequest));
        }
        // Whoever fetches a snapshot counts as there, or its leader would resign while it does (KAFKA-15489).
        self.heard_from(self.voters().known_as(Replica { id: fetch.replica, directory: fetch.directory }));
        if !self.log.snapshots.contains(&fetch.snapshot) {
            model::reached!("a snapshot was gone while somebody fetched it");
            return self.reply(ticket, Body::Refused(Refusal::SnapshotNotFound));
        }
        let FetchSnapshotRequest { epoch, snapshot, position, .. } = fetch;
        self.speak(Output::ReplyPiece { ticket, epoch, snapshot, position });
    }

    /// What this node lacks is gone from its leader's log.
    pub(super) fn snapshot_offered(&mut self, id: RequestId, epoch: LeaderEpoch, snapshot: SnapshotId) {
        if !self.fetch_answered(id, epoch) {
            return;
        }
        let (now, high_watermark) = (self.now, self.high_watermark);
        let Role::Follower(follower) = &mut self.role else { return };
        if snapshot.end <= high_watermark || epoch < snapshot.epoch || snapshot.epoch <= LeaderEpoch::NONE {
            follower.fetching.back_off(now);
            let leader = follower.leader;
            return self.perform(Output::CommittedIsMissing { leader, leader_end: snapshot.end, high_watermark });
        }
        model::reached!("what a node lacked of the metadata was in a snapshot alone");
        follower.pieces = Some(Pieces { snapshot, position: 0, size: 0 });
    }

    pub(super) fn piece_fetched(&mut self, id: RequestId, epoch: LeaderEpoch, piece: Piece) {
        if !self.fetch_answered(id, epoch) {
            return;
        }
        let now = self.now;
        let Role::Follower(follower) = &mut self.role else { return };
        let Some(pieces) = follower.pieces.take().filter(|pieces| pieces.takes(&piece)) else {
            return follower.fetching.back_off(now);
        };
        let Piece { snapshot, size, position, bytes } = piece;
        let next = position + bytes.len() as u64;
        if next < size {
            follower.pieces = Some(Pieces { position: next, size, ..pieces });
        }
        self.perform(Output::KeepPiece { position, bytes });
        if next == size {
            self.installing = Some(snapshot);
            self.perform(Output::InstallSnapshot { snapshot });
        }
    }

    /// The leader has another snapshot by now: it will be told with the next fetch.
    pub(super) fn snapshot_is_gone(&mut self, id: RequestId) {
        if let Role::Follower(follower) = &mut self.role
            && follower.fetching.is_under_way(id)
        {
            follower.pieces = None;
        }
    }

    pub(super) fn snapshot_installed(&mut self, snapshot: SnapshotId, end: Offset, voters: Option<VoterSet>) {
        assert!(self.installing.take() == Some(snapshot));
        self.log.install(snapshot, end);
        let before = self.voters.current().clone();
        self.voters.install(voters);
        if *self.voters.current() != before {
            self.tell_voters();
        }
        self.raise_high_watermark(snapshot.end);
    }

    pub(super) fn snapshot_refused(&mut self, snapshot: SnapshotId) {
        assert!(self.installing.take() == Some(snapshot));
        let now = self.now;
        if let Role::Follower(follower) = &mut self.role {
            follower.fetching.back_off(now);
        }
    }
}

/// When a node takes a snapshot: after so many bytes of metadata, or so long after the first that is in none.
#[derive(Clone, Debug)]
pub struct Cadence {
    /// `metadata.log.max.record.bytes.between.snapshots`
    bytes_max: u64,
    /// `metadata.log.max.snapshot.interval.ms`; none: only by size.
    interval_max: Option<Duration>,
    bytes: u64,
    since: Option<Time>,
}

impl Cadence {
    pub fn new(bytes_max: u64, interval_max: Option<Duration>) -> Cadence {
        Cadence { bytes_max, interval_max, bytes: 0, since: None }
    }

    /// So many bytes of committed metadata were applied.
    pub fn applied(&mut self, now: Time, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.since.get_or_insert(now);
    }

    /// A snapshot has all that was applied before it was begun.
    pub fn begun(&mut self) {
        (self.bytes, self.since) = (0, None);
    }

    /// One is due at once, of what was applied.
    pub fn hurry(&mut self) {
        self.bytes = self.bytes.max(self.bytes_max).max(1);
    }

    pub fn is_due(&self, now: Time) -> bool {
        self.bytes_max <= self.bytes && 0 < self.bytes || self.deadline().is_some_and(|deadline| deadline <= now)
    }

    /// When one is due if nothing else comes.
    pub fn deadline(&self) -> Option<Time> {
        Some(self.since? + self.interval_max?)
    }
}

/// A snapshot on this node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    pub snapshot: SnapshotId,
    pub bytes: u64,
    /// Of the last record that it stands for, by its leader's clock.
    pub latest: Timestamp,
}

/// How long snapshots stay, and with them what the log has behind them. The newest one always does.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// `metadata.max.retention.bytes`, of the log and all snapshots together; none: as many as there are.
    pub bytes_max: Option<u64>,
    /// `metadata.max.retention.ms`; none: for ever.
    pub age_max: Option<Duration>,
}

impl Keeping {
    /// Where the log is to begin, if older snapshots are to go. `kept` are all, oldest first.
    pub fn log_start(&self, kept: &[Kept], log_bytes: u64, now: Timestamp) -> Option<SnapshotId> {
        let mut bytes = log_bytes + kept.iter().map(|kept| kept.bytes).sum::<u64>();
        let is_old = |kept: &Kept| {
            let age_max = self.age_max.map(|age_max| i64::try_from(age_max.as_millis()).unwrap_or(i64::MAX));
            age_max.is_some_and(|age_max| age_max < now.0.saturating_sub(kept.latest.0))
        };
        let mut start = None;
        for pair in kept.windows(2) {
            let is_much = self.bytes_max.is_some_and(|bytes_max| bytes_max < bytes);
            if !is_much && !is_old(&pair[0]) {
                break;
            }
            bytes -= pair[0].bytes;
            start = Some(pair[1].snapshot);
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(end: i64, bytes: u64, latest: i64) -> Kept {
        Kept { snapshot: SnapshotId { end: Offset(end), epoch: LeaderEpoch(1) }, bytes, latest: Timestamp(latest) }
    }

    #[test]
    fn a_snapshot_is_due_after_so_many_bytes_or_so_long_after_the_first_that_is_in_none() {
        let mut cadence = Cadence::new(100, Some(Duration::from_nanos(50)));
        assert!(!cadence.is_due(Time(1_000)) && cadence.deadline().is_none());
        cadence.applied(Time(10), 99);
        assert!(!cadence.is_due(Time(59)) && cadence.is_due(Time(60)));
        cadence.applied(Time(20), 1);
        assert!(cadence.is_due(Time(20)));
        cadence.begun();
        assert!(!cadence.is_due(Time(1_000)));
        cadence.hurry();
        assert!(cadence.is_due(Time(1_000)));
    }

    #[test]
    fn old_snapshots_go_and_the_newest_stays() {
        let all = [kept(10, 5, 100), kept(20, 6, 200), kept(30, 7, 300)];
        let keeping = |bytes_max, age_ms| Keeping { bytes_max, age_max: Option::map(age_ms, Duration::from_millis) };
        let start = |keeping: Keeping, now| keeping.log_start(&all, 100, Timestamp(now)).map(|start| start.end.0);
        assert_eq!(start(keeping(None, None), 1_000_000), None);
        assert_eq!(start(keeping(Some(118), None), 0), None);
        assert_eq!(start(keeping(Some(117), None), 0), Some(20));
        assert_eq!(start(keeping(Some(0), None), 0), Some(30));
        assert_eq!(start(keeping(None, Some(50)), 150), None);
        assert_eq!(start(keeping(None, Some(50)), 151), Some(20));
        assert_eq!(start(keeping(None, Some(50)), 10_000), Some(30));
        assert_eq!(keeping(Some(0), Some(0)).log_start(&all[..1], 100, Timestamp(9_999)), None);
    }
}
