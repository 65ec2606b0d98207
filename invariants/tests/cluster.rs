//! Promises over the trace that speak of more than one broker's log: whom leaders wait for, whom the controller counts on, who
//! controls. Each is shown to fail on a bad trace, and to hold on its legal twin.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod tale;

use evidence::{Entry, Harm, History, NodeName, What};
use invariants::{Outcome, Watch};
use model::{
    BrokerEpoch, BrokerId, Event, LeaderEpoch, LogStartReason, MetadataVersion, MetadataVersions, Offset,
    PartitionEpoch, PartitionId, Time, TopicId,
};
use tale::{P, Tale, brokers, expectations, outcome};

/// Broker `n` applies that these broker processes are registered, none of them fenced.
fn with_brokers(tale: Tale, n: i32, registered: &[(i32, i64)]) -> Tale {
    registered.iter().fold(tale, |tale, &(broker, epoch)| {
        let (broker, epoch) = (BrokerId(broker), BrokerEpoch(epoch));
        let versions = MetadataVersions::default();
        tale.says(n, Event::BrokerRegistered { broker, epoch, versions }).says(n, Event::BrokerUnfenced { broker })
    })
}

fn asks(tale: Tale, n: i32, state: i32, members: &[(i32, i64)]) -> Tale {
    let members = members.iter().map(|&(id, epoch)| (BrokerId(id), Some(BrokerEpoch(epoch)))).collect();
    let (epoch, partition_epoch) = (LeaderEpoch(1), PartitionEpoch(state));
    tale.says(n, Event::InSyncProposed { partition: P, epoch, partition_epoch, members })
}

#[test]
fn an_in_sync_set_has_its_leader_and_only_replicas_each_once() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    Tale::begin().state(1, 0, 3, 1, &[1, 2]).breaks(PROMISE);
    Tale::begin().state(1, 0, 1, 1, &[1, 1]).breaks(PROMISE);
    Tale::begin().assigns(1, 0, &[1, 2]).state(1, 0, 1, 1, &[1, 2, 3]).breaks(PROMISE);
    Tale::begin().assigns(1, 0, &[1, 2, 3]).state(1, 0, 1, 1, &[1, 2, 3]).keeps();
    // Who holds it changes, and another node hears of it later.
    let moved = Tale::begin().assigns(1, 0, &[1, 2]).assigns(2, 0, &[1, 2]).assigns(1, 1, &[1, 3]);
    moved.state(2, 0, 1, 1, &[1, 2]).state(1, 1, 1, 1, &[1, 3]).keeps();
}

#[test]
fn a_fenced_broker_leads_nothing_and_is_in_sync_only_if_nobody_leads() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    let fenced = |broker| Event::BrokerFenced { broker: BrokerId(broker) };
    let two = || with_brokers(Tale::begin(), 1, &[(1, 10), (2, 11)]).state(1, 0, 1, 1, &[1, 2]).applied(1, 5, 5);
    two().says(1, fenced(2)).applied(1, 6, 6).breaks(PROMISE);
    two().says(1, fenced(1)).applied(1, 6, 6).breaks(PROMISE);
    // A new process is fenced until it has caught up.
    let versions = MetadataVersions::default();
    let again = Event::BrokerRegistered { broker: BrokerId(2), epoch: BrokerEpoch(20), versions };
    two().says(1, again).applied(1, 6, 6).breaks(PROMISE);
    // The set changes in the same batch; and nobody is left but the fenced one.
    two().says(1, fenced(2)).state(1, 1, 1, 1, &[1]).applied(1, 7, 7).keeps();
    let alone = Event::PartitionChanged {
        partition: P,
        leader: None,
        leader_epoch: LeaderEpoch(2),
        partition_epoch: PartitionEpoch(2),
        in_sync: brokers(&[1]),
    };
    let last = two().says(1, fenced(2)).state(1, 1, 1, 1, &[1]).applied(1, 7, 7);
    last.says(1, fenced(1)).says(1, alone).applied(1, 9, 9).keeps();
    // All fell silent together: whoever is back first leads, and until then nobody does.
    let nobody = Event::PartitionChanged {
        partition: P,
        leader: None,
        leader_epoch: LeaderEpoch(2),
        partition_epoch: PartitionEpoch(1),
        in_sync: brokers(&[1, 2]),
    };
    two().says(1, fenced(1)).says(1, fenced(2)).says(1, nobody).applied(1, 8, 8).keeps();
}

#[test]
fn the_process_that_fetched_is_the_one_that_is_taken_in() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    let two = || with_brokers(Tale::begin(), 1, &[(1, 10), (2, 11)]).state(1, 0, 1, 1, &[1]);
    asks(two(), 1, 0, &[(1, 10), (2, 9)]).state(1, 1, 1, 1, &[1, 2]).breaks(PROMISE);
    asks(two(), 1, 0, &[(1, 10), (2, 11)]).state(1, 1, 1, 1, &[1, 2]).keeps();
    // Nobody asked for whoever is elected from outside.
    asks(two(), 1, 0, &[(1, 10), (2, 9)]).state(1, 1, 2, 2, &[2]).keeps();
    // The controller itself dropped broker 2 when it came back; it asks later, by a state that it did not hear of.
    let dropped = two().state(1, 1, 1, 1, &[1, 2]).state(1, 2, 1, 1, &[1]);
    asks(dropped, 1, 1, &[(1, 9)]).crashes(1).state(1, 2, 1, 1, &[1]).keeps();
    // It asked twice, and the second time for whom it saw meanwhile.
    let twice = asks(asks(two(), 1, 0, &[(1, 10), (2, 9)]), 1, 0, &[(1, 10), (2, 11)]);
    twice.state(1, 1, 1, 1, &[1, 2]).keeps();
}

#[test]
fn a_leader_waits_for_everybody_that_the_controller_counts_on() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    // It asked for broker 3 and forgot; the controller did not.
    let forgot = Tale::replicated().goes_by(1, 1, &[1, 2], &[1, 2]).appends(3, 1, 0, 10).appends(3, 1, 2, 11);
    forgot.state(3, 1, 1, 1, &[1, 2, 3]).breaks(PROMISE);
    // It leaves broker 2 out before the controller agreed.
    Tale::replicated().goes_by(1, 1, &[1, 2], &[1]).breaks(PROMISE);
    let asked = || Tale::replicated().goes_by(1, 1, &[1, 2], &[1, 2, 3]).appends(3, 1, 0, 10).appends(3, 1, 2, 11);
    asked().state(3, 1, 1, 1, &[1, 2, 3]).goes_by(1, 1, &[1, 2, 3], &[1, 2, 3]).keeps();
    // The controller may drop a member before the leader knows, and elect another leader that this one has not heard of.
    asked().state(3, 1, 1, 1, &[1]).keeps();
    asked().state(3, 1, 2, 2, &[2, 3]).goes_by(1, 1, &[1, 2], &[1, 2]).keeps();
}

#[test]
fn a_leader_in_doubt_waits_for_whom_it_asked_for() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    let doubts = || {
        let tale = Tale::replicated().appends(3, 1, 0, 10);
        let asked = asks(tale, 1, 0, &[(1, 10), (2, 11), (3, 12)]).goes_by(1, 1, &[1, 2], &[1, 2, 3]);
        let (epoch, partition_epoch) = (LeaderEpoch(1), PartitionEpoch(0));
        asked.says(1, Event::InSyncInDoubt { partition: P, epoch, partition_epoch })
    };
    doubts().goes_by(1, 1, &[1, 2], &[1, 2]).breaks(PROMISE);
    doubts().goes_by(1, 1, &[1, 2], &[1, 2, 3]).keeps();
    // Another state holds by now, and the old one's proposals are void.
    doubts().state(1, 1, 1, 1, &[1, 2]).goes_by_in(1, 1, 1, &[1, 2], &[1, 2]).keeps();
}

#[test]
fn a_leader_asks_for_nobody_who_lacks_what_it_had_when_it_began() {
    const PROMISE: &str = "the in-sync set holds whom it should";
    let second = || {
        Tale::replicated()
            .syncs(2, 4)
            .commits(1, 1, 2)
            .state(2, 1, 2, 2, &[2])
            .leads(2, 2, 4)
            .follows(3, 2, 2)
            .appends(3, 1, 0, 10)
    };
    asks(second().goes_by_in(2, 1, 2, &[2], &[2]), 2, 1, &[(2, 11), (3, 12)]).breaks(PROMISE);
    asks(second().appends(3, 1, 2, 11).goes_by_in(2, 1, 2, &[2], &[2]), 2, 1, &[(2, 11), (3, 12)]).keeps();
}

#[test]
fn a_follower_counts_for_what_it_has_in_the_epoch_that_it_follows() {
    const PROMISE: &str = "leaders count what followers have";
    Tale::replicated().counts(1, 1, 2, 6).breaks(PROMISE);
    Tale::replicated().counts(1, 1, 2, 4).breaks(PROMISE); // Not on its disk.
    Tale::replicated().counts(1, 2, 2, 2).breaks(PROMISE); // It follows epoch 1 still.
    Tale::replicated().counts(1, 1, 1, 2).breaks(PROMISE);
    // Its log ends with a batch of another leader, as long as the one that stands there.
    let other = Tale::begin().appends(2, 0, 0, 66).syncs(2, 2).leads(1, 1, 0).follows(2, 1, 1).appends(1, 1, 0, 10);
    other.counts(1, 1, 2, 2).breaks(PROMISE);
    Tale::replicated().counts(1, 1, 2, 2).syncs(2, 4).counts(1, 1, 2, 4).keeps();
    // The fetch was on its way while the follower turned to another leader and cut its log.
    let late = Tale::replicated().syncs(2, 4).follows(2, 2, 3).truncates(2, 4, 2);
    late.counts(1, 1, 2, 4).keeps();
    // What was deleted meanwhile need not be on any disk.
    let unsynced = || {
        let alone = Tale::begin().state(1, 0, 1, 1, &[1]).leads(1, 1, 0).goes_by(1, 1, &[1], &[1]).follows(2, 1, 1);
        let first = alone.appends(1, 1, 0, 10).syncs(1, 2).commits(1, 1, 2).appends(2, 1, 0, 10);
        first.says(1, Event::DeletionAsked { partition: P, below: Offset(2) }).advances(1, 2, LogStartReason::Asked)
    };
    unsynced().counts(1, 1, 2, 2).breaks(PROMISE);
    unsynced().advances(2, 2, LogStartReason::Leader).counts(1, 1, 2, 2).keeps();
}

#[test]
fn offsets_follow_each_other_and_no_mark_lies_beyond_the_log() {
    const PROMISE: &str = "offsets keep their order";
    Tale::replicated().appends(1, 1, 6, 12).breaks(PROMISE);
    Tale::replicated().commits(2, 1, 6).breaks(PROMISE);
    Tale::replicated().syncs(2, 6).breaks(PROMISE);
    let recovered =
        |start, end| Event::Recovered { partition: P, log_start: Offset(start), log_end: Offset(end), cut_bytes: 0 };
    Tale::begin().says(1, recovered(4, 2)).breaks(PROMISE);
    Tale::begin().says(1, recovered(4, 9)).crashes(1).says(1, recovered(3, 9)).breaks(PROMISE);
    Tale::begin().says(1, recovered(4, 9)).crashes(1).says(1, recovered(6, 9)).appends(1, 1, 9, 12).keeps();
    // What was taken away begins anew; what was left where it is does not.
    let hurt = |directory| Tale::begin().says(1, recovered(4, 9)).hurts(1, Harm::MovedAway, directory).crashes(1);
    hurt("orders-0").says(1, recovered(0, 0)).keeps();
    hurt("orders-1").says(1, recovered(0, 0)).breaks(PROMISE);
    // So does what its node let go; another node's is still there, and so is what came back from then on.
    let let_go = |n| Tale::begin().says(1, recovered(4, 9)).says(n, Event::ReplicaRemoved { partition: P });
    let_go(1).says(1, recovered(0, 0)).keeps();
    let_go(2).says(1, recovered(0, 0)).breaks(PROMISE);
    let_go(1).says(1, recovered(4, 4)).crashes(1).says(1, recovered(0, 4)).breaks(PROMISE);
    Tale::replicated().truncates(2, 4, 2).appends(2, 1, 2, 11).commits(2, 1, 2).keeps();
}

#[test]
fn whatever_a_log_takes_a_client_has_sent() {
    const PROMISE: &str = "nothing comes from nowhere";
    let sent = |crc| Tale::begin().says(9, Event::BatchSent { partition: P, crc });
    sent(10).appends(1, 1, 0, 11).breaks(PROMISE);
    let elsewhere = PartitionId { index: 1, ..P };
    sent(10)
        .says(
            1,
            Event::Appended { partition: elsewhere, epoch: LeaderEpoch(1), base: Offset(0), end: Offset(1), crc: 10 },
        )
        .breaks(PROMISE);
    // A topic that was made again, and one that was not.
    let again = |name: &str| {
        let named = |tale: Tale, topic, name: &str| tale.says(1, Event::TopicMade { topic, name: name.into() });
        let another = TopicId(77);
        let batch = Event::Appended {
            partition: PartitionId { topic: another, ..P },
            epoch: LeaderEpoch(1),
            base: Offset(0),
            end: Offset(2),
            crc: 10,
        };
        named(named(sent(10), P.topic, "orders"), another, name).says(1, batch)
    };
    again("orders").keeps();
    again("returns").breaks(PROMISE);
    // A leader packs it as its topic wants it.
    let packed = |tale: Tale, sent| tale.says(1, Event::BatchRecompressed { partition: P, sent, crc: 12 });
    packed(sent(10), 10).appends(1, 1, 0, 12).keeps();
    packed(sent(10), 11).breaks(PROMISE);
    // A retry, and the metadata log, which no client writes.
    let twice = sent(10).appends(1, 1, 0, 10).appends(1, 1, 2, 10);
    let decided = Event::Appended {
        partition: PartitionId::METADATA,
        epoch: LeaderEpoch(1),
        base: Offset(0),
        end: Offset(1),
        crc: 3,
    };
    twice.says(1, decided).keeps();
}

/// A quorum of three; broker 1 leads epoch 2 of it, and has one batch of two records, of `epoch`.
fn quorum(epoch: i32) -> Tale {
    let joined = |tale: Tale, n| {
        let recovered = Event::Recovered {
            partition: PartitionId::METADATA,
            log_start: Offset(0),
            log_end: Offset(0),
            cut_bytes: 0,
        };
        tale.says(n, recovered).says(n, Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1 })
    };
    let tale = (1..=3).fold(Tale::begin(), joined);
    metadata(metadata(tale.quorum_leader(1, 2), 1, epoch), 2, epoch)
}

fn metadata(tale: Tale, n: i32, epoch: i32) -> Tale {
    let (partition, epoch) = (PartitionId::METADATA, LeaderEpoch(epoch));
    tale.says(n, Event::Appended { partition, epoch, base: Offset(0), end: Offset(2), crc: 1 })
}

fn synced(tale: Tale, n: i32) -> Tale {
    tale.says(n, Event::Synced { partition: PartitionId::METADATA, end: Offset(2) })
}

fn committed(tale: Tale, n: i32) -> Tale {
    let (partition, epoch) = (PartitionId::METADATA, LeaderEpoch(2));
    tale.says(n, Event::HighWatermarkAdvanced { partition, epoch, to: Offset(2) })
}

#[test]
fn metadata_is_committed_by_a_majority_of_disks_and_through_the_leaders_own_epoch() {
    const PROMISE: &str = "the quorum commits by majority";
    committed(synced(quorum(2), 1), 1).breaks(PROMISE); // Broker 2 has it in memory.
    committed(synced(synced(quorum(1), 1), 2), 1).breaks(PROMISE); // Figure 8.
    let verdicts = committed(synced(synced(quorum(2), 1), 2), 1).keeps();
    assert_eq!(outcome(&verdicts, PROMISE), Outcome::Kept);
    // A follower hears of it before its own disk has it.
    committed(committed(synced(synced(quorum(2), 1), 2), 1), 2).keeps();
}

/// Tells a trace at given milliseconds; answers the promise that broke first.
fn first_broken(entries: &[(u64, i32, What)]) -> Option<&'static str> {
    let mut watch = Watch::new(expectations());
    let told = (1..).zip(entries).find_map(|(index, (ms, node, what))| {
        let node = NodeName(format!("broker-{node}").into());
        watch.observe(&Entry { index, time: Time(ms * 1_000_000), node, what: what.clone() })
    });
    told.map(|violation| violation.promise)
}

#[test]
fn a_controller_that_was_deposed_notices() {
    const PROMISE: &str = "a deposed controller steps down";
    let joins = || What::Witnessed(Event::QuorumJoined { voters: brokers(&[1, 2, 3]), fetch_timeout_ms: 1000 });
    let leads = |epoch| What::Witnessed(Event::QuorumLeader { epoch: LeaderEpoch(epoch), log_end: Offset(0) });
    let gives_up = What::Witnessed(Event::QuorumUnattached { epoch: LeaderEpoch(2) });
    let later = What::Note { text: "time passes".into() };
    let begin = || vec![(0, 1, joins()), (0, 2, joins()), (1, 1, leads(2)), (500, 2, leads(3))];
    let with = |more: &[(u64, i32, What)]| first_broken(&[begin(), more.to_vec()].concat());

    assert_eq!(with(&[(4501, 3, later.clone())]), Some(PROMISE));
    assert_eq!(
        with(&[(600, 1, What::NodePaused), (9000, 1, What::NodeResumed), (13_001, 3, later.clone())]),
        Some(PROMISE)
    );
    assert_eq!(with(&[(4499, 3, later.clone()), (4499, 1, gives_up.clone()), (9000, 3, later.clone())]), None);
    // Who stands still cannot notice, and who is down does not lead.
    assert_eq!(with(&[(600, 1, What::NodePaused), (9000, 3, later.clone())]), None);
    assert_eq!(
        with(&[
            (600, 1, What::NodePaused),
            (9000, 1, What::NodeResumed),
            (9100, 1, gives_up),
            (20_000, 3, later.clone())
        ]),
        None
    );
    assert_eq!(with(&[(600, 1, What::NodeCrashed), (9000, 3, later)]), None);
}

#[test]
fn in_the_end_nobody_owes_an_answer() {
    const PROMISE: &str = "what waits is answered";
    let burden = |answers, fetches| What::Witnessed(Event::Burden { answers, fetches });
    let verdict = |entries: &[(u64, What)]| {
        let mut watch = Watch::new(expectations());
        for (index, (ms, what)) in (1..).zip(entries) {
            let node = NodeName("broker-1".into());
            let entry = Entry { index, time: Time(ms * 1_000_000), node, what: what.clone() };
            // Other promises may break here.
            let _violation = watch.observe(&entry);
        }
        outcome(&watch.finish(&History::default()).unwrap(), PROMISE)
    };
    let core = || What::QuietBegan { core: vec![NodeName("broker-1".into())] };
    let later = |ms| (ms, What::QuietEnded);
    assert_eq!(verdict(&[(1, core()), later(9000), (9500, burden(3, 1)), (10_000, burden(3, 1))]), Outcome::Broken);
    assert_eq!(verdict(&[(0, burden(0, 100_001))]), Outcome::Broken);
    let written = |end| {
        What::Witnessed(Event::Appended {
            partition: P,
            epoch: LeaderEpoch(1),
            base: Offset(end - 2),
            end: Offset(end),
            crc: 1,
        })
    };
    let synced = |end| What::Witnessed(Event::Synced { partition: P, end: Offset(end) });
    let begin = || {
        vec![(0, What::NodeStarted), (0, burden(0, 0)), (0, core()), (1, written(2)), (2, synced(2)), (3, written(4))]
    };
    assert_eq!(verdict(&[begin(), vec![later(9000)]].concat()), Outcome::Broken);
    assert_eq!(verdict(&[begin(), vec![(4, synced(4)), later(9000)]].concat()), Outcome::Kept);
    assert_eq!(verdict(&[begin(), vec![later(1000)]].concat()), Outcome::Kept);
    assert_eq!(verdict(&[begin(), vec![(4, What::NodePaused), later(9000)]].concat()), Outcome::Kept);
    // It lives again, and has not opened that log: it may be of a partition that is not its own any more.
    let again = vec![(4, What::NodeCrashed), (5, What::NodeStarted), later(9000)];
    assert_eq!(verdict(&[begin(), again].concat()), Outcome::Kept);
    // They are answered, or will be; whom it owes is about to be heard to be gone; another quiet phase began; it is not of the core.
    assert_eq!(verdict(&[(0, burden(3, 1)), (1, core()), (500, burden(0, 2)), later(9000)]), Outcome::Kept);
    assert_eq!(verdict(&[(0, burden(3, 1)), (1, core()), later(9000)]), Outcome::Kept);
    assert_eq!(verdict(&[(1, core()), later(9000), (9500, burden(3, 1)), (10_000, burden(0, 1))]), Outcome::Kept);
    assert_eq!(verdict(&[(1, core()), later(2000), (2500, core()), (9000, burden(3, 1))]), Outcome::Kept);
    let nobody = (1, What::QuietBegan { core: Vec::new() });
    assert_eq!(verdict(&[nobody, later(2000), (9000, burden(3, 1))]), Outcome::Kept);
    // Somebody else is whole in the end; and a run that was cut short.
    let other = What::QuietBegan { core: vec![NodeName("broker-2".into())] };
    assert_eq!(verdict(&[(0, burden(3, 1)), (1, other), later(9000)]), Outcome::Kept);
    let note = What::Note { text: "time passes".into() };
    assert_eq!(verdict(&[(0, burden(3, 1)), (1, core()), (9000, note)]), Outcome::Kept);
}

#[test]
fn voters_change_one_at_a_time_and_not_before_a_leader_has_committed() {
    const PROMISE: &str = "voters change one at a time";
    let changes = |tale: Tale, voters: &[i32]| tale.says(1, Event::VotersChanged { voters: brokers(voters) });
    let ready = || committed(synced(synced(quorum(2), 1), 2), 1);
    changes(synced(synced(quorum(2), 1), 2), &[1, 2]).breaks(PROMISE); // Nothing of its epoch is committed.
    changes(ready(), &[1, 4]).breaks(PROMISE); // Two go, and one comes.
    let verdicts = changes(ready(), &[1, 2, 3, 4]).keeps();
    assert_eq!(outcome(&verdicts, PROMISE), Outcome::Kept);
}

#[test]
fn nothing_is_newer_than_the_finalized_level_and_every_registered_broker_reads_that() {
    const PROMISE: &str = "every broker reads the metadata";
    let two = MetadataVersion(2);
    let registers = |tale: Tale, broker, newest| {
        let versions = MetadataVersions::up_to(MetadataVersion(newest));
        tale.says(1, Event::BrokerRegistered { broker: BrokerId(broker), epoch: BrokerEpoch(10), versions })
    };
    let raised = |tale: Tale| tale.says(1, Event::LevelFinalized { level: two });
    let newer = |tale: Tale| tale.says(1, Event::NewerRecordApplied { level: two });
    let mixed = || registers(registers(Tale::begin(), 1, 1), 2, 2).applied(1, 5, 5);
    newer(mixed()).breaks(PROMISE);
    raised(mixed()).applied(1, 6, 6).breaks(PROMISE);
    registers(raised(Tale::begin()).applied(1, 1, 1), 1, 1).applied(1, 2, 2).breaks(PROMISE);
    // The level is raised when everybody has been replaced, or is gone; then the newer is read by all.
    let replaced = newer(raised(registers(mixed(), 1, 2)).applied(1, 7, 7)).applied(1, 8, 8).keeps();
    assert_eq!(outcome(&replaced, PROMISE), Outcome::Kept);
    let gone = mixed().says(1, Event::BrokerUnregistered { broker: BrokerId(1) });
    newer(raised(gone).applied(1, 7, 7)).keeps();
    // A snapshot tells the new level and who registered in either order.
    registers(raised(mixed()), 1, 2).applied(1, 9, 9).keeps();
}
