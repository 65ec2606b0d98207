//! `broker produce`: each line of the input becomes a record.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use client::{Acks, Admin, ClientConfig, Message, Producer, ProducerConfig, SendError, Sent};
use host::Host;
use host::real::RealHost;
use model::Time;
use tokio::sync::mpsc;

use super::cluster_access::{ClusterAccess, find_topic};
use crate::failure::Failure;

/// Lines that were read and not yet taken.
const LINES_READ_MAX: usize = 1024;
/// Records, and bytes of them, that wait for their answers: enough for full batches, within the producer's own limit.
const WAITING_MAX: usize = 20_000;
const WAITING_BYTES_MAX: usize = 8 << 20;
/// What a record costs beside its key and value, at most.
const RECORD_OVERHEAD: usize = 64;
/// Failed records that are told one by one; the rest are only counted.
const TOLD_MAX: usize = 5;

/// Write each line of the standard input, or of a file, as a record.
///
/// Ends with the input, once every record has its answer, and says how many were written where. A record that was not
/// written is named by its line, and makes the exit code 1.
#[derive(Args)]
pub(crate) struct Produce {
    topic: String,
    /// Read this file instead of the standard input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// What stands between key and value in a line; a line without it has no key. Without this, no line has one.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// The partition to write to, whatever the keys.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// When a record counts as written: once every in-sync replica has it, once the leader has it, or at once.
    #[arg(long, value_enum, default_value_t = AcksWord::All)]
    acks: AcksWord,
    #[command(flatten)]
    cluster: ClusterAccess,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum AcksWord {
    All,
    #[value(name = "1")]
    Leader,
    #[value(name = "0")]
    None,
}

impl From<AcksWord> for Acks {
    fn from(word: AcksWord) -> Acks {
        match word {
            AcksWord::All => Acks::All,
            AcksWord::Leader => Acks::Leader,
            AcksWord::None => Acks::None,
        }
    }
}

type Line = Result<Vec<u8>, Failure>;
type Answer = Pin<Box<dyn Future<Output = Result<Sent, SendError>> + Send>>;

impl Produce {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Produce { topic, file, key_separator, partition, acks, cluster } = self;
        cluster.run(async move |host: RealHost, config: ClientConfig| {
            let info = find_topic(&Admin::new(host.clone(), config.clone()), &topic).await?;
            let count = info.partitions.len();
            if let Some(partition) = partition.filter(|partition| count <= *partition as usize) {
                return Err(Failure::bad_input(format!(
                    "{topic} has {count} partition(s), and no partition {partition}"
                )));
            }
            let config = ProducerConfig { acks: acks.into(), ..ProducerConfig::new(config) };
            let lines = read_lines(file, config.request_bytes_max)?;
            let producer = Producer::new(host.clone(), config);
            let topic: Arc<str> = topic.into();
            let message = |line| message(line, key_separator.as_deref());
            let send = |line| Box::pin(producer.send(&topic, partition, message(line))) as Answer;
            Tally::new(host).run(lines, send).await
        })
    }
}

fn message(mut line: Vec<u8>, separator: Option<&str>) -> Message {
    let separator = separator.unwrap_or_default().as_bytes();
    let at = line.windows(separator.len().max(1)).position(|window| window == separator);
    match at {
        Some(at) => {
            let value = line.split_off(at + separator.len());
            line.truncate(at);
            Message::new(value).with_key(line)
        }
        None => Message::new(line),
    }
}

/// What became of the records, and those whose answers are still awaited, in order.
struct Tally {
    host: RealHost,
    started: Time,
    waiting: VecDeque<(u64, usize, Answer)>,
    waiting_bytes: usize,
    line: u64,
    written: BTreeMap<i32, u64>,
    failed: usize,
}

impl Tally {
    fn new(host: RealHost) -> Tally {
        let started = host.now();
        Tally {
            host,
            started,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            line: 0,
            written: BTreeMap::new(),
            failed: 0,
        }
    }

    async fn run(mut self, mut lines: mpsc::Receiver<Line>, send: impl Fn(Vec<u8>) -> Answer) -> Result<(), Failure> {
        let mut stopped = Ok(());
        loop {
            let has_room = self.waiting.len() < WAITING_MAX && self.waiting_bytes < WAITING_BYTES_MAX;
            tokio::select! {
                biased;
                line = lines.recv(), if has_room => match line {
                    Some(Ok(line)) => {
                        self.line += 1;
                        let size = line.len() + RECORD_OVERHEAD;
                        self.waiting_bytes += size;
                        self.waiting.push_back((self.line, size, send(line)));
                    }
                    Some(Err(failure)) => {
                        stopped = Err(failure);
                        break;
                    }
                    None => break,
                },
                Some(answer) = first(&mut self.waiting) => self.note(answer),
            }
        }
        while let Some(answer) = first(&mut self.waiting).await {
            self.note(answer);
        }
        self.tell();
        stopped?;
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::failed(format!("{failed} of {} records have no proof of being written", self.line))),
        }
    }

    fn note(&mut self, (line, size, answer): (u64, usize, Result<Sent, SendError>)) {
        self.waiting_bytes -= size;
        match answer {
            Ok(sent) => *self.written.entry(sent.partition).or_default() += 1,
            Err(error) => {
                self.failed += 1;
                if self.failed <= TOLD_MAX {
                    eprintln!("line {line}: {error}");
                }
            }
        }
    }

    fn tell(&self) {
        let total: u64 = self.written.values().sum();
        let seconds = self.host.now().since(self.started).as_secs_f64();
        let places: Vec<_> =
            self.written.iter().map(|(partition, count)| format!("partition {partition}: {count}")).collect();
        let places = if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        eprintln!("{total} records written in {seconds:.2} s{places}");
    }
}

/// The oldest answer, once it is there. May be cancelled without loss.
async fn first(waiting: &mut VecDeque<(u64, usize, Answer)>) -> Option<(u64, usize, Result<Sent, SendError>)> {
    let (line, size, answer) = waiting.front_mut()?;
    let result = (*line, *size, answer.as_mut().await);
    waiting.pop_front();
    Some(result)
}

/// Reads lines on a thread of their own, since a terminal may keep a reader waiting for ever.
#[allow(clippy::disallowed_methods, reason = "the input is the user's, not a broker's")]
fn read_lines(file: Option<PathBuf>, line_bytes_max: usize) -> Result<mpsc::Receiver<Line>, Failure> {
    let mut input: Box<dyn BufRead + Send> = match &file {
        Some(path) => {
            let file = File::open(path)
                .map_err(|error| Failure::bad_input(format!("cannot read {}: {error}", path.display())))?;
            Box::new(BufReader::with_capacity(1 << 16, file))
        }
        None => Box::new(BufReader::with_capacity(1 << 16, stdin())),
    };
    let (sender, lines) = mpsc::channel(LINES_READ_MAX);
    std::thread::spawn(move || {
        loop {
            let mut line = Vec::new();
            let result = match input.by_ref().take(line_bytes_max as u64 + 1).read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) if line.last() == Some(&b'\n') => {
                    line.pop();
                    Ok(line)
                }
                Ok(_) if line_bytes_max < line.len() => Err(Failure::bad_input(format!(
                    "a line is longer than {line_bytes_max} bytes, more than a record may be"
                ))),
                Ok(_) => Ok(line),
                Err(error) => Err(Failure::failed(format!("cannot read the input: {error}"))),
            };
            let is_last = result.is_err();
            if sender.blocking_send(result).is_err() || is_last {
                return;
            }
        }
    });
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_parts_key_and_value() {
        let parts = |line: &str, separator| {
            let message = message(line.into(), separator);
            let text = |bytes: Option<bytes::Bytes>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            (text(message.key), text(message.value))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("a:b:c", Some(":")), (some("a"), some("b:c")));
        assert_eq!(parts(":b", Some(":")), (some(""), some("b")));
        assert_eq!(parts("a=>b", Some("=>")), (some("a"), some("b")));
        assert_eq!(parts("ab", Some(":")), (None, some("ab")));
        assert_eq!(parts("", Some(":")), (None, some("")));
        assert_eq!(parts("a:b", None), (None, some("a:b")));
    }
}
