//! What must come of a run: what it must reach, how long it may be out of service, which promises must break.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::Acks;
use crate::cluster::FlushPolicy;
use crate::words::{Span, WordError, nearest, word};

/// What must come of the run, besides every promise kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// What must have happened at least once; a run that misses one proves nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reach: Vec<Goal>,
    /// With no fault going on, every partition takes records again within this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable_at_most: Option<Span>,
    /// No partition is without a living leader for longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_at_most: Option<Span>,
    /// So many times a partition gets a leader anew, in all partitions together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elections_at_most: Option<u32>,
    /// So many records are acknowledged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged_at_least: Option<u64>,
    /// Promises that this lesson must break (or see broken with leave, where the claims allow it), by their sentences.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "promises")]
    pub broken: Vec<String>,
    /// Promises that it may break, or keep.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "promises")]
    pub allowed: Vec<String>,
}

impl Expect {
    /// Promises whose breach is no surprise.
    pub fn tolerated(&self) -> impl Iterator<Item = &String> {
        self.broken.iter().chain(&self.allowed)
    }
}

/// What the cluster claims, where it is not what follows from clients, topics and flush policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Claims {
    /// When a producer counts a record as safe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acks: Option<Acks>,
    /// A retried send leaves one record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// Which records of transactions a consumer sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// A replica that is not in sync may be elected, and what it lacks is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unclean_election: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_insync_replicas: Option<u32>,
    /// When an append counts as kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flush_policy: Option<FlushPolicy>,
    /// How many losses of power acknowledged records outlive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_budget: Option<u32>,
}

impl Claims {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Claims::default()
    }
}

/// Which records of transactions a consumer sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    ReadCommitted,
    ReadUncommitted,
}

macro_rules! reaches {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// Something that a run may reach, counted from when the workload begins.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reach { $($(#[doc = $doc])+ #[serde(rename = $word)] $name,)+ }

        impl Reach {
            pub const ALL: &'static [Reach] = &[$(Reach::$name,)+];

            /// The words for it in files and reports.
            pub fn words(self) -> &'static str {
                match self { $(Reach::$name => $word,)+ }
            }
        }
    };
}

reaches! {
    /// A partition got another leader than it had.
    LeaderChanged = "leader changed",
    /// The metadata quorum got another leader than it had.
    ControllerChanged = "controller changed",
    /// A replica left the in-sync set of a partition.
    InSyncSetShrank = "in-sync set shrank",
    /// A replica came back into the in-sync set of a partition.
    InSyncSetGrew = "in-sync set grew",
    /// A partition had no leader.
    PartitionOffline = "partition offline",
    /// The controller fenced a broker.
    BrokerFenced = "broker fenced",
    /// A replica threw away the tail of its log to agree with its leader.
    LogTruncated = "log truncated",
    /// Recovery cut a torn tail.
    TornTailCut = "torn tail cut",
    /// A log was opened again after its broker went down.
    LogRecovered = "log recovered",
    /// Records at a log's start were deleted: by retention, or because a client asked.
    RecordsDeleted = "records deleted",
    /// Compaction put a file in the place of others.
    LogCompacted = "log compacted",
    /// All that a follower had lay below its leader's log start: its log began anew there.
    LogBegunAnew = "log begun anew",
    /// After an unclean election a follower had nothing that its leader has: its log began anew, before where it began.
    LogGivenUp = "log given up",
    /// A node took a snapshot of the metadata.
    SnapshotTaken = "snapshot taken",
    /// A node got a snapshot of the metadata from its leader.
    SnapshotInstalled = "snapshot installed",
    /// The metadata log let go of what a snapshot stands for.
    MetadataLogCut = "metadata log cut",
    /// A producer sent a record again.
    ProducerRetried = "producer retried",
    /// A producer was refused or never answered, and gave a record up.
    SendFailed = "send failed",
    /// A client that was paused or dead came back.
    ClientReturned = "client returned",
    /// A consumer slept, and woke.
    ConsumerSlept = "consumer slept",
    /// Every consumer read all that was acknowledged for it.
    AllRead = "all read",
    /// A bit flipped in what was stored.
    BitRotted = "bit rotted",
    /// A sector cannot be read any more.
    SectorUnreadable = "sector unreadable",
    /// A disk lied about a write.
    WriteLost = "write lost",
    /// A disk put a write in the place of something else.
    WriteMisdirected = "write misdirected",
    /// An operator moved a damaged log away, and had it made anew.
    LogMovedAway = "log moved away",
    /// A node got an empty disk.
    DiskWiped = "disk wiped",
    /// A broker noticed that a log cannot be written, read or trusted.
    DiskFailureNoticed = "disk failure noticed",
    /// A broker gave up a log directory, and went on with the others.
    LogDirectoryFailed = "log directory failed",
    /// A node ended by itself, with an error.
    NodeGaveUp = "node gave up",
    /// The atlas undid harm: it had come to the last good copy.
    HarmUndone = "harm undone",
    /// An acknowledged record is on no replica.
    AckedRecordLost = "acked record lost",
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.words())
    }
}

/// What a run is to reach: something that a bystander sees, or a point in the code, by its sentence (`model::reached!`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Goal {
    Seen(Reach),
    Point(String),
}

word!(Goal, "what must have happened, as \"leader changed\", or a point in the code by its sentence", Goal::pattern());

impl Goal {
    /// Of a word, or of a sentence.
    fn pattern() -> String {
        let words: Vec<&str> = Reach::ALL.iter().map(|reach| reach.words()).collect();
        format!("^({}|[^ ]+( [^ ]+){{3,}})$", words.join("|"))
    }
}

impl From<Reach> for Goal {
    fn from(reach: Reach) -> Goal {
        Goal::Seen(reach)
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Goal::Seen(reach) => reach.fmt(f),
            Goal::Point(sentence) => f.pad(sentence),
        }
    }
}

impl std::str::FromStr for Goal {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Goal, WordError> {
        if let Some(reach) = Reach::ALL.iter().find(|reach| reach.words() == text) {
            return Ok(Goal::Seen(*reach));
        }
        let points = model::coverage::names();
        // A program without a broker has few points: it takes a sentence as it stands.
        let has_broker = model::coverage::points().any(|point| point.file().contains("server/src/"));
        let may_be_one = !has_broker && model::coverage::is_sentence(text);
        if points.contains(text) || may_be_one {
            return Ok(Goal::Point(text.to_owned()));
        }
        let words: Vec<&str> = Reach::ALL.iter().map(|reach| reach.words()).collect();
        let meant = [nearest(text, words.iter().copied()), nearest(text, points)];
        let meant: Vec<String> = meant.into_iter().flatten().map(|word| format!("\"{word}\"")).collect();
        let help = if meant.is_empty() {
            format!("write one of {}, or the sentence of a point in the code", words.join(", "))
        } else {
            format!("did you mean {}?", meant.join(" or "))
        };
        Err(WordError::new(format!("nothing is called \"{text}\""), help))
    }
}

/// The sentences of the promises, for `broken`; `invariants` judges by the same.
pub const PROMISES: &[&str] = &[
    "acknowledged records survive",
    "acknowledged offsets are true",
    "order within a partition",
    "appends keep real-time order",
    "no invented or altered record",
    "no duplicate when nothing was retried",
    "refused records stay away",
    "the end of a log is never stale",
    "transactions are whole",
    "transactions never depend on each other in a circle",
    "committed offsets stay committed",
    "a partition has one owner in its group",
    "available again within a bound after healing",
    "one leader an epoch",
    "epochs never fall",
    "an elected leader has every committed record",
    "the committed prefix never changes",
    "replicas agree below the high watermark",
    "the high watermark waits for every in-sync replica",
    "acks are honest",
    "a truncation spares what is committed",
    "recovery keeps all that was synced",
    "indexes equal a scan",
    "disks hold what logs say",
    "retention takes only what it may",
    "compaction keeps the last value of each key",
    "producer state equals its rebuild",
    "metadata agrees",
    "snapshots stand for what was committed",
    "the in-sync set holds whom it should",
    "leaders count what followers have",
    "throttles spare those in sync",
    "offsets keep their order",
    "nothing comes from nowhere",
    "the quorum commits by majority",
    "voters change one at a time",
    "every broker reads the metadata",
    "a deposed controller steps down",
    "what waits is answered",
    "clients read only what is committed",
    "clients hear only what brokers vouched for",
    "the cluster converges after healing",
];

/// People say it shorter.
const SHORT: [(&str, &str); 1] = [("acked records survive", "acknowledged records survive")];

fn promises<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut promises = Vec::<String>::deserialize(deserializer)?;
    for promise in &mut promises {
        if let Some((_, full)) = SHORT.iter().find(|(short, _)| short == promise) {
            *promise = (*full).into();
        }
    }
    Ok(promises)
}
