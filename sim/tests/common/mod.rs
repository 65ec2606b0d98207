//! What tests of the world share.

#![allow(dead_code, reason = "each file of tests uses what it needs")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use host::{Connection, Host, Listener, Reader, Writer};
use model::Endpoint;
use parking_lot::Mutex;
use sim::{LinkSettings, Node, Options, Outcome, SimConnection, SimHost, World};

/// One way, always, in tests that count time.
pub(crate) const LATENCY: Duration = Duration::from_millis(1);

pub(crate) const PORT: u16 = 9092;

pub(crate) fn at(node: &str) -> Endpoint {
    Endpoint::new(node, PORT)
}

pub(crate) fn bytes(text: &'static str) -> [Bytes; 1] {
    [Bytes::from_static(text.as_bytes())]
}

/// Runs `scenario` in a world whose links all take [`LATENCY`].
pub(crate) fn in_a_world<F, W, T>(scenario: F) -> Outcome<T>
where
    F: FnOnce(World) -> W + Send + 'static,
    W: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let outcome = sim::run(Options::new(1), |world| {
        world.network().set_default(LinkSettings::constant(LATENCY));
        scenario(world)
    });
    outcome.unwrap()
}

/// What a node has noted, in order, for the scenario to read.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<(Duration, String)>>>);

impl Notes {
    pub(crate) fn add(&self, host: &SimHost, text: impl Into<String>) {
        self.0.lock().push((Duration::from_nanos(host.world_time().0), text.into()));
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.lock().iter().map(|(_, text)| text.clone()).collect()
    }

    /// When the note was made that begins with `text`.
    pub(crate) fn time_of(&self, text: &str) -> Option<Duration> {
        self.0.lock().iter().find(|(_, note)| note.starts_with(text)).map(|(time, _)| *time)
    }
}

/// A server that answers every byte with itself.
pub(crate) fn start_echo(node: &Node) {
    node.start(|host| async move {
        let listener = host.listen(&at(host.name())).await.map_err(|error| error.to_string())?;
        loop {
            let connection = listener.accept().await.map_err(|error| error.to_string())?;
            host.spawn_detached(async move {
                let _closed = echo(connection).await;
            });
        }
    });
}

async fn echo(connection: SimConnection) -> io::Result<()> {
    let (mut reader, mut writer) = connection.split();
    let mut buffer = BytesMut::new();
    while reader.read(&mut buffer).await? > 0 {
        writer.write(&[buffer.split().freeze()]).await?;
    }
    Ok(())
}

/// A server that accepts, and then does nothing with its connections.
pub(crate) fn start_deaf(node: &Node) {
    node.start(|host| async move {
        let listener = host.listen(&at(host.name())).await.map_err(|error| error.to_string())?;
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.map_err(|error| error.to_string())?);
        }
    });
}

/// Starts a process that ends when `program` does.
pub(crate) fn start<F, P>(node: &Node, program: F)
where
    F: Fn(SimHost) -> P + Send + Sync + 'static,
    P: Future<Output = ()> + Send + 'static,
{
    node.start(move |host| {
        let running = program(host);
        async move {
            running.await;
            Ok(())
        }
    });
}

/// Waits until the process of `node` has ended.
pub(crate) async fn ended(world: &World, node: &Node) {
    while node.is_running() {
        world.sleep(Duration::from_millis(10)).await;
    }
}
