//! Logs that begin later than at zero: who is told what, and who goes on where.

use super::*;

/// A leader of epoch 4 that has records 6..10, of epochs 2 and 4; older ones are deleted.
fn leader() -> Bench {
    let mut leader = Bench::new(LEADER);
    leader.records = vec![1, 1, 1, 1, 1, 2, 2, 2, 4, 4];
    (leader.start, leader.safe) = (6, 10);
    leader.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    leader
}

fn refusal(outputs: &[Output]) -> Option<Refusal> {
    outputs.iter().find_map(|output| match output {
        Output::FetchRefused(refusal) => Some(*refusal),
        _ => None,
    })
}

#[test]
fn who_needs_what_was_deleted_is_out_of_range_whatever_its_epochs() {
    for last_epoch in [-1, 0, 1, 2, 3] {
        assert_eq!(refusal(&leader().fetched_by(FOLLOWER, 5, last_epoch)), Some(Refusal::OffsetOutOfRange));
    }
}

#[test]
fn who_stands_at_the_start_with_an_epoch_of_which_nothing_is_left_lets_go_what_is_deleted_first() {
    let mut empty = leader();
    empty.start = 10;
    for (mut leader, offset) in [(leader(), 6), (empty, 10)] {
        assert_eq!(refusal(&leader.fetched_by(FOLLOWER, offset, 1)), Some(Refusal::OffsetOutOfRange));
        let gone = FollowerFetch {
            replica: FOLLOWER,
            broker_epoch: BrokerEpoch(1),
            leader_epoch: LeaderEpoch(4),
            offset: Offset(offset),
            last_epoch: LeaderEpoch(1),
            log_start: Offset(offset),
            sent_after: None,
        };
        assert_eq!(refusal(&leader.step(Input::Fetch(gone))), None);
    }
}

#[test]
fn who_went_on_in_an_epoch_of_which_nothing_is_left_cuts_back_to_the_first_record_that_is() {
    let (epoch, end) = (LeaderEpoch(1), Offset(6));
    assert_eq!(refusal(&leader().fetched_by(FOLLOWER, 8, 1)), Some(Refusal::Diverging { epoch, end }));

    let mut follower = Bench::new(FOLLOWER);
    follower.records = vec![1; 8];
    follower.safe = 8;
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    follower.step(Input::Diverging { leader_epoch: LeaderEpoch(4), epoch, end, leader_start: Some(Offset(6)) });
    assert_eq!(follower.records.len(), 6);
}

#[test]
fn a_follower_begins_anew_only_if_all_that_it_has_lies_below_the_leaders_start() {
    let mut follower = Bench::new(FOLLOWER);
    follower.records = vec![1; 5];
    follower.safe = 5;
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    let asked = |epoch, offset, leader_start| {
        follower
            .with_log(|replica, log| replica.begin_anew(log, LeaderEpoch(epoch), Offset(offset), Offset(leader_start)))
    };
    assert_eq!(asked(4, 5, 6), Some(Offset(6)));
    assert_eq!(asked(4, 5, 5), Some(Offset(5)), "all that it has is deleted there");
    assert_eq!(asked(4, 5, 4), None, "it has a record that is still there");
    assert_eq!(asked(4, 5, 0), None, "out of range for a moment (KAFKA-2143)");
    assert_eq!(asked(4, 3, 6), None, "an answer to another question");
    assert_eq!(asked(3, 5, 6), None, "a leader of before");
}

#[test]
fn a_follower_follows_its_leaders_start_no_further_than_what_is_committed() {
    let mut follower = Bench::new(FOLLOWER);
    follower.records = vec![1; 5];
    follower.safe = 5;
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    follower.step(Input::FollowerAppended { leader_high_watermark: Offset(3) });
    let follows = |epoch, start| {
        follower.with_log(|replica, log| replica.follow_log_start(log, LeaderEpoch(epoch), Offset(start)))
    };
    assert_eq!(follows(4, 2), Some(Offset(2)));
    assert_eq!(follows(4, 4), Some(Offset(3)));
    assert_eq!(follows(4, 0), None);
    assert_eq!(follows(3, 2), None);
}

#[test]
fn a_deletion_is_done_when_no_in_sync_replica_has_the_records() {
    let mut leader = leader();
    leader.fetched_by(FOLLOWER, 10, 4);
    assert_eq!(leader.replica.high_watermark(), Offset(10));
    assert_eq!(leader.replica.admit_deletion(Offset(-1)), Ok(Offset(10)));
    assert_eq!(leader.replica.admit_deletion(Offset(8)), Ok(Offset(8)));
    assert_eq!(leader.replica.admit_deletion(Offset(11)), Err(Refusal::OffsetOutOfRange));
    let low = |leader: &Bench| leader.with_log(|replica, log| replica.low_watermark(log));
    assert_eq!(low(&leader), Ok(Offset(0)), "the follower's log begins at zero");
    leader.step(Input::Fetch(FollowerFetch {
        replica: FOLLOWER,
        broker_epoch: BrokerEpoch(1),
        leader_epoch: LeaderEpoch(4),
        offset: Offset(10),
        last_epoch: LeaderEpoch(4),
        log_start: Offset(7),
        sent_after: None,
    }));
    assert_eq!(low(&leader), Ok(Offset(6)), "our own begins before");
    leader.start = 8;
    assert_eq!(low(&leader), Ok(Offset(7)));
    leader.assign(FOLLOWER, 5, 2, &[FOLLOWER, LEADER]);
    assert_eq!(low(&leader), Err(Refusal::NotLeaderOrFollower));
    assert_eq!(leader.replica.admit_deletion(Offset(-1)), Err(Refusal::NotLeaderOrFollower));
}

#[test]
fn what_lies_below_a_log_start_was_committed() {
    let mut follower = Bench::new(FOLLOWER);
    follower.assign(LEADER, 4, 1, &[LEADER, FOLLOWER]);
    follower.records = vec![1; 6];
    (follower.start, follower.safe) = (6, 6);
    follower.step(Input::LogStartMoved);
    assert_eq!(follower.replica.high_watermark(), Offset(6));
}

/// A follower of epoch 4 that has records 6..8 of epoch 1; what lies below was committed, and is deleted.
fn begins_at_six(planted: Planted) -> Bench {
    let mut follower = Bench::planted(FOLLOWER, planted);
    follower.records = vec![1; 8];
    (follower.start, follower.safe) = (6, 8);
    follower.assign(LEADER, 4, 1, &[LEADER]);
    follower
}

/// Where the log is to begin that is given up.
fn given_up(outputs: &[Output]) -> Option<i64> {
    outputs.iter().find_map(|output| match output {
        Output::GiveUp { to } => Some(to.0),
        _ => None,
    })
}

#[test]
fn a_follower_whose_log_begins_past_where_it_parts_from_its_leaders_gives_it_up() {
    let parts = |follower: &mut Bench, leader_epoch, end, leader_start: Option<i64>| {
        let (leader_epoch, leader_start) = (LeaderEpoch(leader_epoch), leader_start.map(Offset));
        follower.step(Input::Diverging { leader_epoch, epoch: LeaderEpoch(1), end: Offset(end), leader_start })
    };
    let mut follower = begins_at_six(Planted::NONE);
    let outputs = parts(&mut follower, 4, 5, Some(2));
    assert_eq!(
        (given_up(&outputs), follower.records.len()),
        (Some(2), 8),
        "until that is on the disk it has what it had"
    );
    let told = Event::LogGivenUp {
        partition: PARTITION,
        leader_epoch: LeaderEpoch(4),
        start: Offset(6),
        end: Offset(8),
        to: Offset(2),
    };
    assert!(outputs.contains(&Output::Witness(told)));
    follower.records.truncate(2);
    (follower.start, follower.safe) = (2, 2);
    follower.step(Input::BegunAnew);
    assert_eq!(follower.replica.high_watermark(), Offset(2));

    let keeps = |end, leader_start| {
        let mut follower = begins_at_six(Planted::NONE);
        let outputs = parts(&mut follower, 4, end, leader_start);
        (given_up(&outputs), follower.records.len())
    };
    assert_eq!(keeps(6, Some(2)), (None, 6), "the leader has all that was committed");
    assert_eq!(keeps(7, Some(6)), (None, 7));
    assert_eq!(keeps(5, None), (None, 6), "nobody says where to begin");
    assert_eq!(given_up(&parts(&mut begins_at_six(Planted::NONE), 3, 5, Some(2))), None, "a leader of before");
    let mut same_epoch = begins_at_six(Planted::NONE);
    same_epoch.records = vec![4; 8];
    assert_eq!(given_up(&parts(&mut same_epoch, 4, 5, Some(2))), None, "a leader lacks nothing of its own epoch");
    let planted = Planted::NONE.with(Bug::StartPastLeader);
    assert_eq!(given_up(&parts(&mut begins_at_six(planted), 4, 5, Some(2))), None);
}

#[test]
fn a_follower_with_nothing_goes_back_to_a_leader_that_ends_before_it_begins() {
    let past = |follower: &mut Bench, leader_epoch, offset, leader_start| {
        let (leader_epoch, offset) = (LeaderEpoch(leader_epoch), Offset(offset));
        given_up(&follower.step(Input::PastLeader { leader_epoch, offset, leader_start: Offset(leader_start) }))
    };
    let mut empty = begins_at_six(Planted::NONE);
    empty.records.truncate(6);
    empty.safe = 6;
    assert_eq!(past(&mut empty, 3, 6, 2), None);
    assert_eq!(past(&mut empty, 4, 5, 2), None);
    assert_eq!(past(&mut empty, 4, 6, 6), None);
    assert_eq!(past(&mut begins_at_six(Planted::NONE), 4, 8, 2), None, "it has records: they part by epoch");
    assert_eq!(past(&mut empty, 4, 6, 2), Some(2));
}
