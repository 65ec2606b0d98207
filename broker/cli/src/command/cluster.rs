//! `broker cluster`: a whole cluster on this machine, each node its own process.
//!
//! ```text
//!  broker cluster ──┬── broker serve --config DATA/broker-1/broker.toml     a pipe to each one's standard input:
//!                   ├── broker serve --config DATA/broker-2/broker.toml     when it closes, the node stops, be it
//!                   └── broker serve --config DATA/broker-3/broker.toml     that we close it or that we are gone
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use host::Host;
use host::real::RealHost;
use model::{BrokerId, ClusterId, Endpoint};
use server::{Config, Voter};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config_file::{self, Overrides};
use crate::failure::Failure;

/// Three voters survive the loss of one; more make every change of metadata wait for more disks.
const VOTERS: u16 = 3;
/// Leaders of a cluster that stops as a whole need not move far.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
/// A node that has not ended by now is ended.
const STOP_WAIT: Duration = Duration::from_secs(8);

/// Run a whole cluster on this machine: one process for each broker, all stopped by one ctrl-c.
///
/// Writes a configuration for each to DIRECTORY/broker-N/broker.toml, its data beside it, and starts `broker serve` with it.
/// What they say is shown with their number in front. A broker that dies is reported, with the command that starts it again;
/// kill one to see the others take over. The same command on the same directory starts the same cluster again.
#[derive(Args)]
pub(crate) struct Cluster {
    /// How many brokers; the first three of them vote on the metadata.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    brokers: u16,
    /// Where their configurations and data live.
    #[arg(long, value_name = "DIRECTORY", default_value = "cluster-data")]
    data: PathBuf,
    /// The first broker's port; each next one takes the next.
    #[arg(long, default_value_t = 9092, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
}

impl Cluster {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if u16::MAX - self.port < self.brokers - 1 {
            return Err(Failure::bad_input(format!(
                "{} brokers from port {} on need ports above 65535: choose a smaller --port",
                self.brokers, self.port
            )));
        }
        let runtime = super::serve::runtime(1)?;
        let result = runtime.block_on(async {
            let files = self.configure()?;
            Running::start(&files)?.watch().await
        });
        runtime.shutdown_background();
        result
    }

    /// Writes the configuration of each broker, and says where.
    #[allow(clippy::disallowed_methods, reason = "configurations are the operator's, not a broker's")]
    fn configure(&self) -> Result<BTreeMap<BrokerId, PathBuf>, Failure> {
        let cannot = |error: std::io::Error| Failure::failed(format!("cannot use {}: {error}", self.data.display()));
        let data = std::path::absolute(&self.data).map_err(cannot)?;
        let voters: Vec<Voter> = (1..=self.brokers.min(VOTERS)).map(|id| self.voter(id)).collect();
        let cluster_id = self.cluster_id(&data, &voters, cannot)?;
        let mut files = BTreeMap::new();
        for id in 1..=self.brokers {
            let home = data.join(format!("broker-{id}"));
            let file = home.join("broker.toml");
            let voter = self.voter(id);
            let mut config = Config {
                node_id: voter.id,
                cluster_id: Some(cluster_id.clone()),
                voters: voters.clone(),
                log_directories: vec![home.join("data").display().to_string()],
                default_partitions: self.brokers.into(),
                default_replication_factor: self.brokers.min(3) as i16,
                controlled_shutdown_wait_max: SHUTDOWN_WAIT,
                ..Config::single(voter.endpoint)
            };
            let in_sync_min = if self.brokers < 3 { "1" } else { "2" };
            config.topic_defaults.set("min.insync.replicas", in_sync_min).map_err(Failure::failed)?;
            std::fs::create_dir_all(&home).map_err(cannot)?;
            std::fs::write(&file, config_file::render(&config)).map_err(cannot)?;
            files.insert(voter.id, file);
        }
        Ok(files)
    }

    fn voter(&self, id: u16) -> Voter {
        Voter { id: BrokerId(id.into()), endpoint: Endpoint::new("localhost", self.port + (id - 1)) }
    }

    /// The name of the cluster that lives in `data`, or a new one.
    fn cluster_id(
        &self,
        data: &Path,
        voters: &[Voter],
        cannot: impl Fn(std::io::Error) -> Failure,
    ) -> Result<ClusterId, Failure> {
        let first = data.join("broker-1").join("broker.toml");
        if first.exists() {
            let before = config_file::load(Some(&first), &Overrides::default())?;
            // A quorum that loses or gains voters by a mere edit can elect two leaders.
            if before.voters.len() != voters.len() {
                let count = before.voters.len();
                return Err(Failure::bad_input(format!(
                    "{} holds a cluster whose quorum has {count} voter(s): start it with --brokers {count}, or choose another --data",
                    self.data.display()
                )));
            }
            if let Some(id) = before.cluster_id {
                return Ok(id);
            }
        }
        let host = RealHost::new(data).map_err(cannot)?;
        Ok(ClusterId(format!("local-{:016x}", host.entropy())))
    }
}

/// Something that a broker's process said or did.
enum News {
    /// It can serve clients.
    Ready,
    Ended(BrokerId, std::io::Result<ExitStatus>),
}

/// The processes, from their start to the end of the last.
struct Running {
    files: BTreeMap<BrokerId, PathBuf>,
    /// Closing one tells its broker to stop.
    inputs: BTreeMap<BrokerId, ChildStdin>,
    news: mpsc::UnboundedReceiver<News>,
    not_ready: usize,
    /// One task for each process; ending it ends the process at once.
    processes: JoinSet<()>,
}

impl Running {
    fn start(files: &BTreeMap<BrokerId, PathBuf>) -> Result<Running, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("cannot find this program to start it again: {error}")))?;
        let (sender, news) = mpsc::unbounded_channel();
        let mut inputs = BTreeMap::new();
        let mut processes = JoinSet::new();
        for (&id, file) in files {
            let mut child = Command::new(&program)
                .args(["serve", "--stop-with-stdin", "--config"])
                .arg(file)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                // Ctrl-c in a terminal is for this process alone, which then stops the brokers one after the other.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
                .map_err(|error| Failure::failed(format!("cannot start broker {id}: {error}")))?;
            say(&format!("broker {id} is process {}, set up by {}", child.id().unwrap_or(0), file.display()));
            inputs.extend(child.stdin.take().map(|input| (id, input)));
            let (output, errors) = (child.stdout.take(), child.stderr.take());
            let sender = sender.clone();
            processes.spawn(async move {
                let (ended, (), ()) = tokio::join!(
                    child.wait(),
                    relay(output, |line| {
                        if line.starts_with("ready") {
                            let _stopping = sender.send(News::Ready);
                        }
                        say(&format!("{id} | {line}"));
                    }),
                    relay(errors, |line| say(&format!("{id} | {line}"))),
                );
                let _stopping = sender.send(News::Ended(id, ended));
            });
        }
        Ok(Running { files: files.clone(), not_ready: inputs.len(), inputs, news, processes })
    }

    /// Reports what happens until a signal comes; then stops the brokers in order.
    async fn watch(mut self) -> Result<(), Failure> {
        let no_signals = |error| Failure::failed(format!("the system gives no signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let outcome = tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            failure = self.follow() => Err(failure),
        };
        if !self.inputs.is_empty() {
            say("stopping every broker in order; a second ctrl-c stops all at once");
        }
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = self.stop() => {}
        }
        self.processes.shutdown().await;
        outcome
    }

    /// Ends only when there is no cluster to run.
    async fn follow(&mut self) -> Failure {
        while let Some(news) = self.news.recv().await {
            match news {
                News::Ready => {
                    self.not_ready = self.not_ready.saturating_sub(1);
                    if self.not_ready == 0 {
                        self.announce();
                    }
                }
                News::Ended(id, status) => {
                    self.inputs.remove(&id);
                    let how = describe(&status);
                    if 0 < self.not_ready {
                        return Failure::failed(format!("broker {id} ended before the cluster was ready: {how}"));
                    }
                    let file = self.files.get(&id).map(|file| file.display().to_string()).unwrap_or_default();
                    say(&format!("broker {id} ended: {how}. Start it again with: broker serve --config {file}"));
                    if self.inputs.is_empty() {
                        break;
                    }
                }
            }
        }
        Failure::failed("every broker has ended")
    }

    fn announce(&self) {
        let count = self.files.len();
        say(&format!("ready: a cluster of {count}; ctrl-c stops it"));
    }

    /// The last one first, each once the one before it is gone: what it led can still move.
    async fn stop(&mut self) {
        while let Some((id, input)) = self.inputs.pop_last() {
            drop(input);
            #[allow(clippy::disallowed_methods, reason = "processes end in the real world's time")]
            if tokio::time::timeout(STOP_WAIT, self.ended(id)).await.is_err() {
                say(&format!("broker {id} does not stop: it will be ended"));
            }
        }
    }

    async fn ended(&mut self, waited_for: BrokerId) {
        while let Some(news) = self.news.recv().await {
            if let News::Ended(id, status) = news {
                self.inputs.remove(&id);
                say(&format!("broker {id} stopped: {}", describe(&status)));
                if id == waited_for {
                    return;
                }
            }
        }
    }
}

/// Hands on each line of a broker's output.
async fn relay(output: Option<impl AsyncRead + Unpin>, mut tell: impl FnMut(&str)) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tell(String::from_utf8_lossy(&line).trim_end());
    }
}

fn describe(status: &std::io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("nobody knows how ({error})"),
    }
}

/// One line of the cluster's output; that nobody reads it stops no broker.
fn say(line: &str) {
    let _unread = super::print(&format!("{line}\n"));
}
