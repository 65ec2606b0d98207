//! Faults of the network, done and undone.

use std::collections::BTreeSet;
use std::time::Duration;

use scenarios::{Clients, Connections, Cut, Direction, NetworkFault, Range, Requests, Selector};
use sim::{Links, NodeIndex, Stream};

use super::{Aim, Begun, draw};
use crate::stage::{LinkChange, Overlay, Stage};

pub(super) enum Undo {
    Lift(sim::Fault),
    Remove(u32),
    Swizzle(Swizzle),
    Flap(Flap),
}

/// Nodes that are cut off one by one, and healed in another order.
pub(super) struct Swizzle {
    waiting: Vec<Links>,
    cut: Vec<sim::Fault>,
    is_healing: bool,
    step: Range,
}

/// Links that come and go.
pub(super) struct Flap {
    links: Links,
    cut: Option<sim::Fault>,
    up: Range,
    down: Range,
}

pub(super) fn begin(fault: &NetworkFault, mut aim: Aim<'_>) -> Begun {
    match fault {
        NetworkFault::Partition(cut) | NetworkFault::Hold(cut) => {
            let split = aim.choose(&cut.split);
            let from = cut.from.as_ref().map(|from| aim.choose(from));
            let others = other_side(cut, &split, from, aim.stage);
            let links = links(&aim.stage.indexes(&split), &aim.stage.indexes(&others), cut.direction);
            let mut whom = aim.names(&split);
            if cut.from.is_some() {
                whom.push("from".to_owned());
                whom.extend(aim.names(&others));
            }
            let network = aim.stage.world.network();
            let is_hold = matches!(fault, NetworkFault::Hold(_));
            barred(whom, &links, |links| if is_hold { network.hold(links) } else { network.partition(links) })
        }
        NetworkFault::Bridge(selector) => bridge(selector, aim),
        NetworkFault::Ring(selector) => ring(selector, aim),
        NetworkFault::Swizzle(swizzle) => {
            let mut members = aim.choose(&swizzle.of);
            aim.stream.shuffle(&mut members);
            let all = aim.stage.indexes(&everybody(aim.stage));
            let off = |&member: &usize| Links::both_ways(&aim.stage.indexes(&[member]), &all);
            // The last is taken first.
            let mut waiting: Vec<Links> = members.iter().rev().map(off).collect();
            let first = waiting.pop().map(|links| aim.stage.world.network().partition(&links));
            let swizzle = Swizzle { waiting, cut: first.into_iter().collect(), is_healing: false, step: swizzle.step };
            Begun { whom: aim.names(&members), undo: super::Undo::Network(Undo::Swizzle(swizzle)) }
        }
        NetworkFault::Flap(flap) => {
            let (of, to) = (aim.choose(&flap.of), flap.to.as_ref().map(|to| aim.choose(to)));
            let to = to.unwrap_or_else(|| everybody(aim.stage));
            let links = links(&aim.stage.indexes(&of), &aim.stage.indexes(&to), flap.direction);
            let cut = Some(aim.stage.world.network().partition(&links));
            let flap = Flap { links, cut, up: flap.up, down: flap.down };
            Begun { whom: aim.names(&of), undo: super::Undo::Network(Undo::Flap(flap)) }
        }
        NetworkFault::Slow(slow) => {
            let change = LinkChange::Latency { min: slow.latency.from, max: slow.latency.to };
            change_links(aim, &slow.of, slow.to.as_ref(), slow.direction, change)
        }
        NetworkFault::Lossy(lossy) => {
            change_links(aim, &lossy.of, lossy.to.as_ref(), lossy.direction, LinkChange::Loss(lossy.loss.as_f64()))
        }
        NetworkFault::Bandwidth(bandwidth) => {
            let change = LinkChange::Bandwidth(bandwidth.rate.0);
            match &bandwidth.to {
                Some(to) => change_links(aim, &bandwidth.of, Some(to), Direction::Both, change),
                None => {
                    let members = aim.choose(&bandwidth.of);
                    let cards = aim.stage.indexes(&members);
                    let overlay = aim.stage.overlay(Overlay { links: Vec::new(), cards, change });
                    Begun { whom: aim.names(&members), undo: super::Undo::Network(Undo::Remove(overlay)) }
                }
            }
        }
        NetworkFault::Refuse(requests) => {
            let (whom, links) = requested(requests, &mut aim);
            barred(whom, &links, |links| aim.stage.world.network().refuse(links))
        }
        NetworkFault::Ignore(requests) => {
            let (whom, links) = requested(requests, &mut aim);
            barred(whom, &links, |links| aim.stage.world.network().ignore(links))
        }
        NetworkFault::Reset(connections) => sever(connections, aim, sim::Network::reset),
        NetworkFault::HalfOpen(connections) => sever(connections, aim, sim::Network::forget),
        NetworkFault::Strand(connections) => sever(connections, aim, sim::Network::strand),
    }
}

impl Undo {
    /// When the fault takes its first step by itself, if it takes any.
    pub(super) fn first_step(&self, stream: &mut Stream) -> Option<Duration> {
        match self {
            Undo::Lift(_) | Undo::Remove(_) => None,
            Undo::Swizzle(swizzle) => Some(draw(swizzle.step, stream)),
            Undo::Flap(flap) => Some(draw(flap.down, stream)),
        }
    }

    /// Takes the next step; says when the one after it is due.
    pub(super) fn step(&mut self, stage: &Stage, stream: &mut Stream) -> Option<Duration> {
        let network = stage.world.network();
        match self {
            Undo::Lift(_) | Undo::Remove(_) => None,
            Undo::Swizzle(swizzle) if swizzle.is_healing => None,
            Undo::Swizzle(swizzle) => {
                let links = swizzle.waiting.pop()?;
                swizzle.cut.push(network.partition(&links));
                Some(draw(swizzle.step, stream))
            }
            Undo::Flap(flap) => match flap.cut.take() {
                Some(cut) => {
                    network.lift(cut);
                    Some(draw(flap.up, stream))
                }
                None => {
                    flap.cut = Some(network.partition(&flap.links));
                    Some(draw(flap.down, stream))
                }
            },
        }
    }

    /// Answers what is to be undone later, and when.
    pub(super) fn undo(self, stage: &mut Stage, stream: &mut Stream) -> Option<(Duration, Undo)> {
        let network = stage.world.network();
        match self {
            Undo::Lift(fault) => network.lift(fault),
            Undo::Remove(overlay) => stage.remove(overlay),
            Undo::Swizzle(mut swizzle) => {
                if !std::mem::replace(&mut swizzle.is_healing, true) {
                    stream.shuffle(&mut swizzle.cut);
                }
                network.lift(swizzle.cut.pop()?);
                if !swizzle.cut.is_empty() {
                    return Some((draw(swizzle.step, stream), Undo::Swizzle(swizzle)));
                }
            }
            Undo::Flap(flap) => network.lift(flap.cut?),
        }
        None
    }

    /// Takes no more time to heal.
    pub(super) fn hurry(&mut self, stage: &Stage) {
        if let Undo::Swizzle(swizzle) = self {
            swizzle.cut.drain(..).for_each(|fault| stage.world.network().lift(fault));
        }
    }
}

/// A fault of links that lasts until it is lifted; none if there are none.
fn barred(whom: Vec<String>, links: &Links, bar: impl FnOnce(&Links) -> sim::Fault) -> Begun {
    if links.is_empty() {
        return Begun { whom: Vec::new(), undo: super::Undo::Nothing };
    }
    Begun { whom, undo: super::Undo::Network(Undo::Lift(bar(links))) }
}

fn everybody(stage: &Stage) -> Vec<usize> {
    (0..stage.roles().len()).collect()
}

/// Servers fall into two halves that do not hear each other; whoever is on the bridge hears both.
fn bridge(selector: &Selector, mut aim: Aim<'_>) -> Begun {
    let on_it = aim.choose(selector);
    let is_beside = |member: &usize| !on_it.contains(member) && !aim.stage.roles()[*member].is_client();
    let mut others: Vec<usize> = everybody(aim.stage).into_iter().filter(is_beside).collect();
    aim.stream.shuffle(&mut others);
    let (one, other) = others.split_at(others.len() / 2);
    let links = Links::both_ways(&aim.stage.indexes(one), &aim.stage.indexes(other));
    let [one, on_it, other] = [one, &on_it, other].map(|members| aim.names(members));
    let whom = one.into_iter().chain(["-".into()]).chain(on_it).chain(["-".into()]).chain(other).collect();
    let network = aim.stage.world.network();
    barred(whom, &links, |links| network.partition(links))
}

/// Each of `selector` hears the nearest in a ring that are a majority with it, and nobody else of them.
fn ring(selector: &Selector, mut aim: Aim<'_>) -> Begun {
    let mut members = aim.choose(selector);
    aim.stream.shuffle(&mut members);
    let length = members.len();
    let reach = (length / 2).div_ceil(2);
    let is_far = |one: usize, other: usize| {
        let there = (other + length - one) % length;
        there.min(length - there) > reach
    };
    let pairs = (0..length).flat_map(|one| (0..one).map(move |other| (one, other)));
    let links = pairs.filter(|&(one, other)| is_far(one, other)).fold(Links::default(), |links, (one, other)| {
        links.and(&Links::both_ways(&aim.stage.indexes(&[members[one]]), &aim.stage.indexes(&[members[other]])))
    });
    let network = aim.stage.world.network();
    barred(aim.names(&members), &links, |links| network.partition(links))
}

/// Who is asked, and the links by which requests come.
fn requested(requests: &Requests, aim: &mut Aim<'_>) -> (Vec<String>, Links) {
    let of = aim.choose(&requests.of);
    let from = requests.from.as_ref().map(|from| aim.choose(from)).unwrap_or_else(|| everybody(aim.stage));
    (aim.names(&of), Links::one_way(&aim.stage.indexes(&from), &aim.stage.indexes(&of)))
}

/// Done at once, and nothing to undo.
fn sever(connections: &Connections, mut aim: Aim<'_>, how: fn(&sim::Network, &Links)) -> Begun {
    let of = aim.choose(&connections.of);
    let to = connections.to.as_ref().map(|to| aim.choose(to)).unwrap_or_else(|| everybody(aim.stage));
    let links = Links::one_way(&aim.stage.indexes(&of), &aim.stage.indexes(&to));
    how(aim.stage.world.network(), &links);
    Begun { whom: aim.names(&of), undo: super::Undo::Nothing }
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
    let overlay = stage.overlay(Overlay { links: changed.into_iter().collect(), cards: Vec::new(), change });
    Begun { whom: aim.names(&of), undo: super::Undo::Network(Undo::Remove(overlay)) }
}
