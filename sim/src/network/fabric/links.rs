//! What passes between two machines: links, their cards, and what bars the way.

use std::time::Duration;

use model::Time;

use super::State;
use crate::digest::{Kind, NodeIndex};
use crate::network::Bar;
use crate::network::connection::{HELD, Side};
use crate::network::link::{Card, Flight, Link, LinkSettings};

/// After a blockage the first retransmission comes within this: real ones back off longer the longer the blockage was, which would
/// make every figure of recovery one of TCP's instead of ours.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
pub(super) const BACK_OFF_MAX: Duration = Duration::from_secs(1);

impl State {
    pub(in crate::network) fn set_default(&mut self, settings: LinkSettings) {
        self.default = settings;
        let nodes = (0..self.links.len()).map(|node| NodeIndex(node as u16));
        for (from, to) in nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to))) {
            if from != to {
                self.change_link(from, to, settings);
            }
        }
        self.charge(Kind::LinkSet, NodeIndex(0), u64::MAX, 0);
    }

    pub(in crate::network) fn set_link(&mut self, from: NodeIndex, to: NodeIndex, settings: LinkSettings) {
        self.change_link(from, to, settings);
        self.charge(Kind::LinkSet, to, u64::from(from.0), 0);
    }

    fn change_link(&mut self, from: NodeIndex, to: NodeIndex, settings: LinkSettings) {
        let link = self.link(from, to);
        link.settings = settings;
        if link.queue.set(settings.bandwidth) {
            self.line_up_again(Some(from), Some(to));
        }
    }

    pub(in crate::network) fn set_card(&mut self, node: NodeIndex, bandwidth: Option<u64>) {
        let Card { outward, inward } = &mut self.cards[usize::from(node.0)];
        let (out, into) = (outward.set(bandwidth), inward.set(bandwidth));
        if out {
            self.line_up_again(Some(node), None);
        }
        if into {
            self.line_up_again(None, Some(node));
        }
        self.charge(Kind::CardSet, node, bandwidth.unwrap_or(u64::MAX), 0);
    }

    /// What waited at another bandwidth joins the queues anew.
    fn line_up_again(&mut self, from: Option<NodeIndex>, to: Option<NodeIndex>) {
        let now = self.clock.now();
        self.each_pipe(from, to, |state, slot, side| {
            if state.pipe(slot, side).hold_unsent(now) {
                state.send_again(slot, side, now);
            }
        });
    }

    pub(super) fn link(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        &mut self.links[usize::from(from.0)][usize::from(to.0)]
    }

    pub(super) fn is_blocked(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.links[usize::from(from.0)][usize::from(to.0)].blocked_by > 0 || !self.machines[usize::from(to.0)].has_power
    }

    /// One transmission; none if it cannot arrive now.
    pub(in crate::network) fn fly(
        &mut self,
        now: Time,
        from: NodeIndex,
        to: NodeIndex,
        length: usize,
    ) -> Option<Flight> {
        if self.is_blocked(from, to) {
            return None;
        }
        let link = &mut self.links[usize::from(from.0)][usize::from(to.0)];
        let cards = self.cards.get_disjoint_mut([from, to].map(|node| usize::from(node.0))).ok();
        Some(link.fly(now, length, cards, &mut self.stream))
    }

    /// One transmission from `side` of a connection.
    pub(super) fn fly_on(&mut self, slot: usize, side: Side, now: Time, length: usize) -> Option<Flight> {
        if self.connection(slot).is_stranded {
            return None;
        }
        let (from, to) = self.nodes(slot, side);
        self.fly(now, from, to, length)
    }

    pub(super) fn arrival(&mut self, slot: usize, side: Side, now: Time) -> Time {
        self.fly_on(slot, side, now, 0).map_or(HELD, |flight| flight.arrival)
    }

    /// What `side` sends now arrives, and an answer comes back.
    pub(super) fn is_answerable(&mut self, slot: usize, side: Side) -> bool {
        let (from, to) = self.nodes(slot, side);
        !self.connection(slot).is_stranded && !self.is_blocked(from, to) && !self.is_blocked(to, from)
    }

    /// `side` has sent what cannot be answered now, and will not wait for ever.
    pub(super) fn wait_for_answer(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        self.pipe(slot, 1 - side).is_unanswered(now);
        self.announce(slot, side);
    }

    /// One fault more on this link.
    pub(in crate::network) fn bar(&mut self, from: NodeIndex, to: NodeIndex, fault: u32, bar: Bar) {
        let now = self.clock.now();
        let link = self.link(from, to);
        match bar {
            Bar::Refusal => link.refused_by += 1,
            Bar::Silence => link.ignored_by += 1,
            Bar::Partition | Bar::Hold => {
                link.blocked_by += 1;
                if link.blocked_by == 1 {
                    link.blocked_since = now;
                    self.each_pipe(Some(from), Some(to), |state, slot, side| state.hold(slot, side, now));
                    // What flows the other way arrives, but is not acknowledged.
                    self.each_pipe(Some(to), Some(from), |state, slot, side| {
                        if state.pipe(slot, side).is_under_way(now) {
                            state.wait_for_answer(slot, 1 - side);
                        }
                    });
                }
            }
        }
        self.charge(Kind::Blocked, to, u64::from(from.0), u64::from(fault));
    }

    /// Keeps from arriving at `side` what has not arrived by `now`.
    pub(super) fn hold(&mut self, slot: usize, side: Side, now: Time) {
        let pipe = self.pipe(slot, side);
        pipe.hold(now);
        if pipe.holds_anything() {
            self.wait_for_answer(slot, 1 - side);
        }
    }

    /// One fault fewer on this link. What waited is sent after a back-off, or at once if it was only held.
    pub(in crate::network) fn unbar(&mut self, from: NodeIndex, to: NodeIndex, fault: u32, bar: Bar) {
        let now = self.clock.now();
        let link = self.link(from, to);
        let back_off = match bar {
            Bar::Refusal => {
                link.refused_by -= 1;
                None
            }
            Bar::Silence => {
                link.ignored_by -= 1;
                None
            }
            Bar::Partition => {
                link.blocked_by -= 1;
                Some(now.since(link.blocked_since).clamp(BACK_OFF_MIN, BACK_OFF_MAX))
            }
            Bar::Hold => {
                link.blocked_by -= 1;
                Some(Duration::ZERO)
            }
        };
        self.charge(Kind::Unblocked, to, u64::from(from.0), u64::from(fault));
        let Some(back_off) = back_off.filter(|_| !self.is_blocked(from, to)) else { return };
        self.reopen(Some(from), to, now, back_off);
        // Acknowledgements of what flowed the other way.
        self.each_pipe(Some(to), Some(from), |state, slot, side| {
            state.give_up_if_due(slot, 1 - side, now);
            if state.connection(slot).is_stranded {
                return;
            }
            if state.pipe(slot, side).acknowledge_now() {
                state.connection(slot).ends[1 - side].writer.wake();
            }
            if state.is_answerable(slot, 1 - side) {
                state.pipe(slot, side).is_answered();
            }
        });
    }

    /// Sends again what was held on its way to `to`.
    pub(super) fn reopen(&mut self, from: Option<NodeIndex>, to: NodeIndex, now: Time, back_off: Duration) {
        self.each_pipe(from, Some(to), |state, slot, side| {
            state.give_up_if_due(slot, 1 - side, now);
            let from = state.connection(slot).ends[1 - side].node;
            if state.connection(slot).is_stranded || state.is_blocked(from, to) {
                return;
            }
            if state.pipe(slot, side).holds_anything() {
                let wait = state.stream.duration(Duration::ZERO..back_off + Duration::from_nanos(1));
                model::reached!("what a cut link held back was delivered late");
                state.send_again(slot, side, now + wait);
                state.refuse_unwanted(slot, side);
            }
            if state.is_answerable(slot, 1 - side) {
                state.pipe(slot, side).is_answered();
            }
        });
    }

    /// Lets what is held on its way to `side` leave at `now`, if it can.
    fn send_again(&mut self, slot: usize, side: Side, now: Time) {
        let length = self.pipe(slot, side).held_bytes();
        if let Some(flight) = self.fly_on(slot, 1 - side, now, length) {
            self.pipe(slot, side).release(flight.departure, flight.arrival);
            self.announce(slot, side);
        }
    }
}
