//! The rules of fetch sessions, one by one.

use bytes::Bytes;
use protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use protocol::messages::topic_name;
use storage::Records;

use super::*;

const BY_NAME: i16 = 12;
const BY_ID: i16 = 13;
const FOLLOWER: Follower = (BrokerId(2), BrokerEpoch(7));

fn request(id: i32, epoch: i32, named: &[(i32, i64)]) -> FetchRequest {
    let partition = |&(index, offset): &(i32, i64)| {
        FetchPartition::default().with_partition(index).with_fetch_offset(offset).with_current_leader_epoch(5)
    };
    let topic = FetchTopic::default().with_topic(topic_name("orders"));
    let topic = topic.with_partitions(named.iter().map(partition).collect());
    FetchRequest::default().with_session_id(id).with_session_epoch(epoch).with_topics(vec![topic])
}

fn key(index: i32) -> Key {
    Key { topic: Topic::Name(topic_name("orders")), index }
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn quiet(high_watermark: i64) -> PartitionAnswer {
    PartitionAnswer { high_watermark, ..PartitionAnswer::default() }
}

/// A cache whose ids count from one.
struct World {
    sessions: FetchSessions,
    entropy: u64,
}

impl World {
    fn new(slots: usize) -> World {
        World { sessions: FetchSessions::new(slots, Duration::from_secs(10), Planted::NONE), entropy: 0 }
    }

    fn end(
        &mut self,
        now: Time,
        Begun { context, asks, .. }: Begun,
        answer: impl Fn(i32) -> PartitionAnswer,
    ) -> (Result<i32, (ErrorCode, i32)>, Vec<i32>) {
        let answered =
            asks.into_iter().map(|Ask { key, asked, .. }| Answered { answer: answer(key.index), key, asked });
        let mut answered: Vec<Answered> = answered.collect();
        let entropy = &mut self.entropy;
        let ended = self.sessions.end(now, &context, &mut answered, || {
            *entropy += 1;
            *entropy << 33
        });
        (ended, answered.iter().map(|answered| answered.key.index).collect())
    }

    /// One fetch: its session's id, and the partitions that are answered.
    fn fetch(
        &mut self,
        now: Time,
        request: &FetchRequest,
        is_followers: bool,
        answer: impl Fn(i32) -> PartitionAnswer,
    ) -> Result<(i32, Vec<i32>), ErrorCode> {
        let begun = self.sessions.begin(now, BY_NAME, request, is_followers.then_some(FOLLOWER))?;
        let (ended, told) = self.end(now, begun, answer);
        Ok((ended.unwrap(), told))
    }

    fn begin_of(&mut self, now: Time, size: i32, is_followers: bool) -> i32 {
        let named: Vec<_> = (0..size).map(|index| (index, 0)).collect();
        self.fetch(now, &request(0, 0, &named), is_followers, |_| quiet(0)).unwrap().0
    }

    fn keeps(&self, id: i32) -> bool {
        self.sessions.slots.lock().by_id.contains_key(&id)
    }
}

#[test]
fn what_says_nothing_new_is_left_out_and_what_moved_is_told_once() {
    let mut world = World::new(10);
    let (id, told) = world.fetch(at(0), &request(0, 0, &[(0, 7), (1, 8)]), false, |_| quiet(3)).unwrap();
    assert_eq!((id, told), (1, vec![0, 1]));
    let high_watermark = |index| quiet(3 + i64::from(index));
    assert_eq!(world.fetch(at(0), &request(id, 1, &[]), false, high_watermark), Ok((id, vec![1])));
    assert_eq!(world.fetch(at(0), &request(id, 2, &[]), false, high_watermark), Ok((id, vec![])));
    let log_start = |index| PartitionAnswer { log_start: 1 - i64::from(index), ..high_watermark(index) };
    assert_eq!(world.fetch(at(0), &request(id, 3, &[]), false, log_start), Ok((id, vec![0])));
}

#[test]
fn records_errors_their_end_and_a_parting_are_always_told() {
    let mut world = World::new(10);
    let id = world.begin_of(at(0), 1, true);
    let error = || PartitionAnswer { error_code: 6, high_watermark: -1, log_start: -1, ..PartitionAnswer::default() };
    let parting = || PartitionAnswer { parting: Some((LeaderEpoch(1), Offset(2))), ..quiet(0) };
    let records = || PartitionAnswer { records: Bytes::from_static(b"records").into(), ..quiet(0) };
    let told: [(fn() -> PartitionAnswer, bool); 9] = [
        (error, true),
        (error, true),
        (|| quiet(0), true),
        (|| quiet(0), false),
        (records, true),
        (records, true),
        (|| quiet(0), false),
        (parting, true),
        (parting, true),
    ];
    for (epoch, (answer, is_told)) in (1..).zip(told) {
        let (_, told) = world.fetch(at(0), &request(id, epoch, &[]), true, |_| answer()).unwrap();
        assert_eq!(!told.is_empty(), is_told, "{epoch}");
    }
}

#[test]
fn what_is_not_named_is_asked_for_as_before_and_what_is_forgotten_no_more() {
    let mut world = World::new(10);
    let (id, _) = world.fetch(at(0), &request(0, 0, &[(0, 7), (1, 8)]), true, |_| quiet(0)).unwrap();
    let Begun { asks, .. } =
        world.sessions.begin(at(0), BY_NAME, &request(id, 1, &[(1, 5), (2, 9)]), Some(FOLLOWER)).unwrap();
    let asked: Vec<_> = asks.iter().map(|ask| (ask.key.index, ask.asked.offset.0, ask.asked.leader_epoch.0)).collect();
    assert_eq!(asked, [(0, 7, 5), (1, 5, 5), (2, 9, 5)]);
    let topic = ForgottenTopic::default().with_topic(topic_name("orders")).with_partitions(vec![0, 2, 3]);
    let forgets = request(id, 2, &[]).with_forgotten_topics_data(vec![topic]);
    let Begun { asks, .. } = world.sessions.begin(at(0), BY_NAME, &forgets, Some(FOLLOWER)).unwrap();
    assert_eq!(asks.iter().map(|ask| ask.key.index).collect::<Vec<_>>(), [1]);
    assert_eq!(world.sessions.slots.lock().partitions, 1);
}

#[test]
fn a_session_that_nothing_is_left_of_is_over() {
    let mut world = World::new(10);
    let id = world.begin_of(at(0), 1, false);
    let topic = ForgottenTopic::default().with_topic(topic_name("orders")).with_partitions(vec![0]);
    let forgets = request(id, 1, &[]).with_forgotten_topics_data(vec![topic]);
    assert_eq!(world.fetch(at(0), &forgets, false, |_| quiet(0)), Ok((NO_SESSION, vec![])));
    assert!(!world.keeps(id));
}

#[test]
fn only_the_next_epoch_goes_on() {
    let mut world = World::new(10);
    let id = world.begin_of(at(0), 1, false);
    let begin = |epoch| world.sessions.begin(at(0), BY_NAME, &request(id, epoch, &[]), None).map(drop);
    assert_eq!(begin(2), Err(ErrorCode::InvalidFetchSessionEpoch), "one was lost");
    assert_eq!(begin(1), Ok(()));
    assert_eq!(begin(1), Err(ErrorCode::InvalidFetchSessionEpoch), "it comes again");
    assert_eq!(begin(2), Ok(()));
    let unknown = world.sessions.begin(at(0), BY_NAME, &request(id + 1, 3, &[]), None);
    assert_eq!(unknown.map(drop), Err(ErrorCode::FetchSessionIdNotFound));
    let by_id = world.sessions.begin(at(0), BY_ID, &request(id, 3, &[]), None);
    assert_eq!(by_id.map(drop), Err(ErrorCode::FetchSessionTopicIdError));
}

#[test]
fn an_answer_that_was_overtaken_is_refused() {
    let mut world = World::new(10);
    let id = world.begin_of(at(0), 1, false);
    let first = world.sessions.begin(at(0), BY_NAME, &request(id, 1, &[]), None).unwrap();
    let second = world.sessions.begin(at(0), BY_NAME, &request(id, 2, &[]), None).unwrap();
    assert_eq!(world.end(at(0), first, |_| quiet(9)).0, Err((ErrorCode::InvalidFetchSessionEpoch, id)));
    assert_eq!(world.end(at(0), second, |_| quiet(9)), (Ok(id), vec![0]));
}

#[test]
fn a_full_fetch_ends_the_session_that_it_names_and_the_last_begins_none() {
    let mut world = World::new(10);
    let first = world.begin_of(at(0), 1, false);
    let (second, _) = world.fetch(at(0), &request(first, FIRST_EPOCH, &[(0, 0)]), false, |_| quiet(0)).unwrap();
    assert!(second != first && !world.keeps(first) && world.keeps(second));
    let last = world.fetch(at(0), &request(second, LAST_EPOCH, &[(0, 0)]), false, |_| quiet(0));
    assert_eq!(last, Ok((NO_SESSION, vec![0])));
    assert!(!world.keeps(second));
    let sessionless = world.fetch(at(0), &request(0, LAST_EPOCH, &[(0, 0)]), false, |_| quiet(0));
    assert_eq!(sessionless, Ok((NO_SESSION, vec![0])));
}

#[test]
fn epochs_begin_again_at_one() {
    assert_eq!((next_epoch(0), next_epoch(41), next_epoch(i32::MAX)), (1, 42, 1));
}

#[test]
fn whoever_was_served_is_behind_the_others_next_time() {
    let mut world = World::new(10);
    let id = world.begin_of(at(0), 3, false);
    let first_has_records = |index| PartitionAnswer {
        records: if index == 0 { Bytes::from_static(b"records").into() } else { Records::default() },
        ..quiet(0)
    };
    world.fetch(at(0), &request(id, 1, &[]), false, first_has_records).unwrap();
    let Begun { asks, .. } = world.sessions.begin(at(0), BY_NAME, &request(id, 2, &[]), None).unwrap();
    assert_eq!(asks.into_iter().map(|ask| ask.key).collect::<Vec<_>>(), [key(1), key(2), key(0)]);
}

#[test]
fn a_full_cache_keeps_what_is_worth_more() {
    let mut world = World::new(2);
    let (small, large) = (world.begin_of(at(0), 1, false), world.begin_of(at(1), 3, false));
    assert_eq!(world.begin_of(at(60), 2, false), NO_SESSION, "both are young, and in use");
    let follower = world.begin_of(at(60), 1, true);
    assert!(follower != NO_SESSION && !world.keeps(small), "a follower's goes before a consumer's");
    world.fetch(at(121), &request(large, 1, &[]), false, |_| quiet(0)).unwrap();
    assert_eq!(world.begin_of(at(122), 2, false), NO_SESSION, "the old one is larger");
    let larger = world.begin_of(at(122), 4, false);
    assert!(larger != NO_SESSION && !world.keeps(large));
    let next = world.begin_of(at(181), 1, false);
    assert!(next != NO_SESSION && !world.keeps(follower), "nobody used it for two minutes");
    assert_eq!(world.sessions.slots.lock().partitions, 5);
    assert_eq!(World::new(0).begin_of(at(0), 1, true), NO_SESSION);
}

#[test]
fn memory_has_a_bound() {
    let mut world = World::new(10);
    let most = i32::try_from(PARTITIONS_MAX).unwrap();
    let id = world.begin_of(at(0), most, true);
    assert_eq!(world.begin_of(at(0), 1, true), NO_SESSION);
    let more = world.sessions.begin(at(0), BY_NAME, &request(id, 1, &[(most, 0)]), Some(FOLLOWER));
    assert_eq!(more.map(drop), Err(ErrorCode::FetchSessionIdNotFound));
    assert!(!world.keeps(id) && world.sessions.slots.lock().partitions == 0);
}

#[test]
fn a_planted_session_forgets_the_epoch_that_its_fetcher_believes_in() {
    let mut world = World::new(1);
    world.sessions.planted = Planted::NONE.with(model::Bug::SessionWithoutEpoch);
    let id = world.begin_of(at(0), 1, true);
    let Begun { asks, .. } = world.sessions.begin(at(0), BY_NAME, &request(id, 1, &[]), Some(FOLLOWER)).unwrap();
    assert_eq!(asks[0].asked.leader_epoch, LeaderEpoch::NONE);
}

const NOTHING: [i32; 0] = [];

fn settled(high_watermark: i64) -> PartitionAnswer {
    PartitionAnswer { is_settled: true, ..quiet(high_watermark) }
}

impl World {
    /// Which partitions a follower's fetch looks at, and what each is answered.
    fn looks(&mut self, now: Time, follower: Follower, request: &FetchRequest) -> Vec<i32> {
        let begun = self.sessions.begin(now, BY_NAME, request, Some(follower)).unwrap();
        let looks = begun.asks.iter().map(|ask| ask.key.index).collect();
        self.end(now, begun, |_| settled(0)).0.unwrap();
        looks
    }
}

/// A follower's session of three partitions in which nothing happens.
fn settled_session() -> (World, i32) {
    let mut world = World::new(10);
    let (id, _) = world.fetch(at(0), &request(0, 0, &[(0, 0), (1, 0), (2, 0)]), true, |_| settled(0)).unwrap();
    assert_eq!(world.looks(at(9), FOLLOWER, &request(id, 1, &[])), [0, 1, 2], "the first is told of nothing yet");
    assert_eq!(world.looks(at(9), FOLLOWER, &request(id, 2, &[])), NOTHING);
    (world, id)
}

#[test]
fn what_is_settled_is_looked_at_when_it_is_named_or_changes() {
    let (mut world, id) = settled_session();
    assert_eq!(world.looks(at(9), FOLLOWER, &request(id, 3, &[(1, 5), (3, 0)])), [1, 3]);
    let Begun { changes, context, asks } =
        world.sessions.begin(at(9), BY_NAME, &request(id, 4, &[]), Some(FOLLOWER)).unwrap();
    assert!(asks.is_empty());
    changes.tell(1, true);
    changes.tell(9, true);
    assert_eq!(changes.take(), [1, 9].into());
    assert_eq!(context.ask(1).map(|ask| (ask.number, ask.key, ask.asked.offset)), Some((1, key(1), Offset(5))));
    assert_eq!(context.ask(9), None, "there is no such partition");
    let seen = Begun { asks: context.ask(1).into_iter().collect(), context, changes: changes.clone() };
    assert_eq!(world.end(at(9), seen, |_| quiet(0)), (Ok(id), vec![]));
    changes.tell(3, false);
    changes.tell(0, true);
    assert_eq!(world.looks(at(9), FOLLOWER, &request(id, 5, &[])), [0, 1, 3], "one had not settled, two changed since");
    assert_eq!(world.looks(at(9), FOLLOWER, &request(id, 6, &[])), NOTHING);
}

#[test]
fn all_are_looked_at_now_and_then_and_for_another_registration() {
    let (mut world, id) = settled_session();
    let (before, after) = (Duration::from_millis(499), Duration::from_millis(500));
    assert_eq!(world.looks(at(9) + before, FOLLOWER, &request(id, 3, &[])), NOTHING);
    assert_eq!(world.looks(at(9) + after, FOLLOWER, &request(id, 4, &[])), [0, 1, 2]);
    let again = (FOLLOWER.0, BrokerEpoch(FOLLOWER.1.0 + 1));
    assert_eq!(world.looks(at(9) + after, again, &request(id, 5, &[])), [0, 1, 2]);
    assert_eq!(world.looks(at(9) + after, again, &request(id, 6, &[])), NOTHING);
    let hasty = FetchSessions::new(1, Duration::from_millis(800), Planted::NONE);
    assert_eq!(hasty.look_interval, Duration::from_millis(100), "who falls out of sync so soon is heard of in time");
}

#[test]
fn what_a_fetch_learned_that_was_given_up_is_looked_at_again() {
    let (world, id) = settled_session();
    let given_up = world.sessions.begin(at(9), BY_NAME, &request(id, 3, &[]), Some(FOLLOWER)).unwrap();
    let next = world.sessions.begin(at(9), BY_NAME, &request(id, 4, &[]), Some(FOLLOWER)).unwrap();
    assert_eq!(next.asks.len(), 3);
    assert!(!Arc::ptr_eq(&given_up.changes, &next.changes), "they do not take each other's news");
}

#[test]
fn what_is_forgotten_is_not_settled_either() {
    let (mut world, id) = settled_session();
    let topic = ForgottenTopic::default().with_topic(topic_name("orders")).with_partitions(vec![0, 1]);
    let forgets = request(id, 3, &[]).with_forgotten_topics_data(vec![topic]);
    assert_eq!(world.looks(at(10), FOLLOWER, &forgets), [2]);
    assert_eq!(world.looks(at(11), FOLLOWER, &request(id, 4, &[(0, 0)])), [0, 2]);
}

#[test]
fn a_consumers_fetch_looks_at_all() {
    let mut world = World::new(10);
    let (id, _) = world.fetch(at(0), &request(0, 0, &[(0, 0), (1, 0)]), false, |_| settled(0)).unwrap();
    for epoch in 1..4 {
        let begun = world.sessions.begin(at(0), BY_NAME, &request(id, epoch, &[]), None).unwrap();
        assert_eq!(begun.asks.iter().map(|ask| (ask.number, ask.key.index)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
        world.end(at(0), begun, |_| settled(0)).0.unwrap();
    }
}
