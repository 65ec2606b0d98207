//! Each rule of the quorum by itself.

use std::time::Duration;

use bytes::Bytes;
use model::{BrokerId, DirectoryId, Endpoint, EpochStart, Epochs, LeaderEpoch, Offset, Planted, SnapshotId, Time};

use super::world::World;
use crate::quorum::*;

const ONE: BrokerId = BrokerId(1);
const TWO: BrokerId = BrokerId(2);
const THREE: BrokerId = BrokerId(3);

fn config() -> Config {
    Config {
        id: ONE,
        directory: None,
        election_timeout: Duration::from_millis(1000),
        fetch_timeout: Duration::from_millis(2000),
        planted: Planted::NONE,
    }
}

fn voters(ids: &[BrokerId]) -> VoterHistory {
    let voter = |&id: &BrokerId| Voter { id, directory: None, endpoint: Endpoint::new("node", 9092) };
    VoterHistory::recovered(VoterSet::new(ids.iter().map(voter)), None, Vec::new())
}

/// What one of three nodes finds.
fn recovered(state: QuorumState, log: Positions) -> Recovered {
    Recovered { state, log, voters: voters(&[ONE, TWO, THREE]) }
}

/// A disk that node 2 was added with, and another one.
const DISK: Option<DirectoryId> = Some(DirectoryId(7));
const OTHER_DISK: Option<DirectoryId> = Some(DirectoryId(8));

/// Nodes 1 and 2 of which the second one was added.
fn added() -> VoterHistory {
    let voter = |id, directory| Voter { id, directory, endpoint: Endpoint::new("node", 9092) };
    VoterHistory::recovered(
        VoterSet::new([voter(ONE, None)]),
        Some(VoterSet::new([voter(ONE, None), voter(TWO, DISK)])),
        Vec::new(),
    )
}

/// Node 1 of three, in epoch 3, with ten records up to epoch 2.
fn voter() -> Quorum {
    let epochs = [(1, 0), (2, 4)].map(|(epoch, start)| EpochStart { epoch: LeaderEpoch(epoch), start: Offset(start) });
    let state = QuorumState { epoch: LeaderEpoch(3), voted_for: None, leader: None };
    let positions = Positions::recovered(Offset::ZERO, Offset(10), &Epochs::from_entries(epochs), Vec::new());
    Quorum::new(config(), recovered(state, positions), Time(1), 0)
}

fn step(quorum: &mut Quorum, at_ms: u64, input: Input) -> Vec<Output> {
    let mut out = Vec::new();
    quorum.step(Time(1 + at_ms * 1_000_000), 0, input, &mut out);
    out
}

fn vote(epoch: i32, last_epoch: i32, log_end: i64, pre_vote: bool) -> Input {
    vote_for(TWO, epoch, last_epoch, log_end, pre_vote)
}

fn vote_for(candidate: BrokerId, epoch: i32, last_epoch: i32, log_end: i64, pre_vote: bool) -> Input {
    let request = Request::Vote(VoteRequest {
        epoch: LeaderEpoch(epoch),
        candidate,
        voter: None,
        last_epoch: LeaderEpoch(last_epoch),
        log_end: Offset(log_end),
        pre_vote,
    });
    Input::Request { ticket: Ticket(1), request }
}

fn persisted(out: &[Output]) -> Input {
    let versions = out.iter().filter_map(|output| match output {
        Output::PersistState { version, .. } => Some(*version),
        _ => None,
    });
    Input::StatePersisted { version: versions.max().expect("something to persist") }
}

fn body(out: &[Output]) -> Option<&Body> {
    out.iter().find_map(|output| match output {
        Output::Reply { response, .. } => Some(&response.body),
        _ => None,
    })
}

fn sends(out: &[Output]) -> Vec<(RequestId, BrokerId, &Request)> {
    let sent = out.iter().filter_map(|output| match output {
        Output::Send { id, to, request } => Some((*id, *to, request)),
        _ => None,
    });
    sent.collect()
}

fn answer(id: RequestId, from: BrokerId, epoch: i32, leader: Option<BrokerId>, body: Body) -> Input {
    Input::Answered { id, from, response: Response { epoch: LeaderEpoch(epoch), leader, body } }
}

fn fetch(replica: BrokerId, epoch: i32, offset: i64, last_epoch: i32) -> Input {
    let request = Request::Fetch(FetchRequest {
        epoch: LeaderEpoch(epoch),
        replica,
        directory: None,
        offset: Offset(offset),
        last_epoch: LeaderEpoch(last_epoch),
    });
    Input::Request { ticket: Ticket(replica.0 as u64), request }
}

/// Node 1, elected in epoch 4 by node 2; its log ends at 11 and nothing is synced since.
fn leader() -> Quorum {
    let mut quorum = voter();
    let out = step(&mut quorum, 3000, Input::Tick);
    let (id, ..) = sends(&out)[0];
    let mut out = step(&mut quorum, 3001, answer(id, TWO, 3, None, Body::Vote { granted: true }));
    let input = persisted(&out);
    out = step(&mut quorum, 3002, input);
    let (id, to, _) = sends(&out)[0];
    out = step(&mut quorum, 3003, answer(id, to, 4, None, Body::Vote { granted: true }));
    assert!(out.contains(&Output::AppendLeaderChange { epoch: LeaderEpoch(4) }));
    assert!(quorum.is_leader());
    quorum
}

/// Node 1, which follows node 2 in epoch 5 and has a fetch under way.
fn follower() -> (Quorum, RequestId) {
    let mut quorum = voter();
    let request = Request::BeginEpoch(BeginEpochRequest { epoch: LeaderEpoch(5), leader: TWO });
    let mut out = step(&mut quorum, 10, Input::Request { ticket: Ticket(1), request });
    let input = persisted(&out);
    out.extend(step(&mut quorum, 11, input));
    let (id, to, _) = *sends(&out).last().unwrap();
    assert_eq!(to, TWO);
    (quorum, id)
}

#[test]
fn no_vote_leaves_before_it_is_on_disk() {
    let mut quorum = voter();
    let out = step(&mut quorum, 10, vote(4, 2, 10, false));
    assert_eq!(body(&out), None);
    let state = QuorumState { epoch: LeaderEpoch(4), voted_for: Some(TWO), leader: None };
    assert!(out.iter().any(|output| matches!(output, Output::PersistState { state: found, .. } if *found == state)));
    let input = persisted(&out);
    assert_eq!(body(&step(&mut quorum, 20, input)), Some(&Body::Vote { granted: true }));
}

#[test]
fn one_vote_an_epoch() {
    let mut quorum = voter();
    let mut out = step(&mut quorum, 10, vote(4, 2, 10, false));
    let input = persisted(&out);
    step(&mut quorum, 20, input);
    out = step(&mut quorum, 30, vote_for(THREE, 4, 9, 99, false));
    assert_eq!(body(&out), Some(&Body::Vote { granted: false }));
    out = step(&mut quorum, 40, vote(4, 2, 10, false));
    assert_eq!(body(&out), Some(&Body::Vote { granted: true }), "the same candidate may ask again");
}

#[test]
fn a_vote_outlives_a_restart() {
    let state = QuorumState { epoch: LeaderEpoch(4), voted_for: Some(THREE), leader: None };
    let mut quorum = Quorum::new(config(), recovered(state, Positions::default()), Time(1), 0);
    assert_eq!(body(&step(&mut quorum, 10, vote(4, 9, 99, false))), Some(&Body::Vote { granted: false }));
}

#[test]
fn a_log_that_is_behind_gets_no_vote_and_the_last_epoch_counts_before_the_length() {
    for (last_epoch, log_end, granted) in [(2, 10, true), (2, 9, false), (1, 500, false), (3, 1, true)] {
        let mut quorum = voter();
        let out = step(&mut quorum, 10, vote(3, last_epoch, log_end, true));
        assert_eq!(body(&out), Some(&Body::Vote { granted }), "epoch {last_epoch}, end {log_end}");
    }
}

#[test]
fn a_pre_vote_costs_neither_an_epoch_nor_a_vote() {
    let mut quorum = voter();
    let out = step(&mut quorum, 10, vote(3, 2, 10, true));
    assert_eq!(body(&out), Some(&Body::Vote { granted: true }));
    assert!(!out.iter().any(|output| matches!(output, Output::PersistState { .. })));
}

#[test]
fn a_follower_that_hears_its_leader_lets_nobody_stand() {
    let (mut quorum, id) = follower();
    assert_eq!(body(&step(&mut quorum, 20, vote(5, 2, 10, true))), Some(&Body::Vote { granted: true }));
    let nothing = Body::Records { high_watermark: Offset(0), spans: Vec::new(), records: Default::default() };
    step(&mut quorum, 30, answer(id, TWO, 5, Some(TWO), nothing));
    assert_eq!(body(&step(&mut quorum, 40, vote(5, 2, 10, true))), Some(&Body::Vote { granted: false }));
}

#[test]
fn a_follower_whose_leaders_process_is_gone_stands_soon_and_once_an_epoch() {
    let (mut quorum, id) = follower();
    let nothing = Body::Records { high_watermark: Offset(0), spans: Vec::new(), records: Default::default() };
    let out = step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), nothing));
    let (id, ..) = sends(&out)[0];

    // Drawn from an eighth of the election timeout.
    let mut out = Vec::new();
    quorum.step(Time(1 + 30_000_000), 40_000_000, Input::Refused { id }, &mut out);
    assert_eq!((quorum.leader(), quorum.deadline()), (Some(TWO), Time(1 + 70_000_000)));
    assert_eq!(body(&step(&mut quorum, 40, vote(5, 2, 10, true))), Some(&Body::Vote { granted: true }));
    let out = step(&mut quorum, 70, Input::Tick);
    let asked = sends(&out);
    assert!(matches!(asked[..], [(_, TWO, Request::Vote(_)), (_, THREE, Request::Vote(_))]), "{asked:?}");

    // Node 3 hears from the leader: it was the network that refused, and may go on doing so.
    let (id, ..) = asked[1];
    let out = step(&mut quorum, 80, answer(id, THREE, 5, Some(TWO), Body::Vote { granted: false }));
    assert_eq!(quorum.leader(), Some(TWO));
    let (id, ..) = sends(&out)[0];
    step(&mut quorum, 90, Input::Refused { id });
    assert_eq!(quorum.leader(), Some(TWO));
    assert_eq!(sends(&step(&mut quorum, 1000, Input::Tick)).len(), 1, "it only asks the leader again");
}

#[test]
fn the_only_voter_elects_itself_at_once_but_not_before_its_vote_is_on_disk() {
    let alone = Recovered { state: QuorumState::default(), log: Positions::default(), voters: voters(&[ONE]) };
    let mut quorum = Quorum::new(config(), alone, Time(1), 0);
    let out = step(&mut quorum, 0, Input::Tick);
    assert!(!quorum.is_leader());
    let input = persisted(&out);
    let out = step(&mut quorum, 1, input);
    assert!(out.contains(&Output::AppendLeaderChange { epoch: LeaderEpoch(1) }));
    let out = step(&mut quorum, 2, Input::LogSynced { end: Offset(1) });
    assert!(out.contains(&Output::HighWatermark { to: Offset(1) }));
}

#[test]
fn a_candidate_does_not_count_its_own_vote_before_it_is_on_disk() {
    let mut quorum = voter();
    let out = step(&mut quorum, 3000, Input::Tick);
    let (id, ..) = sends(&out)[0];
    let out = step(&mut quorum, 3001, answer(id, TWO, 3, None, Body::Vote { granted: true }));
    assert_eq!(sends(&out), [], "no request for votes leaves either");
}

#[test]
fn records_of_earlier_epochs_are_committed_only_with_one_of_the_leaders_own() {
    let mut quorum = leader();
    let out = step(&mut quorum, 3010, fetch(TWO, 4, 10, 2));
    assert!(!out.iter().any(|output| matches!(output, Output::HighWatermark { .. })));
    step(&mut quorum, 3011, Input::LogSynced { end: Offset(11) });
    let out = step(&mut quorum, 3012, fetch(TWO, 4, 11, 4));
    assert!(out.contains(&Output::HighWatermark { to: Offset(11) }));
}

#[test]
fn the_leaders_own_log_counts_only_as_far_as_it_is_synced() {
    let mut quorum = leader();
    let out = step(&mut quorum, 3010, fetch(TWO, 4, 11, 4));
    assert!(!out.iter().any(|output| matches!(output, Output::HighWatermark { .. })));
    let out = step(&mut quorum, 3011, Input::LogSynced { end: Offset(11) });
    assert!(out.contains(&Output::HighWatermark { to: Offset(11) }));
}

#[test]
fn an_observers_fetch_commits_nothing() {
    let mut quorum = leader();
    step(&mut quorum, 3010, Input::LogSynced { end: Offset(11) });
    let out = step(&mut quorum, 3011, fetch(BrokerId(9), 4, 11, 4));
    assert!(!out.iter().any(|output| matches!(output, Output::HighWatermark { .. })));
}

#[test]
fn a_voter_that_comes_back_with_another_disk_counts_for_nothing() {
    let state = QuorumState { epoch: LeaderEpoch(3), voted_for: None, leader: None };
    let recovered = Recovered { state, log: Positions::default(), voters: added() };
    let mut quorum = Quorum::new(config(), recovered, Time(1), 0);
    let out = step(&mut quorum, 3000, Input::Tick);
    let (id, _, request) = sends(&out)[0];
    assert!(matches!(request, Request::Vote(vote) if vote.voter == DISK), "only that disk may vote");
    let mut out = step(&mut quorum, 3001, answer(id, TWO, 3, None, Body::Vote { granted: true }));
    let input = persisted(&out);
    out = step(&mut quorum, 3002, input);
    let (id, ..) = sends(&out)[0];
    step(&mut quorum, 3003, answer(id, TWO, 4, None, Body::Vote { granted: true }));
    assert!(quorum.is_leader());
    step(&mut quorum, 3004, Input::LogSynced { end: Offset(1) });
    let fetches = |directory| {
        let (epoch, offset) = (LeaderEpoch(4), Offset(1));
        let fetch = FetchRequest { epoch, replica: TWO, directory, offset, last_epoch: epoch };
        Input::Request { ticket: Ticket(9), request: Request::Fetch(fetch) }
    };
    step(&mut quorum, 3005, fetches(OTHER_DISK));
    assert_eq!(quorum.high_watermark(), Offset::ZERO, "it may lack what the voter had");
    step(&mut quorum, 3006, fetches(DISK));
    assert_eq!(quorum.high_watermark(), Offset(1));
}

#[test]
fn a_node_gives_no_vote_for_a_disk_that_it_does_not_have() {
    let state = QuorumState { epoch: LeaderEpoch(3), voted_for: None, leader: None };
    let config = Config { directory: OTHER_DISK, ..config() };
    let mut quorum = Quorum::new(config, recovered(state, Positions::default()), Time(1), 0);
    let request = |voter| {
        let (epoch, last_epoch, log_end) = (LeaderEpoch(3), LeaderEpoch(2), Offset(10));
        let vote = VoteRequest { epoch, candidate: TWO, voter, last_epoch, log_end, pre_vote: true };
        Input::Request { ticket: Ticket(1), request: Request::Vote(vote) }
    };
    assert_eq!(body(&step(&mut quorum, 10, request(DISK))), Some(&Body::Refused(Refusal::InvalidVoter)));
    assert_eq!(body(&step(&mut quorum, 11, request(OTHER_DISK))), Some(&Body::Vote { granted: true }));
}

#[test]
fn a_fetch_from_another_history_is_told_where_the_logs_part() {
    let mut quorum = leader();
    let out = step(&mut quorum, 3010, fetch(TWO, 4, 12, 1));
    assert_eq!(body(&out), Some(&Body::Diverging { epoch: LeaderEpoch(1), end: Offset(4) }));
    let out = step(&mut quorum, 3011, fetch(TWO, 4, 10, 3));
    assert_eq!(body(&out), Some(&Body::Diverging { epoch: LeaderEpoch(2), end: Offset(10) }));
}

#[test]
fn a_fetch_that_finds_nothing_new_waits_until_there_is() {
    let mut quorum = leader();
    step(&mut quorum, 3010, Input::LogSynced { end: Offset(11) });
    step(&mut quorum, 3011, fetch(TWO, 4, 11, 4));
    let out = step(&mut quorum, 3012, fetch(TWO, 4, 11, 4));
    assert_eq!(out, [], "it knows the high watermark, and there are no records");
    let out = step(&mut quorum, 3013, Input::Appended { end: Offset(12) });
    assert!(matches!(out[..], [Output::ReplyRecords { from: Offset(11), .. }]));
}

#[test]
fn a_fetch_of_an_epoch_that_has_passed_is_fenced() {
    let mut quorum = leader();
    let out = step(&mut quorum, 3010, fetch(TWO, 3, 10, 2));
    assert_eq!(body(&out), Some(&Body::Refused(Refusal::FencedLeaderEpoch)));
}

#[test]
fn a_leader_that_no_majority_fetches_from_resigns() {
    let mut quorum = leader();
    step(&mut quorum, 5000, fetch(TWO, 4, 10, 2));
    step(&mut quorum, 7500, Input::Tick);
    assert!(quorum.is_leader(), "node 2 fetched");
    let out = step(&mut quorum, 8100, Input::Tick);
    assert!(!quorum.is_leader());
    assert!(sends(&out).iter().any(|(_, _, request)| matches!(request, Request::EndEpoch(_))));
}

#[test]
fn a_follower_fetches_only_what_follows_its_synced_end() {
    let (mut quorum, id) = follower();
    let spans = vec![Span { epoch: LeaderEpoch(5), start: Offset(10), end: Offset(12), voters: None }];
    let body = Body::Records { high_watermark: Offset(10), spans, records: Default::default() };
    let out = step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), body));
    assert!(out.contains(&Output::HighWatermark { to: Offset(10) }));
    assert_eq!(sends(&out), []);
    let out = step(&mut quorum, 30, Input::LogSynced { end: Offset(12) });
    let (_, _, request) = sends(&out)[0];
    assert!(
        matches!(request, Request::Fetch(fetch) if fetch.offset == Offset(12) && fetch.last_epoch == LeaderEpoch(5))
    );
}

#[test]
fn a_follower_cuts_its_log_to_where_the_epochs_agree() {
    let (mut quorum, id) = follower();
    let body = Body::Diverging { epoch: LeaderEpoch(1), end: Offset(6) };
    let out = step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), body));
    assert!(out.contains(&Output::Truncate { to: Offset(4) }), "its own epoch 1 ends at 4");
}

#[test]
fn a_committed_record_is_never_cut() {
    let (mut quorum, id) = follower();
    let nothing = Body::Records { high_watermark: Offset(8), spans: Vec::new(), records: Default::default() };
    let out = step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), nothing));
    let (id, ..) = sends(&out)[0];
    let body = Body::Diverging { epoch: LeaderEpoch(1), end: Offset(4) };
    let out = step(&mut quorum, 30, answer(id, TWO, 5, Some(TWO), body));
    assert!(out.iter().any(|output| matches!(output, Output::CommittedIsMissing { .. })));
    assert_eq!(quorum.log_end(), Offset(10));
}

#[test]
fn an_answer_to_a_fetch_of_an_earlier_epoch_cuts_nothing() {
    let (mut quorum, id) = follower();
    let request = Request::BeginEpoch(BeginEpochRequest { epoch: LeaderEpoch(6), leader: THREE });
    step(&mut quorum, 20, Input::Request { ticket: Ticket(9), request });
    let body = Body::Diverging { epoch: LeaderEpoch(1), end: Offset(4) };
    step(&mut quorum, 30, answer(id, TWO, 5, Some(TWO), body));
    assert_eq!(quorum.log_end(), Offset(10));
}

#[test]
fn records_that_leave_a_gap_or_come_from_the_future_are_not_taken() {
    for (epoch, start) in [(5, 11), (5, 9), (6, 10), (1, 10)] {
        let (mut quorum, id) = follower();
        let spans = vec![Span { epoch: LeaderEpoch(epoch), start: Offset(start), end: Offset(20), voters: None }];
        let body = Body::Records { high_watermark: Offset(20), spans, records: Default::default() };
        step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), body));
        assert_eq!((quorum.log_end(), quorum.high_watermark()), (Offset(10), Offset(0)));
    }
}

#[test]
fn an_epoch_without_a_successor_is_refused() {
    let mut quorum = voter();
    let out = step(&mut quorum, 10, vote(i32::MAX, 2, 10, false));
    assert_eq!(body(&out), Some(&Body::Refused(Refusal::InvalidRequest)));
    assert_eq!(quorum.epoch(), LeaderEpoch(3));
}

#[test]
fn a_node_that_was_cut_off_does_not_disturb_the_others_when_it_comes_back() {
    let mut world = World::new(3, Planted::NONE);
    world.settle(Duration::from_secs(5));
    let leader = world.leader().unwrap();
    let epoch = world.nodes[&leader].quorum.epoch();
    let lonely = BrokerId(if leader == ONE { 2 } else { 1 });
    world.cut_off(lonely);
    world.settle(Duration::from_secs(60));
    world.cut.clear();
    world.settle(Duration::from_secs(5));
    assert_eq!(world.leader(), Some(leader));
    assert_eq!(world.nodes[&leader].quorum.epoch(), epoch, "its elections spent no epoch");
}

#[test]
fn a_leader_that_is_cut_off_is_replaced_and_follows_its_successor() {
    let mut world = World::new(3, Planted::NONE);
    world.settle(Duration::from_secs(5));
    let first = world.leader().unwrap();
    world.cut_off(first);
    world.propose(first);
    world.settle(Duration::from_secs(10));
    assert_ne!(world.leader(), Some(first));
    assert!(!world.nodes[&first].quorum.is_leader(), "it noticed that nobody fetches");
    world.must_make_progress();
}

#[test]
fn an_orderly_resignation_is_followed_by_a_quick_election() {
    let mut world = World::new(3, Planted::NONE);
    world.settle(Duration::from_secs(5));
    let first = world.leader().unwrap();
    world.step(first, Input::Resign);
    world.settle(Duration::from_millis(200));
    assert!(world.leader().is_some_and(|leader| leader != first));
    assert_eq!(world.node(4).quorum.log_end(), world.node(1).quorum.log_end(), "the observer follows");
}

#[test]
fn a_log_that_was_cut_at_a_batch_is_counted_from_there() {
    let (mut quorum, id) = follower();
    let end = quorum.log_end();
    let answer = Response {
        epoch: quorum.epoch(),
        leader: Some(TWO),
        body: Body::Diverging { epoch: LeaderEpoch(2), end: end.plus(-1) },
    };
    let out = step(&mut quorum, 20, Input::Answered { id, from: TWO, response: answer });
    assert!(out.contains(&Output::Truncate { to: end.plus(-1) }), "{out:?}");
    step(&mut quorum, 20, Input::Truncated { end: end.plus(-3) });
    assert_eq!(quorum.log_end(), end.plus(-3));
}

const SNAPSHOT: SnapshotId = SnapshotId { end: Offset(40), epoch: LeaderEpoch(4) };

fn piece(position: u64, bytes: &'static [u8]) -> Body {
    Body::Piece(Piece { snapshot: SNAPSHOT, size: 10, position, bytes: Bytes::from_static(bytes) })
}

/// Node 1, which follows node 2 in epoch 5, was told that what it lacks is in a snapshot, and asks for its beginning.
fn fetching_a_snapshot() -> (Quorum, RequestId) {
    let (mut quorum, id) = follower();
    let out = step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), Body::Snapshot(SNAPSHOT)));
    let [(id, TWO, Request::FetchSnapshot(fetch))] = sends(&out)[..] else { panic!("{out:?}") };
    assert_eq!((fetch.snapshot, fetch.position), (SNAPSHOT, 0));
    (quorum, id)
}

/// The same node with all of it, which is not in the place of its log yet.
fn installing() -> Quorum {
    let (mut quorum, id) = fetching_a_snapshot();
    let out = step(&mut quorum, 21, answer(id, TWO, 5, Some(TWO), piece(0, b"0123456")));
    let [(id, TWO, Request::FetchSnapshot(fetch))] = sends(&out)[..] else { panic!("{out:?}") };
    assert_eq!(fetch.position, 7);
    let out = step(&mut quorum, 22, answer(id, TWO, 5, Some(TWO), piece(7, b"789")));
    assert_eq!(out.last(), Some(&Output::InstallSnapshot { snapshot: SNAPSHOT }));
    quorum
}

#[test]
fn a_snapshot_takes_the_place_of_the_log_and_the_next_fetch_goes_on_behind_it() {
    let mut quorum = installing();
    let out = step(&mut quorum, 30, Input::SnapshotInstalled { snapshot: SNAPSHOT, end: SNAPSHOT.end, voters: None });
    assert!(out.contains(&Output::HighWatermark { to: Offset(40) }));
    let [(_, TWO, Request::Fetch(fetch))] = sends(&out)[..] else { panic!("{out:?}") };
    assert_eq!((fetch.offset, fetch.last_epoch), (Offset(40), LeaderEpoch(4)));
    assert_eq!(quorum.log_end(), Offset(40));
}

#[test]
fn who_installs_a_snapshot_asks_for_nothing_and_does_not_stand() {
    let mut quorum = installing();
    for at_ms in [3_000, 6_000, 9_000, 12_000] {
        let out = step(&mut quorum, at_ms, Input::Tick);
        assert!(sends(&out).is_empty(), "{out:?}");
    }
    step(&mut quorum, 12_001, Input::SnapshotRefused { snapshot: SNAPSHOT });
    let out = step(&mut quorum, 20_000, Input::Tick);
    assert!(
        sends(&out).iter().all(|(_, _, request)| matches!(request, Request::Vote(vote) if vote.pre_vote)),
        "{out:?}"
    );
}

#[test]
fn a_piece_that_is_not_the_next_one_is_refused_and_all_is_asked_for_again() {
    for wrong in [
        piece(3, b"012"),
        piece(0, b""),
        piece(0, b"0123456789a"),
        Body::Piece(Piece {
            snapshot: SnapshotId { end: Offset(41), ..SNAPSHOT },
            size: 10,
            position: 0,
            bytes: Bytes::from_static(b"0"),
        }),
    ] {
        let (mut quorum, id) = fetching_a_snapshot();
        let out = step(&mut quorum, 21, answer(id, TWO, 5, Some(TWO), wrong.clone()));
        assert!(out.is_empty(), "{wrong:?}: {out:?}");
        let out = step(&mut quorum, 200, Input::Tick);
        assert!(matches!(sends(&out)[..], [(_, TWO, Request::Fetch(_))]), "{out:?}");
    }
}

#[test]
fn a_snapshot_that_ends_below_what_is_committed_here_is_not_taken() {
    let (mut quorum, id) = follower();
    let spans = vec![Span { epoch: LeaderEpoch(2), start: Offset(10), end: Offset(50), voters: None }];
    let records = Body::Records { high_watermark: Offset(50), spans, records: Bytes::new() };
    step(&mut quorum, 20, answer(id, TWO, 5, Some(TWO), records));
    let out = step(&mut quorum, 21, Input::LogSynced { end: Offset(50) });
    let (id, ..) = sends(&out)[0];
    let out = step(&mut quorum, 22, answer(id, TWO, 5, Some(TWO), Body::Snapshot(SNAPSHOT)));
    assert!(matches!(out[..], [Output::CommittedIsMissing { leader: TWO, .. }]), "{out:?}");
}

#[test]
fn a_leader_offers_its_newest_snapshot_for_what_is_gone_and_hears_whoever_fetches_it() {
    let mut quorum = leader();
    let first = SnapshotId { end: Offset(8), epoch: LeaderEpoch(2) };
    step(&mut quorum, 3010, Input::SnapshotTaken { snapshot: first });
    step(&mut quorum, 3011, Input::LogStartMoved { to: first });
    let out = step(&mut quorum, 3012, fetch(THREE, 4, 5, 2));
    assert_eq!(body(&out), Some(&Body::Snapshot(first)));
    let out = step(&mut quorum, 3013, fetch(THREE, 4, 8, 1));
    assert_eq!(body(&out), Some(&Body::Snapshot(first)));
    for at_ms in (3_500..20_000).step_by(1_500) {
        let asked = |snapshot| {
            let fetch =
                FetchSnapshotRequest { epoch: LeaderEpoch(4), replica: THREE, directory: None, snapshot, position: 0 };
            Input::Request { ticket: Ticket(9), request: Request::FetchSnapshot(fetch) }
        };
        let out = step(&mut quorum, at_ms, asked(first));
        assert!(out.iter().any(|output| matches!(output, Output::ReplyPiece { position: 0, .. })), "{out:?}");
        let out = step(&mut quorum, at_ms, asked(SNAPSHOT));
        assert_eq!(body(&out), Some(&Body::Refused(Refusal::SnapshotNotFound)));
        assert!(quorum.is_leader(), "whoever fetches a snapshot is there (KAFKA-15489)");
    }
}
