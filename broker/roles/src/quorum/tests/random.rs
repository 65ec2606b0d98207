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
            (45..48, Some(wire)) => world.lose(wire),
            (48, Some(wire)) => world.refuse(wire),
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
            (100..104, _) => {
                let leader = world.leader().unwrap_or(id);
                world.change_voters(leader, ids[(pick >> 32) as usize % ids.len()]);
            }
            // A hasty disk and a quick net for a while, so that something is achieved between the troubles.
            (99, _) => world.settle(Duration::from_millis(pick % 3000)),
            _ => {}
        }
    }
}

/// The same, and voters are added and removed.
fn events_with_changes() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec((0u8..104, any::<u64>()), 100..600)
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
    fn three_voters_that_change_keep_their_promises_and_recover(events in events_with_changes()) {
        let mut world = World::of(3, 2, Planted::NONE);
        live(&mut world, &events);
        world.must_make_progress();
        world.must_change_voters();
    }

    #[test]
    fn a_voter_that_gets_company_keeps_its_promises_and_recovers(events in events_with_changes()) {
        let mut world = World::of(1, 3, Planted::NONE);
        live(&mut world, &events);
        world.must_make_progress();
        world.must_change_voters();
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
    griefs(400, 100, || World::new(3, Planted::NONE.with(bug))).next()
}

/// Whether a quorum with `bug` that changes its voters comes to this grief within some random lives. `minds_changes` stops at a change
/// that should not be, rather than at what comes of it.
fn comes_to(grief: &str, bug: Bug, minds_changes: bool) -> bool {
    let world = || {
        let mut world = World::of(4, 2, Planted::NONE.with(bug));
        world.minds_changes = minds_changes;
        world
    };
    griefs(4000, 104, world).any(|text| text.contains(grief))
}

fn griefs(lives: usize, kinds: u64, world: impl Fn() -> World) -> impl Iterator<Item = String> {
    let mut chance = 7u64;
    let mut draw = move || {
        chance = chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (chance >> 33) ^ chance
    };
    (0..lives).filter_map(move |_| {
        let events: Vec<Event> = (0..600).map(|_| ((draw() % kinds) as u8, draw())).collect();
        let life = catch_unwind(AssertUnwindSafe(|| {
            let mut world = world();
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
fn a_leader_that_changes_voters_before_it_has_committed_is_seen() {
    assert!(comes_to("voters change only by a leader that has committed", Bug::VotersBeforeCommit, true));
}

#[test]
fn a_leader_that_changes_voters_twice_at_once_loses_what_was_committed() {
    assert!(comes_to("one change of the voters at a time", Bug::VotersTwiceAtOnce, true));
    assert!(comes_to("has all that is committed", Bug::VotersTwiceAtOnce, false));
}

#[test]
fn a_leader_that_counts_the_voters_of_before_commits_what_no_majority_has() {
    assert!(comes_to("what is committed is on a majority of disks", Bug::VotersCountedAsBefore, true));
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
