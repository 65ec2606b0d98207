//! A network: listeners and ordered, reliable byte streams, as TCP gives them.

use std::future::Future;
use std::io;

use bytes::{Bytes, BytesMut};
use model::Endpoint;

use crate::FileRange;

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

    /// Sends a part of a file, as [`Writer::write`] sends bytes.
    ///
    /// # Errors
    /// As for [`Writer::write`]; `UnexpectedEof` if the file has become shorter; others as the disk gives them.
    fn send_file(&mut self, range: &FileRange) -> impl Future<Output = io::Result<()>> + Send {
        let read = range.read();
        async { self.write(&[read?]).await }
    }

    /// Tells the peer that nothing more will come.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}
