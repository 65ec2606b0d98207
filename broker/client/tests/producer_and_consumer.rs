//! Producer, consumer and administrator against brokers that misbehave on demand.
#![allow(clippy::unwrap_used, reason = "what does not hold here fails the test, as it should")]

mod peer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{
    Acks, Admin, CallError, ClientConfig, ClientError, ConsumeError, Consumer, ConsumerConfig, Message, OutOfRange,
    Position, Producer, ProducerConfig, Reason, SendError, Sent, TopicPartition, partition_of_key,
};
use host::Host;
use host::real::RealHost;
use model::{Endpoint, Offset, Timestamp};
use peer::{Deletion, PARTITIONS, Peers, Trick};
use protocol::ErrorCode;
use protocol::messages::Uuid;

fn client(bootstrap: Vec<Endpoint>) -> ClientConfig {
    let retry_backoff = Duration::from_millis(10);
    ClientConfig { retry_backoff, retry_backoff_max: 2 * retry_backoff, ..ClientConfig::new(bootstrap) }
}

fn producer(peers: &Peers, change: impl FnOnce(&mut ProducerConfig)) -> Producer<RealHost> {
    let mut config = ProducerConfig::new(client(peers.bootstrap()));
    change(&mut config);
    Producer::new(peers.host.clone(), config)
}

fn consumer(peers: &Peers, change: impl FnOnce(&mut ConsumerConfig)) -> Consumer<RealHost> {
    let mut config = ConsumerConfig::new(client(peers.bootstrap()));
    change(&mut config);
    Consumer::new(peers.host.clone(), config)
}

fn orders() -> Arc<str> {
    "orders".into()
}

fn message(text: impl Into<String>) -> Message {
    Message::new(text.into())
}

/// Does not compile for a future that a task of the Host could not run.
fn in_any_task<F: Future + Send>(future: F) -> F {
    future
}

/// Polls until `count` records are there; gives the values of each partition in order.
async fn read(consumer: &mut Consumer<RealHost>, count: usize) -> BTreeMap<i32, Vec<(i64, String)>> {
    let mut read = BTreeMap::<i32, Vec<_>>::new();
    for _ in 0..500 {
        if read.values().map(Vec::len).sum::<usize>() >= count {
            break;
        }
        for polled in consumer.poll(Duration::from_millis(100)).await.unwrap() {
            let values = polled
                .records
                .into_iter()
                .map(|stored| (stored.offset.0, String::from_utf8(stored.record.value.unwrap().to_vec()).unwrap()));
            read.entry(polled.partition.partition).or_default().extend(values);
        }
    }
    read
}

fn all(position: Position) -> impl Iterator<Item = (TopicPartition, Position)> {
    (0..PARTITIONS).map(move |partition| (TopicPartition::new("orders", partition), position))
}

#[tokio::test]
async fn keyed_records_are_read_in_the_order_in_which_they_were_sent() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |_| ());
    let keys = ["a", "b", "c", "d", "e"];
    let sends: Vec<_> = (0..500)
        .map(|number| {
            let key = keys[number % keys.len()];
            producer.send(&orders(), None, message(format!("{key}{number}")).with_key(key))
        })
        .collect();
    let mut expected = BTreeMap::<i32, Vec<_>>::new();
    for (number, send) in sends.into_iter().enumerate() {
        let key = keys[number % keys.len()];
        let Sent { partition, offset } = send.await.unwrap();
        assert_eq!(partition, partition_of_key(key.as_bytes(), PARTITIONS));
        expected.entry(partition).or_default().push((offset.unwrap().0, format!("{key}{number}")));
    }
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign(all(Position::Earliest));
    assert_eq!(read(&mut consumer, 500).await, expected);
    assert!(peers.state.lock().unwrap().produce_requests < 100, "records that wait together go together");
}

#[tokio::test]
async fn order_survives_refusals_and_retries() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.batch_bytes = 200);
    let refusal = Trick::Refuse(ErrorCode::NotEnoughReplicas);
    peers.play((0..40).flat_map(|_| [refusal, Trick::HangUpBeforeAppend]));
    let sends: Vec<_> = (0..200).map(|number| producer.send(&orders(), Some(1), message(number.to_string()))).collect();
    for (number, send) in sends.into_iter().enumerate() {
        assert_eq!(send.await, Ok(Sent { partition: 1, offset: Some(Offset(number as i64)) }));
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_record_in_doubt_and_a_retry_may_write_it_twice() {
    let peers = Peers::start().await;
    let once = producer(&peers, |config| config.retries = false);
    peers.play([Trick::HangUpAfterAppend]);
    let lost = once.send(&orders(), Some(0), message("in doubt")).await;
    assert_eq!(lost, Err(SendError::InDoubt(Reason::Call(CallError::Closed))));
    assert_eq!(peers.state.lock().unwrap().end(0), 1);

    let again = producer(&peers, |config| config.idempotent = false);
    peers.play([Trick::HangUpAfterAppend]);
    let sent = again.send(&orders(), Some(0), message("twice")).await;
    assert_eq!(sent, Ok(Sent { partition: 0, offset: Some(Offset(2)) }));
}

#[tokio::test]
async fn an_idempotent_producer_writes_nothing_twice_and_everything_in_order() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.batch_bytes = 1);
    let not_leader = Trick::AppendAndRefuse(ErrorCode::NotLeaderOrFollower);
    peers.play((0..20).flat_map(|_| [not_leader, Trick::HangUpAfterAppend, Trick::HangUpBeforeAppend]));
    let sends: Vec<_> = (0..100).map(|number| producer.send(&orders(), Some(1), message(number.to_string()))).collect();
    for (number, send) in sends.into_iter().enumerate() {
        assert_eq!(send.await, Ok(Sent { partition: 1, offset: Some(Offset(number as i64)) }));
    }
    let state = peers.state.lock().unwrap();
    assert_eq!((state.end(1), state.producer_ids), (100, 1));
}

#[tokio::test]
async fn after_a_batch_was_given_up_an_idempotent_producer_goes_on_under_a_new_epoch() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.batch_bytes = 1);
    producer.send(&orders(), Some(1), message("first")).await.unwrap();
    peers.play([Trick::Refuse(ErrorCode::MessageTooLarge)]);
    let refused = producer.send(&orders(), Some(1), message("too large")).await;
    assert_eq!(refused, Err(SendError::NotWritten(Reason::Refused(ErrorCode::MessageTooLarge))));
    let sent = producer.send(&orders(), Some(1), message("second")).await;
    assert_eq!(sent, Ok(Sent { partition: 1, offset: Some(Offset(1)) }));
}

#[tokio::test]
async fn a_batch_that_is_refused_for_its_sequence_goes_under_a_new_epoch() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |_| ());
    for (round, code) in
        (1..).zip([ErrorCode::OutOfOrderSequenceNumber, ErrorCode::UnknownProducerId, ErrorCode::InvalidProducerEpoch])
    {
        producer.send(&orders(), Some(1), message("first")).await.unwrap();
        peers.play([Trick::Refuse(code)]);
        let sent = producer.send(&orders(), Some(1), message("second")).await;
        assert_eq!(sent, Ok(Sent { partition: 1, offset: Some(Offset(2 * round - 1)) }), "{code}");
    }
    assert_eq!(peers.state.lock().unwrap().producer_ids, 2, "a producer whose epoch is refused becomes another");
}

#[tokio::test]
async fn a_refusal_says_whether_the_record_may_be_there() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.retries = false);
    for (trick, expected) in [
        (
            Trick::Refuse(ErrorCode::NotEnoughReplicas),
            SendError::NotWritten(Reason::Refused(ErrorCode::NotEnoughReplicas)),
        ),
        (
            Trick::Refuse(ErrorCode::NotLeaderOrFollower),
            SendError::InDoubt(Reason::Refused(ErrorCode::NotLeaderOrFollower)),
        ),
        (
            Trick::AppendAndRefuse(ErrorCode::NotEnoughReplicasAfterAppend),
            SendError::InDoubt(Reason::Refused(ErrorCode::NotEnoughReplicasAfterAppend)),
        ),
    ] {
        peers.play([trick]);
        assert_eq!(producer.send(&orders(), Some(0), message("x")).await, Err(expected));
    }
}

#[tokio::test]
async fn producer_and_consumer_follow_the_leader() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |_| ());
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign(all(Position::Earliest));
    for round in 0..4_i64 {
        let sent = producer.send(&orders(), Some(2), message(round.to_string())).await;
        assert_eq!(sent, Ok(Sent { partition: 2, offset: Some(Offset(round)) }));
        assert_eq!(read(&mut consumer, 1).await, BTreeMap::from([(2, vec![(round, round.to_string())])]));
        peers.move_leader();
    }
}

#[tokio::test]
async fn a_broker_that_never_answers_holds_up_nobody_else() {
    let peers = Peers::start().await;
    peers.state.lock().unwrap().led_by_the_mute = Some(1);
    let patient = |client: &mut ClientConfig| client.connect_timeout = Duration::from_millis(300);
    let producer = producer(&peers, |config| {
        patient(&mut config.client);
        config.delivery_timeout = Duration::from_millis(600);
    });
    let lost = producer.send(&orders(), Some(1), message("lost"));
    producer.send(&orders(), Some(0), message("first")).await.unwrap();
    let mut consumer = consumer(&peers, |config| patient(&mut config.client));
    consumer.assign(all(Position::Earliest));
    assert_eq!(read(&mut consumer, 1).await[&0], [(0, "first".to_string())]);
    for round in 1..20 {
        let began = peers.host.now();
        producer.send(&orders(), Some(0), message("next")).await.unwrap();
        assert_eq!(read(&mut consumer, 1).await[&0][0].0, round);
        assert!(peers.host.now() - began < Duration::from_millis(250), "round {round}");
    }
    assert!(matches!(lost.await, Err(SendError::NotWritten(_))), "nothing was ever sent there");
}

#[tokio::test]
async fn a_poll_ends_in_time_and_may_be_cancelled() {
    let peers = Peers::start().await;
    peers.state.lock().unwrap().led_by_the_mute = Some(1);
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign([(TopicPartition::new("orders", 1), Position::Earliest)]);
    let began = peers.host.now();
    assert_eq!(in_any_task(consumer.poll(Duration::from_millis(50))).await, Ok(Vec::new()));
    assert!(peers.host.now() - began < Duration::from_millis(500));

    peers.state.lock().unwrap().led_by_the_mute = None;
    let producer = producer(&peers, |_| ());
    producer.send(&orders(), Some(0), message("x")).await.unwrap();
    consumer.assign(all(Position::Earliest));
    for _ in 0..200 {
        // Cancelled at whatever point one millisecond leads to.
        let polled = host::timeout(&peers.host, Duration::from_millis(1), consumer.poll(Duration::from_secs(1))).await;
        if polled.is_ok_and(|polled| polled.is_ok_and(|polled| polled.len() == 1)) {
            return;
        }
    }
    panic!("the record never came");
}

#[tokio::test]
async fn a_consumer_goes_where_it_is_sent() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.linger = Duration::ZERO);
    let partition = TopicPartition::new("orders", 0);
    for number in 0..10_i64 {
        let message = Message { timestamp: Some(Timestamp(1000 + number * 10)), ..message(number.to_string()) };
        producer.send(&orders(), Some(0), message).await.unwrap();
    }
    let mut consumer = consumer(&peers, |_| ());
    for (position, first) in [
        (Position::Earliest, 0),
        (Position::Offset(Offset(7)), 7),
        (Position::Time(Timestamp(1035)), 4),
        (Position::Earliest, 0),
    ] {
        consumer.assign([(partition.clone(), position)]);
        let read = read(&mut consumer, 1).await;
        assert_eq!(read[&0][0].0, first, "{position:?}");
    }
    // Between polls a fetch may be under way; what it brings is for a place that nobody wants any more.
    assert!(consumer.seek(&partition, Position::Offset(Offset(3))));
    assert_eq!(read(&mut consumer, 1).await[&0][0].0, 3);
    assert!(consumer.seek(&partition, Position::Latest));
    assert_eq!(consumer.poll(Duration::from_millis(50)).await, Ok(Vec::new()));
    assert_eq!(consumer.position(&partition), Some(Offset(10)));
    assert_eq!(consumer.look_up(&partition, Position::Time(Timestamp(99_999))).await, Ok(Offset(10)));
    assert_eq!(consumer.range(&partition).await, Ok((Offset(0), Offset(10))));
    assert!(!consumer.seek(&TopicPartition::new("orders", 1), Position::Latest));
}

#[tokio::test]
async fn a_position_that_is_gone_is_dealt_with_as_configured() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.linger = Duration::ZERO);
    for number in 0..6 {
        producer.send(&orders(), Some(0), message(number.to_string())).await.unwrap();
    }
    peers.state.lock().unwrap().log_start = 4;
    let partition = TopicPartition::new("orders", 0);

    let mut resetting = consumer(&peers, |_| ());
    resetting.assign([(partition.clone(), Position::Offset(Offset(1)))]);
    assert_eq!(read(&mut resetting, 2).await[&0], [(4, "4".to_string()), (5, "5".to_string())]);

    let mut failing = consumer(&peers, |config| config.out_of_range = OutOfRange::Fail);
    failing.assign([(partition.clone(), Position::Offset(Offset(1)))]);
    let failure = failing.poll(Duration::from_secs(5)).await;
    assert_eq!(failure, Err(ConsumeError::OutOfRange { partition, position: Offset(1) }));
}

#[tokio::test]
async fn a_position_that_one_leader_lacks_and_the_next_one_has_is_kept() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.linger = Duration::ZERO);
    for number in 0..6 {
        producer.send(&orders(), Some(0), message(number.to_string())).await.unwrap();
    }
    let partition = TopicPartition::new("orders", 0);
    for out_of_range in [OutOfRange::Earliest, OutOfRange::Latest] {
        peers.state.lock().unwrap().late_starts = 1;
        let mut consumer = consumer(&peers, |config| config.out_of_range = out_of_range);
        consumer.assign([(partition.clone(), Position::Offset(Offset(4)))]);
        assert_eq!(read(&mut consumer, 2).await[&0], [(4, "4".to_string()), (5, "5".to_string())]);
    }
    // Beyond the end there is nothing to go on from.
    let mut beyond = consumer(&peers, |_| ());
    beyond.assign([(partition.clone(), Position::Offset(Offset(9)))]);
    assert_eq!(read(&mut beyond, 1).await[&0][0].0, 0);
    // Who wants to begin anew does.
    assert!(beyond.seek(&partition, Position::Earliest));
    assert_eq!(read(&mut beyond, 1).await[&0][0].0, 0);
}

#[tokio::test]
async fn a_reader_whose_records_were_given_up_is_told_and_goes_on_where_logs_agree() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| (config.linger, config.idempotent) = (Duration::ZERO, false));
    for number in 0..6 {
        producer.send(&orders(), Some(0), message(number.to_string())).await.unwrap();
    }
    let partition = TopicPartition::new("orders", 0);
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign([(partition.clone(), Position::Earliest)]);
    assert_eq!(read(&mut consumer, 6).await[&0].len(), 6);

    // When it asks again, the log is longer than its position, and other records stand there.
    peers.lose_all_but(4);
    for number in ["four", "five", "six", "seven"] {
        producer.send(&orders(), Some(0), message(number)).await.unwrap();
    }
    let mut told = Ok(Vec::new());
    for _ in 0..500 {
        told = consumer.poll(Duration::from_millis(20)).await;
        if told != Ok(Vec::new()) {
            break;
        }
    }
    assert_eq!(told, Err(ConsumeError::Truncated { partition, position: Offset(6), agreed: Offset(4) }));
    let values: Vec<_> = read(&mut consumer, 4).await.remove(&0).unwrap();
    assert_eq!(values, [(4, "four"), (5, "five"), (6, "six"), (7, "seven")].map(|(at, text)| (at, text.to_string())));
}

#[tokio::test]
async fn an_order_to_delete_a_topic_that_comes_late_spares_the_next_one_of_that_name() {
    let peers = Peers::start().await;
    let admin = Admin::new(peers.host.clone(), client(peers.bootstrap()));
    peers.state.lock().unwrap().deletion = Some(Deletion::HangUpBefore);
    in_any_task(admin.delete_topic("orders")).await.unwrap();

    let mut state = peers.state.lock().unwrap();
    assert_eq!(state.orders, None);
    let next = Some(Uuid::from_u128(10));
    state.orders = next;
    let late = state.on_its_way.take().unwrap();
    state.delete(late);
    assert_eq!(state.orders, next);
}

#[tokio::test]
async fn a_topic_that_was_deleted_without_an_answer_is_deleted_and_one_that_is_not_there_is_unknown() {
    let peers = Peers::start().await;
    let admin = Admin::new(peers.host.clone(), client(peers.bootstrap()));
    peers.state.lock().unwrap().deletion = Some(Deletion::HangUpAfter);
    assert_eq!(admin.delete_topic("orders").await, Ok(()));
    assert_eq!(peers.state.lock().unwrap().orders, None);
    assert_eq!(admin.delete_topic("orders").await, Err(ClientError::Unknown("orders".into())));
}

#[tokio::test]
async fn nobody_there_is_told_in_time() {
    let peers = Peers::start().await;
    // Bound and dropped: nobody listens there.
    let nobody = host::Listener::endpoint(&peers.host.listen(&Endpoint::new("127.0.0.1", 0)).await.unwrap());
    let mut config = ProducerConfig::new(client(vec![nobody.clone()]));
    config.delivery_timeout = Duration::from_millis(100);
    let producer = Producer::new(peers.host.clone(), config);
    let sent = producer.send(&orders(), None, message("x")).await;
    assert_eq!(sent, Err(SendError::NotWritten(Reason::NoLeader)));

    let mut consumer = Consumer::new(peers.host.clone(), ConsumerConfig::new(client(vec![nobody])));
    consumer.assign(all(Position::Earliest));
    assert_eq!(consumer.poll(Duration::from_millis(50)).await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_can_never_be_written_is_refused_at_once() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.buffer_bytes_max = 3 << 20);
    let large = producer.send(&orders(), None, message("x".repeat(2 << 20))).await;
    assert!(matches!(large, Err(SendError::NotWritten(Reason::TooLarge(_)))));
    let sends: Vec<_> = (0..5).map(|_| producer.send(&orders(), Some(0), message("x".repeat(900 << 10)))).collect();
    let results = futures_util::future::join_all(sends).await;
    assert_eq!(results.iter().filter(|sent| sent.is_ok()).count(), 3);
    assert_eq!(results[4], Err(SendError::NotWritten(Reason::BufferFull)));
    let nowhere = producer.send(&orders(), Some(PARTITIONS), message("x")).await;
    assert_eq!(nowhere, Err(SendError::NotWritten(Reason::NoPartition(PARTITIONS))));
    let unnamed = producer.send(&"no such".into(), None, message("x")).await;
    assert_eq!(unnamed, Err(SendError::NotWritten(Reason::Refused(ErrorCode::InvalidTopicException))));
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign([(TopicPartition::new("no such", 0), Position::Earliest)]);
    let refused = consumer.poll(Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(ConsumeError::Partition { error: ClientError::Refused { .. }, .. })), "{refused:?}");
}

#[tokio::test]
async fn without_acks_nobody_knows_the_offset_and_the_record_arrives() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.acks = Acks::None);
    let sent = producer.send(&orders(), Some(0), message("x")).await;
    assert_eq!(sent, Ok(Sent { partition: 0, offset: None }));
    let mut consumer = consumer(&peers, |_| ());
    consumer.assign(all(Position::Earliest));
    assert_eq!(read(&mut consumer, 1).await[&0], [(0, "x".to_string())]);
}

#[tokio::test]
async fn a_flush_waits_for_every_answer_and_lingers_for_nothing() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.linger = Duration::from_secs(600));
    for number in 0..30 {
        drop(producer.send(&orders(), None, message(number.to_string())));
    }
    producer.flush().await;
    let state = peers.state.lock().unwrap();
    assert_eq!((0..PARTITIONS).map(|partition| state.end(partition)).sum::<i64>(), 30);
}

#[tokio::test]
async fn a_dropped_producer_leaves_no_connection_and_no_answer_open() {
    let peers = Peers::start().await;
    let producer = producer(&peers, |config| config.linger = Duration::from_secs(600));
    drop(producer.send(&orders(), Some(0), message("x")));
    producer.flush().await;
    let waiting = producer.send(&orders(), Some(0), message("never"));
    drop(producer);
    assert_eq!(waiting.await, Err(SendError::InDoubt(Reason::Closed)));
    for _ in 0..200 {
        if peers.state.lock().unwrap().open_connections == 0 {
            return;
        }
        peers.host.sleep(Duration::from_millis(10)).await;
    }
    panic!("a connection is still open");
}

/// A reader in the rack of the follower, which answers so; and what the leader and the follower served.
async fn read_in_rack(answers: Result<(), ErrorCode>) -> [usize; 2] {
    let peers = Peers::start().await;
    let producer = producer(&peers, |_| ());
    for number in 0..20 {
        producer.send(&orders(), Some(0), message(number.to_string())).await.unwrap();
    }
    peers.state.lock().unwrap().follower = Some(("east", answers));
    let mut consumer = consumer(&peers, |config| config.client.rack = Some("east".into()));
    consumer.assign(all(Position::Earliest));
    let read = read(&mut consumer, 20).await;
    let expected: Vec<_> = (0..20).map(|number| (number, number.to_string())).collect();
    assert_eq!(read[&0], expected);
    peers.state.lock().unwrap().served
}

#[tokio::test]
async fn a_reader_goes_where_the_leader_sends_it() {
    let [by_leader, by_follower] = read_in_rack(Ok(())).await;
    assert!(by_leader == 0 && 0 < by_follower);
}

#[tokio::test]
async fn a_reader_that_a_follower_does_not_serve_is_served_by_the_leader() {
    for error in [ErrorCode::OffsetOutOfRange, ErrorCode::OffsetNotAvailable, ErrorCode::NotLeaderOrFollower] {
        let [by_leader, by_follower] = read_in_rack(Err(error)).await;
        assert!(0 < by_leader && by_follower == 0, "{error:?}");
    }
}
