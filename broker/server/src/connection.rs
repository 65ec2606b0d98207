//! Connections: frames in, answers out, in order.
//!
//! One task a connection. A request's work is done when its frame is read; only its answer may have to wait, and answers leave in
//! the order of their requests, as Kafka's clients count on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use host::{Connection, Host, Listener, Reader, Writer, buggify};
use model::Bug;
use protocol::{FrameError, Header, RequestError, Response, decode_request, encode_response, next_frame};
use thiserror::Error;

use crate::node::Node;
use crate::router::{self, Answer};

/// Requests of one connection whose answers still wait; its next frames stay in the socket meanwhile.
const REQUESTS_IN_FLIGHT_MAX: usize = 64;

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
    let open = Arc::new(AtomicUsize::new(0));
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
        if node.config.connections_max <= open.fetch_add(1, Ordering::Relaxed) {
            open.fetch_sub(1, Ordering::Relaxed);
            tracing::warn!(max = node.config.connections_max, "refused a connection: raise max.connections");
            continue;
        }
        let (task_node, task_open) = (node.clone(), open.clone());
        node.host.spawn_detached(async move {
            let peer = connection.peer();
            if let Err(hangup) = serve(task_node, connection).await {
                tracing::debug!(peer, %hangup, "connection closed");
            }
            task_open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve<H: Host>(node: Arc<Node<H>>, connection: H::Connection) -> Result<(), Hangup> {
    let (mut reader, mut writer) = connection.split();
    let mut buffer = BytesMut::new();
    let mut answers: VecDeque<(Header, Answer)> = VecDeque::new();
    loop {
        while may_begin(&answers) {
            let Some(frame) = next_frame(&mut buffer, node.config.request_bytes_max)? else { break };
            if node.host.planted().has(Bug::ReorderAppends)
                && let Some(second) = next_frame(&mut buffer, node.config.request_bytes_max)?
            {
                begin(&node, second, &mut answers)?;
                begin(&node, frame, &mut answers)?;
                let last = answers.len() - 1;
                answers.swap(last - 1, last);
                continue;
            }
            begin(&node, frame, &mut answers)?;
        }
        if let Some((header, response)) = take_ready(&mut answers) {
            writer.write(&encode_response(&header, &response)?).await?;
            hang_up_if_buggified(&node)?;
            continue;
        }
        tokio::select! {
            biased;
            response = front(&mut answers) => {
                // No response: the node is stopping, and the connection with it.
                if let (Some((header, _)), Some(response)) = (answers.pop_front(), response) {
                    writer.write(&encode_response(&header, &response)?).await?;
                    hang_up_if_buggified(&node)?;
                }
            }
            read = reader.read(&mut buffer), if may_begin(&answers) => {
                if read? == 0 {
                    return Err(Hangup::Closed);
                }
            }
        }
    }
}

/// A broker may close any connection at any time, as one that is idle or one too many.
fn hang_up_if_buggified<H: Host>(node: &Node<H>) -> Result<(), Hangup> {
    if buggify!(node.host, "a connection was closed after an answer", 0.005) { Err(Hangup::Whim) } else { Ok(()) }
}

/// An answer that is there already may be large, so it leaves before the next request is begun.
fn may_begin(answers: &VecDeque<(Header, Answer)>) -> bool {
    answers.len() < REQUESTS_IN_FLIGHT_MAX && !matches!(answers.back(), Some((_, Answer::Now(_))))
}

/// Does a request's work and queues its answer.
fn begin<H: Host>(node: &Arc<Node<H>>, frame: Bytes, answers: &mut VecDeque<(Header, Answer)>) -> Result<(), Hangup> {
    match decode_request(frame) {
        Ok((header, request)) => {
            let answer = router::route(node, &header, request);
            answers.push_back((header, answer));
            Ok(())
        }
        Err(RequestError::UnsupportedVersion { header })
            if header.api_key == protocol::messages::ApiKey::ApiVersions as i16 =>
        {
            let (header, response) = protocol::refuse_api_versions(&header);
            answers.push_back((header, Answer::Now(response)));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The first answer, if it need not wait.
fn take_ready(answers: &mut VecDeque<(Header, Answer)>) -> Option<(Header, Response)> {
    loop {
        match answers.pop_front()? {
            (header, Answer::Now(response)) => return Some((header, response)),
            (_, Answer::Never) => {}
            waiting @ (_, Answer::Later(_)) => {
                answers.push_front(waiting);
                return None;
            }
        }
    }
}

/// Waits for the first answer; for ever if there is none.
async fn front(answers: &mut VecDeque<(Header, Answer)>) -> Option<Response> {
    match answers.front_mut() {
        Some((_, Answer::Later(response))) => response.await,
        Some((_, Answer::Now(_) | Answer::Never)) | None => std::future::pending().await,
    }
}
