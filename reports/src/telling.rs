//! One trace entry in words: the same for the terminal and for the page.

use evidence::{Entry, Harm, What};
use model::{BrokerId, Event, LogStartReason, Offset, PartitionId};

use crate::names::Names;

/// How much an entry changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Something is different from now on: a role, an epoch, a life.
    Transition,
    /// The scenario or the run speaks.
    Story,
    /// Records flow.
    Flow,
}

/// An entry in words and columns.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    /// One letter that says what kind of thing happened; `terminal` has the legend.
    pub(crate) mark: char,
    pub(crate) weight: Weight,
    pub(crate) what: String,
    pub(crate) partition: Option<PartitionId>,
    pub(crate) epoch: Option<i32>,
    pub(crate) log_end: Option<Offset>,
    pub(crate) high_watermark: Option<Offset>,
}

impl Telling {
    fn new(mark: char, weight: Weight, what: impl Into<String>) -> Telling {
        let what = what.into();
        Telling { mark, weight, what, partition: None, epoch: None, log_end: None, high_watermark: None }
    }

    fn on(self, partition: PartitionId) -> Telling {
        Telling { partition: Some(partition), ..self }
    }

    fn epoch(self, epoch: model::LeaderEpoch) -> Telling {
        Telling { epoch: Some(epoch.0), ..self }
    }

    fn end(self, end: Offset) -> Telling {
        Telling { log_end: Some(end), ..self }
    }

    fn high(self, high_watermark: Offset) -> Telling {
        Telling { high_watermark: Some(high_watermark), ..self }
    }
}

/// Tells one entry.
pub(crate) fn tell(entry: &Entry, names: &Names) -> Telling {
    use Weight::{Flow, Story, Transition};
    match &entry.what {
        What::Witnessed(event) => witnessed(event, names),
        What::NodeStarted => Telling::new('+', Transition, "starts"),
        What::NodeCrashed => Telling::new('x', Transition, "crashes"),
        What::PowerLost => Telling::new('#', Transition, "loses power"),
        What::NodePaused => Telling::new('~', Transition, "is paused"),
        What::NodeResumed => Telling::new('=', Transition, "wakes"),
        What::NodeStopped { error: None } => Telling::new('-', Transition, "stops"),
        What::NodeStopped { error: Some(error) } => Telling::new('x', Transition, format!("fails: {error}")),
        What::DiskHurt { harm, file, position, .. } => Telling::new('!', Transition, hurt(*harm, file, *position)),
        What::DiskMended => Telling::new('=', Transition, "has all it ever wrote again"),
        What::FaultBegan { id, text } => Telling::new('{', Story, format!("fault {id} begins: {text}")),
        What::FaultEnded { id } => Telling::new('}', Story, format!("fault {id} ends")),
        What::Client { operation } => Telling::new('c', Flow, operation),
        What::QuietBegan { core } => {
            let names: Vec<&str> = core.iter().map(|node| &*node.0).collect();
            Telling::new(':', Story, format!("no more faults: {} must find themselves", names.join(", ")))
        }
        What::QuietEnded => Telling::new(':', Story, "by now the cluster must have found itself"),
        What::LogStored { directory, start, end, batches } => {
            let count = batches.len();
            Telling::new('=', Flow, format!("has {directory} on its disk: {start}..{end} in {count} batches"))
        }
        What::LogFlawed { file, position, reason, .. } => {
            Telling::new('!', Story, format!("has a flaw in {file} at byte {position}: {reason}"))
        }
        What::Note { text } => Telling::new(':', Story, text),
    }
}

fn hurt(harm: Harm, file: &str, position: u64) -> String {
    match harm {
        Harm::Rotted => format!("a bit of {file} flips at byte {position}"),
        Harm::Unreadable => format!("{file} cannot be read any more at byte {position}"),
        Harm::Lost => format!("what was written to {file} at byte {position} never reached the device"),
        Harm::Misdirected => format!("what is in {file} at byte {position} belongs elsewhere"),
        Harm::MovedAway => format!("{file} is damaged, and moved away"),
        Harm::Wiped => "gets an empty disk".into(),
    }
}

fn witnessed(event: &Event, names: &Names) -> Telling {
    use Weight::{Flow, Transition};
    let quorum = PartitionId::METADATA;
    match event {
        Event::QuorumJoined { voters, fetch_timeout_ms: _ } => {
            let voters: Vec<String> = voters.iter().map(|voter| names.node(*voter)).collect();
            Telling::new('q', Transition, format!("joins the quorum of {}", voters.join(", "))).on(quorum)
        }
        Event::VotersChanged { voters } => {
            let voters: Vec<String> = voters.iter().map(|voter| names.node(*voter)).collect();
            Telling::new('q', Transition, format!("has in its log that {} vote", voters.join(", "))).on(quorum)
        }
        Event::EpochKept { epoch } => Telling::new('k', Flow, "has the epoch on disk").on(quorum).epoch(*epoch),
        Event::VoteGranted { epoch, candidate } => {
            Telling::new('v', Flow, format!("tells {} of its vote", names.node(*candidate))).on(quorum).epoch(*epoch)
        }
        Event::VoteCast { epoch, candidate } => {
            Telling::new('v', Transition, format!("votes for {}", names.node(*candidate))).on(quorum).epoch(*epoch)
        }
        Event::QuorumLeader { epoch, log_end } => {
            Telling::new('/', Transition, "leads").on(quorum).epoch(*epoch).end(*log_end)
        }
        Event::QuorumFollower { epoch, leader } => {
            Telling::new('\\', Transition, format!("follows {}", names.node(*leader))).on(quorum).epoch(*epoch)
        }
        Event::QuorumUnattached { epoch } => Telling::new('?', Transition, "has no leader").on(quorum).epoch(*epoch),
        Event::MetadataApplied { end, digest } => {
            Telling::new('m', Flow, format!("applies metadata, image {digest:016x}")).on(quorum).high(*end)
        }
        Event::SnapshotTaken { end, epoch, digest, content: _ } => {
            let what = format!("has a snapshot of metadata below {end}, image {digest:016x}");
            Telling::new('s', Transition, what).on(quorum).epoch(*epoch)
        }
        Event::SnapshotInstalled { end, epoch, content: _ } => {
            let what = format!("puts its leader's snapshot of metadata below {end} in the place of its log");
            Telling::new('s', Transition, what).on(quorum).epoch(*epoch).end(*end)
        }
        Event::SnapshotLoaded { end, epoch, digest, content: _ } => {
            let what = format!("goes by a snapshot of metadata below {end}, image {digest:016x}");
            Telling::new('s', Transition, what).on(quorum).epoch(*epoch).high(*end)
        }
        Event::LevelFinalized { level } => {
            Telling::new('^', Transition, format!("learns: metadata is of version {level}")).on(quorum)
        }
        Event::NewerRecordApplied { level } => {
            Telling::new('m', Flow, format!("applies what only metadata version {level} says")).on(quorum)
        }
        Event::BrokerRegistered { broker, epoch, versions } => {
            let who = names.node(*broker);
            Telling::new('r', Transition, format!("registers {who} ({epoch}), which reads versions {versions}"))
                .on(quorum)
        }
        Event::BrokerUnregistered { broker } => {
            Telling::new('x', Transition, format!("unregisters {}", names.node(*broker))).on(quorum)
        }
        Event::BrokerFenced { broker } => {
            Telling::new('!', Transition, format!("fences {}", names.node(*broker))).on(quorum)
        }
        Event::BrokerUnfenced { broker } => {
            Telling::new('u', Transition, format!("unfences {}", names.node(*broker))).on(quorum)
        }
        Event::PartitionChanged { partition, leader, leader_epoch, partition_epoch: _, in_sync } => {
            let leader = leader.map_or("nobody".into(), |leader| names.node(leader));
            let what = format!("learns: {leader} leads, in sync {{{}}}", list(in_sync));
            Telling::new('*', Transition, what).on(*partition).epoch(*leader_epoch)
        }
        Event::BecameLeader { partition, epoch, log_end, high_watermark } => {
            Telling::new('/', Transition, "leads").on(*partition).epoch(*epoch).end(*log_end).high(*high_watermark)
        }
        Event::BecameFollower { partition, epoch, leader, log_end } => {
            let what = format!("follows {}", names.node(*leader));
            Telling::new('\\', Transition, what).on(*partition).epoch(*epoch).end(*log_end)
        }
        Event::ReplicasChanged { partition, partition_epoch: _, replicas, adding } => {
            let coming =
                if adding.is_empty() { String::new() } else { format!(", {{{}}} still to come", list(adding)) };
            let what = format!("learns: {{{}}} hold replicas{coming}", list(replicas));
            Telling::new('p', Flow, what).on(*partition)
        }
        Event::TopicMade { topic, name } => Telling::new('t', Flow, format!("knows topic {topic} as \"{name}\"")),
        Event::TopicRemoved { topic } => Telling::new('d', Flow, format!("knows no topic {topic} any more")),
        Event::ReplicaRemoved { partition } => Telling::new('d', Flow, "gave its replica up").on(*partition),
        Event::ReplicaPlaced { partition, replicas, in_sync_min } => {
            let replicas = list(replicas);
            Telling::new('p', Flow, format!("holds a replica, with {{{replicas}}}, {in_sync_min} in sync at least"))
                .on(*partition)
        }
        Event::InSyncKnown { partition, epoch, partition_epoch: _, in_sync, at_most } => {
            let what = format!("goes by {{{}}} in sync, at most {{{}}}", list(in_sync), list(at_most));
            Telling::new('i', Flow, what).on(*partition).epoch(*epoch)
        }
        Event::InSyncProposed { partition, epoch, partition_epoch: _, members } => {
            let members: Vec<_> = members.iter().map(|(member, _)| *member).collect();
            Telling::new('i', Transition, format!("asks for {{{}}} in sync", list(&members)))
                .on(*partition)
                .epoch(*epoch)
        }
        Event::InSyncInDoubt { partition, epoch, partition_epoch: _ } => {
            let what = "cannot know whether what it asked for in sync holds";
            Telling::new('i', Transition, what).on(*partition).epoch(*epoch)
        }
        Event::FollowerCounted { partition, epoch, follower, end } => {
            let what = format!("counts {} up to {end}", names.node(*follower));
            Telling::new('f', Flow, what).on(*partition).epoch(*epoch)
        }
        Event::ProducerAppended {
            partition, producer, producer_epoch, first_sequence, last_sequence, base, ..
        } => {
            let what = format!(
                "knows the batch at {base} as sequences {first_sequence} to {last_sequence} of producer {producer}, epoch {producer_epoch}"
            );
            Telling::new('p', Flow, what).on(*partition)
        }
        Event::ProducersKnown { partition, start, end, digest } => {
            let what = format!("knows the producers of its log, {start} to {end} ({digest:016x})");
            Telling::new('p', Flow, what).on(*partition)
        }
        Event::SequenceQuestioned { partition, producer, producer_epoch, expected, .. } => {
            let what = format!(
                "has a batch of producer {producer}, epoch {producer_epoch}, that leaves a gap after sequence {expected}: is this still the log?"
            );
            Telling::new('?', Flow, what).on(*partition)
        }
        Event::SequenceRefused { partition, .. } => {
            Telling::new('x', Flow, "is sure to lead, and tells a producer of the gap".to_owned()).on(*partition)
        }
        Event::ProducerForgotten { partition, producer } => {
            Telling::new('p', Flow, format!("forgets producer {producer}, which was silent for long")).on(*partition)
        }
        Event::LogsParted { partition, leader_epoch, epoch, end } => {
            let what = format!("hears that its leader's log ends epoch {epoch} at {end}");
            Telling::new('<', Transition, what).on(*partition).epoch(*leader_epoch)
        }
        Event::Recovered { partition, log_start: _, log_end, cut_bytes } => {
            let what =
                if *cut_bytes == 0 { "recovers".into() } else { format!("recovers, cuts {cut_bytes} torn bytes") };
            Telling::new('>', Transition, what).on(*partition).end(*log_end)
        }
        Event::Appended { partition, epoch, base, end, crc } => {
            let what = format!("appends {base}..{end} ({crc:08x})");
            Telling::new('.', Flow, what).on(*partition).epoch(*epoch).end(*end)
        }
        Event::Truncated { partition, from, to } => {
            Telling::new('<', Transition, format!("truncates {to}..{from}")).on(*partition).end(*to)
        }
        Event::LogGivenUp { partition, leader_epoch, start, end, to } => {
            let what = format!("gives up {start}..{end}, none of which its leader has, to begin at {to}");
            Telling::new('<', Transition, what).on(*partition).epoch(*leader_epoch).end(*end)
        }
        Event::LogBegunAnew { partition, to } => {
            Telling::new('<', Transition, format!("begins anew at {to}, with nothing")).on(*partition).end(*to)
        }
        Event::LogStartAdvanced { partition, from: _, to, reason } => {
            let why = match reason {
                LogStartReason::Age { .. } => "they are old enough",
                LogStartReason::Size { .. } => "the log is large enough without them",
                LogStartReason::Asked => "a client asked for it",
                LogStartReason::Leader => "its leader's log begins there",
                LogStartReason::Snapshot => "a snapshot stands for them",
                LogStartReason::BehindLeader => "its leader's log begins there, and it had nothing above",
            };
            Telling::new('x', Transition, format!("deletes the records below {to}: {why}")).on(*partition)
        }
        Event::DeletionAsked { partition, below } => {
            Telling::new('x', Flow, format!("is asked to delete the records below {below}")).on(*partition)
        }
        Event::KeysWritten { partition, keys, .. } => {
            Telling::new('k', Flow, format!("writes records of {} keys", keys.len())).on(*partition)
        }
        Event::BatchCompacted { partition, base, end, kept, .. } => {
            let what = format!("leaves {} records of {base}..{end}", kept.len());
            Telling::new('c', Flow, what).on(*partition)
        }
        Event::Compacted { partition, from, to, .. } => {
            Telling::new('c', Transition, format!("has compacted {from}..{to}")).on(*partition)
        }
        Event::IndexesCompared { partition, are_equal } => {
            let what =
                if *are_equal { "finds its indexes right" } else { "finds an index that differs from its batches" };
            Telling::new('i', Flow, what).on(*partition)
        }
        Event::Synced { partition, end } => Telling::new('s', Flow, format!("synced up to {end}")).on(*partition),
        Event::HighWatermarkAdvanced { partition, epoch, to } => {
            Telling::new('^', Flow, "commits").on(*partition).epoch(*epoch).high(*to)
        }
        Event::Acked { partition, epoch, base, end, acks } => {
            let acks = if *acks == -1 { "all".into() } else { acks.to_string() };
            let what = format!("acknowledges {base}..{end}, acks={acks}");
            Telling::new('a', Flow, what).on(*partition).epoch(*epoch)
        }
        Event::Burden { answers, fetches } => {
            Telling::new('w', Flow, format!("{answers} answers and {fetches} fetches wait"))
        }
        Event::HeldBack { partition, replica, .. } => {
            Telling::new('=', Flow, format!("holds broker {replica} back")).on(*partition)
        }
        Event::BatchSent { partition, crc } => {
            Telling::new('>', Flow, format!("sends a batch ({crc:08x})")).on(*partition)
        }
        Event::BatchRecompressed { partition, sent, crc } => {
            Telling::new('z', Flow, format!("packs a batch otherwise ({sent:08x} to {crc:08x})")).on(*partition)
        }
        Event::LogDamaged { partition } => {
            Telling::new('!', Transition, "finds a log damaged that was safe").on(*partition)
        }
        Event::LogDirectoryFailed { directory, replicas } => {
            let count = replicas.len();
            Telling::new(
                '!',
                Transition,
                format!("gives up {directory}, whose disk failed, and {count} replicas with it"),
            )
        }
        Event::StorageFailed { partition } => {
            Telling::new('!', Transition, "gives up a log that its disk cannot keep").on(*partition)
        }
    }
}

fn list(brokers: &[BrokerId]) -> String {
    brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
