//! TCP, as tokio gives it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::Endpoint;
#[cfg(target_os = "linux")]
use rustix::fs::sendfile;
use tokio::io::AsyncWriteExt;
#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::{FileRange, network};

/// Room made before a read: a frame of a usual size comes in one piece.
const READ_BYTES: usize = 16 << 10;
/// Less room than this is not worth a system call.
const READ_BYTES_MIN: usize = 4 << 10;
/// How long a listener waits when the machine has no room for another connection: others must close first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Sockets that listen at every address of one name: `localhost` is both 127.0.0.1 and ::1.
pub struct RealListener {
    endpoint: Endpoint,
    sockets: Vec<TcpListener>,
}

impl RealListener {
    pub(super) async fn bind(endpoint: Endpoint) -> io::Result<RealListener> {
        let mut addresses = resolve(&endpoint).await?;
        if endpoint.port == 0 {
            // A port that is free at one address may be taken at another.
            addresses.truncate(1);
        }
        let mut sockets = Vec::new();
        let mut refused = None;
        for address in addresses {
            match TcpListener::bind(address).await {
                Ok(socket) => sockets.push(socket),
                // A name may have an address of a kind that is switched off here, as ::1 without IPv6.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match (sockets.first(), refused) {
            (Some(socket), _) => {
                let port = socket.local_addr()?.port();
                Ok(RealListener { endpoint: Endpoint { port, ..endpoint }, sockets })
            }
            (None, Some(error)) => Err(error),
            (None, None) => Err(unknown_name(&endpoint.host)),
        }
    }

    async fn accept_any(&self) -> io::Result<TcpStream> {
        poll_fn(|context| {
            for socket in &self.sockets {
                if let Poll::Ready(accepted) = socket.poll_accept(context) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl network::Listener for RealListener {
    type Connection = RealConnection;

    fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    #[allow(clippy::disallowed_methods, reason = "the Host is where tokio's timers are")]
    async fn accept(&self) -> io::Result<RealConnection> {
        loop {
            match self.accept_any().await {
                Ok(stream) => match RealConnection::new(stream) {
                    Ok(connection) => return Ok(connection),
                    Err(error) => tracing::debug!(%error, "a connection was gone before it was taken"),
                },
                Err(error) if is_gone(&error) => tracing::debug!(%error, "a connection was gone before it was taken"),
                Err(error) if is_short_of_room(&error) => {
                    tracing::warn!(%error, "no room for another connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Too many open files here or on the whole machine, or no memory for another socket.
fn is_short_of_room(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.raw_os_error().is_some_and(|code| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&Errno::from_raw_os_error(code))
    })
}

/// One TCP connection, without Nagle's delay.
pub struct RealConnection {
    stream: TcpStream,
    peer: String,
}

impl RealConnection {
    fn new(stream: TcpStream) -> io::Result<RealConnection> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?.to_string();
        Ok(RealConnection { stream, peer })
    }

    pub(super) async fn open(endpoint: Endpoint) -> io::Result<RealConnection> {
        let mut refused = unknown_name(&endpoint.host);
        for address in resolve(&endpoint).await? {
            match TcpStream::connect(address).await {
                // TCP may join a socket to itself if its own free port is the one that it asks for.
                Ok(stream) if stream.local_addr()? == address => {
                    refused = io::ErrorKind::ConnectionRefused.into();
                }
                Ok(stream) => return RealConnection::new(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }
}

impl network::Connection for RealConnection {
    type Reader = RealReader;
    type Writer = RealWriter;

    fn peer(&self) -> String {
        self.peer.clone()
    }

    fn split(self) -> (RealReader, RealWriter) {
        let (reader, writer) = self.stream.into_split();
        (RealReader(reader), RealWriter(writer))
    }
}

pub struct RealReader(OwnedReadHalf);

impl network::Reader for RealReader {
    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        // A peer that sends without end must not keep others from running.
        tokio::task::consume_budget().await;
        loop {
            self.0.readable().await?;
            // Made only now, so that a connection that says nothing holds no memory.
            if buffer.capacity() - buffer.len() < READ_BYTES_MIN {
                buffer.reserve(READ_BYTES);
            }
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

pub struct RealWriter(OwnedWriteHalf);

impl network::Writer for RealWriter {
    async fn write(&mut self, parts: &[Bytes]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| IoSlice::new(part)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let written = self.0.write_vectored(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// By the kernel, from the page cache to the socket.
    #[cfg(target_os = "linux")]
    async fn send_file(&mut self, range: &FileRange) -> io::Result<()> {
        let FileRange { file, position, length } = range;
        let (stream, mut position, end) = (self.0.as_ref(), *position, *position + *length as u64);
        while position < end {
            stream.writable().await?;
            let rest = (end - position) as usize;
            let sent = stream.try_io(Interest::WRITABLE, || Ok(sendfile(stream, file, Some(&mut position), rest)?));
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown().await
    }
}

/// Every address of `endpoint`, each once.
async fn resolve(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(|error| {
        io::Error::new(io::ErrorKind::NotFound, format!("the name \"{}\" is unknown here: {error}", endpoint.host))
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn unknown_name(host: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the name \"{host}\" has no address"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;

    use super::*;
    use crate::{Connection as _, Listener as _, Reader as _, Writer as _};

    async fn pair() -> (RealConnection, RealConnection) {
        let listener = RealListener::bind(Endpoint::new("127.0.0.1", 0)).await.unwrap();
        let (near, far) = tokio::join!(RealConnection::open(listener.endpoint()), listener.accept());
        (near.unwrap(), far.unwrap())
    }

    #[tokio::test]
    async fn parts_larger_than_any_socket_buffer_arrive_whole_and_in_order() {
        let (near, far) = pair().await;
        let (_near_reader, mut writer) = near.split();
        let (mut reader, _far_writer) = far.split();
        let parts: Vec<Bytes> = (0..2_000u32)
            .map(|part| Bytes::from(vec![part as u8; (part as usize * 37) % 10_000]))
            .chain([Bytes::new(), Bytes::from(vec![7; 8 << 20])])
            .collect();
        let sent = parts.concat();
        let sending = async {
            writer.write(&parts).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut received = BytesMut::new();
            while reader.read(&mut received).await.unwrap() != 0 {}
            received
        };
        let ((), received) = tokio::join!(sending, receiving);
        assert!(received == sent, "{} bytes of {}", received.len(), sent.len());
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_sent_as_it_lies_there() {
        let (near, far) = pair().await;
        let (_near_reader, mut writer) = near.split();
        let (mut reader, _far_writer) = far.split();
        let bytes: Vec<u8> = (0..5_000_000u32).map(|at| (at / 7) as u8).collect();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let file = Arc::new(file);
        let range = |position, length| FileRange { file: file.clone(), position, length };
        let sending = async {
            writer.write(&[Bytes::from_static(b"before")]).await.unwrap();
            writer.send_file(&range(3, 4_999_000)).await.unwrap();
            let beyond = writer.send_file(&range(4_999_990, 11)).await.unwrap_err();
            assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
            writer.shutdown().await.unwrap();
        };
        let receiving = async {
            let mut received = BytesMut::new();
            while reader.read(&mut received).await.unwrap() != 0 {}
            received
        };
        let ((), received) = tokio::join!(sending, receiving);
        assert!(received == [b"before", &bytes[3..4_999_003], &bytes[4_999_990..]].concat());
        assert!(range(3, 4_999_000).read().unwrap() == bytes[3..4_999_003]);
    }

    #[tokio::test]
    async fn localhost_is_heard_at_every_one_of_its_addresses() {
        let free = RealListener::bind(Endpoint::new("localhost", 0)).await.unwrap().endpoint();
        let listener = RealListener::bind(free.clone()).await.unwrap();
        for socket in &listener.sockets {
            let address = socket.local_addr().unwrap();
            let endpoint = Endpoint::new(address.ip().to_string(), address.port());
            let (near, far) = tokio::join!(RealConnection::open(endpoint), listener.accept());
            assert_eq!(near.unwrap().peer(), address.to_string());
            far.unwrap();
        }
        let again = RealListener::bind(free).await.err().unwrap();
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn an_unknown_name_and_a_closed_port_are_told_apart() {
        let unknown = RealConnection::open(Endpoint::new("no-such-host.invalid", 1)).await.err().unwrap();
        assert_eq!(unknown.kind(), io::ErrorKind::NotFound);
        let closed = RealListener::bind(Endpoint::new("127.0.0.1", 0)).await.unwrap().endpoint();
        let refused = RealConnection::open(closed).await.err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
