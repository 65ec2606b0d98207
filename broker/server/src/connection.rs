//! Connections: frames in, answers out, in order.
//!
//! One task a connection. A request's work is done when its frame is read; only its answer may have to wait, and answers leave in
//! the order of their requests, as Kafka's clients count on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use host::{Connection, FileRange, Host, Listener, Reader, Writer, buggify};
use model::{Bug, Time};
use protocol::{FrameError, Header, Piece, RequestError, decode_request_as, encode_response_around, next_frame};
use thiserror::Error;

use crate::node::Node;
use crate::router::{self, Answer, Reply};

/// Requests of one connection whose answers still wait; its next frames stay in the socket meanwhile.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;

/// Answers that become ready together leave together, up to so many bytes.
const JOINED_BYTES_MAX: usize = 16 << 10;

/// Why a connection ends.
#[derive(Debug, Error)]
enum Hangup {
    #[error("the peer closed")]
    Closed,
    #[error("closed without a reason")]
    Whim,
    #[error(transparent)]
    Network(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Answer(#[from] protocol::EncodeError),
}

/// Accepts connections for as long as the node lives.
pub(crate) async fn accept<H: Host>(node: Arc<Node<H>>, listener: H::Listener) {
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors, or a peer that was gone before it was greeted.
                tracing::warn!(%error, "cannot accept a connection");
                node.host.sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let open = &node.metrics.connections;
        if node.config.connections_max <= open.fetch_add(1, Ordering::Relaxed) {
            open.fetch_sub(1, Ordering::Relaxed);
            node.metrics.connections_refused.add(1);
            tracing::warn!(max = node.config.connections_max, "refused a connection: raise max.connections");
            continue;
        }
        let of_task = node.clone();
        node.host.spawn_detached(async move {
            let peer = connection.peer();
            if let Err(hangup) = serve(&of_task, connection).await {
                tracing::debug!(peer, %hangup, "connection closed");
            }
            of_task.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// A request whose answer is due.
struct Due {
    header: Header,
    /// When it came.
    since: Time,
    answer: Answer,
}

/// An answer that may leave.
struct Ready {
    header: Header,
    since: Time,
    reply: Reply,
}

/// What leaves with one write. Emptied after each, so that its room is used again.
#[derive(Default)]
struct Outbox {
    parts: Vec<Bytes>,
    /// The answers in it, and when their requests came.
    answers: Vec<(i16, Time)>,
}

async fn serve<H: Host>(node: &Arc<Node<H>>, connection: H::Connection) -> Result<(), Hangup> {
    let (mut reader, mut writer) = connection.split();
    let mut buffer = BytesMut::new();
    let mut due: VecDeque<Due> = VecDeque::new();
    let mut outbox = Outbox::default();
    let mut answered = None;
    loop {
        while may_begin(&due) {
            let Some(frame) = next_frame(&mut buffer, node.config.request_bytes_max)? else { break };
            if node.host.planted().has(Bug::ReorderAppends)
                && let Some(second) = next_frame(&mut buffer, node.config.request_bytes_max)?
            {
                begin(node, second, answered, &mut due)?;
                begin(node, frame, answered, &mut due)?;
                let last = due.len() - 1;
                due.swap(last - 1, last);
                continue;
            }
            begin(node, frame, answered, &mut due)?;
        }
        if let Some(ready) = take_ready(&mut due) {
            send(node, &mut writer, ready, &mut due, &mut outbox).await?;
            answered = Some(node.host.now());
            continue;
        }
        tokio::select! {
            biased;
            reply = front(&mut due) => {
                // No reply: the node is stopping, and the connection with it.
                if let (Some(Due { header, since, .. }), Some(reply)) = (due.pop_front(), reply) {
                    send(node, &mut writer, Ready { header, since, reply }, &mut due, &mut outbox).await?;
                    answered = Some(node.host.now());
                }
            }
            read = reader.read(&mut buffer), if may_begin(&due) => {
                if read? == 0 {
                    return Err(Hangup::Closed);
                }
            }
        }
    }
}

/// Sends an answer, and with it those behind it that became ready with it, as long as all of them are small.
async fn send<H: Host>(
    node: &Node<H>,
    writer: &mut <H::Connection as Connection>::Writer,
    first: Ready,
    due: &mut VecDeque<Due>,
    Outbox { parts, answers }: &mut Outbox,
) -> Result<(), Hangup> {
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(Ready { header, since, reply: Reply { response, in_files } }) = next {
        let lengths: Vec<usize> = in_files.iter().map(|range| range.as_ref().map_or(0, FileRange::length)).collect();
        for piece in encode_response_around(&header, &response, &lengths)? {
            match piece {
                Piece::Bytes(part) => {
                    bytes += part.len();
                    parts.push(part);
                }
                Piece::Apart(number) => {
                    writer.write(parts).await?;
                    parts.clear();
                    if let Some(range) = &in_files[number] {
                        writer.send_file(range).await?;
                    }
                }
            }
        }
        answers.push((header.api_key, since));
        next = if bytes < JOINED_BYTES_MAX { take_done(due) } else { None };
    }
    writer.write(parts).await?;
    parts.clear();
    for (api_key, since) in answers.drain(..) {
        node.metrics.answered(api_key, node.host.now().since(since));
    }
    // A broker may close any connection at any time, as one that is idle or one too many.
    if buggify!(node.host, "a connection was closed after an answer", 0.005) { Err(Hangup::Whim) } else { Ok(()) }
}

/// An answer that is there already may be large, so it leaves before the next request is begun.
fn may_begin(due: &VecDeque<Due>) -> bool {
    due.len() < REQUESTS_IN_FLIGHT_MAX && !matches!(due.back(), Some(Due { answer: Answer::Now(_), .. }))
}

/// Does a request's work and queues its answer. The one before it left at `answered`.
fn begin<H: Host>(
    node: &Arc<Node<H>>,
    frame: Bytes,
    answered: Option<Time>,
    due: &mut VecDeque<Due>,
) -> Result<(), Hangup> {
    let since = node.host.now();
    let newest = node.config.metadata_version_max;
    match decode_request_as(newest, frame) {
        Ok((mut header, request)) => {
            let answer = router::route(node, &header, answered, request);
            // A slice of the request, which would stay in memory until the answer.
            header.client_id = None;
            due.push_back(Due { header, since, answer });
            Ok(())
        }
        Err(RequestError::UnsupportedVersion { header })
            if header.api_key == protocol::messages::ApiKey::ApiVersions as i16 =>
        {
            let (header, response) = protocol::refuse_api_versions(newest, &header);
            due.push_back(Due { header, since, answer: Answer::now(response) });
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The first answer, if it has waited long enough. Whoever waits for it after this must ask again.
fn take_done(due: &mut VecDeque<Due>) -> Option<Ready> {
    let Answer::Later(reply) = &mut due.front_mut()?.answer else { return take_ready(due) };
    let reply = reply.now_or_never()?;
    let Due { header, since, .. } = due.pop_front()?;
    Some(Ready { header, since, reply: reply? })
}

/// The first answer, if it need not wait.
fn take_ready(due: &mut VecDeque<Due>) -> Option<Ready> {
    loop {
        match due.pop_front()? {
            Due { header, since, answer: Answer::Now(reply) } => return Some(Ready { header, since, reply }),
            Due { answer: Answer::Never, .. } => {}
            waiting @ Due { answer: Answer::Later(_), .. } => {
                due.push_front(waiting);
                return None;
            }
        }
    }
}

/// Waits for the first answer; for ever if there is none.
async fn front(due: &mut VecDeque<Due>) -> Option<Reply> {
    match due.front_mut() {
        Some(Due { answer: Answer::Later(reply), .. }) => reply.await,
        Some(Due { answer: Answer::Now(_) | Answer::Never, .. }) | None => std::future::pending().await,
    }
}
