//! The digest: one number that a whole run folds into, and the recording that names the first event in which two runs differ.
//!
//! Every event of network, disk, timers, nodes and brokers is charged here. Same binary, scenario and seed: same digest.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::confined::Confined;
use model::Time;

use crate::clock::Clock;
use crate::tally::{Counts, Tally};

/// A node, by the order in which the world made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u16);

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// What happened. The two numbers of an event mean what each line says.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[doc = $doc])+ $name,)+ }

        impl Kind {
            pub(crate) const ALL: &'static [Kind] = &[$(Kind::$name,)+];

            fn name(self) -> &'static str {
                match self { $(Kind::$name => $word,)+ }
            }
        }
    };
}

kinds! {
    /// A process started: its how many-th, nothing.
    Started = "started",
    /// Nothing, nothing.
    Stopped = "stopped",
    /// Nothing, nothing.
    Crashed = "crashed",
    /// Nothing, nothing.
    PowerLost = "lost power",
    /// Nothing, nothing.
    Paused = "paused",
    /// Nothing, nothing.
    Resumed = "resumed",
    /// A new offset of the wall clock: milliseconds, nothing.
    ClockSet = "set its clock",
    /// The wall clock runs wrong: millionths, nothing.
    ClockDrifts = "drifts",
    /// A task of a node: nothing, nothing.
    Spawned = "spawned",
    /// Deadline in world time, nothing.
    Waited = "waits until",
    /// The bits, nothing.
    Entropy = "drew",
    /// Hash of the event, its index in the trace.
    Witnessed = "witnessed",
    /// Hash of the entry, its index in the trace.
    Noted = "noted",

    /// Port, nothing.
    Listened = "listens on port",
    /// Node asked for, port.
    Connecting = "connects to node and port",
    /// Node asked for, port.
    Refused = "was refused by node and port",
    /// Connection, port.
    Connected = "connected",
    /// Connection, nothing.
    Accepted = "accepted",
    /// Connection, length.
    Sent = "sent on connection bytes",
    /// When what was sent last arrives, nothing.
    Arrives = "what was sent arrives at",
    /// Connection, length.
    Received = "received on connection bytes",
    /// Connection, nothing: nothing more will be sent.
    Finished = "finished",
    /// Connection, nothing.
    Closed = "closed",
    /// Connection, nothing: the peer will be told that there is no such connection.
    Reset = "reset",
    /// Links to this node are blocked: from node, identity of the fault.
    Blocked = "no longer hears node",
    /// Links to this node are free again: from node, identity of the fault.
    Unblocked = "hears again node",
    /// Other settings of the links to this node: from node, nothing.
    LinkSet = "has a new link from node",

    /// Hash of the path, nothing.
    DiskOpened = "opened",
    /// Hash of the path, nothing.
    DiskCreated = "created",
    /// Position, length.
    DiskRead = "read at bytes",
    /// Position, length.
    DiskWrote = "wrote at bytes",
    /// File, new length.
    DiskLength = "set the length of",
    /// File, bytes made safe.
    DiskSynced = "synced",
    /// Hash of both paths.
    DiskRenamed = "renamed",
    /// Hash of the path, nothing.
    DiskRemoved = "removed",
    /// Hash of the path, nothing.
    DiskDirectory = "changed or synced directory",
    /// Hash of the path, nothing.
    DiskLocked = "locked",
    /// What a loss of power left: sectors kept, sectors lost.
    DiskTorn = "kept and lost sectors",
    /// An operation that a fault made fail: kind of fault, position.
    DiskFailed = "failed on disk",
    /// A device stands still (1) or not (0), how many times slower it is.
    DiskStalled = "stalls or is slow",
    /// Stored bytes were hurt: hash of the path, position. The page cache forgets, damage is undone: nothing, which of them.
    DiskHurt = "was hurt on disk",

    /// Another bandwidth of its network card: bytes a second, nothing.
    CardSet = "has a network card of bytes a second",
    /// Connection, how.
    Severed = "lost a connection to a fault",
    /// Connection, nothing: nobody answered for too long.
    GivenUp = "gave up connection",
}

/// Where events are charged. Cheap to clone.
#[derive(Clone)]
pub struct Digest {
    clock: Clock,
    roll: Arc<Confined<Roll>>,
}

struct Roll {
    state: u64,
    events: u64,
    counts: Counts,
    recording: Option<Vec<Record>>,
}

/// One event of a run, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub time: Time,
    pub kind: Kind,
    pub node: NodeIndex,
    pub numbers: [u64; 2],
}

impl Digest {
    pub(crate) fn new(clock: Clock, record: bool) -> Digest {
        let (state, counts) = (0x9e37_79b9_7f4a_7c15, Counts::new());
        let roll = Roll { state, events: 0, counts, recording: record.then(Vec::new) };
        Digest { clock, roll: Arc::new(Confined::new(roll)) }
    }

    /// Charges an event that happens now.
    pub fn event(&self, kind: Kind, node: NodeIndex, a: u64, b: u64) {
        self.event_at(self.clock.now(), kind, node, a, b);
    }

    #[inline]
    pub(crate) fn event_at(&self, time: Time, kind: Kind, node: NodeIndex, a: u64, b: u64) {
        let roll = &mut *self.roll.lock();
        let tag = u64::from(node.0) << 8 | kind as u64;
        roll.state = fold(roll.state ^ time.0, 0xa076_1d64_78bd_642f ^ tag);
        roll.state = fold(roll.state ^ a, 0xe703_7ed1_a0b4_28db ^ b);
        roll.events += 1;
        roll.counts.add(kind, node);
        if let Some(recording) = &mut roll.recording {
            recording.push(Record { time, kind, node, numbers: [a, b] });
        }
    }

    /// The digest so far.
    pub fn value(&self) -> u64 {
        self.roll.lock().state
    }

    /// Events so far.
    pub fn events(&self) -> u64 {
        self.roll.lock().events
    }

    pub(crate) fn tally(&self, polls: u64, nodes: &[String]) -> Tally {
        self.roll.lock().counts.tally(polls, nodes)
    }

    pub(crate) fn take_recording(&self) -> Option<Vec<Record>> {
        self.roll.lock().recording.take()
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// A number for anything that can be hashed: the same in every process that runs the same binary.
pub fn fingerprint(what: &(impl Hash + ?Sized)) -> u64 {
    struct Folding(u64);
    impl Hasher for Folding {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0 = fold(self.0 ^ xxhash_rust::xxh3::xxh3_64(bytes), 0xe703_7ed1_a0b4_28db);
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = fold(self.0 ^ number, 0x8ebc_6af0_9c88_c6e3);
        }

        fn write_u32(&mut self, number: u32) {
            self.write_u64(u64::from(number));
        }

        fn write_usize(&mut self, number: usize) {
            self.write_u64(number as u64);
        }

        fn write_u128(&mut self, number: u128) {
            self.write_u64(number as u64);
            self.write_u64((number >> 64) as u64);
        }
    }
    let mut hasher = Folding(0x2d35_8dcc_aa6c_78a5);
    what.hash(&mut hasher);
    hasher.finish()
}

/// Every event of a run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Names of the nodes, by index.
    pub nodes: Vec<String>,
    pub records: Vec<Record>,
}

impl Recording {
    /// The first event in which two runs differ; none if they are the same.
    pub fn first_difference(&self, other: &Recording) -> Option<Difference> {
        let same = self.records.iter().zip(&other.records).take_while(|(one, two)| one == two).count();
        if same == self.records.len() && same == other.records.len() {
            return None;
        }
        let side = |of: &Recording| of.records.get(same).map(|record| of.line(record));
        Some(Difference { index: same as u64, one: side(self), other: side(other) })
    }

    fn line(&self, record: &Record) -> String {
        let node = self.nodes.get(usize::from(record.node.0)).map_or("?", String::as_str);
        let Record { time, kind, numbers: [a, b], .. } = record;
        format!("{}.{:09} {node} {} {a} {b}", time.0 / 1_000_000_000, time.0 % 1_000_000_000, kind.name())
    }

    /// For a file that another process compares with: see [`Recording::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let names = self.nodes.join("\n");
        let mut bytes = (names.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(names.as_bytes());
        for Record { time, kind, node, numbers: [a, b] } in &self.records {
            let tag = u64::from(node.0) << 8 | *kind as u64;
            [time.0, tag, *a, *b].iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        }
        bytes
    }

    /// What [`Recording::to_bytes`] wrote; none if it is anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Recording> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let (names, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let nodes = std::str::from_utf8(names).ok()?.split('\n').map(str::to_owned).collect();
        let (records, []) = rest.as_chunks::<32>() else { return None };
        let record = |chunk: &[u8; 32]| {
            let (numbers, _) = chunk.as_chunks::<8>();
            let &[time, tag, a, b] = numbers else { return None };
            let [time, tag, a, b] = [time, tag, a, b].map(u64::from_le_bytes);
            let kind = *Kind::ALL.get((tag & 0xff) as usize)?;
            Some(Record { time: Time(time), kind, node: NodeIndex(u16::try_from(tag >> 8).ok()?), numbers: [a, b] })
        };
        Some(Recording { nodes, records: records.iter().map(record).collect::<Option<_>>()? })
    }
}

/// Where two runs part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Events before it, the same in both.
    pub index: u64,
    /// The event of the one run; none if it has ended.
    pub one: Option<String>,
    pub other: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "(the run has ended)".to_owned());
        write!(
            f,
            "the runs part at event {}:\n  one:   {}\n  other: {}",
            self.index,
            side(&self.one),
            side(&self.other)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: u64) -> Record {
        Record { time: Time(time), kind: Kind::Sent, node: NodeIndex(1), numbers: [3, time * 7] }
    }

    fn recording(times: &[u64]) -> Recording {
        let nodes = vec!["world".to_owned(), "broker-1".to_owned()];
        Recording { nodes, records: times.iter().map(|&time| record(time)).collect() }
    }

    #[test]
    fn the_first_differing_event_is_named() {
        let one = recording(&[1, 2, 3]);
        assert_eq!(one.first_difference(&one.clone()), None);
        let difference = one.first_difference(&recording(&[1, 5, 3])).unwrap();
        assert_eq!(difference.index, 1);
        assert_eq!(difference.other.as_deref(), Some("0.000000005 broker-1 sent on connection bytes 3 35"));
    }

    #[test]
    fn a_run_that_ends_early_differs() {
        let difference = recording(&[1, 2, 3]).first_difference(&recording(&[1, 2])).unwrap();
        assert_eq!((difference.index, difference.other), (2, None));
    }

    #[test]
    fn a_recording_survives_its_file() {
        let one = recording(&[1, 2, 3]);
        let mut bytes = one.to_bytes();
        assert_eq!(Recording::from_bytes(&bytes), Some(one));
        bytes.pop();
        assert_eq!(Recording::from_bytes(&bytes), None);
    }
}
