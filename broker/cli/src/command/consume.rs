//! `broker consume`: records come out as lines.

use std::collections::BTreeMap;
use std::io::{BufWriter, ErrorKind, Write, stdout};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use client::{
    Admin, ClientConfig, ConsumeError, Consumer, ConsumerConfig, OutOfRange, Position, StoredRecord, TopicPartition,
};
use host::Host;
use host::real::RealHost;
use model::{Offset, Timestamp};
use toml::value::Datetime;

use super::cluster_access::{ClusterAccess, find_topic};
use crate::failure::Failure;

/// How long one poll waits for records.
pub(super) const POLL: Duration = Duration::from_millis(500);
/// Without a record for so long, a reader that wants an end gives up: no leader answers.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Read records and print the value of each on a line.
///
/// Ends at what was the end of the topic when it began; with --follow it goes on and waits for more. Order is kept within each
/// partition. The number of records is told on standard error.
#[derive(Args)]
pub(crate) struct Consume {
    topic: String,
    /// Where to begin: earliest, latest, an offset such as 4200, or a time such as 2026-01-31T12:00:00Z (UTC if it does not say).
    #[arg(long, value_name = "PLACE", default_value = "earliest")]
    from: Begin,
    /// Stop after so many records.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Wait for more at the end.
    #[arg(long)]
    follow: bool,
    /// Read this partition only; may be given more than once. All of them if left out.
    #[arg(long = "partition", value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Print each record's key too, and this between key and value.
    #[arg(long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Print each record's partition and offset before it.
    #[arg(long)]
    places: bool,
    /// Where this reader stands: brokers that select by rack serve it from a follower there.
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    #[command(flatten)]
    cluster: ClusterAccess,
}

/// A place to begin, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begin(Position);

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Begin, String> {
        let position = match text {
            "earliest" => Position::Earliest,
            "latest" => Position::Latest,
            _ => match text.parse::<i64>() {
                Ok(offset) if 0 <= offset => Position::Offset(Offset(offset)),
                Ok(_) => return Err("an offset is 0 or more".into()),
                Err(_) => Position::Time(timestamp(text).ok_or(
                    "write earliest, latest, an offset, or a time such as 2026-01-31T12:00:00Z or 2026-01-31",
                )?),
            },
        };
        Ok(Begin(position))
    }
}

/// A date, with a time or without, in UTC unless it names its zone.
fn timestamp(text: &str) -> Option<Timestamp> {
    let Datetime { date: Some(date), time, offset } = text.parse().ok()? else { return None };
    let zone_minutes = match offset {
        Some(toml::value::Offset::Custom { minutes }) => i64::from(minutes),
        Some(toml::value::Offset::Z) | None => 0,
    };
    let time_of_day_ms = time.map_or(0, |time| {
        let seconds = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
        seconds * 1_000 + i64::from(time.nanosecond.unwrap_or(0)) / 1_000_000
    });
    // Years are counted from March, so that a leap day is a year's last, and in eras of 400 of them (Gregorian calendar).
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some(Timestamp(days * 86_400_000 + time_of_day_ms - zone_minutes * 60_000))
}

impl Consume {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let Consume { topic, from, count, follow, partitions, key_separator, places, rack, cluster } = self;
        cluster.run(async move |host: RealHost, config: ClientConfig| {
            let info = find_topic(&Admin::new(host.clone(), config.clone()), &topic).await?;
            let all = info.partitions.len() as i32;
            if let Some(absent) = partitions.iter().find(|partition| all <= **partition) {
                return Err(Failure::bad_input(format!("{topic} has {all} partition(s), and no partition {absent}")));
            }
            let chosen = if partitions.is_empty() { (0..all).collect() } else { partitions };
            let chosen: Vec<_> = chosen.into_iter().map(|index| TopicPartition::new(&topic, index)).collect();
            let out_of_range =
                if matches!(from.0, Position::Offset(_)) { OutOfRange::Fail } else { OutOfRange::Earliest };
            let config = ConsumerConfig { out_of_range, ..ConsumerConfig::new(ClientConfig { rack, ..config }) };
            let ends = if follow { None } else { Some(ends(&host, &config, &chosen).await?) };
            let mut reading = Reading {
                consumer: Consumer::new(host.clone(), config),
                host,
                ends,
                left: count.unwrap_or(u64::MAX),
                read: 0,
                lines: Lines { output: BufWriter::new(stdout()), key_separator, places },
            };
            reading.consumer.assign(chosen.into_iter().map(|partition| (partition, from.0)));
            let result = reading.run().await;
            eprintln!("{} records read", reading.read);
            result
        })
    }
}

/// Where each partition ends now.
pub(super) async fn ends(
    host: &RealHost,
    config: &ConsumerConfig,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, Offset>, Failure> {
    let mut consumer = Consumer::new(host.clone(), config.clone());
    consumer.assign(partitions.iter().map(|partition| (partition.clone(), Position::Latest)));
    let deadline = host.now() + PATIENCE;
    loop {
        let known: BTreeMap<_, _> = partitions
            .iter()
            .filter_map(|partition| Some((partition.clone(), consumer.position(partition)?)))
            .collect();
        if known.len() == partitions.len() {
            return Ok(known);
        }
        if deadline <= host.now() {
            return Err(no_answer());
        }
        // Only the positions matter; what arrives meanwhile lies beyond the end.
        consumer.poll(Duration::from_millis(20)).await.map_err(failed)?;
    }
}

struct Reading {
    host: RealHost,
    consumer: Consumer<RealHost>,
    /// None reads on for ever.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    left: u64,
    read: u64,
    lines: Lines,
}

impl Reading {
    async fn run(&mut self) -> Result<(), Failure> {
        let mut heard = self.host.now();
        while 0 < self.left && !self.is_at_end() {
            let polled = match self.consumer.poll(POLL).await {
                Err(ref told @ ConsumeError::Truncated { ref partition, agreed, .. }) => {
                    eprintln!("{told}");
                    self.end_at_most(partition, agreed);
                    continue;
                }
                polled => polled.map_err(failed)?,
            };
            if !polled.is_empty() {
                heard = self.host.now();
            } else if self.ends.is_some() && PATIENCE < self.host.now().since(heard) {
                return Err(no_answer());
            }
            for batch in polled {
                // What was written since the end was looked at is for those who follow.
                let end = self.ends.as_ref().and_then(|ends| ends.get(&batch.partition)).copied();
                let wanted = batch.records.iter().filter(|stored| end.is_none_or(|end| stored.offset < end));
                for stored in wanted.take(usize::try_from(self.left).unwrap_or(usize::MAX)) {
                    self.left -= 1;
                    self.read += 1;
                    if !self.lines.print(batch.partition.partition, stored)? {
                        return Ok(());
                    }
                }
            }
            if !self.lines.flush()? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Of what was there when this began no more is left.
    fn end_at_most(&mut self, partition: &TopicPartition, left: Offset) {
        if let Some(end) = self.ends.as_mut().and_then(|ends| ends.get_mut(partition)) {
            *end = left.min(*end);
        }
    }

    fn is_at_end(&self) -> bool {
        let Some(ends) = &self.ends else { return false };
        ends.iter().all(|(partition, end)| self.consumer.position(partition).is_some_and(|position| *end <= position))
    }
}

/// Records as lines. Each answer is false once nobody reads them any more, as after `head`.
struct Lines {
    output: BufWriter<std::io::Stdout>,
    key_separator: Option<String>,
    places: bool,
}

impl Lines {
    fn print(&mut self, partition: i32, stored: &StoredRecord) -> Result<bool, Failure> {
        let result = self.write(partition, stored);
        still_read(result)
    }

    fn write(&mut self, partition: i32, stored: &StoredRecord) -> std::io::Result<()> {
        if self.places {
            write!(self.output, "{partition}\t{}\t", stored.offset)?;
        }
        if let Some(separator) = &self.key_separator {
            self.output.write_all(stored.record.key.as_deref().unwrap_or_default())?;
            self.output.write_all(separator.as_bytes())?;
        }
        self.output.write_all(stored.record.value.as_deref().unwrap_or_default())?;
        self.output.write_all(b"\n")
    }

    fn flush(&mut self) -> Result<bool, Failure> {
        still_read(self.output.flush())
    }
}

fn still_read(result: std::io::Result<()>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::failed(format!("cannot write to standard output: {error}"))),
    }
}

pub(super) fn failed(error: ConsumeError) -> Failure {
    Failure::failed(error)
}

pub(super) fn no_answer() -> Failure {
    Failure::failed(format!("no leader answered for {} s: are the brokers running?", PATIENCE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_an_offset_or_a_time() {
        let place = |text: &str| text.parse::<Begin>().map(|begin| begin.0);
        assert_eq!(place("earliest"), Ok(Position::Earliest));
        assert_eq!(place("latest"), Ok(Position::Latest));
        assert_eq!(place("4200"), Ok(Position::Offset(Offset(4200))));
        assert_eq!(place("1970-01-01"), Ok(Position::Time(Timestamp(0))));
        assert_eq!(place("2000-02-29T12:00:00.250Z"), Ok(Position::Time(Timestamp(951_825_600_250))));
        assert_eq!(place("2026-03-01T01:30:00+01:30"), Ok(Position::Time(Timestamp(1_772_323_200_000))));
        assert!(place("-1").unwrap_err().contains("0 or more"));
        assert!(place("yesterday").unwrap_err().contains("write earliest"));
        assert!(place("12:00:00").is_err(), "a time without a date is no place");
    }
}
