//! How a fault is written: when, one kind by its key, for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Bandwidth, Clock, ClockFault, Connections, Cut, DeadDisk, DiskError, DiskFault, Fault, FaultKind, Flap, Lies,
    Lossy, Moment, NetworkFault, NodeFault, Reconfigure, Requests, Sectors, Slow, SlowDisk, Swizzle, When, Wiped,
};
use crate::words::{Range, Selector, WordError};

/// One line a kind: its key, what is written for it, and what it is.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $key:ident: $value:ty => $family:ident($fault:ident::$kind:ident),)+) => {
        /// What goes wrong, when, and for how long.
        #[derive(Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        #[schemars(rename = "Fault")]
        pub(super) struct FaultFile {
            /// The phase from whose begin all times count; without `at` and `every` it begins with the phase.
            #[serde(skip_serializing_if = "Option::is_none")]
            during: Option<String>,
            /// Once, so long after the run begins.
            #[serde(skip_serializing_if = "Option::is_none")]
            at: Option<Range>,
            /// Again and again, so long after the last one began.
            #[serde(skip_serializing_if = "Option::is_none")]
            every: Option<Range>,
            /// From when to when, with `every`.
            #[serde(skip_serializing_if = "Option::is_none")]
            between: Option<Range>,
            /// What to wait for then.
            #[serde(skip_serializing_if = "Option::is_none")]
            when: Option<Moment>,
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                $key: Option<$value>,
            )+
            /// How long until it is undone; without it, to the end of its phase, or of the run.
            #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
            lasts: Option<Range>,
        }

        /// The keys of all kinds.
        const KEYS: &[&str] = &[$(stringify!($key)),+];

        impl FaultKind {
            /// The key that names it in files.
            pub fn key(&self) -> &'static str {
                match self { $(FaultKind::$family($fault::$kind(_)) => stringify!($key),)+ }
            }

            fn write(self, file: &mut FaultFile) {
                match self { $(FaultKind::$family($fault::$kind(value)) => file.$key = Some(value),)+ }
            }
        }

        impl FaultFile {
            /// Every kind that is written, though one fault has but one.
            fn kinds(self) -> impl Iterator<Item = FaultKind> {
                [$(self.$key.map(|value| FaultKind::$family($fault::$kind(value))),)+].into_iter().flatten()
            }
        }
    };
}

kinds! {
    /// The process dies.
    crash: Selector => Node(NodeFault::Crash),
    /// The machine goes dark.
    power_loss: Selector => Node(NodeFault::PowerLoss),
    /// An orderly stop, and a start after `for`.
    restart: Selector => Node(NodeFault::Restart),
    /// An orderly stop, and a start with another configuration after `for`.
    reconfigure: Reconfigure => Node(NodeFault::Reconfigure),
    /// The node stands still.
    pause: Selector => Node(NodeFault::Pause),
    /// No bytes pass.
    partition: Cut => Network(NetworkFault::Partition),
    /// The others fall into two halves that do not hear each other, and both hear these.
    bridge: Selector => Network(NetworkFault::Bridge),
    /// Each of these hears its neighbours in a ring, a majority, and no two the same one.
    ring: Selector => Network(NetworkFault::Ring),
    /// Nodes are cut off one by one, and healed in another order.
    swizzle: Swizzle => Network(NetworkFault::Swizzle),
    /// Links come and go.
    flap: Flap => Network(NetworkFault::Flap),
    /// Bytes wait, and arrive in one burst.
    hold: Cut => Network(NetworkFault::Hold),
    /// Bytes take longer.
    slow: Slow => Network(NetworkFault::Slow),
    /// Packets are lost and sent again.
    lossy: Lossy => Network(NetworkFault::Lossy),
    /// So many bytes a second and no more.
    bandwidth: Bandwidth => Network(NetworkFault::Bandwidth),
    /// Requests for a connection are refused at once.
    refuse: Requests => Network(NetworkFault::Refuse),
    /// Requests for a connection are lost.
    ignore: Requests => Network(NetworkFault::Ignore),
    /// Connections end at both ends, once.
    reset: Connections => Network(NetworkFault::Reset),
    /// One side forgets its connections, once.
    half_open: Connections => Network(NetworkFault::HalfOpen),
    /// Nothing passes any more on connections, and nobody is told.
    strand: Connections => Network(NetworkFault::Strand),
    /// The wall clock is wrong.
    clock: Clock => Clock(ClockFault::Wrong),
    /// No byte more can be written.
    full_disk: Selector => Disk(DiskFault::Full),
    /// Operations of the disk fail.
    disk_error: DiskError => Disk(DiskFault::Error),
    /// Nothing works on the disk.
    dead_disk: DeadDisk => Disk(DiskFault::Dead),
    /// No sync ends.
    stalled_disk: Selector => Disk(DiskFault::Stalled),
    /// Syncs take longer.
    slow_disk: SlowDisk => Disk(DiskFault::Slow),
    /// Bits flip in what was stored.
    bit_rot: Sectors => Disk(DiskFault::Rot),
    /// Sectors cannot be read until they are written again.
    unreadable_sectors: Sectors => Disk(DiskFault::Unreadable),
    /// What the disk calls written is not there.
    lost_writes: Lies => Disk(DiskFault::LostWrites),
    /// What the disk calls written is in the place of something else.
    misdirected_writes: Lies => Disk(DiskFault::MisdirectedWrites),
    /// The machine goes dark, and comes back with an empty disk.
    wiped_disk: Wiped => Disk(DiskFault::Wiped),
}

impl TryFrom<FaultFile> for Fault {
    type Error = String;

    fn try_from(file: FaultFile) -> Result<Fault, String> {
        let wrong = |message: String, help: &str| Err(WordError::new(message, help).pack());
        let how = "write at = \"4s\" for one, or every = \"3s..8s\" (with between = \"5s..18s\" if you like) for many";
        let when = match (file.at, file.every, file.between) {
            (Some(at), None, None) => When::At(at),
            (None, Some(every), between) => When::Every { every, between },
            (Some(_), None, Some(_)) => return wrong("`between` goes with `every`, not with `at`".into(), how),
            (Some(_), Some(_), _) => return wrong("a fault comes either once or again and again".into(), how),
            (None, None, None) if file.during.is_some() => When::At(Range::default()),
            (None, None, _) => return wrong("nothing says when the fault begins".into(), how),
        };
        let (lasts, moment, during) = (file.lasts, file.when, file.during.clone());
        let mut kinds = file.kinds();
        match (kinds.next(), kinds.next()) {
            (Some(kind), None) => Ok(Fault { when, moment, kind, lasts, during }),
            (None, _) => wrong("nothing says what goes wrong".into(), &format!("write one of: {}", KEYS.join(", "))),
            (Some(one), Some(other)) => wrong(
                format!("one fault has two kinds, `{}` and `{}`", one.key(), other.key()),
                "write each kind as a [[faults]] of its own",
            ),
        }
    }
}

impl From<Fault> for FaultFile {
    fn from(fault: Fault) -> FaultFile {
        let (lasts, during) = (fault.lasts, fault.during);
        let mut file = FaultFile { lasts, during, when: fault.moment, ..FaultFile::default() };
        match fault.when {
            When::At(at) => file.at = Some(at),
            When::Every { every, between } => (file.every, file.between) = (Some(every), between),
        }
        fault.kind.write(&mut file);
        file
    }
}
