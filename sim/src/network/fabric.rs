//! The fabric: every machine, link, listener and connection of one world.

mod ending;
mod links;
mod severance;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::Waker;

use crate::confined::{Confined, Taken};
use bytes::Bytes;
use model::Time;

pub(super) use ending::Half;
pub(super) use severance::Severance;

use super::connection::{Connection, End, EndState, HELD, Pipe, Side};
use super::link::{Card, Flight, Link, LinkSettings, Queue};
use crate::clock::Clock;
use crate::digest::{Digest, Kind, NodeIndex};
use crate::streams::Stream;

/// Connections that wait to be accepted; one more is not answered.
const BACKLOG_MAX: usize = 1024;

/// Ports that the system gives away by itself.
const FREE_PORTS: std::ops::Range<u16> = 32_768..61_000;

#[derive(Clone)]
pub(crate) struct Fabric {
    pub(super) clock: Clock,
    state: Arc<Confined<State>>,
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
    /// The network card of each machine.
    cards: Vec<Card>,
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
    pub(super) slot: usize,
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
            cards: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            serial: 0,
        };
        Fabric { clock, state: Arc::new(Confined::new(state)) }
    }

    pub(super) fn state(&self) -> Taken<'_, State> {
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
        self.cards.push(Card { outward: Queue::new(None), inward: Queue::new(None) });
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

    /// Visits every pipe, or only those from a node, or to one.
    fn each_pipe(
        &mut self,
        from: Option<NodeIndex>,
        to: Option<NodeIndex>,
        mut visit: impl FnMut(&mut State, usize, Side),
    ) {
        for slot in 0..self.connections.len() {
            for side in [0, 1] {
                let is_meant = self.connections[slot].as_ref().is_some_and(|connection| {
                    to.is_none_or(|to| connection.ends[side].node == to)
                        && from.is_none_or(|from| connection.ends[1 - side].node == from)
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

    pub(super) fn knock(&mut self, from: NodeIndex, at: NodeIndex, port: u16) -> Knock {
        let link = self.link(from, at);
        let (is_refused, is_ignored) = (link.refused_by > 0, link.ignored_by > 0);
        let machine = self.machine(at);
        match machine.listeners.get(&port) {
            _ if is_ignored => {
                model::reached!("a request for a connection was lost by the network");
                Knock::Silence
            }
            _ if !machine.has_power => Knock::Silence,
            _ if is_refused => {
                model::reached!("a request for a connection was refused by the network");
                Knock::NobodyListens
            }
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
        if !matches!(self.knock(from.0, to.0, to.1), Knock::Listening) {
            return None;
        }
        self.serial += 1;
        let serial = self.serial;
        let ends = [End::new(from.0, from.1), End::new(to.0, to.1)];
        let pipes = [Pipe::new(), Pipe::new()];
        let connection = Some(Connection { serial, ends, pipes, is_stranded: false });
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
        let (from, _) = self.nodes(slot, side);
        let flight = self.fly_on(slot, side, now, length).unwrap_or(Flight { departure: HELD, arrival: HELD });
        if !self.is_answerable(slot, side) {
            self.wait_for_answer(slot, side);
        }
        let connection = self.connection(slot);
        let pipe = &mut connection.pipes[to_side];
        let arrival = pipe.in_order(flight.arrival);
        let is_wanted = connection.ends[to_side].state == EndState::Open;
        // To an end that will be told of a reset before they come, bytes are lost.
        if !(is_wanted && pipe.reset <= arrival && arrival < HELD) {
            parts.for_each(|part| pipe.push(part, flight.departure, arrival));
        }
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
        if self.is_blocked(reader, sender) || self.connection(slot).is_stranded {
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
            let (for_reader, for_writer) = (connection.next_for_reader(side), connection.next_for_writer(side));
            let end = &mut connection.ends[side];
            end.reader.announce(for_reader, &self.clock);
            end.writer.announce(for_writer, &self.clock);
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
