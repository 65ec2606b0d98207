//! The bugs that a trial may plant: checks of the broker that others once lacked, each switched off by one line.
//!
//! `if planted.has(Bug::X) { skip the check }`. The set comes from the Host; the real Host's is the constant empty set, so
//! nothing that an operator can write switches one on.

use serde::{Deserialize, Serialize};

macro_rules! bugs {
    ($(#[doc = $missing:literal] $name:ident = $word:literal, had: $had:literal, breaks: $breaks:literal;)+) => {
        /// A missing check, named for what it lets happen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Bug { $(#[doc = $missing] $name,)+ }

        impl Bug {
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)+];

            /// The word for it on command lines and in catalogues.
            pub fn name(self) -> &'static str {
                match self { $(Bug::$name => $word,)+ }
            }

            /// What is missing, a sentence.
            pub fn story(self) -> &'static str {
                match self { $(Bug::$name => $missing.trim_ascii(),)+ }
            }

            /// Who had it.
            pub fn had_by(self) -> &'static str {
                match self { $(Bug::$name => $had,)+ }
            }

            /// What comes of it.
            pub fn breaks(self) -> &'static str {
                match self { $(Bug::$name => $breaks,)+ }
            }
        }
    };
}

bugs! {
    /// A leader answers acks=all as soon as its own log has the batch.
    AckBeforeReplication = "ack-before-replication", had: "Kafka 0.8, in effect, when the in-sync set had shrunk to the leader (Jepsen, 2013)", breaks: "an acknowledged record is lost with its leader";
    /// A broker counts a batch as safe before it is synced, though the flush policy promises it.
    AckBeforeSync = "ack-before-sync", had: "every store that answers from the page cache and calls it durable", breaks: "an acknowledged record is lost with the power";
    /// A follower truncates to its own high watermark on every new epoch, which lags behind what is committed.
    TruncateToHighWatermark = "truncate-to-high-watermark", had: "Kafka before 0.11 (KIP-101, KAFKA-1211)", breaks: "a committed record is cut from the replica that leads next";
    /// A leader tells a follower where an epoch ends, and does not look whether it knows that epoch at all.
    EndWithoutEpoch = "end-without-epoch", had: "Kafka before 2.0 (KIP-279, KAFKA-6361)", breaks: "a follower keeps batches that its leader never had: the logs differ";
    /// No request's leader epoch is compared with the leader's own.
    ZombieLeader = "zombie-leader", had: "Kafka before 2.1 (KIP-320, KAFKA-6880)", breaks: "a leader counts, or serves, brokers that believe in another epoch";
    /// A fetch session forgets the leader epoch that its fetcher believes in: only the request that begins it is compared.
    SessionWithoutEpoch = "session-without-epoch", had: "Kafka 2.1 to 2.4 (KAFKA-9338)", breaks: "a leader counts what a follower had in another epoch";
    /// A follower takes an answer by its partition alone, whatever epoch it asked in and whoever leads by now.
    StaleFetchAnswer = "stale-fetch-answer", had: "Kafka (KAFKA-18991)", breaks: "the word of a leader of before is written, or cuts what was committed since";
    /// A follower whose log begins past where that of its leader ends, after an unclean election, keeps where it begins.
    StartPastLeader = "start-past-leader", had: "this broker, until random worlds showed it", breaks: "it is out of sync until its leader has written as much again, and then lacks all of that";
    /// A leader tells a producer that its batch leaves a gap, and does not make sure that it still leads.
    GapToldByZombie = "gap-told-by-zombie", had: "this broker, until fifty faults on real processes showed it; users of librdkafka report the same fatal error (librdkafka 3584)", breaks: "a producer gives up, or numbers its batches anew and writes twice, over records that are acknowledged and safe";
    /// A voter answers before its vote is on disk.
    UnsyncedVote = "unsynced-vote", had: "a rule of Raft's figure 2 that implementations forget first", breaks: "it restarts, votes again, and two lead one epoch";
    /// A voter does not look whether it has voted in this epoch.
    VoteTwice = "vote-twice", had: "the textbook mistake; openraft stored a higher vote as granted (openraft 1220)", breaks: "two lead one epoch of the quorum";
    /// A voter grants any candidate, however short its log.
    VoteWithoutLogCheck = "vote-without-log-check", had: "Raft without its section 5.4.1", breaks: "the elected controller lacks committed metadata";
    /// A quorum leader commits what a majority has, though no record of its own epoch is among it.
    CommitEarlierEpoch = "commit-earlier-epoch", had: "Raft without its section 5.4.2 (figure 8)", breaks: "what was committed may be replaced";
    /// A quorum leader takes the middle of the voters' ends without sorting them.
    CommitUnsorted = "commit-unsorted", had: "openraft (openraft 1802)", breaks: "metadata counts as committed that no majority has";
    /// A quorum leader does not notice that no majority fetches from it.
    NoCheckQuorum = "no-check-quorum", had: "Kafka before 3.7 (KAFKA-15489)", breaks: "a controller that is cut off leads on beside its successor";
    /// A quorum leader changes the voters before a record of its own epoch is committed.
    VotersBeforeCommit = "voters-before-commit", had: "Raft's change of one server as it was first published (Ongaro, 2015)", breaks: "two majorities have no voter in common, and what was committed is lost";
    /// A quorum leader changes the voters again while the last change is not committed.
    VotersTwiceAtOnce = "voters-twice-at-once", had: "what one change at a time is for (KIP-853)", breaks: "a leader commits with a majority that the others know nothing of";
    /// A quorum leader goes on counting the majority of the voters that the change took the place of.
    VotersCountedAsBefore = "voters-counted-as-before", had: "openraft 0.10 (openraft 1802), in another guise", breaks: "metadata counts as committed that no majority of the voters has";
    /// The controller elects any live replica, in sync or not.
    ElectOutOfSync = "elect-out-of-sync", had: "unclean election, Kafka's default before 0.11", breaks: "what only the in-sync replicas had is lost";
    /// The controller keeps the last leader of an in-sync set though it is fenced.
    ElectFenced = "elect-fenced", had: "Kafka 4.1 (KAFKA-19522)", breaks: "a partition is led by a broker that is not there, and resumes its old epoch when it returns";
    /// A controller raises no epoch when it changes a leader.
    LeaderWithoutNewEpoch = "leader-without-new-epoch", had: "what leader epochs are for (KIP-101)", breaks: "two brokers lead one epoch";
    /// The controller never ends the session of a silent broker.
    NeverFence = "never-fence", had: "a session timeout that nothing enforces", breaks: "partitions wait for a leader that is gone";
    /// The controller takes a member into the in-sync set without comparing its registration with the one that fetched.
    BrokerEpochUnchecked = "broker-epoch-unchecked", had: "Kafka before 3.5 (KIP-903, KAFKA-14139)", breaks: "a broker that came back with less counts as in sync";
    /// The controller accepts an in-sync set that was asked for on an older state of the partition.
    StaleAlterPartition = "stale-alter-partition", had: "what the partition epoch is for (KIP-497, KAFKA-15353)", breaks: "the controller counts on replicas that the leader does not wait for";
    /// The controller leaves leaders and in-sync sets alone when a broker comes back as another process.
    RestartKeepsLeadership = "restart-keeps-leadership", had: "Kafka without the detection of unclean shutdowns (KIP-966, KAFKA-18106)", breaks: "a broker that lost its tail leads on in the epoch in which it wrote it";
    /// A broker leads by metadata from before its own registration.
    ResumeOldEpoch = "resume-old-epoch", had: "ours, before its first trial", breaks: "it writes other records where it had written, in the same epoch, before it lost them";
    /// Recovery trusts the tail of the last segment without checking sums.
    RecoveryTrustsTornTail = "recovery-trusts-torn-tail", had: "a clean-shutdown marker on a log that was not clean (KAFKA-15375)", breaks: "a torn batch is served, or never can be";
    /// A log is synced without the directory that names its files, and a vote is read without it.
    UnsyncedDirectory = "unsynced-directory", had: "LevelDB, SQLite, Git and others (Pillai et al., OSDI 2014)", breaks: "a new file is gone with the power: synced records with it, or a vote that was told";
    /// A start believes the word that its directory was left in order, and leaves it there: after a crash the next one believes it too.
    StaleCleanShutdown = "stale-clean-shutdown", had: "Kafka with a metadata quorum, in effect, which left its marker by mistake (KAFKA-15375)", breaks: "what a process found when it started goes with the power: a vote that was told, or records";
    /// The high watermark follows the fastest follower instead of the slowest in-sync one.
    HighWatermarkFromFastest = "high-watermark-from-fastest", had: "a maximum where a minimum belongs", breaks: "records count as committed that an in-sync replica lacks";
    /// A leader commits with fewer in sync than min.insync.replicas: the number is checked when a batch comes, not when it is committed.
    CommitBelowMinimum = "commit-below-minimum", had: "Kafka before KIP-966: the last replica standing", breaks: "what was acknowledged hangs on one replica";
    /// A leader leaves a lagging replica out as soon as it asked for that, before the controller agreed.
    OptimisticShrink = "optimistic-shrink", had: "the reason for the maximal in-sync set (KIP-497)", breaks: "a record is committed without a replica that may be elected";
    /// The in-sync set takes a follower back before it reached the leader's epoch start.
    IsrJoinTooEarly = "isr-join-too-early", had: "Kafka before 1.1.1 (KAFKA-7128)", breaks: "a member lacks committed records, and may be elected";
    /// A leader forgets a proposed in-sync set when it cannot hear what became of it; it may hold all the same.
    ForgottenProposal = "forgotten-proposal", had: "ours, before its first trial", breaks: "the controller counts on replicas that the leader does not wait for";
    /// A leader shows consumers all that its log has.
    ServeUncommitted = "serve-uncommitted", had: "Redpanda, for acks=1 (redpanda 14794)", breaks: "a consumer reads what is gone after the next election";
    /// A follower shows consumers all that its log has.
    FollowerServesUncommitted = "follower-serves-uncommitted", had: "what KIP-392 had to add to Fetch before followers may serve", breaks: "a consumer reads what the next leader never had";
    /// A leader appends each batch a second time, as if a retry were a new request.
    AppendTwice = "append-twice", had: "every log without idempotence", breaks: "a record is there twice";
    /// A leader tells a producer the offset after the right one.
    AckWrongOffset = "ack-wrong-offset", had: "an off-by-one", breaks: "clients do not find what they wrote where they were told";
    /// A byte of a record is changed on the way to the log, and its checksum made to fit.
    AlterRecord = "alter-record", had: "a bit that flips in memory", breaks: "a consumer reads what nobody wrote";
    /// A leader lets the second of two requests of one connection overtake the first.
    ReorderAppends = "reorder-appends", had: "producers with several requests in flight and no idempotence", breaks: "records of one producer stand in another order";
    /// A broker gives up a log directory whose disk failed, and does not tell the controller.
    OfflineDirectoryKeepsLeading = "offline-directory-keeps-leading", had: "Kafka in its first versions with a metadata quorum, which took one directory a broker for that reason (KIP-858)", breaks: "partitions are led where they cannot be served, for as long as the broker lives";
    /// The controller counts a replica in sync by its broker alone, though the disk that it was on was replaced.
    ReplacedDiskStaysInSync = "replaced-disk-stays-in-sync", had: "what KIP-858 keeps directories in the metadata for", breaks: "an empty log leads, and everybody follows it";
    /// A broker that lost its leadership to the quorum never looks for a new one.
    NeverElect = "never-elect", had: "a timer that is not armed again", breaks: "after the controller died there is none";
    /// A sync that a follower began dies with its fetcher, and the partition waits for its end for ever.
    AbandonedSync = "abandoned-sync", had: "ours, before its first trial", breaks: "the replica never syncs again, and nothing commits";
    /// A time index notes the timestamp of the last batch where the latest so far belongs.
    TimeIndexOfLastBatch = "time-index-of-last-batch", had: "whoever takes producers' clocks for one clock", breaks: "a look-up by time skips records";
    /// The checkpoint of leader epochs is not written again when epochs were added, and a start believes it.
    StaleEpochCheckpoint = "stale-epoch-checkpoint", had: "Kafka before 3.8 (KAFKA-16541), which did not sync it", breaks: "after a start the log does not know who wrote what";
    /// Retention looks at age and size alone, not at the high watermark.
    RetentionPastHighWatermark = "retention-past-high-watermark", had: "nobody for long: Kafka stops there", breaks: "records go that were never committed, nor read";
    /// A broker says where its log begins, and removes what lies below, before that is on disk.
    LogStartUnsynced = "log-start-unsynced", had: "Kafka, which writes its checkpoint of log starts once a minute", breaks: "after a start the log does not know where it begins: deleted records are there again, or it misses their segments";
    /// Compaction takes every full segment, committed or not.
    CompactUncommitted = "compact-uncommitted", had: "Kafka before transactions' end bounded its cleaner (KAFKA-4900, KIP-98)", breaks: "a value goes for the sake of one that the next leader never had";
    /// Compaction drops a tombstone the first time that it passes it.
    TombstoneDroppedEarly = "tombstone-dropped-early", had: "Kafka before 3.1, which went by its files' times (KIP-534, KAFKA-8522)", breaks: "whoever read the value before never learns that its key was deleted";
    /// A compacted file takes the place of the one that it was made from before it is synced.
    SwapUnsynced = "swap-unsynced", had: "whoever renames before he syncs (Pillai et al., OSDI 2014)", breaks: "with the power goes what was committed long ago";
    /// A broker opens the directory of a partition's name without looking whose it is.
    StaleDirectory = "stale-directory", had: "Kafka before topic ids (KIP-516)", breaks: "a topic that is made again begins with the records of the one before";
    /// A broker that starts again knows nothing of the producers that wrote its logs.
    ForgetProducersOnRestart = "forget-producers-on-restart", had: "every broker that keeps producer state in memory alone (Redpanda 3039, in part)", breaks: "a batch that comes again is written twice";
    /// A follower takes no note of the producers whose batches it copies.
    FollowersIgnoreProducers = "followers-ignore-producers", had: "Redpanda, which served before its producer state had caught up (redpanda 22993)", breaks: "after an election, a batch that comes again is written twice";
    /// A truncation leaves what is known of producers as it was.
    ProducersSurviveTruncation = "producers-survive-truncation", had: "producer snapshots that do not match the log (KAFKA-12520)", breaks: "a batch that was cut is taken for one that is there: it is acknowledged and lost";
    /// A batch that comes again is acknowledged at once, though the first one may not be committed yet.
    RepeatedBatchAckedAtOnce = "repeated-batch-acked-at-once", had: "the way that a duplicate looks like success", breaks: "an acknowledged record is lost with its leader";
    /// A leader does not look whether a producer's sequences leave a gap.
    GapInSequences = "gap-in-sequences", had: "Redpanda: after seq n failed, n+1 went on (redpanda 16706)", breaks: "a producer's records stand in another order";
    /// A leader knows no batch again, and calls one that comes again out of order.
    NoRepeatedBatches = "no-repeated-batches", had: "Redpanda 21.10 (redpanda 3039)", breaks: "the producer begins a new epoch, and writes the batch twice";
    /// A snapshot of the metadata is taken of all that was decided, committed or not.
    SnapshotUncommitted = "snapshot-uncommitted", had: "the first thing that KIP-630 forbids: a snapshot ends at or below the high watermark", breaks: "what nobody agreed on stands for the log, and cannot be taken back";
    /// A snapshot gets its name before its bytes are on disk.
    SnapshotUnsynced = "snapshot-unsynced", had: "whoever renames before he syncs (Pillai et al., OSDI 2014)", breaks: "with the power goes what the log was cut for";
    /// The metadata log is cut before the snapshot is there that stands for it.
    LogCutBeforeSnapshot = "log-cut-before-snapshot", had: "Kafka before 3.3 (KAFKA-14238), by retention", breaks: "a controller that dies in between has lost its metadata";
    /// A snapshot is installed, and the tail of the log before it stays behind it.
    InstallKeepsTail = "install-keeps-tail", had: "Raft without step 7 of InstallSnapshot (Ongaro and Ousterhout, figure 13)", breaks: "a deposed leader applies what was never committed";
    /// A throttle holds back replicas that are in sync, too.
    ThrottleInSync = "throttle-in-sync", had: "what KIP-73 exempts: producers wait for those in sync", breaks: "a move that was to be in nobody's way starves the replicas that producers wait for";
    /// A snapshot leaves out which producer ids were given away.
    SnapshotForgetsProducerIds = "snapshot-forgets-producer-ids", had: "a record kind that its image forgets (KAFKA-13968 and its kin)", breaks: "two nodes hold different metadata, and two producers one id";
    /// The controller writes what only the newest metadata version can say, whatever level the cluster is at.
    NewerRecordsBelowLevel = "newer-records-below-level", had: "what the gates of metadata.version are for (KIP-778)", breaks: "a node of the release before misreads the metadata, or stops";
    /// The level is raised, and nobody looks whether every node knows the next one.
    LevelRaisedTooEarly = "level-raised-too-early", had: "inter.broker.protocol.version, which only the operator's care looked after before KIP-584", breaks: "a node of the release before cannot read the metadata any more";
}

/// The bugs that are planted in one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted(u128);

impl Planted {
    /// Nothing planted: what every real host has.
    pub const NONE: Planted = Planted(0);

    pub fn with(self, bug: Bug) -> Planted {
        Planted(self.0 | (1 << bug as u128))
    }

    pub fn has(self, bug: Bug) -> bool {
        self.0 & (1 << bug as u128) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_own_bit() {
        assert!(Bug::ALL.len() <= 128);
    }

    #[test]
    fn a_planted_bug_is_there_and_no_other() {
        for &bug in Bug::ALL {
            let planted = Planted::NONE.with(bug);
            assert!(Bug::ALL.iter().all(|&other| planted.has(other) == (other == bug)));
            assert!(!bug.story().starts_with(' ') && bug.story().ends_with('.'));
        }
    }
}
