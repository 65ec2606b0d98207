//! Where metrics, health and readiness are asked for: `metrics.listener`, plain HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use host::{Connection, Host, Listener, Reader, Writer, timeout};

use super::request::{self, Asked, Page};
use super::scrape;
use crate::Failure;
use crate::node::Node;

/// Who asks does it every few seconds: more at a time are turned away.
const CONNECTIONS_MAX: usize = 32;
/// How long a request may take to come, and its answer to go.
const PATIENCE: Duration = Duration::from_secs(10);

const PLAIN: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers for as long as the node lives.
pub(crate) async fn serve<H: Host>(node: Arc<Node<H>>, listener: H::Listener) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok(connection) = listener.accept().await else {
            node.host.sleep(Duration::from_millis(100)).await;
            continue;
        };
        if CONNECTIONS_MAX <= open.fetch_add(1, Ordering::Relaxed) {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (node, open) = (node.clone(), open.clone());
        node.host.clone().spawn_detached(async move {
            // Nobody is told of a scraper that hung up: it asks again.
            let _gone = timeout(&node.host, PATIENCE, converse(&node, connection)).await;
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn converse<H: Host>(node: &Arc<Node<H>>, connection: H::Connection) -> std::io::Result<()> {
    let (mut reader, mut writer) = connection.split();
    let mut buffer = BytesMut::new();
    let asked = loop {
        if let Some(asked) = request::parse(&buffer) {
            break asked;
        }
        if reader.read(&mut buffer).await? == 0 {
            return Ok(());
        }
    };
    writer.write(&[Bytes::from(answer(node, &asked))]).await?;
    writer.shutdown().await
}

fn answer<H: Host>(node: &Arc<Node<H>>, asked: &Asked) -> String {
    let plain = |status, body: &str| request::answer(status, PLAIN, body, asked.wants_body);
    let stands = |standing: Result<(), String>| match standing {
        Ok(()) => plain("200 OK", "ok\n"),
        Err(why) => plain("503 Service Unavailable", &format!("{why}\n")),
    };
    match asked.page {
        Ok(Page::Metrics) => match scrape::text(node) {
            Ok(text) => request::answer("200 OK", OPEN_METRICS, &text, asked.wants_body),
            Err(error) => plain("500 Internal Server Error", &format!("cannot write the metrics: {error}\n")),
        },
        Ok(Page::Health) => stands(health(node)),
        Ok(Page::Readiness) => stands(health(node).and_then(|()| readiness(node))),
        Err(refused) => plain(refused.status, refused.remedy),
    }
}

/// Nothing failed that only a restart can mend.
fn health<H: Host>(node: &Node<H>) -> Result<(), String> {
    match &*node.failed.borrow() {
        Some(Failure::Disk(failure)) => Err(format!("a disk failed: {failure}")),
        Some(Failure::Release(failure)) => Err(failure.clone()),
        None => Ok(()),
    }
}

/// It knows its controller and, as a broker, is one that the cluster counts on.
fn readiness<H: Host>(node: &Node<H>) -> Result<(), String> {
    if node.metadata.leader().is_none() {
        return Err("no controller is known: a majority of the voters must be up".into());
    }
    let image = node.image();
    let is_fenced = || image.brokers.get(&node.config.node_id).is_none_or(|registration| !registration.is_active());
    match node.config.is_broker {
        true if !node.is_registered_in(&image) => Err("this broker is not registered yet".into()),
        true if is_fenced() => Err("this broker is fenced, or stopping".into()),
        _ => Ok(()),
    }
}
