//! A run, told by hand: the events of a few brokers, and what the promises say of them.
#![allow(dead_code, reason = "each test file uses its part")]

use evidence::{Claims, Entry, Harm, History, NodeName, StoredBatch, What};
use invariants::{Expectations, Outcome, Verdict, Violation, Watch};
use model::{
    BrokerId, Event, KeySent, LeaderEpoch, LogStartReason, Offset, PartitionEpoch, PartitionId, ProducerId,
    ProducerStamp, Producers, Time, Timestamp, TopicId,
};

pub(crate) const P: PartitionId = PartitionId { topic: TopicId(7), index: 0 };

/// A run, told by hand. Everything is of one partition; `n` are broker numbers.
pub(crate) struct Tale {
    pub(crate) watch: Watch,
    pub(crate) index: u64,
    pub(crate) violation: Option<Violation>,
}

pub(crate) fn expectations() -> Expectations {
    Expectations { claims: Claims::default(), flush_on_commit: true, producers_retry: false, unavailable_at_most: None }
}

pub(crate) fn brokers(numbers: &[i32]) -> Vec<BrokerId> {
    numbers.iter().map(|&number| BrokerId(number)).collect()
}

/// Two records from this sequence on, of producer 7.
fn stamp(first_sequence: i32) -> ProducerStamp {
    let last_sequence = first_sequence + 1;
    ProducerStamp { id: ProducerId(7), epoch: 0, first_sequence, last_sequence, timestamp: Timestamp(0) }
}

impl Tale {
    pub(crate) fn begin() -> Tale {
        Tale::with(expectations())
    }

    pub(crate) fn with(expectations: Expectations) -> Tale {
        Tale { watch: Watch::new(expectations), index: 0, violation: None }
    }

    pub(crate) fn unclean() -> Tale {
        let claims = Claims { unclean_election: true, ..Claims::default() };
        Tale::with(Expectations { claims, ..expectations() })
    }

    pub(crate) fn what(mut self, n: i32, what: What) -> Tale {
        self.index += 1;
        let entry = Entry {
            index: self.index,
            time: Time(self.index * 1000),
            node: NodeName(format!("broker-{n}").into()),
            what,
        };
        let violation = self.watch.observe(&entry);
        self.violation = self.violation.or(violation);
        self
    }

    pub(crate) fn says(self, n: i32, event: Event) -> Tale {
        self.what(n, What::Witnessed(event))
    }

    pub(crate) fn state(self, n: i32, state: i32, leader: i32, epoch: i32, in_sync: &[i32]) -> Tale {
        self.says(
            n,
            Event::PartitionChanged {
                partition: P,
                leader: Some(BrokerId(leader)),
                leader_epoch: LeaderEpoch(epoch),
                partition_epoch: PartitionEpoch(state),
                in_sync: brokers(in_sync),
            },
        )
    }

    /// A throttle leaves out a broker, in a state of the partition.
    pub(crate) fn holds_back(self, n: i32, state: i32, replica: i32) -> Tale {
        let (partition_epoch, replica) = (PartitionEpoch(state), BrokerId(replica));
        self.says(n, Event::HeldBack { partition: P, partition_epoch, replica })
    }

    pub(crate) fn leads(self, n: i32, epoch: i32, log_end: i64) -> Tale {
        let (epoch, log_end) = (LeaderEpoch(epoch), Offset(log_end));
        self.says(n, Event::BecameLeader { partition: P, epoch, log_end, high_watermark: Offset(0) })
    }

    /// The leader's own word on whom it waits for.
    pub(crate) fn goes_by(self, n: i32, epoch: i32, in_sync: &[i32], at_most: &[i32]) -> Tale {
        self.goes_by_in(n, 0, epoch, in_sync, at_most)
    }

    /// In a state of the partition.
    pub(crate) fn goes_by_in(self, n: i32, state: i32, epoch: i32, in_sync: &[i32], at_most: &[i32]) -> Tale {
        let (epoch, partition_epoch) = (LeaderEpoch(epoch), PartitionEpoch(state));
        let (in_sync, at_most) = (brokers(in_sync), brokers(at_most));
        self.says(n, Event::InSyncKnown { partition: P, epoch, partition_epoch, in_sync, at_most })
    }

    pub(crate) fn assigns(self, n: i32, state: i32, replicas: &[i32]) -> Tale {
        let (partition_epoch, replicas) = (PartitionEpoch(state), brokers(replicas));
        self.says(n, Event::ReplicasChanged { partition: P, partition_epoch, replicas, adding: Vec::new() })
    }

    pub(crate) fn places(self, n: i32, replicas: &[i32], in_sync_min: u32) -> Tale {
        self.says(n, Event::ReplicaPlaced { partition: P, replicas: brokers(replicas), in_sync_min })
    }

    pub(crate) fn counts(self, n: i32, epoch: i32, follower: i32, end: i64) -> Tale {
        let (epoch, follower, end) = (LeaderEpoch(epoch), BrokerId(follower), Offset(end));
        self.says(n, Event::FollowerCounted { partition: P, epoch, follower, end })
    }

    pub(crate) fn follows(self, n: i32, epoch: i32, leader: i32) -> Tale {
        let (epoch, leader) = (LeaderEpoch(epoch), BrokerId(leader));
        self.says(n, Event::BecameFollower { partition: P, epoch, leader, log_end: Offset(0) })
    }

    /// One batch of two records, written by the leader of `epoch`, with `crc` for what is in it.
    pub(crate) fn appends(self, n: i32, epoch: i32, base: i64, crc: u32) -> Tale {
        let (epoch, base) = (LeaderEpoch(epoch), Offset(base));
        self.says(n, Event::Appended { partition: P, epoch, base, end: base.plus(2), crc })
    }

    /// The batch of two records at `base` has the sequences from `first` on, of the one producer.
    pub(crate) fn numbers(self, n: i32, base: i64, first: i32) -> Tale {
        let ProducerStamp { id: producer, epoch: producer_epoch, first_sequence, last_sequence, .. } = stamp(first);
        let (base, end) = (Offset(base), Offset(base + 2));
        let event = Event::ProducerAppended {
            partition: P,
            producer,
            producer_epoch,
            first_sequence,
            last_sequence,
            base,
            end,
        };
        self.says(n, event)
    }

    /// A broker says that it knows the one producer by these batches: where each begins, and its first sequence.
    pub(crate) fn knows(self, n: i32, batches: &[(i64, i32)]) -> Tale {
        self.knows_since(0, n, batches)
    }

    /// The same, of a log that begins at `start`.
    pub(crate) fn knows_since(self, start: i64, n: i32, batches: &[(i64, i32)]) -> Tale {
        let mut producers = Producers::default();
        batches.iter().for_each(|(base, first)| producers.note(&stamp(*first), Offset(*base), Offset(*base + 2)));
        let end = Offset(batches.last().map_or(0, |(base, _)| base + 2));
        self.says(n, Event::ProducersKnown { partition: P, start: Offset(start), end, digest: producers.digest() })
    }

    /// A leader's records from `base` on have these keys; true of those that delete them.
    pub(crate) fn keys(self, n: i32, epoch: i32, base: i64, keys: &[(u8, bool)]) -> Tale {
        let keys = keys.iter().map(|&(key, is_tombstone)| KeySent::new(&[key], is_tombstone)).collect();
        self.says(n, Event::KeysWritten { partition: P, epoch: LeaderEpoch(epoch), base: Offset(base), keys })
    }

    /// A compaction of `from..to`, of which the records at `kept` are left, at 1000 ms by the wall clock.
    pub(crate) fn compacts(self, n: i32, from: i64, to: i64, kept: &[i64]) -> Tale {
        self.compacts_at(n, 1_000, from, to, kept)
    }

    /// At another time. Tombstones stay for 100 ms.
    pub(crate) fn compacts_at(self, n: i32, now: i64, from: i64, to: i64, kept: &[i64]) -> Tale {
        let (from, to, now, epoch) = (Offset(from), Offset(to), Timestamp(now), LeaderEpoch(1));
        let kept = kept.iter().copied().map(Offset).collect();
        self.says(n, Event::BatchCompacted { partition: P, epoch, base: from, end: to, crc: 99, kept })
            .says(n, Event::Compacted { partition: P, from, to, now, delete_retention_ms: 100 })
    }

    pub(crate) fn truncates(self, n: i32, from: i64, to: i64) -> Tale {
        self.says(n, Event::Truncated { partition: P, from: Offset(from), to: Offset(to) })
    }

    pub(crate) fn syncs(self, n: i32, end: i64) -> Tale {
        self.says(n, Event::Synced { partition: P, end: Offset(end) })
    }

    pub(crate) fn recovers(self, n: i32, log_end: i64) -> Tale {
        let log_end = Offset(log_end);
        self.says(n, Event::Recovered { partition: P, log_start: Offset(0), log_end, cut_bytes: 0 })
    }

    pub(crate) fn advances(self, n: i32, to: i64, reason: LogStartReason) -> Tale {
        self.says(n, Event::LogStartAdvanced { partition: P, from: Offset(0), to: Offset(to), reason })
    }

    /// The world hurts the file of this log on the disk of `n`.
    pub(crate) fn hurts(mut self, n: i32, harm: Harm, directory: &str) -> Tale {
        self.watch.name_topic("orders", P.topic);
        let file = if harm == Harm::Wiped { String::new() } else { format!("data/{directory}/0.log") };
        self.what(n, What::DiskHurt { harm, file, position: 0, length: 1 })
    }

    /// On the disk of `n` lie batches of two records of epoch 1, from offset `start` on, with these checksums.
    pub(crate) fn stores(mut self, n: i32, start: i64, crcs: &[u32]) -> Tale {
        self.watch.name_topic("orders", P.topic);
        let batches = (0..).zip(crcs).map(|(place, &crc)| {
            let base = Offset(start + 2 * place);
            StoredBatch { base, end: base.plus(2), epoch: LeaderEpoch(1), crc }
        });
        let batches: Vec<StoredBatch> = batches.collect();
        let end = batches.last().map_or(Offset(start), |last| last.end);
        self.what(n, What::LogStored { directory: "data/orders-0".into(), start: Offset(start), end, batches })
    }

    /// A snapshot of producers that lies on the disk of `n` says something of producer 7 that no batch tells.
    pub(crate) fn flawed(mut self, n: i32) -> Tale {
        self.watch.name_topic("orders", P.topic);
        let file = "data/orders-0/00000000000000000002.snapshot".into();
        self.what(n, What::LogFlawed { file, position: 0, reason: "it lies".into(), producer: Some(ProducerId(7)) })
    }

    pub(crate) fn commits(self, n: i32, epoch: i32, to: i64) -> Tale {
        self.says(n, Event::HighWatermarkAdvanced { partition: P, epoch: LeaderEpoch(epoch), to: Offset(to) })
    }

    /// A batch of the producer of [`Tale::numbers`] leaves a gap after what `n` knows of it.
    pub(crate) fn questions(self, n: i32, expected: i32) -> Tale {
        let ProducerStamp { id: producer, epoch: producer_epoch, .. } = stamp(expected);
        self.says(n, Event::SequenceQuestioned { partition: P, producer, producer_epoch, expected, question: 3 })
    }

    pub(crate) fn refuses(self, n: i32) -> Tale {
        self.says(n, Event::SequenceRefused { partition: P, question: 3 })
    }

    pub(crate) fn acks(self, n: i32, epoch: i32, base: i64, acks: i16) -> Tale {
        let (epoch, base) = (LeaderEpoch(epoch), Offset(base));
        self.says(n, Event::Acked { partition: P, epoch, base, end: base.plus(2), acks })
    }

    pub(crate) fn votes(self, n: i32, epoch: i32, candidate: i32) -> Tale {
        self.says(n, Event::VoteCast { epoch: LeaderEpoch(epoch), candidate: BrokerId(candidate) })
    }

    /// The voter tells its candidate.
    pub(crate) fn grants(self, n: i32, epoch: i32, candidate: i32) -> Tale {
        self.says(n, Event::VoteGranted { epoch: LeaderEpoch(epoch), candidate: BrokerId(candidate) })
    }

    pub(crate) fn keeps_epoch(self, n: i32, epoch: i32) -> Tale {
        self.says(n, Event::EpochKept { epoch: LeaderEpoch(epoch) })
    }

    /// A follower is told, in `leader_epoch`, that its log parts from its leader's at 2.
    pub(crate) fn parts(self, n: i32, leader_epoch: i32) -> Tale {
        let (leader_epoch, epoch, end) = (LeaderEpoch(leader_epoch), LeaderEpoch(1), Offset(2));
        self.says(n, Event::LogsParted { partition: P, leader_epoch, epoch, end })
    }

    pub(crate) fn quorum_leader(self, n: i32, epoch: i32) -> Tale {
        self.says(n, Event::QuorumLeader { epoch: LeaderEpoch(epoch), log_end: Offset(0) })
    }

    pub(crate) fn applied(self, n: i32, end: i64, digest: u64) -> Tale {
        self.says(n, Event::MetadataApplied { end: Offset(end), digest })
    }

    /// A snapshot of the metadata is on the disk.
    pub(crate) fn snapshot(self, n: i32, end: i64, digest: u64, content: u32) -> Tale {
        self.says(n, Event::SnapshotTaken { end: Offset(end), epoch: LeaderEpoch(1), digest, content })
    }

    pub(crate) fn loads(self, n: i32, end: i64, digest: u64, content: u32) -> Tale {
        self.says(n, Event::SnapshotLoaded { end: Offset(end), epoch: LeaderEpoch(1), digest, content })
    }

    pub(crate) fn loses_power(self, n: i32) -> Tale {
        self.what(n, What::PowerLost).what(n, What::NodeStarted)
    }

    pub(crate) fn crashes(self, n: i32) -> Tale {
        self.what(n, What::NodeCrashed).what(n, What::NodeStarted)
    }

    /// Broker 1 leads epoch 1 with 2 in sync; both have two batches, the first one is committed.
    pub(crate) fn replicated() -> Tale {
        Tale::begin().replicate()
    }

    pub(crate) fn replicate(self) -> Tale {
        let elected = self.state(1, 0, 1, 1, &[1, 2]).state(2, 0, 1, 1, &[1, 2]).leads(1, 1, 0).follows(2, 1, 1);
        let elected = elected.goes_by(1, 1, &[1, 2], &[1, 2]);
        let first = elected.appends(1, 1, 0, 10).syncs(1, 2).appends(2, 1, 0, 10).syncs(2, 2).commits(1, 1, 2);
        first.appends(1, 1, 2, 11).syncs(1, 4).appends(2, 1, 2, 11)
    }

    #[track_caller]
    pub(crate) fn breaks(self, promise: &str) -> Violation {
        let violation = self.violation.unwrap_or_else(|| panic!("nothing broke \"{promise}\""));
        assert_eq!(violation.promise, promise, "{violation}");
        assert_eq!(violation.at, self.index, "the violation is told too late: {violation}");
        violation
    }

    #[track_caller]
    pub(crate) fn keeps(self) -> Vec<Verdict> {
        assert_eq!(self.violation, None);
        let verdicts = self.watch.finish(&History::default()).unwrap();
        let broken: Vec<_> = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Broken).collect();
        assert!(broken.is_empty(), "{broken:?}");
        verdicts
    }
}

pub(crate) fn outcome(verdicts: &[Verdict], promise: &str) -> Outcome {
    verdicts.iter().find(|verdict| verdict.promise == promise).unwrap().outcome
}
