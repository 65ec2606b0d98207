//! Random faults of disks: full, failing, stalled, slow; and harm to what is stored, as far as the atlas allows.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;

use super::Kind;
use crate::cluster::Topic;
use crate::fault::{Atlas, DiskError, DiskFault, Fault, FaultKind, Lies, Moment, Operation, Sectors, SlowDisk, Wiped};
use crate::random::aim::server;
use crate::random::pace::paced;
use crate::words::Chance;

pub(super) const KINDS: &[Kind] = &[
    full_disk,
    disk_error,
    stalled_disk,
    slow_disk,
    bit_rot,
    unreadable_sectors,
    lost_writes,
    misdirected_writes,
    wiped_disk,
];

fn full_disk(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(server(topics).prop_map(DiskFault::Full))
}

/// Mostly the next operation alone: a broker gives up at the first error, whatever comes after it.
fn disk_error(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let on = select(&[Operation::Read, Operation::Write, Operation::Sync][..]);
    let chance = prop_oneof![2 => Just(None), 1 => (1..=30u32).prop_map(|percent| Some(Chance::percent(percent)))];
    of_disk(
        (server(topics), on, chance)
            .prop_map(|(of, on, chance)| DiskFault::Error(DiskError { of, log_dir: None, on, chance })),
    )
}

fn stalled_disk(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(server(topics).prop_map(DiskFault::Stalled))
}

fn slow_disk(topics: &[Topic]) -> BoxedStrategy<Fault> {
    let times = select(&[10, 100, 1_000, 10_000][..]);
    of_disk((server(topics), times).prop_map(|(of, times)| DiskFault::Slow(SlowDisk { of, times })))
}

fn bit_rot(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(sectors(topics).prop_map(DiskFault::Rot))
}

fn unreadable_sectors(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(sectors(topics).prop_map(DiskFault::Unreadable))
}

fn lost_writes(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(lies(topics).prop_map(DiskFault::LostWrites))
}

fn misdirected_writes(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(lies(topics).prop_map(DiskFault::MisdirectedWrites))
}

fn wiped_disk(topics: &[Topic]) -> BoxedStrategy<Fault> {
    of_disk(server(topics).prop_map(|of| DiskFault::Wiped(Wiped { of, log_dir: None, atlas: Atlas::On })))
}

fn sectors(topics: &[Topic]) -> impl Strategy<Value = Sectors> + use<> {
    (server(topics), select(&[1, 5, 20][..])).prop_map(|(of, sectors)| Sectors { of, sectors, atlas: Atlas::On })
}

fn lies(topics: &[Topic]) -> impl Strategy<Value = Lies> + use<> {
    let chance = select(&[1, 10, 50][..]).prop_map(Chance::percent);
    (server(topics), chance).prop_map(|(of, chance)| Lies { of, chance, atlas: Atlas::On })
}

/// Half of them wait for writes in flight.
fn of_disk(fault: impl Strategy<Value = DiskFault> + 'static) -> BoxedStrategy<Fault> {
    let moment = option::of(Just(Moment::WritesInFlight));
    (paced(fault.prop_map(FaultKind::Disk)), moment).prop_map(|(fault, moment)| Fault { moment, ..fault }).boxed()
}
