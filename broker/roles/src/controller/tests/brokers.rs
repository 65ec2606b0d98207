//! Registration, heartbeats, silence, and who leads then.

use std::time::Duration;

use model::{BrokerEpoch, Bug, LeaderEpoch, MetadataVersion, Offset, Planted, Time};

use super::cluster::{Cluster, id, ids};
use crate::controller::*;

#[test]
fn a_registration_has_the_offset_of_its_record_as_epoch_and_starts_fenced() {
    let mut cluster = Cluster::of(2);
    let end = cluster.end();
    assert_eq!(cluster.register(3, 77), BrokerEpoch(end.0));
    assert!(cluster.controller.image().brokers[&id(3)].fenced);
}

#[test]
fn the_same_process_may_register_again_and_changes_nothing() {
    let mut cluster = Cluster::of(1);
    let epoch = cluster.register(2, 77);
    let end = cluster.end();
    assert_eq!(cluster.register(2, 77), epoch);
    assert_eq!(cluster.end(), end);
}

#[test]
fn a_new_process_voids_what_the_one_before_it_asks() {
    let mut cluster = Cluster::of(1);
    let before = cluster.heartbeat_of(1);
    cluster.register(1, 1 << 100);
    assert!(matches!(cluster.heartbeat(before), Err(Refusal::StaleBrokerEpoch { .. })));
    assert!(cluster.controller.image().brokers[&id(1)].fenced);
}

#[test]
fn a_new_process_leads_nothing_that_its_predecessor_led() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    cluster.register(1, 1 << 100);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])));
}

#[test]
fn a_broker_is_unfenced_once_it_has_applied_its_own_registration() {
    let mut cluster = Cluster::of(1);
    let epoch = cluster.register(2, 77);
    let heartbeat = Heartbeat { metadata_end: Offset(epoch.0), ..cluster.heartbeat_of(2) };
    let reply = cluster.heartbeat(heartbeat).unwrap();
    assert_eq!((reply.is_caught_up, reply.is_fenced), (false, true));
    let heartbeat = Heartbeat { metadata_end: Offset(epoch.0 + 1), ..cluster.heartbeat_of(2) };
    let reply = cluster.heartbeat(heartbeat).unwrap();
    assert_eq!((reply.is_caught_up, reply.is_fenced), (true, false));
}

#[test]
fn a_heartbeat_of_somebody_unknown_is_refused() {
    let mut cluster = Cluster::of(1);
    let heartbeat = Heartbeat { broker: id(9), ..cluster.heartbeat_of(1) };
    assert_eq!(cluster.heartbeat(heartbeat), Err(Refusal::BrokerIdNotRegistered(id(9))));
}

#[test]
fn a_silent_broker_is_fenced_and_one_in_sync_leads_in_its_place() {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    cluster.pass(Duration::from_secs(5));
    cluster.beat(2);
    cluster.beat(3);
    assert_eq!(cluster.controller.deadline(), Some(Time(9_000_000_000)));
    cluster.pass(Duration::from_secs(4));
    cluster.ask(Command::ExpireSessions).unwrap();
    assert!(cluster.controller.image().brokers[&id(1)].fenced);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2, 3])));
    assert_eq!(partition.leader_epoch, LeaderEpoch(1));
}

#[test]
fn a_broker_whose_process_is_gone_is_not_waited_for() {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    let before = cluster.heartbeat_of(1).epoch;
    cluster.start(1);
    let ended = |cluster: &mut Cluster, epoch| cluster.ask(Command::EndSessions(vec![(id(1), epoch)])).unwrap().records;
    assert_eq!(ended(&mut cluster, before), [], "another process has come since");
    cluster.beat(1);
    let now = cluster.heartbeat_of(1).epoch;
    assert!(!cluster.controller.image().brokers[&id(1)].fenced);
    assert!(!ended(&mut cluster, now).is_empty());
    assert!(cluster.controller.image().brokers[&id(1)].fenced);
    assert_eq!(ended(&mut cluster, now), [], "it is fenced already");
    assert_eq!(cluster.partition(orders).in_sync, ids(&[2, 3]));
    cluster.beat(1);
    assert!(!cluster.controller.image().brokers[&id(1)].fenced, "it lives after all");
}

#[test]
fn who_is_gone_together_stays_in_sync_together() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    let gone = [1, 2].map(|broker| (id(broker), cluster.heartbeat_of(broker).epoch));
    cluster.ask(Command::EndSessions(gone.to_vec())).unwrap();
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (None, &ids(&[1, 2])), "each has all that is committed");
}

#[test]
fn a_new_controller_gives_every_broker_a_whole_session() {
    let mut cluster = Cluster::of(2);
    let start = Time(100_000_000_000);
    let settings = Settings {
        default_partitions: 1,
        default_replication_factor: 1,
        session_timeout: Duration::from_secs(9),
        answers_after_sync: true,
        topic_defaults: TopicDefaults::default(),
        leader_imbalance: None,
        metadata_version_max: MetadataVersion::NEWEST,
        planted: Planted::NONE,
    };
    cluster.controller = Controller::new(settings, cluster.controller.image().clone(), start);
    cluster.now = start + Duration::from_secs(8);
    assert_eq!(cluster.ask(Command::ExpireSessions).unwrap().records, []);
    cluster.pass(Duration::from_secs(1));
    assert!(!cluster.ask(Command::ExpireSessions).unwrap().records.is_empty());
}

#[test]
fn the_last_in_sync_replica_stays_in_the_set_and_nobody_else_is_elected() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    cluster.fence(2);
    cluster.fence(1);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (None, &ids(&[1])));
    cluster.beat(2);
    assert_eq!(cluster.partition(orders).leader, None, "broker 2 may lack what broker 1 acknowledged");
    cluster.beat(1);
    assert_eq!(cluster.partition(orders).leader, Some(id(1)));
}

#[test]
fn of_an_in_sync_set_that_fell_silent_together_the_first_to_be_back_leads() {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    let epoch = cluster.partition(orders).leader_epoch;
    cluster.pass(Duration::from_secs(9));
    cluster.ask(Command::ExpireSessions).unwrap();
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (None, &ids(&[1, 2, 3])), "each has all that is committed");
    assert_eq!(partition.leader_epoch, epoch.next(), "nobody was elected in between");
    cluster.start(2);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])));
}

#[test]
fn a_process_that_may_have_forgotten_its_answers_is_not_waited_for_while_another_is() {
    let mut cluster = Cluster::forgetful(2);
    let orders = cluster.orders(&[1, 2]);
    cluster.pass(Duration::from_secs(9));
    cluster.ask(Command::ExpireSessions).unwrap();
    cluster.start(1);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (None, &ids(&[2])), "broker 1 may have lost its page cache");
    cluster.start(2);
    assert_eq!(cluster.partition(orders).leader, Some(id(2)), "there is nobody else left");
}

#[test]
fn a_process_that_comes_after_an_orderly_stop_is_trusted_and_one_after_an_older_stop_is_not() {
    for (stopped_lately, in_sync) in [(true, ids(&[1])), (false, ids(&[2]))] {
        let mut cluster = Cluster::forgetful(2);
        let before = cluster.heartbeat_of(1).epoch;
        // A process in between, that may have answered what it lost.
        if !stopped_lately {
            cluster.start(1);
        }
        let orders = cluster.orders(&[1, 2]);
        cluster.pass(Duration::from_secs(9));
        cluster.ask(Command::ExpireSessions).unwrap();
        cluster.start_after(1, before);
        assert_eq!(cluster.partition(orders).in_sync, in_sync);
    }
}

#[test]
fn each_new_leader_has_a_new_epoch_and_each_change_a_new_partition_epoch() {
    let mut cluster = Cluster::of(3);
    let orders = cluster.orders(&[1, 2, 3]);
    let mut before = cluster.partition(orders).clone();
    for (broker, is_leader) in [(3, false), (1, true), (2, true)] {
        cluster.fence(broker);
        let after = cluster.partition(orders).clone();
        assert!(before.partition_epoch < after.partition_epoch);
        assert_eq!(before.leader_epoch < after.leader_epoch, is_leader);
        before = after;
    }
}

#[test]
fn a_controlled_shutdown_moves_leaders_first_and_then_lets_the_broker_go() {
    let mut cluster = Cluster::of(2);
    let orders = cluster.orders(&[1, 2]);
    let goodbye = |cluster: &Cluster| Heartbeat { wants_shut_down: true, ..cluster.heartbeat_of(1) };
    let heartbeat = goodbye(&cluster);
    assert!(!cluster.heartbeat(heartbeat).unwrap().should_shut_down);
    let partition = cluster.partition(orders);
    assert_eq!((partition.leader, &partition.in_sync), (Some(id(2)), &ids(&[2])));
    let heartbeat = goodbye(&cluster);
    let reply = cluster.heartbeat(heartbeat).unwrap();
    assert!(reply.should_shut_down && reply.is_fenced);
    let heartbeat = goodbye(&cluster);
    assert!(cluster.heartbeat(heartbeat).unwrap().should_shut_down, "asked again, it says so again");
}

#[test]
fn planted_the_controller_elects_out_of_sync_or_in_an_old_epoch() {
    let mut cluster = Cluster::planted(2, Planted::NONE.with(Bug::ElectOutOfSync));
    let orders = cluster.orders(&[1, 2]);
    cluster.fence(2);
    cluster.beat(2);
    cluster.fence(1);
    assert_eq!(cluster.partition(orders).leader, Some(id(2)), "it was out of sync");

    let mut cluster = Cluster::planted(2, Planted::NONE.with(Bug::LeaderWithoutNewEpoch));
    let orders = cluster.orders(&[1, 2]);
    cluster.fence(1);
    assert_eq!(
        (cluster.partition(orders).leader, cluster.partition(orders).leader_epoch),
        (Some(id(2)), LeaderEpoch(0))
    );
}
