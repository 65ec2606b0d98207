//! The anomalies: their names, the promises they speak of, and what the claims make of them.
//!
//! | claim | what it allows |
//! |---|---|
//! | acks = 1 or 0 | losses, torn transactions, sends told out of order, an end below what was acknowledged |
//! | unclean election, or as many crashes as replicas in sync | also that what was committed vanishes and its offsets are given again |
//! | not idempotent | duplicates, sends told out of order |
//! | read_uncommitted | reads of aborted and undecided transactions, circles through them |
//! | a subscription | skips and repetitions between polls |
//!
//! Kafka never promised that writes of transactions do not interleave, so a circle that needs the order of writes is allowed.

use evidence::{Acks, Claims, Isolation};
use serde::Serialize;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Worth knowing; no promise speaks of it.
    Informational,
    /// The claims permit it.
    Allowed,
    Broken,
}

/// A promise over the history: its sentence, and what is counted as evidence for it.
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) name: &'static str,
    pub(crate) evidence: &'static str,
}

macro_rules! promises {
    ($($ident:ident = $name:literal, by $evidence:literal;)+) => {
        $(pub(crate) static $ident: Promise = Promise { name: $name, evidence: $evidence };)+
        /// All of them, in the order in which they are reported.
        pub(crate) static PROMISES: &[&Promise] = &[$(&$ident,)+];
    };
}

promises! {
    SURVIVE = "acknowledged records survive", by "acknowledged records";
    ORDER = "order within a partition", by "offsets and steps of clients";
    INVENTED = "no invented or altered record", by "records read";
    DUPLICATE = "no duplicate when nothing was retried", by "records read";
    REFUSED = "refused records stay away", by "records read";
    OFFSETS = "acknowledged offsets are true", by "acknowledged records that were read";
    REAL_TIME = "appends keep real-time order", by "neighbours in a log";
    ENDS = "the end of a log is never stale", by "look-ups with something to compare";
    WHOLE = "transactions are whole", by "transactions";
    CIRCLES = "transactions never depend on each other in a circle", by "transactions that wrote";
    COMMITS = "committed offsets stay committed", by "answers after a commit";
    OWNER = "a partition has one owner in its group", by "assignments of partitions";
}

/// Promises that only transactions, group members or look-ups of ends give evidence for.
pub const NEEDS_MORE_THAN_SENDS_AND_POLLS: &[&str] = &[WHOLE.name, CIRCLES.name, COMMITS.name, OWNER.name];

/// What a history can show. The names are Jepsen's where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    LostWrite,
    Unseen,
    Duplicate,
    /// A record is found at another offset than its producer was told: to Jepsen a duplicate too.
    ToldElsewhere,
    InconsistentOffset,
    AbortedRead {
        in_transaction: bool,
    },
    PrecommittedRead,
    TornTransaction,
    InventedRecord,
    PollSkip {
        in_group: bool,
    },
    IntPollSkip,
    NonmonotonicPoll {
        in_group: bool,
    },
    IntNonmonotonicPoll,
    NonmonotonicSend,
    IntNonmonotonicSend,
    IntSendSkip,
    G0,
    G1c {
        by_order_of_writes: bool,
    },
    RealtimeOrder,
    /// `by_acknowledgement`: it contradicts what producers were told, and not what was read or looked up.
    StaleRead {
        by_acknowledgement: bool,
    },
    CommitRegression,
    CommittedTooFar,
    DoubleOwnership,
}

impl Anomaly {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Anomaly::LostWrite => "lost-write",
            Anomaly::Unseen => "unseen",
            Anomaly::Duplicate | Anomaly::ToldElsewhere => "duplicate",
            Anomaly::InconsistentOffset => "inconsistent-offset",
            Anomaly::AbortedRead { .. } => "aborted-read",
            Anomaly::PrecommittedRead => "precommitted-read",
            Anomaly::TornTransaction => "torn-transaction",
            Anomaly::InventedRecord => "invented-record",
            Anomaly::PollSkip { .. } => "poll-skip",
            Anomaly::IntPollSkip => "int-poll-skip",
            Anomaly::NonmonotonicPoll { .. } => "nonmonotonic-poll",
            Anomaly::IntNonmonotonicPoll => "int-nonmonotonic-poll",
            Anomaly::NonmonotonicSend => "nonmonotonic-send",
            Anomaly::IntNonmonotonicSend => "int-nonmonotonic-send",
            Anomaly::IntSendSkip => "int-send-skip",
            Anomaly::G0 => "G0",
            Anomaly::G1c { .. } => "G1c",
            Anomaly::RealtimeOrder => "realtime-order",
            Anomaly::StaleRead { .. } => "stale-read",
            Anomaly::CommitRegression => "commit-regression",
            Anomaly::CommittedTooFar => "committed-too-far",
            Anomaly::DoubleOwnership => "double-ownership",
        }
    }

    pub(crate) fn promise(self) -> &'static Promise {
        match self {
            Anomaly::LostWrite | Anomaly::Unseen => &SURVIVE,
            Anomaly::Duplicate => &DUPLICATE,
            Anomaly::ToldElsewhere => &OFFSETS,
            Anomaly::AbortedRead { .. } => &REFUSED,
            Anomaly::PrecommittedRead | Anomaly::TornTransaction => &WHOLE,
            Anomaly::InventedRecord => &INVENTED,
            Anomaly::InconsistentOffset
            | Anomaly::PollSkip { .. }
            | Anomaly::IntPollSkip
            | Anomaly::NonmonotonicPoll { .. }
            | Anomaly::IntNonmonotonicPoll
            | Anomaly::NonmonotonicSend
            | Anomaly::IntNonmonotonicSend
            | Anomaly::IntSendSkip => &ORDER,
            Anomaly::G0 | Anomaly::G1c { .. } => &CIRCLES,
            Anomaly::RealtimeOrder => &REAL_TIME,
            Anomaly::StaleRead { .. } => &ENDS,
            Anomaly::CommitRegression | Anomaly::CommittedTooFar => &COMMITS,
            Anomaly::DoubleOwnership => &OWNER,
        }
    }
}

/// What the claims leave open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) acks: Acks,
    /// An acknowledgement waits for every replica in sync.
    pub(crate) acks_all: bool,
    idempotent: bool,
    pub(crate) read_committed: bool,
    unclean_election: bool,
    beyond_crashes: bool,
}

impl Terms {
    pub(crate) fn of(claims: &Claims) -> Terms {
        let beyond_crashes = match (claims.min_insync_replicas, claims.crash_budget) {
            (Some(replicas), Some(crashes)) => replicas <= crashes,
            _ => false,
        };
        Terms {
            acks: claims.acks,
            acks_all: claims.acks == Acks::All,
            idempotent: claims.idempotent,
            read_committed: claims.isolation == Isolation::ReadCommitted,
            unclean_election: claims.unclean_election,
            beyond_crashes,
        }
    }

    /// Even what was committed may vanish, and its offsets be given again.
    fn may_vanish(self) -> bool {
        self.unclean_election || self.beyond_crashes
    }

    /// Why an acknowledged record may be gone.
    pub(crate) fn excuse(self) -> Option<&'static str> {
        match self.acks {
            Acks::Leader => Some("acks=1 does not survive the leader"),
            Acks::None => Some("acks=0 promises nothing"),
            Acks::All if self.unclean_election => Some("the claims allow an unclean election"),
            Acks::All if self.beyond_crashes => Some("there were as many crashes as replicas in sync"),
            Acks::All => None,
        }
    }

    pub(crate) fn gravity(self, anomaly: Anomaly) -> Gravity {
        let allowed = match anomaly {
            Anomaly::IntSendSkip | Anomaly::CommittedTooFar => return Gravity::Informational,
            Anomaly::G0 => true,
            Anomaly::LostWrite | Anomaly::Unseen | Anomaly::TornTransaction => self.excuse().is_some(),
            Anomaly::Duplicate | Anomaly::ToldElsewhere => !self.idempotent || self.may_vanish(),
            Anomaly::NonmonotonicSend | Anomaly::IntNonmonotonicSend => {
                !self.acks_all || !self.idempotent || self.may_vanish()
            }
            Anomaly::AbortedRead { in_transaction } => in_transaction && !self.read_committed,
            Anomaly::PrecommittedRead => !self.read_committed,
            Anomaly::G1c { by_order_of_writes } => by_order_of_writes || !self.read_committed,
            Anomaly::PollSkip { in_group } | Anomaly::NonmonotonicPoll { in_group } => in_group || self.may_vanish(),
            Anomaly::StaleRead { by_acknowledgement } => self.may_vanish() || (by_acknowledgement && !self.acks_all),
            Anomaly::InconsistentOffset
            | Anomaly::IntPollSkip
            | Anomaly::IntNonmonotonicPoll
            | Anomaly::RealtimeOrder
            | Anomaly::CommitRegression => self.may_vanish(),
            Anomaly::InventedRecord | Anomaly::DoubleOwnership => false,
        };
        if allowed { Gravity::Allowed } else { Gravity::Broken }
    }
}
