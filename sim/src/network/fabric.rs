//! The fabric: every machine, link, listener and connection of one world.

mod ending;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use model::Time;
use parking_lot::{Mutex, MutexGuard};

pub(super) use ending::Half;

use super::connection::{Connection, End, EndState, HELD, Pipe, Side};
use super::link::{Flight, Link, LinkSettings};
use crate::clock::Clock;
use crate::digest::{Digest, Kind, NodeIndex};
use crate::streams::Stream;

/// Connections that wait to be accepted; one more is not answered.
const BACKLOG_MAX: usize = 1024;

/// Ports that the system gives away by itself.
const FREE_PORTS: std::ops::Range<u16> = 32_768..61_000;

/// After a blockage the first retransmission comes within this: real ones back off longer the longer the blockage was, which would
/// make every figure of recovery one of TCP's instead of ours.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(crate) struct Fabric {
    pub(super) clock: Clock,
    state: Arc<Mutex<State>>,
}

pub(super) struct State {
    clock: Clock,
    digest: Digest,
    stream: Stream,
    names: BTreeMap<String, NodeIndex>,
    machines: Vec<Machine>,
    /// `links[from][to]`.
    links: Vec<Vec<Link>>,
    default: LinkSettings,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    serial: u64,
}

struct Machine {
    name: String,
    has_power: bool,
    listeners: BTreeMap<u16, Listening>,
    next_port: u16,
}

/// One listening socket.
struct Listening {
    serial: u64,
    backlog: VecDeque<ConnectionId>,
    acceptors: Vec<Waker>,
}

/// A connection: where it is kept, and its serial, which proves that it is still the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionId {
    slot: usize,
    pub(super) serial: u64,
}

/// What a machine says to somebody who knocks.
pub(super) enum Knock {
    Listening,
    NobodyListens,
    Silence,
}

impl Fabric {
    pub(crate) fn new(clock: Clock, digest: Digest, stream: Stream) -> Fabric {
        let state = State {
            clock: clock.clone(),
            digest,
            stream,
            names: BTreeMap::new(),
            machines: Vec::new(),
            links: Vec::new(),
            default: LinkSettings::LOCAL,
            connections: Vec::new(),
            free: Vec::new(),
            serial: 0,
        };
        Fabric { clock, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn add_machine(&self, name: &str) -> NodeIndex {
        self.state().add_machine(name)
    }

    /// The process of `node` has ended, in order or not: the system closes its sockets.
    pub(crate) fn process_ended(&self, node: NodeIndex) {
        self.state().process_ended(node);
    }

    pub(crate) fn power_lost(&self, node: NodeIndex) {
        self.state().power_lost(node);
    }

    pub(crate) fn power_back(&self, node: NodeIndex) {
        self.state().power_back(node);
    }

    /// Forgets all connections, and with them the tasks that wait for them.
    pub(crate) fn clear(&self) {
        let state = &mut *self.state();
        let connections = std::mem::take(&mut state.connections);
        state.free.clear();
        state.machines.iter_mut().for_each(|machine| machine.listeners.clear());
        drop(connections);
    }
}

impl State {
    fn add_machine(&mut self, name: &str) -> NodeIndex {
        let node = NodeIndex(self.machines.len() as u16);
        for (from, links) in self.links.iter_mut().enumerate() {
            debug_assert_ne!(from, usize::from(node.0));
            links.push(Link::new(self.default));
        }
        let mut links = vec![Link::new(self.default); self.machines.len()];
        links.push(Link::new(LinkSettings::LOOPBACK));
        self.links.push(links);
        self.machines.push(Machine {
            name: name.to_owned(),
            has_power: true,
            listeners: BTreeMap::new(),
            next_port: FREE_PORTS.start,
        });
        self.names.insert(name.to_owned(), node);
        node
    }

    fn machine(&mut self, node: NodeIndex) -> &mut Machine {
        &mut self.machines[usize::from(node.0)]
    }

    pub(super) fn name(&self, node: NodeIndex) -> &str {
        &self.machines[usize::from(node.0)].name
    }

    /// The node that `host` means on `node`.
    pub(super) fn resolve(&self, node: NodeIndex, host: &str) -> Option<NodeIndex> {
        if is_loopback(host) { Some(node) } else { self.names.get(host).copied() }
    }

    pub(super) fn charge(&self, kind: Kind, node: NodeIndex, a: u64, b: u64) {
        self.digest.event(kind, node, a, b);
    }

    // Links.

    pub(super) fn set_default(&mut self, settings: LinkSettings) {
        self.default = settings;
        for from in 0..self.links.len() {
            for to in (0..self.links.len()).filter(|&to| to != from) {
                self.links[from][to].settings = settings;
            }
        }
        self.charge(Kind::LinkSet, NodeIndex(0), u64::MAX, 0);
    }

    pub(super) fn set_link(&mut self, from: NodeIndex, to: NodeIndex, settings: LinkSettings) {
        self.link(from, to).settings = settings;
        self.charge(Kind::LinkSet, to, u64::from(from.0), 0);
    }

    fn link(&mut self, from: NodeIndex, to: NodeIndex) -> &mut Link {
        &mut self.links[usize::from(from.0)][usize::from(to.0)]
    }

    fn is_blocked(&self, from: NodeIndex, to: NodeIndex) -> bool {
        self.links[usize::from(from.0)][usize::from(to.0)].blocked_by > 0 || !self.machines[usize::from(to.0)].has_power
    }

    /// One transmission; none if it cannot arrive now.
    pub(super) fn fly(&mut self, now: Time, from: NodeIndex, to: NodeIndex, length: usize) -> Option<Flight> {
        if self.is_blocked(from, to) {
            return None;
        }
        let link = &mut self.links[usize::from(from.0)][usize::from(to.0)];
        Some(link.fly(now, length, &mut self.stream))
    }

    fn arrival(&mut self, now: Time, from: NodeIndex, to: NodeIndex) -> Time {
        self.fly(now, from, to, 0).map_or(HELD, |flight| flight.arrival)
    }

    pub(super) fn block(&mut self, from: NodeIndex, to: NodeIndex, fault: u32) {
        let now = self.clock.now();
        let link = self.link(from, to);
        link.blocked_by += 1;
        if link.blocked_by == 1 {
            link.blocked_since = now;
            self.each_pipe(Some(from), to, |state, slot, side| state.pipe(slot, side).hold(now));
        }
        self.charge(Kind::Blocked, to, u64::from(from.0), u64::from(fault));
    }

    /// One fault fewer on this link. What waited is sent after a back-off, or at once if it was only `held`.
    pub(super) fn unblock(&mut self, from: NodeIndex, to: NodeIndex, fault: u32, held: bool) {
        let now = self.clock.now();
        let link = self.link(from, to);
        link.blocked_by -= 1;
        let blocked_for = now.since(link.blocked_since);
        self.charge(Kind::Unblocked, to, u64::from(from.0), u64::from(fault));
        if !self.is_blocked(from, to) {
            let back_off = if held { Duration::ZERO } else { blocked_for.clamp(BACK_OFF_MIN, BACK_OFF_MAX) };
            self.reopen(Some(from), to, now, back_off);
            // Acknowledgements of what flowed the other way.
            self.each_pipe(Some(to), from, |state, slot, side| {
                if state.pipe(slot, side).acknowledge_now() {
                    state.connection(slot).ends[1 - side].writer.wake();
                }
            });
        }
    }

    /// Sends again what was held on its way to `to`.
    fn reopen(&mut self, from: Option<NodeIndex>, to: NodeIndex, now: Time, back_off: Duration) {
        self.each_pipe(from, to, |state, slot, side| {
            let from = state.connection(slot).ends[1 - side].node;
            if !state.pipe(slot, side).holds_anything() || state.is_blocked(from, to) {
                return;
            }
            let wait = state.stream.duration(Duration::ZERO..back_off + Duration::from_nanos(1));
            let length = 0;
            let Some(flight) = state.fly(now + wait, from, to, length) else { return };
            model::reached!("what a cut link held back was delivered late");
            state.pipe(slot, side).release(flight.departure, flight.arrival);
            state.announce(slot, side);
            state.refuse_unwanted(slot, side);
        });
    }

    fn each_pipe(&mut self, from: Option<NodeIndex>, to: NodeIndex, mut visit: impl FnMut(&mut State, usize, Side)) {
        for slot in 0..self.connections.len() {
            for side in [0, 1] {
                let is_meant = self.connections[slot].as_ref().is_some_and(|connection| {
                    connection.ends[side].node == to && from.is_none_or(|from| connection.ends[1 - side].node == from)
                });
                if is_meant {
                    visit(self, slot, side);
                }
            }
        }
    }

    // Listeners.

    /// Binds a port of `node`, 0 for a free one, and says which and the listener's serial.
    pub(super) fn listen(&mut self, node: NodeIndex, host: &str, port: u16) -> io::Result<(u16, u64)> {
        let is_own = is_loopback(host) || is_any(host) || self.resolve(node, host) == Some(node);
        if !is_own {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        self.serial += 1;
        let serial = self.serial;
        let machine = self.machine(node);
        let port = if port == 0 { machine.free_port() } else { port };
        if machine.listeners.contains_key(&port) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        machine.listeners.insert(port, Listening { serial, backlog: VecDeque::new(), acceptors: Vec::new() });
        self.charge(Kind::Listened, node, u64::from(port), 0);
        Ok((port, serial))
    }

    /// The next connection, if one waits; else `waker` is woken when one may. An error if the listener is gone.
    pub(super) fn accept(
        &mut self,
        node: NodeIndex,
        port: u16,
        serial: u64,
        waker: &Waker,
    ) -> io::Result<Option<ConnectionId>> {
        let listeners = &mut self.machine(node).listeners;
        let listening = listeners.get_mut(&port).filter(|listening| listening.serial == serial);
        let listening = listening.ok_or(io::ErrorKind::NotConnected)?;
        if let Some(id) = listening.backlog.pop_front() {
            self.charge(Kind::Accepted, node, id.serial, 0);
            return Ok(Some(id));
        }
        if !listening.acceptors.iter().any(|known| known.will_wake(waker)) {
            listening.acceptors.push(waker.clone());
        }
        Ok(None)
    }

    pub(super) fn stop_listening(&mut self, node: NodeIndex, port: u16, serial: u64) {
        let listeners = &mut self.machine(node).listeners;
        if listeners.get(&port).is_some_and(|listening| listening.serial == serial)
            && let Some(listening) = listeners.remove(&port)
        {
            for id in listening.backlog {
                self.reset_end(id.slot, 1);
                self.forget_if_over(id.slot);
            }
        }
    }

    pub(super) fn knock(&mut self, at: NodeIndex, port: u16) -> Knock {
        let machine = self.machine(at);
        match machine.listeners.get(&port) {
            _ if !machine.has_power => Knock::Silence,
            None => Knock::NobodyListens,
            Some(listening) if listening.backlog.len() >= BACKLOG_MAX => Knock::Silence,
            Some(_) => Knock::Listening,
        }
    }

    pub(super) fn free_port(&mut self, node: NodeIndex) -> u16 {
        self.machine(node).free_port()
    }

    /// Makes the connection that both sides have agreed to.
    pub(super) fn establish(&mut self, from: (NodeIndex, u16), to: (NodeIndex, u16)) -> Option<ConnectionId> {
        if !matches!(self.knock(to.0, to.1), Knock::Listening) {
            return None;
        }
        self.serial += 1;
        let serial = self.serial;
        let ends = [End::new(from.0, from.1), End::new(to.0, to.1)];
        let connection = Some(Connection { serial, ends, pipes: [Pipe::new(), Pipe::new()] });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.connections[slot] = connection;
                slot
            }
            None => {
                self.connections.push(connection);
                self.connections.len() - 1
            }
        };
        let id = ConnectionId { slot, serial };
        let listening = self.machine(to.0).listeners.get_mut(&to.1)?;
        listening.backlog.push_back(id);
        listening.acceptors.drain(..).for_each(Waker::wake);
        self.charge(Kind::Connected, from.0, serial, u64::from(to.1));
        Some(id)
    }

    // Connections.

    /// The connection of `id`, unless it is over for both sides.
    pub(super) fn find(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot)?.as_mut().filter(|connection| connection.serial == id.serial)
    }

    #[expect(clippy::expect_used, reason = "slots are only visited while their connection is there")]
    fn connection(&mut self, slot: usize) -> &mut Connection {
        self.connections[slot].as_mut().expect("a connection in its slot")
    }

    fn pipe(&mut self, slot: usize, side: Side) -> &mut Pipe {
        &mut self.connection(slot).pipes[side]
    }

    /// Sends `parts` from `side`, which has room for them.
    pub(super) fn send(
        &mut self,
        id: ConnectionId,
        side: Side,
        now: Time,
        parts: impl Iterator<Item = Bytes>,
        length: usize,
    ) {
        let (slot, to_side) = (id.slot, 1 - side);
        let (from, to) = self.nodes(slot, side);
        let flight = self.fly(now, from, to, length).unwrap_or(Flight { departure: HELD, arrival: HELD });
        let connection = self.connection(slot);
        let pipe = &mut connection.pipes[to_side];
        let arrival = pipe.in_order(flight.arrival);
        parts.for_each(|part| pipe.push(part, flight.departure, arrival));
        let receiver = &mut connection.ends[to_side];
        let is_wanted = receiver.state == EndState::Open;
        let serial = connection.serial;
        self.digest.event_at(now, Kind::Sent, from, serial << 24 | length as u64, arrival.0);
        if is_wanted {
            self.announce(slot, to_side);
        } else {
            self.refuse_unwanted(slot, to_side);
        }
    }

    /// `length` bytes were read at `side`: their sender has room again once it knows.
    pub(super) fn acknowledge(&mut self, id: ConnectionId, side: Side, now: Time, length: usize) {
        let (slot, serial) = (id.slot, id.serial);
        let (reader, sender) = self.nodes(slot, side);
        self.digest.event_at(now, Kind::Received, reader, serial, length as u64);
        if self.is_blocked(reader, sender) {
            self.pipe(slot, side).acknowledge_later(length);
        } else {
            let connection = self.connection(slot);
            connection.pipes[side].acknowledge(length);
            connection.ends[1 - side].writer.wake();
        }
    }

    /// The node at `side`, and its peer's.
    fn nodes(&mut self, slot: usize, side: Side) -> (NodeIndex, NodeIndex) {
        let ends = &self.connection(slot).ends;
        (ends[side].node, ends[1 - side].node)
    }

    /// Wakes who waits at `side` when the next thing arrives there.
    fn announce(&mut self, slot: usize, side: Side) {
        if let Some(connection) = self.connections[slot].as_mut() {
            let pipe = &connection.pipes[side];
            let end = &mut connection.ends[side];
            end.reader.announce(pipe.next_arrival(), &self.clock);
            end.writer.announce(pipe.reset, &self.clock);
        }
    }
}

impl Machine {
    fn free_port(&mut self) -> u16 {
        loop {
            let port = self.next_port;
            self.next_port = if port + 1 < FREE_PORTS.end { port + 1 } else { FREE_PORTS.start };
            if !self.listeners.contains_key(&port) {
                return port;
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

fn is_any(host: &str) -> bool {
    matches!(host, "0.0.0.0" | "::" | "")
}
