//! Where the replicas of a new topic go: leaders and followers spread evenly, replicas of one partition over as many racks as there are.

use std::collections::BTreeMap;

use model::BrokerId;

use super::chance::Chance;

/// Replicas for each of `partitions`, the preferred leader first. There must be enough brokers.
pub(super) fn place(
    brokers: &BTreeMap<BrokerId, Option<&str>>,
    partitions: usize,
    replicas: usize,
    chance: &mut Chance,
) -> Vec<Vec<BrokerId>> {
    assert!(replicas <= brokers.len());
    let circle = alternating_racks(brokers);
    let first = chance.below(circle.len());
    let shift = chance.below(circle.len());
    (0..partitions)
        .map(|index| {
            let leader = (first + index) % circle.len();
            // With each turn of the circle, leaders meet other followers.
            let turn = shift + index / circle.len();
            choose(brokers, &circle, leader, turn, replicas)
        })
        .collect()
}

fn choose(
    brokers: &BTreeMap<BrokerId, Option<&str>>,
    circle: &[BrokerId],
    leader: usize,
    turn: usize,
    replicas: usize,
) -> Vec<BrokerId> {
    let others = circle.len() - 1;
    let candidates: Vec<BrokerId> =
        (0..others).map(|step| circle[(leader + 1 + (turn + step) % others) % circle.len()]).collect();
    let mut chosen = vec![circle[leader]];
    let rack_is_new = |chosen: &[BrokerId], candidate: BrokerId| {
        brokers[&candidate].is_some() && chosen.iter().all(|other| brokers[other] != brokers[&candidate])
    };
    for &candidate in &candidates {
        if chosen.len() < replicas && rack_is_new(&chosen, candidate) {
            chosen.push(candidate);
        }
    }
    for &candidate in &candidates {
        if chosen.len() < replicas && !chosen.contains(&candidate) {
            chosen.push(candidate);
        }
    }
    chosen
}

/// The brokers, one of each rack in turn.
fn alternating_racks(brokers: &BTreeMap<BrokerId, Option<&str>>) -> Vec<BrokerId> {
    let mut racks: BTreeMap<Option<&str>, Vec<BrokerId>> = BTreeMap::new();
    for (&broker, &rack) in brokers {
        racks.entry(rack).or_default().push(broker);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| racks.values().filter_map(move |rack| rack.get(at).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brokers(racks: &[Option<&'static str>]) -> BTreeMap<BrokerId, Option<&'static str>> {
        (1..).map(BrokerId).zip(racks.iter().copied()).collect()
    }

    fn count(placed: &[Vec<BrokerId>], at: impl Fn(&Vec<BrokerId>) -> Vec<BrokerId>) -> BTreeMap<BrokerId, usize> {
        let mut counts = BTreeMap::new();
        placed.iter().flat_map(at).for_each(|broker| *counts.entry(broker).or_default() += 1);
        counts
    }

    #[test]
    fn leaders_and_replicas_are_spread_evenly() {
        for seed in 0..20 {
            let placed = place(&brokers(&[None; 5]), 40, 3, &mut Chance::new(seed));
            assert!(count(&placed, |replicas| vec![replicas[0]]).values().all(|&leads| leads == 8));
            assert!(count(&placed, Clone::clone).values().all(|&holds| holds == 24));
        }
    }

    #[test]
    fn replicas_of_a_partition_stand_in_different_racks_while_there_are_any() {
        let brokers = brokers(&[Some("a"), Some("a"), Some("b"), Some("b"), Some("c"), Some("c")]);
        for seed in 0..20 {
            for replicas in place(&brokers, 30, 3, &mut Chance::new(seed)) {
                let racks: std::collections::BTreeSet<_> = replicas.iter().map(|broker| brokers[broker]).collect();
                assert_eq!(racks.len(), 3);
            }
        }
    }

    #[test]
    fn every_broker_may_hold_every_partition() {
        for replicas in place(&brokers(&[Some("a"), Some("a"), None]), 6, 3, &mut Chance::new(1)) {
            let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
            assert_eq!(distinct.len(), 3);
        }
    }
}
