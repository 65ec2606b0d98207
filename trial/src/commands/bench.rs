//! `trial bench`: how fast the simulation is, in one run beside a bare madsim echo.
//!
//! ```text
//!   echo      a round trip between two nodes on plain madsim: the unit; the same on our network
//!   calm      three brokers, one producer, no fault: what a produce request costs, and what its trace costs
//!   swarm     the default fuzz profile over a fixed set of seeds: on one core, and on two
//!   memory    the peak of one of those runs, alone in a process
//! ```
//! What a thing costs is told in time of a core; how much faster than real time the world runs, in time of the clock on the wall.

mod calm;
mod machine;
mod swarm;

use std::time::Duration;

use clap::Args;
use miette::miette;
use serde_json::{Value, json};
use sim::Tally;
use sim::bench::{bare_echo, our_echo};
use trial::Finished;

use self::calm::Calm;
use self::machine::{Spent, measured};
use self::swarm::Swarm;
use super::{Exit, print};

/// Round trips of each echo.
const ROUND_TRIPS: u32 = 20_000;

/// Everything is measured so often, side by side, and the best counts: what disturbs a run only makes it slower.
const ROUNDS: u32 = 3;

/// Nodes that are no clients, by the first word of their names.
const SERVERS: [&str; 3] = ["broker", "controller", "world"];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,

    /// Run this seed of the default fuzz profile alone, and print the peak of the process's memory in bytes
    #[arg(long, hide = true, value_name = "S")]
    peak_of: Option<u64>,

    /// Run this part alone, so often, for a profiler; and print what the fastest took of a core, in milliseconds
    #[arg(long, hide = true, value_name = "PART")]
    only: Option<Part>,

    #[arg(long, hide = true, requires = "only", default_value_t = 1)]
    times: u32,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Part {
    Echo,
    Calm,
    Swarm,
}

impl Part {
    fn cores(self) -> miette::Result<Duration> {
        match self {
            Part::Echo => Ok(echo(our_echo)? * ROUND_TRIPS),
            Part::Calm => Ok(Calm::measure(false)?.spent.cores),
            Part::Swarm => Ok(Swarm::measure(1).spent.cores),
        }
    }
}

pub(crate) fn bench(arguments: &Arguments) -> miette::Result<Exit> {
    if let Some(seed) = arguments.peak_of {
        let peak = machine::peak_of(|| swarm::run(seed, false));
        print(&format!("{}\n", peak.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string())));
        return Ok(Exit::AsExpected);
    }
    if let Some(part) = arguments.only {
        let all: Vec<Duration> = (0..arguments.times).map(|_| part.cores()).collect::<miette::Result<_>>()?;
        print(&format!("{}\n", all.into_iter().min().map_or(0, millis)));
        return Ok(Exit::AsExpected);
    }
    let figures = Figures::measure()?;
    if arguments.json {
        print(&format!("{}\n", figures.to_json()));
    } else {
        print(&figures.to_text());
    }
    Ok(Exit::AsExpected)
}

/// What was measured, each the best of its rounds.
struct Figures {
    bare: Duration,
    ours: Duration,
    calm: Calm,
    /// The same with its trace.
    traced: Calm,
    one: Swarm,
    two: Swarm,
    /// Bytes, of the hungriest of the seeds; none where the machine does not say.
    peak: Option<u64>,
}

impl Figures {
    fn measure() -> miette::Result<Figures> {
        let mut best = Figures::round()?;
        for _ in 1..ROUNDS {
            let again = Figures::round()?;
            best.bare = best.bare.min(again.bare);
            best.ours = best.ours.min(again.ours);
            best.calm = best.calm.faster(again.calm);
            best.traced = best.traced.faster(again.traced);
            best.one = best.one.faster(again.one);
            best.two = best.two.faster(again.two);
        }
        best.peak = machine::peak_of_children(swarm::SEEDS)?;
        Ok(best)
    }

    fn round() -> miette::Result<Figures> {
        Ok(Figures {
            bare: echo(bare_echo)?,
            ours: echo(our_echo)?,
            calm: Calm::measure(false)?,
            traced: Calm::measure(true)?,
            one: Swarm::measure(1),
            two: Swarm::measure(2),
            peak: None,
        })
    }

    fn in_echoes(&self, each: Duration) -> f64 {
        each.as_secs_f64() / self.bare.as_secs_f64()
    }

    fn trace_cost(&self) -> f64 {
        self.traced.spent.cores.as_secs_f64() / self.calm.spent.cores.as_secs_f64() - 1.0
    }

    fn two_cores_over_one(&self) -> f64 {
        self.one.spent.wall.as_secs_f64() / self.two.spent.wall.as_secs_f64()
    }

    fn to_json(&self) -> Value {
        let (calm, one) = (&self.calm, &self.one);
        json!({
            "bare_echo_ns": nanos(self.bare),
            "our_echo_ns": nanos(self.ours),
            "our_echo_in_bare_echoes": self.in_echoes(self.ours),
            "produce": {
                "requests": calm.requests,
                "request_ns": nanos(calm.each()),
                "request_in_bare_echoes": self.in_echoes(calm.each()),
                "simulated_per_real": calm.simulated_per_real(),
                "a_request_is_made_of": made_of(&calm.tally, calm.requests),
            },
            "fuzz": {
                "profile": swarm::PROFILE.to_string(),
                "seeds": one.runs,
                "not_as_expected": one.disappointed,
                "requests": one.requests,
                "requests_per_simulated_second": one.requests_per_second(),
                "simulated_ms": millis(one.simulated),
                "request_ns": nanos(one.each()),
                "request_in_bare_echoes": self.in_echoes(one.each()),
                "a_request_is_made_of": made_of(&one.tally, one.requests),
                "one_core": timed(one),
                "two_cores": timed(&self.two),
                "two_cores_over_one": self.two_cores_over_one(),
            },
            "unasked_trace": {
                "core_ms_without": millis(self.calm.spent.cores),
                "core_ms_with": millis(self.traced.spent.cores),
                "cost_of_keeping": self.trace_cost(),
            },
            "peak_memory_bytes": self.peak,
        })
    }

    fn to_text(&self) -> String {
        let (calm, one) = (&self.calm, &self.one);
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        let memory = self.peak.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000));
        format!(
            "an echo between two nodes on plain madsim            {:>9.2} us\n\
             the same on our network                              {:>9.2} us   {:.2} bare echoes\n\
             a produce request, three brokers, acks=all, calm     {:>9.2} us   {:.1} bare echoes\n\
             a client's request in the default fuzz profile       {:>9.2} us   {:.1} bare echoes\n\
             requests in a simulated second of that profile       {:>9.0}\n\
             that profile on one core                             {:>9.0} times real time, {:.0} times its own of that core\n\
             and on two                                           {:>9.0} times real time, {:.2} of one\n\
             keeping a trace                                      {:>+9.1} %\n\
             memory of a run, at its peak                         {memory:>9}\n\
             \n\
             a produce request is made of                         {}\n\
             a client's request of the fuzz profile is made of    {}\n",
            micros(self.bare),
            micros(self.ours),
            self.in_echoes(self.ours),
            micros(calm.each()),
            self.in_echoes(calm.each()),
            micros(one.each()),
            self.in_echoes(one.each()),
            one.requests_per_second(),
            one.simulated_per_real(),
            one.simulated_per_core(),
            self.two.simulated_per_real(),
            self.two_cores_over_one(),
            self.trace_cost() * 100.0,
            parts(&calm.tally, calm.requests),
            parts(&one.tally, one.requests),
        )
    }
}

/// What a round trip takes of a core.
fn echo(run: fn(u32) -> Result<Duration, String>) -> miette::Result<Duration> {
    let (result, spent) = measured(|| run(ROUND_TRIPS));
    result.map(|_wall| spent.cores / ROUND_TRIPS).map_err(|error| miette!("{error}"))
}

/// Requests of clients: each is one write to a connection.
fn requests(tally: &Tally) -> u64 {
    let is_client = |name: &str| !SERVERS.contains(&name.split(' ').next().unwrap_or(name));
    tally.messages.iter().filter(|(name, _)| is_client(name)).map(|(_, count)| count).sum()
}

/// Adds what a run was made of to `sum`.
fn add(sum: &mut Tally, run: &Finished) {
    let Tally { polls, tasks, waits, messages, disk_reads, disk_writes, disk_syncs, witnessed } = &run.tally;
    sum.polls += polls;
    sum.tasks += tasks;
    sum.waits += waits;
    sum.disk_reads += disk_reads;
    sum.disk_writes += disk_writes;
    sum.disk_syncs += disk_syncs;
    sum.witnessed += witnessed;
    messages.iter().for_each(|(name, count)| *sum.messages.entry(name.clone()).or_default() += count);
}

/// How much of each thing there was for one request.
fn shares(tally: &Tally, requests: u64) -> [(&'static str, f64); 8] {
    let each = |count: u64| count as f64 / requests.max(1) as f64;
    [
        ("polls", each(tally.polls)),
        ("messages", each(tally.messages.values().sum())),
        ("waits", each(tally.waits)),
        ("tasks", each(tally.tasks)),
        ("disk_reads", each(tally.disk_reads)),
        ("disk_writes", each(tally.disk_writes)),
        ("disk_syncs", each(tally.disk_syncs)),
        ("witnessed", each(tally.witnessed)),
    ]
}

fn made_of(tally: &Tally, requests: u64) -> Value {
    shares(tally, requests).into_iter().map(|(name, share)| (name.to_owned(), json!(share))).collect()
}

fn parts(tally: &Tally, requests: u64) -> String {
    let words = shares(tally, requests).map(|(name, share)| format!("{share:.1} {}", name.replace('_', " ")));
    words.join(", ")
}

fn timed(swarm: &Swarm) -> Value {
    let Spent { wall, cores } = swarm.spent;
    json!({
        "wall_ms": millis(wall),
        "core_ms": millis(cores),
        "simulated_per_real": swarm.simulated_per_real(),
        "simulated_per_core_time": swarm.simulated_per_core(),
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
