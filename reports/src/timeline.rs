//! The time line: faults, the lives of nodes, who leads what, and how far each partition is committed, as one SVG.

use std::collections::BTreeMap;
use std::fmt::Write;

use evidence::{Entry, What};
use model::{BrokerId, Event, Offset, PartitionId, Time};

use crate::names::Names;
use crate::page::escape;

/// Lanes beyond this are counted, not drawn.
const PARTITIONS_MAX: usize = 24;
const NODES_MAX: usize = 30;
/// Points of one high watermark's line; more would not be seen.
const POINTS_MAX: usize = 600;

const LEFT: f64 = 128.0;
const WIDTH: f64 = 1000.0;
const LANE: f64 = 22.0;
const BAR: f64 = 14.0;
const CURVE: f64 = 34.0;
/// Width of a letter in the small type of bars.
const LETTER: f64 = 6.2;

/// One stretch of a lane.
struct Segment {
    from: Time,
    to: Time,
    class: String,
    label: String,
    /// The entry that began it.
    entry: u64,
}

/// The time line, and sentences on what it leaves out.
pub(crate) struct Timeline {
    pub(crate) svg: String,
    pub(crate) omitted: Vec<String>,
}

/// Draws a trace.
pub(crate) fn timeline(entries: &[Entry], names: &Names, end: Time) -> Timeline {
    let end = entries.last().map_or(end, |entry| entry.time.max(end)).max(Time(1));
    let mut drawing = Drawing { svg: String::new(), y: 4.0, end };
    let mut omitted = Vec::new();
    for (row, lane) in faults(entries, end).iter().enumerate() {
        drawing.lane(if row == 0 { "faults" } else { "" }, lane);
    }
    drawing.gap();
    let mut lives = lives(entries, end);
    for node in names.nodes.iter().filter(|node| lives.contains_key(*node)).take(NODES_MAX) {
        drawing.lane(node, &lives[node]);
    }
    lives.retain(|node, _| names.nodes.contains(node));
    if NODES_MAX < lives.len() {
        omitted.push(format!("The time line shows {NODES_MAX} of {} nodes.", lives.len()));
    }
    drawing.gap();
    let (leaders, curves) = (leaders(entries, names, end), high_watermarks(entries));
    for (partition, lane) in leaders.iter().take(PARTITIONS_MAX) {
        drawing.lane(&names.partition(*partition), lane);
        if let Some(points) = curves.get(partition) {
            drawing.curve(points);
        }
    }
    if PARTITIONS_MAX < leaders.len() {
        omitted.push(format!("The time line shows {PARTITIONS_MAX} of {} partitions.", leaders.len()));
    }
    Timeline { svg: drawing.finish(), omitted }
}

/// Faults as bars, in as many rows as they overlap.
fn faults(entries: &[Entry], end: Time) -> Vec<Vec<Segment>> {
    let mut ends: BTreeMap<u32, Vec<Time>> = BTreeMap::new();
    for entry in entries.iter().rev() {
        if let What::FaultEnded { id } = entry.what {
            ends.entry(id).or_default().push(entry.time);
        }
    }
    let mut rows: Vec<Vec<Segment>> = Vec::new();
    for entry in entries {
        let What::FaultBegan { id, text } = &entry.what else { continue };
        // One id may begin and end again and again; its ends lie here last first.
        let to = ends.get_mut(id).and_then(Vec::pop).unwrap_or(end);
        let segment = Segment { from: entry.time, to, class: "fault".into(), label: text.clone(), entry: entry.index };
        match rows.iter_mut().find(|row| row.last().is_none_or(|last| last.to <= entry.time)) {
            Some(row) => row.push(segment),
            None => rows.push(vec![segment]),
        }
    }
    rows
}

/// Each node's life, for nodes that have one.
fn lives(entries: &[Entry], end: Time) -> BTreeMap<String, Vec<Segment>> {
    let mut lanes: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
    for entry in entries {
        let (class, label) = match &entry.what {
            What::NodeStarted => ("up", "up".into()),
            What::NodeResumed => ("up", "woke".into()),
            What::NodePaused => ("paused", "paused".into()),
            What::NodeCrashed => ("down", "crashed".into()),
            What::PowerLost => ("down", "no power".into()),
            What::NodeStopped { error: None } => ("down", "stopped".into()),
            What::NodeStopped { error: Some(error) } => ("down", format!("failed: {error}")),
            What::Witnessed(_)
            | What::DiskHurt { .. }
            | What::DiskMended
            | What::FaultBegan { .. }
            | What::FaultEnded { .. }
            | What::Client { .. }
            | What::QuietBegan { .. }
            | What::QuietEnded
            | What::LogStored { .. }
            | What::LogFlawed { .. }
            | What::Note { .. } => continue,
        };
        let lane = lanes.entry(entry.node.0.to_string()).or_default();
        next(lane, entry, end, class.into(), label);
    }
    lanes
}

/// Ends the lane's last segment and begins another.
fn next(lane: &mut Vec<Segment>, entry: &Entry, end: Time, class: String, label: String) {
    if let Some(last) = lane.last_mut() {
        last.to = entry.time;
    }
    lane.push(Segment { from: entry.time, to: end, class, label, entry: entry.index });
}

/// Who leads each partition, by the newest epoch that anybody witnessed; the metadata quorum comes first.
fn leaders(entries: &[Entry], names: &Names, end: Time) -> BTreeMap<PartitionId, Vec<Segment>> {
    let mut lanes: BTreeMap<PartitionId, (i32, Option<BrokerId>, Vec<Segment>)> = BTreeMap::new();
    let by_name: BTreeMap<&str, i32> =
        names.servers().filter_map(|name| Some((name, name.rsplit(' ').next()?.parse().ok()?))).collect();
    for entry in entries {
        let What::Witnessed(event) = &entry.what else { continue };
        let witness = by_name.get(&*entry.node.0).map(|number| BrokerId(*number));
        let (partition, epoch, leader) = match event {
            Event::QuorumLeader { epoch, .. } => (PartitionId::METADATA, epoch.0, witness),
            Event::QuorumFollower { epoch, leader } => (PartitionId::METADATA, epoch.0, Some(*leader)),
            Event::BecameLeader { partition, epoch, .. } => (*partition, epoch.0, witness),
            Event::PartitionChanged { partition, leader_epoch, leader, .. } => (*partition, leader_epoch.0, *leader),
            _ => continue,
        };
        let (known, now, lane) = lanes.entry(partition).or_insert((-1, None, Vec::new()));
        if epoch <= *known {
            continue;
        }
        *known = epoch;
        // A new epoch of the same leader is the same stretch.
        if *now == leader && !lane.is_empty() {
            continue;
        }
        *now = leader;
        let (class, label) = match leader {
            Some(leader) => (format!("leader b{}", leader.0.rem_euclid(8)), names.node(leader)),
            None => ("offline".to_string(), "nobody".to_string()),
        };
        next(lane, entry, end, class, format!("{label}, epoch {epoch}"));
    }
    lanes.into_iter().map(|(partition, (_, _, lane))| (partition, lane)).collect()
}

/// The highest offset that any node saw committed, by time.
fn high_watermarks(entries: &[Entry]) -> BTreeMap<PartitionId, Vec<(Time, Offset)>> {
    let mut curves: BTreeMap<PartitionId, Vec<(Time, Offset)>> = BTreeMap::new();
    for entry in entries {
        let What::Witnessed(Event::HighWatermarkAdvanced { partition, to, .. }) = entry.what else { continue };
        let curve = curves.entry(partition).or_default();
        if curve.last().is_none_or(|(_, last)| *last < to) {
            curve.push((entry.time, to));
        }
    }
    curves
}

struct Drawing {
    svg: String,
    y: f64,
    end: Time,
}

impl Drawing {
    fn x(&self, time: Time) -> f64 {
        LEFT + WIDTH * (time.0 as f64 / self.end.0 as f64)
    }

    fn gap(&mut self) {
        self.y += 8.0;
    }

    fn lane(&mut self, name: &str, segments: &[Segment]) {
        let y = self.y;
        let _ = write!(
            self.svg,
            "<text class=\"name\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
            LEFT - 8.0,
            y + 11.0,
            escape(name)
        );
        for segment in segments {
            let (from, to) = (self.x(segment.from), self.x(segment.to));
            // A stretch too short to see is still there to be found.
            let width = (to - from).max(1.5);
            let label = escape(&segment.label);
            let times = format!("{:.3}s to {:.3}s", segment.from.0 as f64 / 1e9, segment.to.0 as f64 / 1e9);
            let _ = write!(
                self.svg,
                "<a href=\"#e={}\"><rect class=\"{}\" x=\"{from:.2}\" y=\"{y:.1}\" width=\"{width:.2}\" height=\"{BAR}\" rx=\"2\">\
                 <title>{label} ({times})</title></rect>",
                segment.entry, segment.class
            );
            let letters = ((width - 8.0) / LETTER).max(0.0) as usize;
            if 4 <= letters && !label.is_empty() && segment.class != "up" {
                let shown: String = if segment.label.chars().count() <= letters {
                    segment.label.clone()
                } else {
                    segment.label.chars().take(letters - 1).chain(['…']).collect()
                };
                let _ = write!(
                    self.svg,
                    "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                    from + 4.0,
                    y + 10.5,
                    escape(&shown)
                );
            }
            self.svg.push_str("</a>");
        }
        self.y += LANE - 4.0;
    }

    fn curve(&mut self, points: &[(Time, Offset)]) {
        let top = points.last().map_or(1, |(_, offset)| offset.0).max(1);
        let step = points.len().div_ceil(POINTS_MAX).max(1);
        let base = self.y + CURVE;
        let mut path = format!("M{:.1} {base:.1}", self.x(Time::ZERO));
        let last = points.len() - 1;
        for (_, (time, offset)) in points.iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last) {
            let _ = write!(path, "H{:.1}V{:.1}", self.x(*time), base - (CURVE - 8.0) * offset.0 as f64 / top as f64);
        }
        let _ = write!(path, "H{:.1}", self.x(self.end));
        let _ = write!(
            self.svg,
            "<path class=\"committed\" d=\"{path}\"><title>high watermark, up to {top}</title></path>\
             <text class=\"name small\" x=\"{:.0}\" y=\"{:.1}\">committed</text>\
             <text class=\"small\" x=\"{:.0}\" y=\"{:.1}\">{top}</text>",
            LEFT - 8.0,
            base - 4.0,
            LEFT + WIDTH + 4.0,
            base - CURVE + 12.0
        );
        self.y += CURVE + 8.0;
    }

    fn finish(mut self) -> String {
        let height = self.y + 24.0;
        let mut axis = String::new();
        let seconds = self.end.0 as f64 / 1e9;
        let step = tick(seconds);
        for number in 0..=(seconds / step) as u32 {
            let at = f64::from(number) * step;
            let x = LEFT + WIDTH * at / seconds;
            let _ = write!(
                axis,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{:.1}\"/>\
                 <text class=\"small\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                self.y,
                self.y + 14.0,
                clock(at)
            );
        }
        self.svg = format!(
            "<svg id=\"timeline\" viewBox=\"0 0 {:.0} {height:.0}\" role=\"img\" aria-label=\"Time line of the run\" \
             data-left=\"{LEFT}\" data-width=\"{WIDTH}\" data-seconds=\"{seconds}\" data-height=\"{:.0}\">{axis}{}\
             <line id=\"now\" x1=\"-9\" x2=\"-9\" y1=\"0\" y2=\"{:.0}\"/></svg>",
            LEFT + WIDTH + 56.0,
            self.y,
            self.svg,
            self.y
        );
        self.svg
    }
}

/// A round step that gives some ten ticks.
fn tick(seconds: f64) -> f64 {
    const STEPS: [f64; 14] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0];
    STEPS.into_iter().find(|step| seconds / step <= 14.0).unwrap_or((seconds / 10.0 / 3600.0).ceil() * 3600.0)
}

fn clock(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{}s", (seconds * 100.0).round() / 100.0);
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, 0) => format!("{minutes}min"),
        (0, minutes, rest) => format!("{minutes}:{rest:02}"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}"),
    }
}
