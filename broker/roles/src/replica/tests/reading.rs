//! Consumers' reads of leaders and followers.

use super::*;

fn read(bench: &Bench, epoch: i32, offset: i64, leader_high_watermark: i64) -> Result<Offset, Refusal> {
    let fetch =
        ConsumerFetch { leader_epoch: LeaderEpoch(epoch), offset: Offset(offset), last_epoch: LeaderEpoch::NONE };
    bench.with_log(|replica, log| replica.admit_read_near(log, &fetch, Offset(leader_high_watermark)))
}

/// Goes on behind a record of `last_epoch`.
fn go_on(bench: &Bench, last_epoch: i32, offset: i64) -> Result<Offset, Refusal> {
    let fetch =
        ConsumerFetch { leader_epoch: LeaderEpoch::NONE, offset: Offset(offset), last_epoch: LeaderEpoch(last_epoch) };
    bench.with_log(|replica, log| replica.admit_read_near(log, &fetch, Offset::ZERO))
}

/// A follower of epoch 1 with five records, of which it knows three to be committed.
fn follower(planted: Planted) -> Bench {
    let mut bench = Bench::planted(FOLLOWER, planted);
    bench.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    bench.records = vec![1; 5];
    bench.safe = 5;
    bench.step(Input::FollowerAppended { leader_high_watermark: Offset(3) });
    bench
}

#[test]
fn a_follower_serves_what_it_knows_to_be_committed() {
    let bench = follower(Planted::NONE);
    assert_eq!(read(&bench, 1, 0, 3), Ok(Offset(3)));
    assert_eq!(read(&bench, 1, 3, 3), Ok(Offset(3)));
    let planted = follower(Planted::NONE.with(Bug::FollowerServesUncommitted));
    assert_eq!(read(&planted, 1, 3, 3), Ok(Offset(5)));
}

#[test]
fn a_follower_that_is_behind_a_reader_says_so_and_never_that_there_is_no_such_offset() {
    let bench = follower(Planted::NONE);
    assert_eq!(read(&bench, 1, 4, 3), Err(Refusal::OffsetNotAvailable), "it may be committed, and nobody here knows");
    assert_eq!(read(&bench, 1, 8, 9), Err(Refusal::OffsetNotAvailable), "committed by the leader's word, and not here");
    assert_eq!(read(&bench, 1, 10, 9), Err(Refusal::OffsetOutOfRange));
}

#[test]
fn a_follower_fences_readers_of_another_epoch() {
    let mut bench = follower(Planted::NONE);
    assert_eq!(read(&bench, 0, 0, 3), Err(Refusal::FencedLeaderEpoch));
    assert_eq!(read(&bench, 2, 0, 3), Err(Refusal::UnknownLeaderEpoch));
    assert_eq!(read(&bench, -1, 0, 3), Ok(Offset(3)), "who names no epoch is not compared");
    bench.step(Input::Removed);
    assert_eq!(read(&bench, 1, 0, 3), Err(Refusal::NotLeaderOrFollower));
}

#[test]
fn a_reader_is_told_where_its_leaders_log_parts_from_what_it_has_read() {
    let mut bench = Bench::new(LEADER);
    bench.records = vec![1, 1, 1, 3, 3];
    bench.safe = 5;
    bench.assign(LEADER, 4, 1, &[LEADER]);
    let parting = |epoch, end| Err(Refusal::Diverging { epoch: LeaderEpoch(epoch), end: Offset(end) });
    // What is committed this leader does not know yet; whether the logs agree it does.
    let admitted = Ok(Offset::ZERO);
    assert_eq!(go_on(&bench, 1, 3), admitted);
    assert_eq!(go_on(&bench, 3, 4), admitted);
    assert_eq!(go_on(&bench, 1, 4), parting(1, 3), "another record stands at 3 than the one of epoch 1 that was read");
    assert_eq!(go_on(&bench, 2, 3), parting(1, 3), "epoch 2 was given up whole");
    assert_eq!(go_on(&bench, 3, 7), parting(3, 5), "the log ends before what was read");
    assert_eq!(go_on(&bench, -1, 4), admitted, "who has read nothing has nothing to compare");
}

#[test]
fn a_follower_that_is_behind_a_reader_has_not_parted_from_it() {
    let mut bench = follower(Planted::NONE);
    assert_eq!(go_on(&bench, 1, 5), Err(Refusal::OffsetNotAvailable));
    assert_eq!(go_on(&bench, 1, 3), Ok(Offset(3)));
    bench.records = vec![1, 1, 2, 2, 2];
    let parting = Refusal::Diverging { epoch: LeaderEpoch(1), end: Offset(2) };
    assert_eq!(go_on(&bench, 1, 3), Err(parting), "what it knows to be committed is not what was read");
}

#[test]
fn a_leader_names_the_follower_in_sync_that_has_most() {
    let mut bench = Bench::new(LEADER);
    bench.assign(LEADER, 1, 1, &[LEADER, FOLLOWER, OTHER]);
    bench.produce(4, Acks::All).unwrap();
    bench.fetched_by(FOLLOWER, 2, 1);
    bench.fetched_by(OTHER, 4, 1);
    let nearer = |bench: &Bench, offset, near: &[BrokerId]| bench.replica.nearer_reader(Offset(offset), near);
    assert_eq!(nearer(&bench, 1, &[FOLLOWER, OTHER]), Some(OTHER));
    assert_eq!(nearer(&bench, 1, &[FOLLOWER]), Some(FOLLOWER));
    assert_eq!(nearer(&bench, 3, &[FOLLOWER]), None, "it does not have the offset");
    assert_eq!(nearer(&bench, 1, &[]), None);
    bench.assign(LEADER, 1, 2, &[LEADER, FOLLOWER]);
    assert_eq!(nearer(&bench, 1, &[FOLLOWER, OTHER]), Some(FOLLOWER), "the other is not in sync");
}
