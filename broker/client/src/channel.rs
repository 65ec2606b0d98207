//! One connection: requests out, answers in, in the order in which they were asked. No task runs behind it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use host::{Connection, Elapsed, Host, Reader, Writer, timeout};
use model::Endpoint;
use protocol::messages::{RequestMessage, StrBytes};
use protocol::{correlation_id, decode_response, encode_request, next_frame};
use thiserror::Error;

/// Answers above this are refused: several times what a consumer asks for at once.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why a call has no answer. After any of these the channel is of no use: drop it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// Nothing was sent.
    #[error("no connection: {0}")]
    Connect(String),
    /// Nothing was sent: the peer's machine says that nobody listens there.
    #[error("no connection: {0}")]
    Refused(String),
    /// Nothing was sent: the request cannot be said in this version, or is too large.
    #[error("the request cannot be written: {0}")]
    Request(String),
    /// Whether the request was served is unknown.
    #[error("no answer in time")]
    Timeout,
    /// Whether the request was served is unknown.
    #[error("the peer closed the connection")]
    Closed,
    /// Whether the request was served is unknown.
    #[error("the connection broke: {0}")]
    Reset(String),
    /// The request may have been served.
    #[error("the answer makes no sense: {0}")]
    Malformed(String),
}

impl CallError {
    /// True if the request certainly never reached the peer.
    pub fn is_unsent(&self) -> bool {
        matches!(self, CallError::Connect(_) | CallError::Refused(_) | CallError::Request(_))
    }
}

/// A connection to one node.
pub struct Channel<H: Host> {
    reader: <H::Connection as Connection>::Reader,
    writer: <H::Connection as Connection>::Writer,
    /// What has arrived and was not taken yet; whole frames and the start of one.
    buffer: BytesMut,
    client_id: StrBytes,
    next_correlation_id: i32,
    /// Requests that wait for their answers, oldest first.
    unanswered: VecDeque<i32>,
    host: H,
}

impl<H: Host> Channel<H> {
    /// Opens a connection.
    ///
    /// # Errors
    /// `Refused`; `Connect`, also if it takes longer than `wait_max`.
    pub async fn connect(
        host: &H,
        endpoint: &Endpoint,
        client_id: &str,
        wait_max: Duration,
    ) -> Result<Channel<H>, CallError> {
        let connection = match timeout(host, wait_max, host.connect(endpoint)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                return Err(CallError::Refused(format!("{endpoint}: {error}")));
            }
            Ok(Err(error)) => return Err(CallError::Connect(format!("{endpoint}: {error}"))),
            Err(Elapsed) => return Err(CallError::Connect(format!("{endpoint} does not answer"))),
        };
        let (reader, writer) = connection.split();
        Ok(Channel {
            reader,
            writer,
            buffer: BytesMut::new(),
            client_id: StrBytes::from_string(client_id.to_owned()),
            next_correlation_id: 0,
            unanswered: VecDeque::new(),
            host: host.clone(),
        })
    }

    /// Sends a request without waiting for its answer. Waits while the peer does not read.
    ///
    /// # Errors
    /// `Request`, `Closed`, `Reset`. Once cancelled, the channel must be dropped: the stream may end within a frame.
    pub async fn send<R: RequestMessage>(&mut self, version: i16, request: &R) -> Result<i32, CallError> {
        let correlation_id = self.write(version, request).await?;
        self.unanswered.push_back(correlation_id);
        Ok(correlation_id)
    }

    /// Sends a request that has no answer: a Produce with acks=0.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    pub async fn send_unanswered<R: RequestMessage>(&mut self, version: i16, request: &R) -> Result<(), CallError> {
        self.write(version, request).await.map(|_correlation_id| ())
    }

    /// Waits for the next answer, which belongs to the oldest request that has none: its correlation id and its frame, for
    /// [`protocol::decode_response`]. May be cancelled without loss.
    ///
    /// # Errors
    /// `Closed`, `Reset`, `Malformed`.
    pub async fn receive(&mut self) -> Result<(i32, Bytes), CallError> {
        loop {
            if let Some(frame) = next_frame(&mut self.buffer, ANSWER_BYTES_MAX).map_err(malformed)? {
                let answered = correlation_id(&frame).map_err(malformed)?;
                return match self.unanswered.pop_front() {
                    Some(asked) if asked == answered => Ok((answered, frame)),
                    _ => Err(CallError::Malformed(format!("an answer to request {answered}, which is not next"))),
                };
            }
            match self.reader.read(&mut self.buffer).await {
                Ok(0) => return Err(CallError::Closed),
                Ok(_) => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }

    /// Sends a request and waits for its answer, for `wait_max` in all. No other request may be under way.
    ///
    /// # Errors
    /// Any but `Connect` and `Refused`.
    pub async fn call<R: RequestMessage + Sync>(
        &mut self,
        version: i16,
        request: &R,
        wait_max: Duration,
    ) -> Result<R::Response, CallError> {
        assert!(self.unanswered.is_empty(), "a call stands alone on its channel");
        let host = self.host.clone();
        let answer = async {
            self.send(version, request).await?;
            self.receive().await
        };
        let (_, frame) = timeout(&host, wait_max, answer).await.unwrap_or(Err(CallError::Timeout))?;
        decode_response::<R>(version, frame).map_err(malformed)
    }

    /// How many requests wait for their answers.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    async fn write<R: RequestMessage>(&mut self, version: i16, request: &R) -> Result<i32, CallError> {
        let correlation_id = self.next_correlation_id;
        let frame = encode_request(version, correlation_id, &self.client_id, request)
            .map_err(|error| CallError::Request(error.to_string()))?;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        self.writer.write(&[frame]).await.map_err(broken)?;
        Ok(correlation_id)
    }
}

fn broken(error: std::io::Error) -> CallError {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof => CallError::Closed,
        _ => CallError::Reset(error.to_string()),
    }
}

fn malformed(error: impl std::fmt::Display) -> CallError {
    CallError::Malformed(error.to_string())
}
