//! Reach points: what a run must have seen at least once to prove anything.

use std::collections::{BTreeMap, BTreeSet};

use evidence::history::{Detail, Kind, Row};
use evidence::{Entry, Harm, NodeName, Outcome, Process, Table, What};
use model::{Event, LogStartReason};
use scenarios::Reach;

use crate::scene::Change;

/// The points reached so far, counted from when the workload began.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    counts: BTreeMap<Reach, u64>,
    counting: bool,
    /// Clients that died and are not back yet.
    dead: BTreeSet<NodeName>,
}

impl Reached {
    /// What came before was preparation.
    pub(crate) fn begin(&mut self) {
        self.counting = true;
    }

    pub(crate) fn note(&mut self, reach: Reach) {
        if self.counting {
            *self.counts.entry(reach).or_default() += 1;
        }
    }

    /// Takes an entry of the trace, and what it changed in the scene.
    pub(crate) fn observe(&mut self, entry: &Entry, changes: &[Change]) {
        for change in changes {
            self.note(match change {
                Change::Leader => Reach::LeaderChanged,
                Change::Offline => Reach::PartitionOffline,
                Change::InSyncShrank => Reach::InSyncSetShrank,
                Change::InSyncGrew => Reach::InSyncSetGrew,
                Change::Controller => Reach::ControllerChanged,
            });
        }
        match &entry.what {
            What::NodeCrashed if is_client(&entry.node) => {
                self.dead.insert(entry.node.clone());
            }
            What::NodeStarted if self.dead.remove(&entry.node) => self.note(Reach::ClientReturned),
            What::NodeResumed if is_client(&entry.node) => self.note(Reach::ClientReturned),
            What::Witnessed(Event::BrokerFenced { .. }) => self.note(Reach::BrokerFenced),
            What::Witnessed(Event::Truncated { from, to, .. }) if to < from => self.note(Reach::LogTruncated),
            What::Witnessed(Event::Recovered { cut_bytes, .. }) => {
                self.note(Reach::LogRecovered);
                if *cut_bytes > 0 {
                    self.note(Reach::TornTailCut);
                }
            }
            What::Witnessed(Event::LogBegunAnew { .. }) => self.note(Reach::LogGivenUp),
            What::Witnessed(Event::LogStartAdvanced { reason, .. }) => self.note(match reason {
                LogStartReason::BehindLeader => Reach::LogBegunAnew,
                LogStartReason::Age { .. }
                | LogStartReason::Size { .. }
                | LogStartReason::Asked
                | LogStartReason::Leader => Reach::RecordsDeleted,
                LogStartReason::Snapshot => Reach::MetadataLogCut,
            }),
            What::Witnessed(Event::SnapshotTaken { .. }) => self.note(Reach::SnapshotTaken),
            What::Witnessed(Event::SnapshotInstalled { .. }) => self.note(Reach::SnapshotInstalled),
            What::Witnessed(Event::Compacted { .. }) => self.note(Reach::LogCompacted),
            What::Witnessed(Event::StorageFailed { .. }) => self.note(Reach::DiskFailureNoticed),
            What::Witnessed(Event::LogDirectoryFailed { .. }) => self.note(Reach::LogDirectoryFailed),
            What::NodeStopped { error: Some(_) } => self.note(Reach::NodeGaveUp),
            What::DiskHurt { harm, .. } => self.note(match harm {
                Harm::Rotted => Reach::BitRotted,
                Harm::Unreadable => Reach::SectorUnreadable,
                Harm::Lost => Reach::WriteLost,
                Harm::Misdirected => Reach::WriteMisdirected,
                Harm::MovedAway => Reach::LogMovedAway,
                Harm::Wiped => Reach::DiskWiped,
            }),
            What::DiskMended => self.note(Reach::HarmUndone),
            _ => {}
        }
    }

    /// Adds what only the whole history shows. `last` is the process that read everything in the end, if it did, and `readers`
    /// the processes of each consumer that was to read everything too.
    pub(crate) fn judge_history(&mut self, history: &Table, last: Option<u64>, readers: &[BTreeSet<u64>]) {
        for row in history.rows() {
            let is_failure = row.told.is_some() && matches!(row.outcome, Outcome::Fail | Outcome::Info);
            if row.kind == Kind::Send && is_failure {
                self.note(Reach::SendFailed);
            }
        }
        // A run that was cut short has lost nothing that it could know of.
        let Some(last) = last else { return };
        let in_the_end = read_by(history, &[last].into());
        let (safe, lost): (Vec<u32>, Vec<u32>) = acked(history).partition(|&record| in_the_end[record as usize]);
        for _ in lost {
            self.note(Reach::AckedRecordLost);
        }
        let has_all = |processes: &BTreeSet<u64>| {
            let (read, keys) = (read_by(history, processes), assigned_to(history, processes));
            let mut wanted = safe.iter().filter(|&&record| keys.contains(&history.records.key(record)));
            wanted.all(|&record| read[record as usize])
        };
        if !readers.is_empty() && readers.iter().all(has_all) {
            self.note(Reach::AllRead);
        }
    }

    /// Each point, and how often it was reached.
    pub(crate) fn into_counts(self) -> BTreeMap<Reach, u64> {
        self.counts
    }
}

fn is_client(node: &NodeName) -> bool {
    ["producer ", "consumer "].iter().any(|noun| node.0.starts_with(noun))
}

fn rows_of<'a>(history: &'a Table, processes: &BTreeSet<u64>) -> impl Iterator<Item = &'a Row> {
    let is_of = |process: &Process| matches!(process, Process::Number(number) if processes.contains(number));
    let numbers = (0..history.process_count() as u32).filter(|&number| is_of(history.process(number)));
    let numbers: BTreeSet<u32> = numbers.collect();
    history.rows().iter().filter(move |row| numbers.contains(&row.process))
}

/// Records that their producers were told an offset of.
fn acked(history: &Table) -> impl Iterator<Item = u32> {
    let answered = history.rows().iter().filter(|row| row.kind == Kind::Send && row.outcome == Outcome::Ok);
    let sent = answered.flat_map(|row| history.sends(row));
    sent.filter(|sent| sent.offset().is_some()).map(|sent| sent.record)
}

/// By record: did one of these read it?
fn read_by(history: &Table, processes: &BTreeSet<u64>) -> Vec<bool> {
    let mut read = vec![false; history.records.len()];
    for row in rows_of(history, processes) {
        for (_, reads) in history.lists(row) {
            reads.iter().for_each(|one| read[one.record as usize] = true);
        }
    }
    read
}

fn assigned_to(history: &Table, processes: &BTreeSet<u64>) -> BTreeSet<u32> {
    let assigned = rows_of(history, processes).filter(|row| row.kind == Kind::Assign);
    let keys = assigned.filter_map(|row| match history.detail(row) {
        Some(Detail::Keys(keys)) => Some(keys),
        _ => None,
    });
    keys.flatten().copied().collect()
}
