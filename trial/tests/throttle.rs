//! A throttle holds: what it lets pass in the time that a move takes is no more than its rate allows.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::collections::BTreeMap;
use std::time::Duration;

use evidence::What;
use model::{BrokerId, Event, PartitionId, Time};
use scenarios::{ChangeKind, Scenario, Throughput, catalogue};
use trial::Options;

/// How long the move of the tale takes at so many bytes a second.
fn moved(bytes_per_second: Option<u64>, seed: u64) -> Duration {
    let tale = catalogue().iter().find(|tale| tale.name() == "move-leaves-room").unwrap();
    let mut scenario: Scenario = tale.scenario().unwrap();
    for change in &mut scenario.changes {
        if let ChangeKind::Reassign(reassign) = &mut change.kind
            && reassign.throttle.is_some()
        {
            reassign.throttle = bytes_per_second.map(Throughput);
        }
    }
    scenario.expect.reach.clear();
    let finished = trial::run(&scenario, seed, &Options { source: "throttle".into(), ..Options::default() });
    assert!(finished.is_as_expected(), "{:?}", finished.run.disappointments());
    let mut ends: BTreeMap<PartitionId, Time> = BTreeMap::new();
    let mut begin = None;
    for entry in &finished.run.entries {
        let What::Witnessed(Event::ReplicasChanged { partition, replicas, adding, .. }) = &entry.what else { continue };
        if adding.contains(&BrokerId(5)) {
            begin.get_or_insert(entry.time);
        } else if *replicas == [4, 5, 3].map(BrokerId) && begin.is_some() {
            ends.entry(*partition).or_insert(entry.time);
        }
    }
    assert_eq!(ends.len(), 2, "both partitions are where they should be");
    ends.into_values().max().unwrap().since(begin.unwrap())
}

#[test]
fn a_move_takes_as_long_as_its_throttle_asks() {
    let (free, wide, narrow) = (moved(None, 1), moved(Some(640_000), 1), moved(Some(280_000), 1));
    assert!(free < Duration::from_secs(1), "{free:?}");
    assert!(3 * free < wide && 3 * wide < 2 * narrow, "{free:?}, {wide:?}, {narrow:?}");
}
