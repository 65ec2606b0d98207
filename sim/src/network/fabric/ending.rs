//! How connections end, by the will of a process, by its death, or with its machine.
//!
//! What each ending looks like from the other side:
//! - a process that ends closes its sockets: its peer reads what was sent, then the end; or a reset, if the process had unread bytes;
//! - a machine without power says nothing, and when it is back answers the next bytes on an old connection with a reset;
//! - a blocked link hides all of that until it is free; then what was sent is sent again within a short back-off.

use std::io;

use model::Time;

use super::links::BACK_OFF_MAX;
use super::{ConnectionId, State};
use crate::digest::{Kind, NodeIndex};
use crate::network::connection::{End, EndState, HELD, NEVER, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::network) enum Half {
    Reader,
    Writer,
}

impl State {
    /// `side` will send nothing more.
    pub(in crate::network) fn finish(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        let from = self.nodes(slot, side).0;
        let arrival = self.arrival(slot, side, now);
        let pipe = self.pipe(slot, 1 - side);
        if pipe.finish == NEVER {
            pipe.finish = pipe.in_order(arrival);
            if !self.is_answerable(slot, side) {
                self.wait_for_answer(slot, side);
            }
            let serial = self.connection(slot).serial;
            self.charge(Kind::Finished, from, serial, arrival.0);
            self.announce(slot, 1 - side);
        }
    }

    /// Finishes on demand of its process.
    pub(in crate::network) fn shut(&mut self, id: ConnectionId, side: Side) -> io::Result<()> {
        let now = self.clock.now();
        let connection = self.find(id).ok_or(io::ErrorKind::NotConnected)?;
        let pipe = &connection.pipes[side];
        if pipe.reset <= now {
            return Err(connection.ends[side].reset_error(pipe.finish <= now));
        }
        if connection.ends[side].state == EndState::Open {
            self.finish(id.slot, side);
        }
        Ok(())
    }

    /// One half of `side` is dropped; with the second the connection is closed.
    pub(in crate::network) fn drop_half(&mut self, id: ConnectionId, side: Side, half: Half) {
        let Some(connection) = self.find(id) else { return };
        let end = &mut connection.ends[side];
        match half {
            Half::Reader => end.has_reader = false,
            Half::Writer => end.has_writer = false,
        }
        let is_over = !end.has_reader && !end.has_writer;
        match end.state {
            EndState::Open => {
                if half == Half::Writer {
                    self.finish(id.slot, side);
                }
                if is_over {
                    self.close(id.slot, side);
                }
            }
            EndState::Lost => self.forget_if_over(id.slot),
            EndState::Closed | EndState::Forgotten => {}
        }
    }

    /// What the system does when the last handle of an open socket is gone.
    fn close(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        let connection = self.connection(slot);
        let (node, serial) = (connection.ends[side].node, connection.serial);
        if connection.pipes[side].has_unread(now) {
            self.reset_end(slot, side);
        } else {
            connection.ends[side].state = EndState::Closed;
            self.charge(Kind::Closed, node, serial, 0);
            self.finish(slot, side);
            self.refuse_unwanted(slot, side);
        }
        self.forget_if_over(slot);
    }

    /// Ends `side` without regard for what it had not sent: the peer will be told.
    pub(super) fn reset_end(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        let connection = self.connection(slot);
        model::reached!("a connection was reset while bytes were on their way");
        connection.ends[side].state = EndState::Closed;
        connection.pipes[side].discard();
        connection.pipes[1 - side].cut_off(now);
        self.tell_of_reset(slot, side, now);
    }

    /// Answers bytes to an end that is no more with a reset.
    pub(super) fn refuse_unwanted(&mut self, slot: usize, side: Side) {
        let now = self.clock.now();
        let connection = self.connection(slot);
        if connection.ends[side].state == EndState::Open {
            return;
        }
        if let Some(arrival) = connection.pipes[side].first_unwanted().filter(|&arrival| arrival != HELD) {
            connection.pipes[side].discard();
            self.tell_of_reset(slot, side, arrival.max(now));
        }
    }

    fn tell_of_reset(&mut self, slot: usize, side: Side, at: Time) {
        let from = self.nodes(slot, side).0;
        let arrival = self.arrival(slot, side, at);
        let pipe = self.pipe(slot, 1 - side);
        let arrival = pipe.in_order(arrival);
        if pipe.reset == NEVER || arrival < pipe.reset {
            pipe.reset = arrival;
        }
        let serial = self.connection(slot).serial;
        self.charge(Kind::Reset, from, serial, arrival.0);
        self.announce(slot, 1 - side);
    }

    pub(super) fn forget_if_over(&mut self, slot: usize) {
        if let Some(connection) = &self.connections[slot]
            && connection.ends.iter().all(End::is_over)
        {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }

    pub(super) fn process_ended(&mut self, node: NodeIndex) {
        self.machine(node).listeners.clear();
        for slot in 0..self.connections.len() {
            for side in [0, 1] {
                let is_open = self.connections[slot].as_ref().is_some_and(|connection| {
                    connection.ends[side].node == node && connection.ends[side].state == EndState::Open
                });
                if is_open {
                    self.close(slot, side);
                }
            }
        }
    }

    pub(super) fn power_lost(&mut self, node: NodeIndex) {
        let now = self.clock.now();
        let machine = self.machine(node);
        machine.has_power = false;
        machine.listeners.clear();
        self.each_pipe(None, Some(node), |state, slot, side| {
            let connection = state.connection(slot);
            connection.ends[side].state = EndState::Forgotten;
            connection.pipes[1 - side].cut_off(now);
            connection.pipes[1 - side].is_answered();
            connection.pipes[side].lose_received(now);
            state.hold(slot, side, now);
            state.forget_if_over(slot);
        });
    }

    pub(super) fn power_back(&mut self, node: NodeIndex) {
        let now = self.clock.now();
        self.machine(node).has_power = true;
        self.reopen(None, node, now, BACK_OFF_MAX);
    }
}
