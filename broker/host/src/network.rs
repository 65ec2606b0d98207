//! A network: listeners and ordered, reliable byte streams, as TCP gives them.

use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl Endpoint {
    pub fn new(host: impl Into<String>, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("\"{text}\" has no port: write host:port"))?;
        let port = port.parse().map_err(|_| format!("\"{port}\" is not a port: write a number up to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("\"{text}\" has no host: write host:port"));
        }
        Ok(Endpoint::new(host, port))
    }
}

/// Somebody who can be connected to. Dropping it frees the port.
pub trait Listener: Send + Sync + 'static {
    type Connection: Connection;

    /// The address that was bound, with its real port.
    fn endpoint(&self) -> Endpoint;

    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// A duplex stream. Dropping both halves closes it: the peer reads what was written, then the end.
pub trait Connection: Send + 'static {
    type Reader: Reader;
    type Writer: Writer;

    /// Who is at the other end, for logs.
    fn peer(&self) -> String;

    fn split(self) -> (Self::Reader, Self::Writer);
}

pub trait Reader: Send + 'static {
    /// Appends what has arrived to `buffer`, waiting for at least one byte; 0 means that the peer closed. May be cancelled
    /// without loss.
    ///
    /// # Errors
    /// `ConnectionReset` if the peer's machine says that the connection is gone.
    fn read(&mut self, buffer: &mut BytesMut) -> impl Future<Output = io::Result<usize>> + Send;
}

pub trait Writer: Send + 'static {
    /// Sends `parts` one after the other; waits while the peer does not read (back-pressure). Once cancelled, the stream may
    /// end in the middle of a part: close it.
    ///
    /// # Errors
    /// `ConnectionReset` or `BrokenPipe` if the peer is gone.
    fn write(&mut self, parts: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Tells the peer that nothing more will come.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}
