//! Speed: an echo between two nodes on plain madsim, and the same on our network, in real time.
//!
//! Their ratio is what our network costs; a round trip on plain madsim is the unit in which bigger things are measured.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use host::{Connection, Host, Listener, Reader, Writer};
use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Runtime;
use model::Endpoint;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::run::{Options, run};

/// What goes round: about a small request.
const MESSAGE: &[u8] = &[7; 64];

const PORT: u16 = 9_000;

/// Of world time: longer than any number of round trips takes.
const A_DAY: Duration = Duration::from_secs(86_400);

/// An echo on plain madsim: how long `round_trips` took.
///
/// # Errors
/// A sentence if the run failed.
pub fn bare_echo(round_trips: u32) -> Result<Duration, String> {
    timed(move || Runtime::with_seed_and_config(1, madsim::Config::default()).block_on(bare_world(round_trips)))
}

/// The same on our network.
///
/// # Errors
/// A sentence if the run failed.
pub fn our_echo(round_trips: u32) -> Result<Duration, String> {
    timed(move || {
        let outcome = run(Options { time_limit: A_DAY, ..Options::new(1) }, move |world| async move {
            world.node("server").start(|host| async move { our_server(host).await.map_err(|error| error.to_string()) });
            let (sender, receiver) = channel();
            let client = world.node("client");
            client.start(move |host| {
                let sender = sender.clone();
                async move {
                    let result = our_client(host, round_trips).await;
                    sender.send(result).map_err(|error| error.to_string())
                }
            });
            while client.is_running() {
                world.sleep(Duration::from_secs(1)).await;
            }
            receiver.try_recv()
        });
        let outcome = outcome.map_err(io::Error::other)?;
        outcome.value.map_err(io::Error::other)?
    })
}

/// How long `body` takes on a thread of its own.
#[expect(clippy::disallowed_methods, reason = "it measures the real machine, outside every world")]
fn timed(body: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<Duration, String> {
    let thread = std::thread::Builder::new().spawn(move || {
        let begin = Instant::now();
        body().map(|()| begin.elapsed())
    });
    let thread = thread.map_err(|error| error.to_string())?;
    let result = thread.join().map_err(|_panic| "the echo panicked".to_owned())?;
    result.map_err(|error| error.to_string())
}

async fn bare_world(round_trips: u32) -> io::Result<()> {
    let madsim = madsim::runtime::Handle::current();
    let server = madsim.create_node().name("server").ip([10, 0, 0, 1].into()).build();
    let client = madsim.create_node().name("client").ip([10, 0, 0, 2].into()).build();
    server.spawn(async move {
        let listener = TcpListener::bind(("10.0.0.1", PORT)).await?;
        let (mut stream, _peer) = listener.accept().await?;
        while bare_read(&mut stream).await? > 0 {
            bare_write(&mut stream).await?;
        }
        io::Result::Ok(())
    });
    madsim::time::sleep(Duration::from_secs(1)).await;
    let client = client.spawn(async move {
        let mut stream = TcpStream::connect(("10.0.0.1", PORT)).await?;
        for _ in 0..round_trips {
            bare_write(&mut stream).await?;
            bare_read(&mut stream).await?;
        }
        io::Result::Ok(())
    });
    client.await.map_err(io::Error::other)?
}

async fn bare_read(stream: &mut TcpStream) -> io::Result<usize> {
    let mut space = [0; MESSAGE.len()];
    let mut buffer = ReadBuf::new(&mut space);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
    Ok(buffer.filled().len())
}

async fn bare_write(stream: &mut TcpStream) -> io::Result<()> {
    poll_fn(|context| Pin::new(&mut *stream).poll_write(context, MESSAGE)).await?;
    poll_fn(|context| Pin::new(&mut *stream).poll_flush(context)).await
}

async fn our_server(host: impl Host) -> io::Result<()> {
    let listener = host.listen(&Endpoint::new("server", PORT)).await?;
    let (mut reader, mut writer) = listener.accept().await?.split();
    let message = Bytes::from_static(MESSAGE);
    let mut buffer = BytesMut::new();
    while reader.read(&mut buffer).await? > 0 {
        buffer.clear();
        writer.write(std::slice::from_ref(&message)).await?;
    }
    Ok(())
}

async fn our_client(host: impl Host, round_trips: u32) -> io::Result<()> {
    host.sleep(Duration::from_millis(1)).await;
    let (mut reader, mut writer) = host.connect(&Endpoint::new("server", PORT)).await?.split();
    let message = Bytes::from_static(MESSAGE);
    let mut buffer = BytesMut::new();
    for _ in 0..round_trips {
        writer.write(std::slice::from_ref(&message)).await?;
        reader.read(&mut buffer).await?;
        buffer.clear();
    }
    Ok(())
}
