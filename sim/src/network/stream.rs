//! What a process holds of the network: listeners, connections and their halves, as `host` asks for them.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::Endpoint;

use super::connection::Side;
use super::fabric::{ConnectionId, Fabric, Half, Knock};
use crate::digest::{Kind, NodeIndex};

/// An unanswered request for a connection is made again after this,
const CONNECT_RETRY: Duration = Duration::from_secs(1);

/// and given up after this, as Linux does with six retries (RFC 6298).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// A listening socket of a simulated process.
pub struct SimListener {
    fabric: Fabric,
    node: NodeIndex,
    endpoint: Endpoint,
    serial: u64,
}

/// Half of a connection's one end. Dropping it tells the system.
struct Socket {
    fabric: Fabric,
    id: ConnectionId,
    side: Side,
    half: Half,
}

pub struct SimConnection {
    reader: SimReader,
    writer: SimWriter,
    peer: Arc<str>,
}

pub struct SimReader(Socket);

pub struct SimWriter {
    socket: Socket,
    is_shut: bool,
}

impl Fabric {
    pub(crate) fn listen(&self, node: NodeIndex, endpoint: &Endpoint) -> io::Result<SimListener> {
        let (port, serial) = self.state().listen(node, &endpoint.host, endpoint.port)?;
        let endpoint = Endpoint::new(endpoint.host.clone(), port);
        Ok(SimListener { fabric: self.clone(), node, endpoint, serial })
    }

    pub(crate) async fn connect(&self, node: NodeIndex, endpoint: &Endpoint) -> io::Result<SimConnection> {
        let (to, port) = {
            let state = &mut *self.state();
            let to = state.resolve(node, &endpoint.host).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("no node is called \"{}\"", endpoint.host))
            })?;
            state.charge(Kind::Connecting, node, u64::from(to.0), u64::from(endpoint.port));
            (to, state.free_port(node))
        };
        let give_up = self.clock.now() + CONNECT_TIMEOUT;
        loop {
            let retry = self.clock.now() + CONNECT_RETRY;
            match self.ask(node, to, endpoint.port).await {
                Knock::Listening => {
                    let id = self.state().establish((node, port), (to, endpoint.port));
                    if let Some(id) = id {
                        return Ok(self.connection(id, 0, &endpoint.to_string()));
                    }
                }
                Knock::NobodyListens => {
                    model::reached!("a connection was refused");
                    self.state().charge(Kind::Refused, node, u64::from(to.0), u64::from(endpoint.port));
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Knock::Silence => {}
            }
            if retry > give_up {
                model::reached!("an attempt to connect timed out");
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.clock.sleep_until(retry).await;
        }
    }

    /// Asks for a connection once, there and back.
    async fn ask(&self, node: NodeIndex, to: NodeIndex, port: u16) -> Knock {
        let now = self.clock.now();
        let Some(request) = self.state().fly(now, node, to, 0) else { return Knock::Silence };
        self.clock.sleep_until(request.arrival).await;
        let (answer, flight) = {
            let state = &mut *self.state();
            (state.knock(node, to, port), state.fly(self.clock.now(), to, node, 0))
        };
        match (answer, flight) {
            (Knock::Silence, _) | (_, None) => Knock::Silence,
            (answer, Some(flight)) => {
                self.clock.sleep_until(flight.arrival).await;
                answer
            }
        }
    }

    fn connection(&self, id: ConnectionId, side: Side, peer: &str) -> SimConnection {
        let socket = |half| Socket { fabric: self.clone(), id, side, half };
        SimConnection {
            reader: SimReader(socket(Half::Reader)),
            writer: SimWriter { socket: socket(Half::Writer), is_shut: false },
            peer: peer.into(),
        }
    }
}

impl host::Listener for SimListener {
    type Connection = SimConnection;

    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    async fn accept(&self) -> io::Result<SimConnection> {
        poll_fn(|context| {
            let state = &mut *self.fabric.state();
            match state.accept(self.node, self.endpoint.port, self.serial, context.waker()) {
                Ok(None) => Poll::Pending,
                Ok(Some(id)) => {
                    let peer = state.find(id).map(|connection| (connection.ends[0].node, connection.ends[0].port));
                    let peer = peer.map_or_else(String::new, |(node, port)| format!("{}:{port}", state.name(node)));
                    Poll::Ready(Ok(self.fabric.connection(id, 1, &peer)))
                }
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.fabric.state().stop_listening(self.node, self.endpoint.port, self.serial);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.fabric.state().drop_half(self.id, self.side, self.half);
    }
}

impl host::Connection for SimConnection {
    type Reader = SimReader;
    type Writer = SimWriter;

    fn peer(&self) -> String {
        self.peer.to_string()
    }

    fn split(self) -> (SimReader, SimWriter) {
        (self.reader, self.writer)
    }
}

impl host::Reader for SimReader {
    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        let Socket { fabric, id, side, .. } = &self.0;
        poll_fn(|context| {
            let now = fabric.clock.now();
            let state = &mut *fabric.state();
            let Some(connection) = state.find(*id) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            if connection.gives_up(*side) <= now {
                state.give_up_if_due(id.slot, *side, now);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let next = connection.next_for_reader(*side);
            let (pipe, end) = (&mut connection.pipes[*side], &mut connection.ends[*side]);
            let length = pipe.pull(now, buffer);
            if length > 0 {
                end.reader.done();
                state.acknowledge(*id, *side, now, length);
                return Poll::Ready(Ok(length));
            }
            if next > now {
                end.reader.wait(context.waker(), next, &fabric.clock);
                return Poll::Pending;
            }
            end.reader.done();
            Poll::Ready(if pipe.has_ended(now) { Ok(0) } else { Err(end.reset_error(false)) })
        })
        .await
    }
}

impl host::Writer for SimWriter {
    async fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        if self.is_shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let Socket { fabric, id, side, .. } = &self.socket;
        let mut rest = Rest { parts, taken: 0 };
        poll_fn(|context| {
            let now = fabric.clock.now();
            let state = &mut *fabric.state();
            let Some(connection) = state.find(*id) else {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            };
            if connection.gives_up(*side) <= now {
                state.give_up_if_due(id.slot, *side, now);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let next = connection.next_for_writer(*side);
            let end = &mut connection.ends[*side];
            let (reset, finish) = (connection.pipes[*side].reset, connection.pipes[*side].finish);
            if reset <= now {
                return Poll::Ready(Err(end.reset_error(finish <= now)));
            }
            let room = connection.pipes[1 - side].room();
            let (now_sent, length) = rest.split(room);
            if rest.is_empty() {
                end.writer.done();
            } else {
                end.writer.wait(context.waker(), next, &fabric.clock);
            }
            if length > 0 {
                state.send(*id, *side, now, now_sent, length);
            }
            if rest.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        let Socket { fabric, id, side, .. } = &self.socket;
        self.is_shut = true;
        fabric.state().shut(*id, *side)
    }
}

/// Parts of a write that are not sent yet.
struct Rest<'a> {
    parts: &'a [Bytes],
    /// Bytes of the first part that are.
    taken: usize,
}

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Takes the first bytes, up to `room`: parts that share the caller's bytes, and how many bytes they are.
    fn split(&mut self, room: usize) -> (impl Iterator<Item = Bytes> + use<'a>, usize) {
        let (parts, first) = (self.parts, self.taken);
        let mut length = 0;
        let mut whole = 0;
        let mut last = 0;
        for (index, part) in parts.iter().enumerate() {
            let skipped = if index == 0 { first } else { 0 };
            let part_length = part.len() - skipped;
            if length + part_length > room {
                last = skipped + room - length;
                length = room;
                break;
            }
            length += part_length;
            whole += 1;
        }
        self.parts = &parts[whole..];
        self.taken = last;
        let taken = parts.iter().enumerate().take(whole + 1).filter_map(move |(index, part)| {
            let start = if index == 0 { first } else { 0 };
            let end = if index < whole { part.len() } else { last };
            match (start, end) {
                (start, end) if start >= end => None,
                (0, end) if end == part.len() => Some(part.clone()),
                (start, end) => Some(part.slice(start..end)),
            }
        });
        (taken, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_cut_where_the_room_ends_and_goes_on_there() {
        let parts = [Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"defgh")];
        for room in 1..9 {
            let mut rest = Rest { parts: &parts, taken: 0 };
            let mut all = Vec::new();
            while !rest.is_empty() {
                let (taken, length) = rest.split(room);
                let taken: Vec<u8> = taken.flatten().collect();
                assert!(taken.len() == length && length <= room);
                all.extend(taken);
            }
            assert_eq!(all, b"abcdefgh");
        }
    }
}
