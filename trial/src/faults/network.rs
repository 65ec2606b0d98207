//! Faults of the network, done and undone.

use std::collections::BTreeSet;

use scenarios::{Clients, Cut, Direction, NetworkFault, Selector};
use sim::{Links, NodeIndex};

use super::{Aim, Begun};
use crate::stage::{LinkChange, Overlay, Stage};

pub(super) enum Undo {
    Lift(sim::Fault),
    Remove(u32),
}

pub(super) fn begin(fault: &NetworkFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        NetworkFault::Partition(cut) | NetworkFault::Hold(cut) => {
            let split = aim.choose(&cut.split);
            let from = cut.from.as_ref().map(|from| aim.choose(from));
            let stage = &*aim.stage;
            let others = other_side(cut, &split, from, stage);
            let links = links(&stage.indexes(&split), &stage.indexes(&others), cut.direction);
            if split.is_empty() || others.is_empty() {
                return Begun { whom: Vec::new(), undo: super::Undo::Nothing };
            }
            let network = stage.world.network();
            let is_hold = matches!(fault, NetworkFault::Hold(_));
            let fault = if is_hold { network.hold(&links) } else { network.partition(&links) };
            let mut whom = aim.names(&split);
            if cut.from.is_some() {
                whom.push("from".to_owned());
                whom.extend(aim.names(&others));
            }
            Begun { whom, undo: super::Undo::Network(Undo::Lift(fault)) }
        }
        NetworkFault::Slow(slow) => {
            let change = LinkChange::Latency { min: slow.latency.from, max: slow.latency.to };
            change_links(aim, &slow.of, slow.to.as_ref(), slow.direction, change)
        }
        NetworkFault::Lossy(lossy) => {
            change_links(aim, &lossy.of, lossy.to.as_ref(), lossy.direction, LinkChange::Loss(lossy.loss.as_f64()))
        }
    }
}

impl Undo {
    pub(super) fn undo(self, stage: &mut Stage) {
        match self {
            Undo::Lift(fault) => stage.world.network().lift(fault),
            Undo::Remove(overlay) => stage.remove(overlay),
        }
    }
}

/// Who is on the far side of a cut.
fn other_side(cut: &Cut, split: &[usize], from: Option<Vec<usize>>, stage: &Stage) -> Vec<usize> {
    let inside: BTreeSet<usize> = split.iter().copied().collect();
    if let Some(from) = from {
        return from.into_iter().filter(|member| !inside.contains(member)).collect();
    }
    let with_clients = cut.clients == Clients::StayWithOthers && !cut.split.means_clients();
    let others = stage.roles().iter().enumerate().filter(|(member, _)| !inside.contains(member));
    others.filter(|(_, role)| with_clients || !role.is_client()).map(|(member, _)| member).collect()
}

/// The links between two sides, as the first sees the direction.
fn links(of: &[NodeIndex], others: &[NodeIndex], direction: Direction) -> Links {
    match direction {
        Direction::Both => Links::both_ways(of, others),
        Direction::In => Links::one_way(others, of),
        Direction::Out => Links::one_way(of, others),
    }
}

/// Makes the links of some (only those to others, if they are named) otherwise than they were.
fn change_links(
    mut aim: Aim<'_>,
    of: &Selector,
    to: Option<&Selector>,
    direction: Direction,
    change: LinkChange,
) -> Begun {
    let of = aim.choose(of);
    let to = to.map(|to| aim.choose(to));
    let stage = &mut *aim.stage;
    let to = to.unwrap_or_else(|| (0..stage.roles().len()).collect());
    let pairs =
        of.iter().flat_map(|&one| to.iter().map(move |&other| (one, other))).filter(|(one, other)| one != other);
    let mut changed = BTreeSet::new();
    for (one, other) in pairs {
        let (one, other) = (stage.node(one).index(), stage.node(other).index());
        if direction != Direction::In {
            changed.insert((one, other));
        }
        if direction != Direction::Out {
            changed.insert((other, one));
        }
    }
    let overlay = stage.overlay(Overlay { links: changed.into_iter().collect(), change });
    Begun { whom: aim.names(&of), undo: super::Undo::Network(Undo::Remove(overlay)) }
}
