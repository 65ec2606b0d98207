//! One line of a history, taken apart and not yet admitted.

use model::Time;

use super::{Outcome, Process};

/// What is asked or told: `f` of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Send,
    #[default]
    Poll,
    Txn,
    Assign,
    Subscribe,
    Assigned,
    Revoked,
    Lost,
    Commit,
    Committed,
    End,
    Crash,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Send,
        Kind::Poll,
        Kind::Txn,
        Kind::Assign,
        Kind::Subscribe,
        Kind::Assigned,
        Kind::Revoked,
        Kind::Lost,
        Kind::Commit,
        Kind::Committed,
        Kind::End,
        Kind::Crash,
    ];

    /// The word for it in the text form.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Send => "send",
            Kind::Poll => "poll",
            Kind::Txn => "txn",
            Kind::Assign => "assign",
            Kind::Subscribe => "subscribe",
            Kind::Assigned => "assigned",
            Kind::Revoked => "revoked",
            Kind::Lost => "lost",
            Kind::Commit => "commit",
            Kind::Committed => "committed",
            Kind::End => "end",
            Kind::Crash => "crash",
        }
    }

    /// A question that need say nothing yet: what its line says otherwise is not looked at.
    pub(super) fn is_open_question(self) -> bool {
        matches!(self, Kind::End | Kind::Committed | Kind::Crash)
    }

    /// A thing that befalls a client rather than one that it asks for: its line needs no `invoke` before it.
    pub fn is_notice(self) -> bool {
        matches!(self, Kind::Assigned | Kind::Revoked | Kind::Lost | Kind::Crash)
    }
}

/// Records of one key, as one poll brought them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DraftList {
    pub(super) key: u32,
    /// Where its records begin; they end where the next list's do.
    pub(super) start: u32,
}

/// One step of a send, a poll or a transaction, in their order: what it holds is in the draft's columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    Send,
    Poll,
    /// So many lists.
    Polled(u32),
}

/// A line whose names and records already have their numbers. Used again for line after line.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) index: u64,
    pub(super) time: Option<Time>,
    pub(super) process: Option<Process>,
    pub(super) outcome: Option<Outcome>,
    pub(super) kind: Kind,
    /// Record and offset, -1 where it is not known.
    pub(super) sends: Vec<(u32, i64)>,
    pub(super) steps: Vec<Step>,
    pub(super) lists: Vec<DraftList>,
    pub(super) reads: Vec<(i64, u32)>,
    pub(super) keys: Vec<u32>,
    /// Offsets of a commit; of an `end` the starts.
    pub(super) offsets: Vec<(u32, i64)>,
    pub(super) ends: Vec<i64>,
    pub(super) group: Option<u32>,
    pub(super) generation: i64,
    pub(super) rebalance_log: Option<serde_json::Value>,
    /// As it stands in the line.
    pub(super) error: Option<String>,
}

impl Draft {
    /// The line says nothing after all.
    pub(super) fn forget_value(&mut self) {
        (self.group, self.generation) = (None, 0);
        self.keys.clear();
        self.offsets.clear();
        self.ends.clear();
    }

    pub(super) fn clear(&mut self) {
        (self.group, self.generation, self.rebalance_log, self.error) = (None, 0, None, None);
        let Draft { time, process, outcome, sends, steps, lists, reads, keys, offsets, ends, .. } = self;
        (*time, *process, *outcome) = (None, None, None);
        sends.clear();
        steps.clear();
        lists.clear();
        reads.clear();
        keys.clear();
        offsets.clear();
        ends.clear();
    }
}
