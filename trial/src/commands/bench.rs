//! `trial bench`: how fast the simulation is, in units of a bare madsim echo that is measured beside it.

use std::time::Duration;

use clap::Args;
use evidence::{Entry, What};
use miette::miette;
use model::Event;
use scenarios::{Acks, Cluster, Format, Producer, Range, Rate, Scenario, Span, Topic};
use sim::bench::{bare_echo, our_echo};
use trial::Options;

use super::{Exit, print};

/// Round trips of each echo.
const ROUND_TRIPS: u32 = 20_000;

/// Each figure is the best of so many runs: what disturbs a run only makes it slower.
const REPETITIONS: u32 = 3;

/// Simulated time of each produce run.
const LENGTH: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// One fault-free run of three brokers, one producer, acks=all.
struct Produce {
    requests: u64,
    wall: Duration,
    simulated: Duration,
}

pub(crate) fn bench(arguments: &Arguments) -> miette::Result<Exit> {
    let bare = best(|| bare_echo(ROUND_TRIPS).map_err(|error| miette!("{error}")))? / ROUND_TRIPS;
    let ours = best(|| our_echo(ROUND_TRIPS).map_err(|error| miette!("{error}")))? / ROUND_TRIPS;
    let mut produce = measure(200)?;
    for _ in 1..REPETITIONS {
        let again = measure(200)?;
        if again.wall < produce.wall {
            produce = again;
        }
    }
    let each = produce.wall.as_secs_f64() / produce.requests.max(1) as f64;
    let figures = serde_json::json!({
        "bare_echo_ns": bare.as_nanos() as u64,
        "our_echo_ns": ours.as_nanos() as u64,
        "our_echo_in_bare_echoes": ours.as_secs_f64() / bare.as_secs_f64(),
        "produce_requests": produce.requests,
        "produce_ns": (each * 1e9) as u64,
        "produce_in_bare_echoes": each / bare.as_secs_f64(),
        "requests_per_second": 200,
        "simulated_ms": produce.simulated.as_millis() as u64,
        "wall_ms": produce.wall.as_millis() as u64,
        "simulated_per_real": produce.simulated.as_secs_f64() / produce.wall.as_secs_f64(),
    });
    if arguments.json {
        print(&format!("{figures}\n"));
        return Ok(Exit::AsExpected);
    }
    print(&format!(
        "an echo between two nodes on plain madsim       {:>9.2} us\n\
         the same on our network                         {:>9.2} us   {:.2} of a bare echo\n\
         a produce, three brokers, acks=all, no fault    {:>9.2} us   {:.1} bare echoes\n\
         200 produce requests a simulated second run at  {:>9.0} times real time\n",
        bare.as_secs_f64() * 1e6,
        ours.as_secs_f64() * 1e6,
        ours.as_secs_f64() / bare.as_secs_f64(),
        each * 1e6,
        each / bare.as_secs_f64(),
        produce.simulated.as_secs_f64() / produce.wall.as_secs_f64(),
    ));
    Ok(Exit::AsExpected)
}

fn best(mut measure: impl FnMut() -> miette::Result<Duration>) -> miette::Result<Duration> {
    let mut best = measure()?;
    for _ in 1..REPETITIONS {
        best = best.min(measure()?);
    }
    Ok(best)
}

fn measure(rate: u32) -> miette::Result<Produce> {
    let finished = trial::run(&calm(rate), 1, &Options { source: "bench".into(), ..Options::default() });
    if !finished.is_as_expected() {
        return Err(miette!("the fault-free run is not as expected: {}", finished.run.disappointments().join("; ")));
    }
    // Each broker leads one of the three partitions, so that every request holds one batch, which is acknowledged once.
    let is_ack = |entry: &&Entry| matches!(entry.what, What::Witnessed(Event::Acked { .. }));
    let requests = finished.run.entries.iter().filter(is_ack).count() as u64;
    let stats = finished.run.stats;
    Ok(Produce { requests, wall: stats.wall, simulated: stats.simulated })
}

fn calm(rate: u32) -> Scenario {
    Scenario {
        title: "Nothing goes wrong".into(),
        teaches: "What a run costs.".into(),
        format: Format,
        seed: None,
        phases: Vec::new(),
        claims: scenarios::Claims::default(),
        cluster: Cluster { brokers: 3, duration: Some(Span(LENGTH)), ..Cluster::default() },
        topics: vec![Topic { name: "orders".into(), partitions: 3, replicas: 3, min_insync_replicas: 2 }],
        producers: vec![Producer {
            topic: "orders".into(),
            acks: Acks::All,
            idempotent: false,
            rate: Rate::per_second(rate),
            during: None,
            starts: None,
            lasts: Some(Range::exactly(LENGTH)),
            retries: None,
            keys: None,
            partition: None,
            count: 1,
        }],
        consumers: Vec::new(),
        faults: Vec::new(),
        quiet: scenarios::Quiet::default(),
        expect: scenarios::Expect::default(),
    }
}
