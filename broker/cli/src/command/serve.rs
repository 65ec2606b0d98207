//! `broker serve`: one node, until it is told to stop.

use std::future::Future;
use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use clap::Args;
use host::real::RealHost;
use model::Endpoint;
use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config_file::{self, Overrides};
use crate::failure::Failure;

/// Threads that serve: enough for a node whose work is the disk's and the network's.
const WORKERS: usize = 2;

/// Run one node of a cluster, until ctrl-c or SIGTERM stops it in order.
///
/// Without a configuration it is a whole cluster by itself, on localhost:9092, with its data in ./data. When clients can
/// use it, it prints one line that begins with "ready". The log goes to standard error; RUST_LOG=debug says more.
#[derive(Args)]
pub(crate) struct Serve {
    /// The configuration file; `broker config describe` lists its keys.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, as host:port; instead of the file's `listeners`.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the data lives, several directories with commas; instead of the file's `log.dirs`.
    #[arg(long, value_name = "DIRECTORIES")]
    data: Option<String>,
    /// Stop when standard input ends: a parent process that dies takes its nodes with it.
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Serve {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let overrides = Overrides { listen: self.listen, data: self.data };
        let config = config_file::load(self.config.as_deref(), &overrides)?;
        let directories = config.directories();
        let data = directories.join(", ");
        start_logging();
        stop_the_node_on_panic();

        let runtime = runtime(WORKERS)?;
        let result = runtime.block_on(async {
            // Its roots are the data directories themselves, so that nothing the node does can leave them.
            let host = RealHost::with_directories(&directories)
                .map_err(|error| Failure::failed(format!("cannot use the data directory {error}")))?;
            let stop = stop_requested(self.stop_with_stdin)?;
            let node = config.node_id;
            let ready = |endpoint: &Endpoint| {
                // Nobody may be reading, which is no reason not to serve.
                let _unread = super::print(&format!("ready: node {node} serves {endpoint}, its data is in {data}\n"));
            };
            server::run(config, host, stop, ready).await.map_err(Failure::failed)
        });
        // A read of standard input may still be waiting; it holds up nothing.
        runtime.shutdown_background();
        result
    }
}

/// A tokio runtime with so many workers.
pub(crate) fn runtime(workers: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the system gives no threads: {error}")))
}

fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .init();
}

/// A broken invariant must not leave half a node that still answers: it ends, and others take over.
fn stop_the_node_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// Resolves on the first ctrl-c, SIGTERM or, if asked for, end of standard input. A second signal ends the process at once.
fn stop_requested(stop_with_stdin: bool) -> Result<impl Future<Output = ()> + Send, Failure> {
    let no_signals = |error| Failure::failed(format!("the system gives no signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let (sender, receiver) = tokio::sync::oneshot::channel();
    #[allow(clippy::disallowed_methods, reason = "signals belong to the process, not to the node")]
    tokio::spawn(async move {
        let stdin_ended = async {
            if !stop_with_stdin {
                std::future::pending::<()>().await;
            }
            let mut input = tokio::io::stdin();
            while matches!(input.read(&mut [0; 64]).await, Ok(1..)) {}
        };
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = stdin_ended => {}
        }
        tracing::info!("stopping in order; a second ctrl-c stops at once");
        let _node_ended = sender.send(());
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(1);
    });
    Ok(async move {
        let _sender_gone = receiver.await;
    })
}
