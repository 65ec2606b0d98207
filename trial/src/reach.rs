//! Reach points: what a run must have seen at least once to prove anything.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Action, Entry, Harm, History, Key, MicroOperation, NodeName, Outcome, Process, Value, What};
use model::Event;
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
            What::Witnessed(Event::StorageFailed { .. }) => self.note(Reach::DiskFailureNoticed),
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
    pub(crate) fn judge_history(&mut self, history: &History, last: Option<u64>, readers: &[BTreeSet<u64>]) {
        self.note_failed_sends(history);
        // A run that was cut short has lost nothing that it could know of.
        let Some(last) = last else { return };
        let acked = acked(history);
        let in_the_end = read_by(history, &[last].into());
        let lost = acked.difference(&in_the_end).count();
        for _ in 0..lost {
            self.note(Reach::AckedRecordLost);
        }
        let safe: BTreeSet<_> = acked.intersection(&in_the_end).cloned().collect();
        let has_all = |processes: &BTreeSet<u64>| {
            let read = read_by(history, processes);
            let keys: BTreeSet<&str> = assigned_to(history, processes);
            safe.iter().filter(|(key, _)| keys.contains(&*key.0)).all(|record| read.contains(record))
        };
        if !readers.is_empty() && readers.iter().all(has_all) {
            self.note(Reach::AllRead);
        }
    }

    fn note_failed_sends(&mut self, history: &History) {
        for line in &history.operations {
            if matches!(line.action, Action::Send(_)) && matches!(line.outcome, Outcome::Fail | Outcome::Info) {
                self.note(Reach::SendFailed);
            }
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

fn is_of(process: &Process, processes: &BTreeSet<u64>) -> bool {
    matches!(process, Process::Number(number) if processes.contains(number))
}

fn acked(history: &History) -> BTreeSet<(Key, Value)> {
    let answered = history.operations.iter().filter(|line| line.outcome == Outcome::Ok);
    let sent = answered.filter(|line| matches!(line.action, Action::Send(_)));
    sent.flat_map(|line| line.action.micro_operations())
        .filter_map(|operation| match operation {
            MicroOperation::Send { key, value, offset: Some(_) } => Some((key.clone(), value.clone())),
            MicroOperation::Send { .. } | MicroOperation::Poll | MicroOperation::Polled(_) => None,
        })
        .collect()
}

fn read_by(history: &History, processes: &BTreeSet<u64>) -> BTreeSet<(Key, Value)> {
    let mut read = BTreeSet::new();
    for line in history.operations.iter().filter(|line| is_of(&line.process, processes)) {
        for operation in line.action.micro_operations() {
            if let MicroOperation::Polled(records) = operation {
                for (key, records) in records {
                    read.extend(records.iter().map(|(_, value)| (key.clone(), value.clone())));
                }
            }
        }
    }
    read
}

fn assigned_to<'a>(history: &'a History, processes: &BTreeSet<u64>) -> BTreeSet<&'a str> {
    let lines = history.operations.iter().filter(|line| is_of(&line.process, processes));
    lines
        .filter_map(|line| match &line.action {
            Action::Assign(keys) => Some(keys.iter().map(|key| &*key.0)),
            _ => None,
        })
        .flatten()
        .collect()
}
