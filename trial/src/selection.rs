//! Whom a selector means, at the moment when a fault begins.

use std::collections::BTreeSet;

use model::BrokerId;
use scenarios::Selector;
use sim::Stream;

use crate::scene::Scene;

/// What a node is in the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Broker(BrokerId),
    Controller(BrokerId),
    /// By its place in the file, from 1.
    Producer(u32),
    Consumer(u32),
}

impl Role {
    pub(crate) fn is_client(self) -> bool {
        matches!(self, Role::Producer(_) | Role::Consumer(_))
    }

    fn is_broker(self) -> bool {
        matches!(self, Role::Broker(_))
    }

    fn is_node(self, id: BrokerId) -> bool {
        matches!(self, Role::Broker(own) | Role::Controller(own) if own == id)
    }
}

/// Draws from `roles` (a node's place in the list is its index here) whom `selector` means: sorted, and empty if there is nobody.
/// `is_up` tells who runs: chance prefers them, since breaking what is broken shows nothing.
pub(crate) fn select(
    selector: &Selector,
    roles: &[Role],
    is_up: &dyn Fn(usize) -> bool,
    scene: &Scene,
    stream: &mut Stream,
) -> Vec<usize> {
    let having = |wanted: &dyn Fn(Role) -> bool| -> Vec<usize> {
        roles.iter().enumerate().filter(|(_, role)| wanted(**role)).map(|(index, _)| index).collect()
    };
    let nodes = |ids: BTreeSet<BrokerId>| having(&|role| ids.iter().any(|&id| role.is_node(id)));
    let followers = |partition| {
        scene.partition(partition).map_or_else(BTreeSet::new, |seen| {
            seen.replicas.iter().copied().filter(|replica| Some(*replica) != seen.leader).collect()
        })
    };
    let in_sync = |partition| {
        let is_in_sync =
            |replica: &BrokerId| scene.partition(partition).is_some_and(|seen| seen.in_sync.contains(replica));
        followers(partition).into_iter().filter(is_in_sync).collect()
    };
    let brokers = || having(&Role::is_broker);
    let some = |from: Vec<usize>, count: usize, stream: &mut Stream| {
        let (mut up, mut down): (Vec<_>, Vec<_>) = from.into_iter().partition(|&index| is_up(index));
        stream.shuffle(&mut up);
        stream.shuffle(&mut down);
        up.extend(down);
        up.truncate(count);
        up.sort_unstable();
        up
    };
    match selector {
        Selector::LeaderOf(partition) => {
            nodes(scene.partition(partition).and_then(|seen| seen.leader).into_iter().collect())
        }
        Selector::FollowerOf(partition) => some(nodes(followers(partition)), 1, stream),
        Selector::FollowersOf(partition) => nodes(followers(partition)),
        Selector::ReplicasOf(partition) => {
            nodes(scene.partition(partition).map_or_else(BTreeSet::new, |seen| seen.replicas.iter().copied().collect()))
        }
        Selector::FollowerInSyncOf(partition) => some(nodes(in_sync(partition)), 1, stream),
        Selector::FollowersInSyncOf(partition) => nodes(in_sync(partition)),
        Selector::Controller => nodes(scene.controller().into_iter().collect()),
        Selector::Broker(number) => {
            having(&|role| i32::try_from(*number).is_ok_and(|id| role == Role::Broker(BrokerId(id))))
        }
        Selector::RandomBroker => some(brokers(), 1, stream),
        Selector::AnyBrokers(count) => some(brokers(), usize::try_from(*count).unwrap_or(usize::MAX), stream),
        Selector::RandomMinority => {
            let all = brokers();
            let count = 1 + below((all.len().saturating_sub(1) / 2).max(1), stream);
            some(all, count, stream)
        }
        Selector::RandomMajority => {
            let all = brokers();
            let (least, most) = (all.len() / 2 + 1, all.len().saturating_sub(1));
            let count = least + below((most + 1).saturating_sub(least).max(1), stream);
            some(all, count, stream)
        }
        Selector::AllBrokers => brokers(),
        Selector::AllNodes => having(&|role| !role.is_client()),
        Selector::Producer(number) => having(&|role| role == Role::Producer(*number)),
        Selector::Consumer(number) => having(&|role| role == Role::Consumer(*number)),
        Selector::RandomClient => some(having(&Role::is_client), 1, stream),
        Selector::AllClients => having(&Role::is_client),
        Selector::Several(parts) => {
            let mut all = BTreeSet::new();
            for part in parts {
                all.extend(select(part, roles, is_up, scene, stream));
            }
            all.into_iter().collect()
        }
    }
}

fn below(end: usize, stream: &mut Stream) -> usize {
    usize::try_from(stream.below(end as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use sim::Streams;

    use super::*;

    const ROLES: [Role; 8] = [
        Role::Broker(BrokerId(1)),
        Role::Broker(BrokerId(2)),
        Role::Broker(BrokerId(3)),
        Role::Broker(BrokerId(4)),
        Role::Broker(BrokerId(5)),
        Role::Controller(BrokerId(6)),
        Role::Producer(1),
        Role::Consumer(1),
    ];

    fn draws(text: &str) -> Vec<Vec<usize>> {
        let selector = text.parse().unwrap();
        let mut stream = Streams::new(1).stream("faults");
        (0..200).map(|_| select(&selector, &ROLES, &|index| index != 4, &Scene::default(), &mut stream)).collect()
    }

    #[test]
    fn a_minority_is_less_than_half_and_a_majority_more_but_not_all() {
        let sizes = |text| draws(text).iter().map(Vec::len).collect::<BTreeSet<_>>();
        assert_eq!(sizes("random minority"), [1, 2].into());
        assert_eq!(sizes("random majority"), [3, 4].into());
    }

    #[test]
    fn chance_prefers_who_runs() {
        assert!(draws("random broker").iter().all(|drawn| drawn.len() == 1 && drawn[0] < 4));
    }

    #[test]
    fn all_means_all() {
        assert_eq!(draws("all nodes")[0], [0, 1, 2, 3, 4, 5]);
        assert_eq!(draws("all brokers")[0], [0, 1, 2, 3, 4]);
        assert_eq!(draws("all clients")[0], [6, 7]);
        assert_eq!(draws("consumer 1")[0], [7]);
        assert_eq!(draws("producer 1 and broker 2 and broker 2")[0], [1, 6]);
        assert!(draws("any 2 brokers").iter().all(|drawn| drawn.len() == 2 && drawn[1] < 4));
    }

    #[test]
    fn a_partition_that_nobody_leads_selects_nobody() {
        assert!(draws("leader of orders/0")[0].is_empty());
    }
}
