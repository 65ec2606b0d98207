//! Voters come and go, step by step.

use std::time::Duration;

use model::{BrokerId, Bug, DirectoryId, Endpoint, Planted};

use super::world::World;
use crate::quorum::Voter;

fn quiet(voters: i32, observers: i32) -> (World, BrokerId) {
    let mut world = World::of(voters, observers, Planted::NONE);
    world.settle(Duration::from_secs(5));
    let leader = world.leader().unwrap();
    (world, leader)
}

fn voters(world: &World, id: BrokerId) -> Vec<i32> {
    world.node(id.0).quorum.voters().ids().map(|id| id.0).collect()
}

#[test]
fn an_observer_that_has_caught_up_is_added_and_counts() {
    let (mut world, leader) = quiet(3, 1);
    world.change_voters(leader, BrokerId(4));
    assert_eq!(voters(&world, leader), [1, 2, 3, 4], "a change holds as soon as it is in the log");
    assert_eq!(world.changed, 0);
    world.settle(Duration::from_secs(1));
    assert_eq!(world.changed, 1);
    let others: Vec<BrokerId> = world.ids().into_iter().filter(|id| *id != leader && id.0 <= 3).collect();
    world.cut_off(others[0]);
    world.settle(Duration::from_secs(5));
    assert!(world.leader() == Some(leader), "three of four are a majority");
    world.cut_off(others[1]);
    world.settle(Duration::from_secs(5));
    assert!(world.leader().is_none(), "and two are none");
    world.must_make_progress();
}

#[test]
fn an_observer_that_lags_is_not_added_and_a_voter_not_twice() {
    let (mut world, leader) = quiet(3, 1);
    world.cut_off(BrokerId(4));
    world.settle(Duration::from_secs(3));
    world.change_voters(leader, BrokerId(4));
    assert_eq!(voters(&world, leader), [1, 2, 3]);
    world.cut.clear();
    world.settle(Duration::from_secs(1));
    world.change_voters(leader, BrokerId(4));
    world.change_voters(leader, BrokerId(4));
    assert_eq!(voters(&world, leader), [1, 2, 3, 4], "the removal must wait for the addition");
    world.settle(Duration::from_secs(1));
    world.change_voters(leader, BrokerId(4));
    world.settle(Duration::from_secs(1));
    assert_eq!((voters(&world, leader), world.changed), (vec![1, 2, 3], 2));
}

#[test]
fn a_leader_that_is_removed_commits_that_without_itself_and_goes() {
    let (mut world, leader) = quiet(3, 0);
    let others: Vec<BrokerId> = world.ids().into_iter().filter(|id| *id != leader).collect();
    world.change_voters(leader, leader);
    world.sync(leader);
    assert!(world.node(leader.0).quorum.is_leader(), "until it is committed it leads on");
    world.settle(Duration::from_secs(5));
    assert_eq!(world.changed, 1);
    let successor = world.leader().unwrap();
    assert!(others.contains(&successor));
    assert_eq!(world.node(leader.0).quorum.leader(), Some(successor), "it follows as an observer");
    world.must_make_progress();
}

#[test]
fn the_last_voter_stays_and_so_does_one_without_whom_there_is_no_majority() {
    let (mut world, leader) = quiet(1, 0);
    world.change_voters(leader, leader);
    assert_eq!(voters(&world, leader), [1]);
    let (mut world, leader) = quiet(3, 0);
    let others: Vec<BrokerId> = world.ids().into_iter().filter(|id| *id != leader).collect();
    world.cut_off(others[0]);
    world.settle(Duration::from_millis(2500));
    world.change_voters(leader, others[1]);
    assert_eq!(voters(&world, leader), [1, 2, 3], "the other two could commit nothing");
    world.change_voters(leader, others[0]);
    world.settle(Duration::from_secs(1));
    assert_eq!(world.changed, 1, "but the one that is gone can go");
}

#[test]
fn a_change_that_is_cut_never_was() {
    let (mut world, leader) = quiet(3, 1);
    let epoch = world.node(leader.0).quorum.epoch();
    world.cut_off(leader);
    world.change_voters(leader, BrokerId(4));
    world.sync(leader);
    world.elect_after(epoch);
    assert_eq!(voters(&world, leader), [1, 2, 3, 4]);
    world.must_make_progress();
    assert_eq!((voters(&world, leader), world.changed), (vec![1, 2, 3], 0));
}

/// Ongaro's counterexample to changes by a leader that has committed nothing (raft-dev, 2015): two leaders in turn each change the same
/// four voters, and the majorities of what they make of them need not meet.
fn two_leaders_change_in_turn(planted: Planted) {
    let mut world = World::of(4, 0, planted);
    world.minds_changes = false;
    world.settle(Duration::from_secs(5));
    let first = world.leader().unwrap();
    let epoch = world.node(first.0).quorum.epoch();
    let others: Vec<BrokerId> = world.ids().into_iter().filter(|id| *id != first).collect();
    world.cut_off(first);
    world.change_voters(first, others[0]);
    world.sync(first);
    let second = world.elect_after(epoch);
    let lonely = others.iter().copied().find(|id| *id != second && *id != others[0]).unwrap();
    world.part(&[first, lonely]);
    world.change_voters(second, first);
    world.settle(Duration::from_secs(2));
    world.cut.clear();
    world.part(&[first, lonely]);
    world.settle(Duration::from_secs(20));
    world.must_make_progress();
}

#[test]
fn two_leaders_that_change_the_voters_in_turn_lose_nothing() {
    two_leaders_change_in_turn(Planted::NONE);
}

#[test]
#[should_panic(expected = "an elected leader has all that is committed")]
fn two_leaders_that_change_the_voters_before_they_commit_lose_what_was_committed() {
    two_leaders_change_in_turn(Planted::NONE.with(Bug::VotersBeforeCommit));
}

#[test]
fn a_voter_that_moves_stays_the_voter_that_it_is_and_a_stranger_moves_nobody() {
    let (mut world, leader) = quiet(3, 1);
    world.change_voters(leader, BrokerId(4));
    world.settle(Duration::from_secs(1));
    let known = world.node(leader.0).quorum.voters().get(BrokerId(4)).unwrap().clone();
    let elsewhere = Endpoint::new("elsewhere", 9093);
    let moved = Voter { endpoint: elsewhere.clone(), ..known.clone() };
    let other_disk = Voter { directory: Some(DirectoryId(99)), ..moved.clone() };
    for stranger in [other_disk, Voter { id: BrokerId(5), ..moved.clone() }] {
        world.update_voter(leader, stranger);
        assert_eq!(world.node(leader.0).quorum.voters().get(BrokerId(4)), Some(&known));
    }
    world.update_voter(leader, moved.clone());
    world.settle(Duration::from_secs(1));
    assert_eq!((voters(&world, leader), world.changed), (vec![1, 2, 3, 4], 2));
    for id in world.ids() {
        assert_eq!(world.node(id.0).quorum.voters().get(BrokerId(4)), Some(&moved), "every log says where it is");
    }
    world.must_make_progress();
}
