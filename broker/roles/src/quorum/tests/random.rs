//! Random lives of quorums: whatever is lost, late, repeated or forgotten, the promises of the world hold, and it recovers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use model::{BrokerId, Bug, Planted};
use proptest::prelude::*;

use super::world::World;

/// What happens, and to what: a kind out of a hundred, and 64 bits that choose.
type Event = (u8, u64);

fn live(world: &mut World, events: &[Event]) {
    for &(kind, pick) in events {
        let ids = world.ids();
        let id = ids[pick as usize % ids.len()];
        let wire = (pick as usize).checked_rem(world.wires.len());
        match (kind, wire) {
            (0..45, Some(wire)) => world.deliver(wire),
            (45..49, Some(wire)) => world.lose(wire),
            (49..65, _) => world.persist(id),
            (65..76, _) => world.sync(id),
            (76..84, _) => world.propose(world.leader().unwrap_or(id)),
            (84..90, _) => world.pass(Duration::from_millis(pick % 700)),
            (90..93, _) => world.snapshot(id, !(pick >> 32).is_multiple_of(3)),
            (93, _) => world.install(id, !(pick >> 32).is_multiple_of(4)),
            (94..96, _) => world.lose_power(id, pick >> 32),
            (96..98, _) => {
                world.cut.insert((id, ids[(pick >> 32) as usize % ids.len()]));
            }
            (98, _) => world.cut.clear(),
            // A hasty disk and a quick net for a while, so that something is achieved between the troubles.
            (99, _) => world.settle(Duration::from_millis(pick % 3000)),
            _ => {}
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0u8..100, any::<u64>()), 100..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn three_voters_keep_their_promises_and_recover(events in events()) {
        let mut world = World::new(3, Planted::NONE);
        live(&mut world, &events);
        world.must_make_progress();
    }

    #[test]
    fn five_voters_keep_their_promises_and_recover(events in events()) {
        let mut world = World::new(5, Planted::NONE);
        live(&mut world, &events);
        world.must_make_progress();
    }

    #[test]
    fn one_voter_keeps_its_promises_and_recovers(events in events()) {
        let mut world = World::new(1, Planted::NONE);
        live(&mut world, &events);
        world.must_make_progress();
    }
}

/// How a quorum with `bug` comes to grief within some random lives, if it does.
fn grief(bug: Bug) -> Option<String> {
    let mut chance = 7u64;
    let mut draw = || {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (chance >> 33) ^ chance
    };
    (0..400).find_map(|_| {
        let events: Vec<Event> = (0..600).map(|_| ((draw() % 100) as u8, draw())).collect();
        let life = catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(3, Planted::NONE.with(bug));
            live(&mut world, &events);
            world.must_make_progress();
        }));
        let panic = life.err()?;
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
    })
}

#[test]
fn a_voter_that_does_not_compare_logs_elects_a_leader_without_committed_records() {
    let grief = grief(Bug::VoteWithoutLogCheck).unwrap();
    assert!(grief.contains("committed"), "{grief}");
}

#[test]
fn a_voter_that_forgets_its_vote_breaks_a_promise() {
    let grief = grief(Bug::UnsyncedVote).unwrap();
    let told = ["one leader an epoch", "epochs never fall", "the votes of a majority of disks"];
    assert!(told.iter().any(|told| grief.contains(told)), "{grief}");
}

#[test]
fn a_leader_that_does_not_sort_commits_what_no_majority_has() {
    let grief = grief(Bug::CommitUnsorted).unwrap();
    assert!(grief.contains("on a majority of disks"), "{grief}");
}

#[test]
fn a_leader_that_commits_by_an_earlier_epoch_claims_what_the_disks_do_not_prove() {
    let grief = grief(Bug::CommitEarlierEpoch).unwrap();
    assert!(grief.contains("on a majority of disks"), "{grief}");
}

#[test]
fn a_quorum_that_never_elects_again_stays_without_a_leader() {
    let grief = grief(Bug::NeverElect).unwrap();
    assert!(grief.contains("a leader after healing"), "{grief}");
}

#[test]
fn a_voter_that_comes_back_too_late_for_the_log_gets_the_snapshot() {
    let mut world = World::new(3, Planted::NONE);
    world.settle(Duration::from_secs(5));
    let leader = world.leader().unwrap();
    let late = world.ids().into_iter().find(|id| *id != leader && id.0 <= 3).unwrap();
    world.cut_off(late);
    for _ in 0..20 {
        world.propose(leader);
        world.settle(Duration::from_millis(100));
    }
    let leader = world.leader().unwrap();
    world.snapshot(leader, true);
    world.must_make_progress();
    assert!(20 < world.node(late.0).start && world.node(late.0).start == world.node(leader.0).start);
}

#[test]
fn a_random_life_commits_something() {
    let mut world = World::new(3, Planted::NONE);
    world.settle(Duration::from_secs(5));
    for _ in 0..5 {
        let leader: BrokerId = world.leader().unwrap();
        world.propose(leader);
        world.settle(Duration::from_millis(100));
    }
    assert_eq!(world.committed.len(), 6);
}
