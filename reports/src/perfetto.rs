//! A run as trace events, for Perfetto (ui.perfetto.dev) and Chrome: a track a node, what it witnesses as marks, its being down or
//! paused and the faults as bars. Times are in microseconds of the world. Format: Chrome's Trace Event Format, JSON object form.

use std::collections::BTreeMap;

use evidence::{Entry, What};
use model::Time;
use serde_json::{Value, json};

use crate::names::Names;
use crate::run::Run;
use crate::telling::tell;

/// The faults have a track of their own, above all nodes.
const FAULTS: usize = 0;

/// One object with all events.
pub fn perfetto(run: &Run) -> Value {
    let names = Names::of(&run.entries, run.topics.clone());
    let track = |node: &str| names.nodes.iter().position(|name| name == node).map_or(FAULTS, |place| place + 1);
    let mut events = vec![name_of(FAULTS, "faults")];
    events.extend(names.nodes.iter().map(|node| name_of(track(node), node)));
    let end = run.entries.last().map_or(Time::ZERO, |entry| entry.time);
    let mut bars = Bars::default();
    for entry in &run.entries {
        let node = track(&entry.node.0);
        match &entry.what {
            What::FaultBegan { id, text } => bars.begin((FAULTS, format!("fault {id}")), entry.time, text),
            What::FaultEnded { id } => events.extend(bars.end(&(FAULTS, format!("fault {id}")), entry.time)),
            What::NodeCrashed | What::PowerLost | What::NodeStopped { .. } => {
                bars.begin((node, "down".into()), entry.time, "down");
            }
            What::NodeStarted => events.extend(bars.end(&(node, "down".into()), entry.time)),
            What::NodePaused => bars.begin((node, "paused".into()), entry.time, "paused"),
            What::NodeResumed => events.extend(bars.end(&(node, "paused".into()), entry.time)),
            _ => events.push(mark(entry, node, &names)),
        }
    }
    let open: Vec<Bar> = bars.open.keys().cloned().collect();
    events.extend(open.iter().filter_map(|bar| bars.end(bar, end)));
    json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": { "replay": run.replay, "digest": run.digest } })
}

fn name_of(track: usize, name: &str) -> Value {
    json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": track, "args": { "name": name } })
}

fn mark(entry: &Entry, track: usize, names: &Names) -> Value {
    let telling = tell(entry, names);
    let partition = telling.partition.map(|partition| names.partition(partition));
    let args = json!({
        "entry": entry.index,
        "partition": partition,
        "epoch": telling.epoch,
        "log_end": telling.log_end,
        "high_watermark": telling.high_watermark,
    });
    json!({ "ph": "i", "s": "t", "name": telling.what, "pid": 1, "tid": track, "ts": microseconds(entry.time), "args": args })
}

/// A track, and what goes on there.
type Bar = (usize, String);

/// What goes on, since when.
#[derive(Default)]
struct Bars {
    open: BTreeMap<Bar, (Time, String)>,
}

impl Bars {
    fn begin(&mut self, bar: Bar, time: Time, text: &str) {
        self.open.entry(bar).or_insert((time, text.to_owned()));
    }

    fn end(&mut self, bar: &Bar, time: Time) -> Option<Value> {
        let (began, text) = self.open.remove(bar)?;
        let lasts = microseconds(time) - microseconds(began);
        Some(json!({ "ph": "X", "name": text, "pid": 1, "tid": bar.0, "ts": microseconds(began), "dur": lasts }))
    }
}

fn microseconds(time: Time) -> f64 {
    time.0 as f64 / 1_000.0
}
