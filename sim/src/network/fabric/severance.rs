//! Connections that end, or go dead, by no will of either end.

use model::Time;

use super::State;
use crate::digest::Kind;
use crate::network::Links;
use crate::network::connection::{EndState, NEVER, Side};

/// What is done to connections from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum Severance {
    /// Both ends are told that there is no such connection.
    Reset,
    /// One machine forgets; the other is told when it sends.
    Forgotten,
    /// Nothing passes any more, and nobody is told.
    Stranded,
}

impl State {
    /// Befalls the connections over `links`: with [`Severance::Forgotten`] at the end where a link begins.
    pub(in crate::network) fn sever(&mut self, links: &Links, severance: Severance) {
        for &(from, to) in &links.0 {
            self.each_pipe(Some(to), Some(from), |state, slot, side| {
                state.charge(Kind::Severed, from, state.serial(slot), severance as u64);
                match severance {
                    Severance::Reset => {
                        model::reached!("a connection was reset by the network");
                        state.cut(slot, side);
                        state.cut(slot, 1 - side);
                    }
                    Severance::Forgotten => {
                        model::reached!("a connection was forgotten at one end");
                        let now = state.clock.now();
                        state.lose(slot, side, now);
                    }
                    Severance::Stranded => state.strand(slot),
                }
            });
        }
    }

    fn serial(&self, slot: usize) -> u64 {
        self.connections[slot].as_ref().map_or(0, |connection| connection.serial)
    }

    /// `side` is told that there is no such connection; what has not reached it until then never does.
    fn cut(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        if self.pipe(slot, side).reset != NEVER {
            return;
        }
        let arrival = self.arrival(slot, 1 - side, now);
        let pipe = self.pipe(slot, side);
        pipe.cut_off(now);
        pipe.is_answered();
        let arrival = pipe.in_order(arrival);
        pipe.reset = arrival;
        let (serial, node) = (self.serial(slot), self.nodes(slot, side).1);
        self.charge(Kind::Reset, node, serial, arrival.0);
        self.announce(slot, side);
    }

    fn strand(&mut self, slot: usize) {
        model::reached!("a connection was stranded");
        let now = self.clock.now();
        self.connection(slot).is_stranded = true;
        for side in [0, 1] {
            self.hold(slot, side, now);
        }
    }

    /// `side` gives up if it has waited too long for an answer.
    pub(in crate::network) fn give_up_if_due(&mut self, slot: usize, side: Side, now: Time) {
        let connection = self.connection(slot);
        let due = connection.gives_up(side);
        if due <= now {
            model::reached!("a sender gave up a connection that nobody answered on");
            connection.ends[side].has_given_up = connection.ends[side].state == EndState::Open;
            self.lose(slot, side, due);
            let (node, serial) = (self.nodes(slot, side).0, self.serial(slot));
            self.charge(Kind::GivenUp, node, serial, due.0);
        }
    }

    /// `side` is no more since `at`: its process, if it holds the socket still, is told so.
    fn lose(&mut self, slot: usize, side: Side, at: Time) {
        let connection = self.connection(slot);
        connection.pipes[1 - side].cut_off(at);
        connection.pipes[1 - side].is_answered();
        if connection.ends[side].state != EndState::Open {
            return;
        }
        connection.ends[side].state = EndState::Lost;
        connection.pipes[side].discard_received(at);
        connection.pipes[side].reset = at;
        self.announce(slot, side);
        self.refuse_unwanted(slot, side);
    }
}
