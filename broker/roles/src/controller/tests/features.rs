//! The level of the metadata: who may raise it, what is written at which, and the way back.

use model::{Bug, Endpoint, MetadataVersion, MetadataVersions, Offset, Planted};

use super::cluster::{Cluster, id, ids};
use crate::controller::*;
use crate::quorum::{Voter, VoterSet};

const ONE: MetadataVersion = MetadataVersion(1);
const TWO: MetadataVersion = MetadataVersion(2);

fn update(level: MetadataVersion, change: LevelChange) -> UpdateLevel {
    UpdateLevel { level, change, controllers: Vec::new(), validate_only: false }
}

fn ask(cluster: &mut Cluster, request: UpdateLevel) -> Result<usize, Refusal> {
    cluster.ask(Command::UpdateLevel(request)).map(|decision| decision.records.len())
}

fn raise(cluster: &mut Cluster) {
    assert_eq!(ask(cluster, update(TWO, LevelChange::Raise)), Ok(1));
}

fn level_of(cluster: &Cluster) -> MetadataVersion {
    cluster.controller.image().metadata_version()
}

/// A broker of the release before.
fn old(broker: i32, incarnation: u128) -> Command {
    let endpoint = Endpoint::new("old", 9092);
    Command::RegisterBroker(Registrant {
        broker: id(broker),
        incarnation,
        endpoint,
        rack: None,
        previous_epoch: None,
        versions: MetadataVersions::default(),
        directories: Vec::new(),
    })
}

#[test]
fn the_level_rises_when_every_broker_knows_the_next_one_and_then_no_older_one_is_let_in() {
    let mut cluster = Cluster::of(2);
    cluster.ask(old(3, 5)).unwrap();
    let refused = ask(&mut cluster, update(TWO, LevelChange::Raise)).unwrap_err().to_string();
    assert!(
        refused.starts_with("broker 3 knows metadata.version 1 to 1: start it with a release that knows 2"),
        "{refused}"
    );
    cluster.register(3, 6);
    raise(&mut cluster);
    assert_eq!((level_of(&cluster), ask(&mut cluster, update(TWO, LevelChange::Raise))), (TWO, Ok(0)));
    assert!(matches!(cluster.ask(old(3, 7)), Err(Refusal::UnsupportedVersion(_))));
}

#[test]
fn a_controller_that_does_not_know_the_level_or_does_not_follow_the_order_is_in_the_way() {
    let mut cluster = Cluster::of(1);
    let lags =
        UpdateLevel { controllers: vec![(id(9), MetadataVersions::default())], ..update(TWO, LevelChange::Raise) };
    assert!(matches!(ask(&mut cluster, lags), Err(Refusal::InvalidLevel(why)) if why.starts_with("controller 9")));
    for (level, change) in [
        (MetadataVersion(3), LevelChange::Raise),
        (MetadataVersion(0), LevelChange::LowerWithLoss),
        (TWO, LevelChange::LowerWithoutLoss),
        (ONE, LevelChange::LowerWithLoss),
    ] {
        assert!(
            matches!(ask(&mut cluster, update(level, change)), Err(Refusal::InvalidLevel(_))),
            "{level} {change:?}"
        );
    }
    let only_looks = UpdateLevel { validate_only: true, ..update(TWO, LevelChange::Raise) };
    assert_eq!((ask(&mut cluster, only_looks), level_of(&cluster)), (Ok(0), ONE));
}

#[test]
fn who_led_last_is_told_from_the_second_level_on_and_is_the_first_that_an_unclean_election_takes() {
    for (is_raised, expected) in [(false, 2), (true, 3)] {
        let mut cluster = Cluster::of(3);
        if is_raised {
            raise(&mut cluster);
        }
        let orders = cluster.orders(&[2, 3]);
        cluster.fence(2);
        cluster.fence(3);
        let last = cluster.partition(orders).last_leader;
        assert_eq!((cluster.partition(orders).leader, last), (None, is_raised.then_some(id(3))));
        let told = cluster.records.iter().map(Record::level).max().unwrap();
        assert_eq!(told, if is_raised { TWO } else { ONE });
        // Both were unregistered as members: an operator takes whoever is there.
        cluster.controller.image.brokers.get_mut(&id(2)).unwrap().fenced = false;
        cluster.controller.image.brokers.get_mut(&id(3)).unwrap().fenced = false;
        let request = ElectLeaders { election: Election::Unclean, partitions: Some(vec![("orders".into(), 0)]) };
        cluster.ask(Command::ElectLeaders(request)).unwrap();
        let partition = cluster.partition(orders);
        assert_eq!(
            (partition.leader, &partition.in_sync, partition.last_leader),
            (Some(id(expected)), &ids(&[expected]), None)
        );
    }
}

#[test]
fn the_way_back_loses_nothing_unless_the_operator_says_so_and_is_closed_once_voters_changed() {
    let mut cluster = Cluster::of(2);
    raise(&mut cluster);
    let orders = cluster.orders(&[2]);
    cluster.fence(2);
    assert!(ask(&mut cluster, update(ONE, LevelChange::LowerWithoutLoss)).is_err());
    assert_eq!(ask(&mut cluster, update(ONE, LevelChange::LowerWithLoss)), Ok(1));
    assert_eq!((level_of(&cluster), cluster.partition(orders).last_leader), (ONE, None));
    // A snapshot tells the same, and so does replay.
    let image = cluster.controller.image();
    let again = Image::from_records(&image.records(Planted::NONE), image.end);
    assert_eq!((&again, again.digest()), (image, image.digest()));
    let replayed = Image::from_records(&cluster.records, image.end);
    assert_eq!((replayed.digest(), replayed.end), (image.digest(), image.end));
    raise(&mut cluster);
    let voter = Voter { id: id(1), directory: None, endpoint: Endpoint::new("one", 9092) };
    cluster.controller.take_voters(&VoterSet::new([voter]));
    let refused = ask(&mut cluster, update(ONE, LevelChange::LowerWithLoss)).unwrap_err().to_string();
    assert!(refused.starts_with("the voters were changed"), "{refused}");
}

#[test]
fn a_snapshot_tells_the_level_first_and_who_led_last() {
    let mut cluster = Cluster::of(2);
    raise(&mut cluster);
    let orders = cluster.orders(&[2]);
    cluster.fence(2);
    let image = cluster.controller.image();
    let records = image.records(Planted::NONE);
    assert_eq!(records.first(), Some(&Record::FeatureLevel(FeatureLevel::of(TWO))));
    let again = Image::from_records(&records, image.end);
    assert_eq!((again.partition(orders).unwrap().last_leader, &again), (Some(id(2)), image));
    assert_eq!(Image::default().records(Planted::NONE), [], "who was never told a level tells none");
    assert_eq!(Image::default().end, Offset::ZERO);
}

#[test]
fn planted_the_controller_writes_what_the_level_does_not_have_and_raises_it_unasked() {
    let mut cluster = Cluster::planted(2, Planted::NONE.with(Bug::NewerRecordsBelowLevel));
    cluster.orders(&[2]);
    cluster.fence(2);
    assert!(cluster.records.iter().any(|record| level_of(&cluster) < record.level()));
    let mut cluster = Cluster::planted(2, Planted::NONE.with(Bug::LevelRaisedTooEarly));
    cluster.ask(old(3, 5)).unwrap();
    raise(&mut cluster);
}
