//! Brokers whose process is gone, which the controller need not wait for.
//!
//! A session ends when its broker was silent for `broker.session.timeout.ms`. That is all there is to go by where a machine is gone, or cut
//! off. But a process that dies alone leaves a machine that closes its connections, and refuses new ones. So the active controller holds a
//! connection to each broker, on which nothing is ever said. When it ends the controller makes another; if that is refused, the
//! session is over.
//!
//! Who lives after all, because it is the network that refuses, comes back with its next heartbeat, as after any session that ended too soon.
//! It is not looked after any more under that registration: it would be fenced again, and come back again.
//!
//! Likewise a broker that is to stop asks nobody for leave where too few voters are left to have a controller.

use std::collections::BTreeMap;
use std::future::pending;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use host::{Connection, Host, Reader, Task, spawn, timeout};
use model::{BrokerEpoch, BrokerId, Endpoint};
use roles::controller::Command;
use tokio::sync::mpsc;

use crate::node::Node;

/// How long to wait before making another connection, at first and at most.
const PAUSE: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(2)];

/// Who falls within this time of another has fallen with it: all of them have what was committed, and any may lead when it is back.
const TOGETHER: Duration = Duration::from_millis(50);

/// A broker, as one of its processes.
type Registration = (BrokerId, BrokerEpoch);

/// Looks after the brokers for as long as this node is the controller, and whenever it is.
pub(crate) async fn run<H: Host>(node: Arc<Node<H>>) {
    let (mut leadership, mut images) = (node.metadata.watch_leadership(), node.metadata.images());
    let own = node.config.node_id;
    let mut looked_after: BTreeMap<Registration, Task> = BTreeMap::new();
    let (tell, mut gone) = mpsc::unbounded_channel();
    loop {
        let leads = leadership.borrow_and_update().leader == Some(own);
        let image = images.borrow_and_update().clone();
        looked_after.retain(|registration, _| {
            leads && image.brokers.get(&registration.0).is_some_and(|known| known.epoch == registration.1)
        });
        for (&id, known) in image.brokers.iter().filter(|(id, known)| leads && **id != own && !known.fenced) {
            let registration = (id, known.epoch);
            looked_after.entry(registration).or_insert_with(|| {
                let (host, tell) = (node.host.clone(), tell.clone());
                let (endpoint, patience) = (known.endpoint.clone(), node.config.request_timeout);
                spawn(&node.host, async move {
                    until_nobody_listens(&host, &endpoint, patience).await;
                    tracing::info!(broker = %id, %endpoint, "nobody listens there any more: the broker's session is over");
                    let _node_stops = tell.send(registration);
                })
            });
        }
        tokio::select! {
            biased;
            changed = leadership.changed() => if changed.is_err() { return },
            changed = images.changed() => if changed.is_err() { return },
            Some(first) = gone.recv() => {
                node.host.sleep(TOGETHER).await;
                let mut all = vec![first];
                while let Ok(other) = gone.try_recv() {
                    all.push(other);
                }
                end_sessions(&node, all).await;
            }
        }
    }
}

/// Returns when it is decided, or for others to decide.
async fn end_sessions<H: Host>(node: &Node<H>, gone: Vec<Registration>) {
    // Who has just been elected must first commit a record of its own.
    while node.metadata.leader().is_some_and(|(leader, _)| leader == node.config.node_id)
        && node.metadata.submit(Command::EndSessions(gone.clone())).await.is_err()
    {
        node.host.sleep(PAUSE[0]).await;
    }
}

/// Returns when so many voters are gone that the rest is no majority.
pub(crate) async fn until_no_majority_is_left<H: Host>(node: &Node<H>) {
    let voters = node.metadata.voters();
    let others = voters.iter().filter(|voter| voter.id != node.config.node_id);
    let mut gone: FuturesUnordered<_> =
        others.map(|voter| until_nobody_listens(&node.host, &voter.endpoint, node.config.request_timeout)).collect();
    for _ in voters.majority()..=voters.len() {
        if gone.next().await.is_none() {
            return pending().await;
        }
    }
    model::reached!("a broker that was to stop found no majority of voters");
}

/// Returns when a connection is refused. As long as there is one, nothing is asked.
async fn until_nobody_listens<H: Host>(host: &H, endpoint: &Endpoint, patience: Duration) {
    let [pause_min, pause_max] = PAUSE;
    let mut pause = pause_min;
    loop {
        let began = host.now();
        match timeout(host, patience, host.connect(endpoint)).await {
            Ok(Ok(connection)) => until_it_ends(connection).await,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return,
            Ok(Err(_)) | Err(_) => {}
        }
        if pause_max <= host.now().since(began) {
            pause = pause_min;
        }
        host.sleep(pause).await;
        pause = pause_max.min(2 * pause);
    }
}

async fn until_it_ends(connection: impl Connection) {
    let (mut reader, _open) = connection.split();
    let mut nothing = BytesMut::new();
    while reader.read(&mut nothing).await.is_ok_and(|read| 0 < read) {
        nothing.clear();
    }
}
