//! The page: one HTML file with nothing to fetch, light and dark, whose events have links (`#e=123`).

use std::fmt::Write;

use invariants::{Outcome, compare};
use model::Time;
use serde_json::{Value, json};

use crate::names::Names;
use crate::run::Run;
use crate::telling::{Telling, Weight};
use crate::terminal::seconds;
use crate::timeline::timeline;
use crate::world::World;

/// A page with more rows is slow to open; what is left out is said on the page.
const EVENTS_MAX: usize = 20_000;
/// Of the flow of records, what is kept before the first bad event of a run that is too long to show whole.
const FLOW_BEFORE_BAD: u64 = 2_000;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// The page of a run.
pub fn page(run: &Run) -> String {
    let names = Names::of(&run.entries, run.topics.clone());
    let end = Time(u64::try_from(run.stats.simulated.as_nanos()).unwrap_or(u64::MAX));
    let drawn = timeline(&run.entries, &names, end);
    let (events, mut omitted) = events(run, &names);
    omitted.extend(drawn.omitted);
    let mut html = String::new();
    let title = escape(&run.scenario.title);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>\n{STYLE}</style></head><body><main>\n"
    );
    header(&mut html, run, &title);
    promises(&mut html, run);
    let _ = write!(html, "<section><h2>Time line</h2><div class=\"scroll\">{}</div>", drawn.svg);
    html.push_str("<p class=\"legend\"><i class=\"up\"></i>up <i class=\"paused\"></i>paused <i class=\"down\"></i>down \
                   <i class=\"fault\"></i>fault <i class=\"offline\"></i>no leader; every other colour is the broker that \
                   leads. Click a stretch to see the event that began it.</p></section>\n");
    html.push_str("<section><h2>Events</h2><form id=\"controls\">\
                   <input id=\"filter\" type=\"search\" placeholder=\"filter: broker 2 leads\" aria-label=\"Filter events\">\
                   <label><input id=\"flow\" type=\"checkbox\"> appends, syncs, commits, answers</label>\
                   <span id=\"count\"></span></form>");
    for sentence in &omitted {
        let _ = write!(html, "<p class=\"omitted\">{}</p>", escape(sentence));
    }
    html.push_str(
        "<div class=\"scroll\"><table id=\"events\"><thead><tr><th>#<th>seconds<th>node<th>partition<th>epoch\
                   <th>log end<th>high watermark<th>what happens</tr></thead><tbody></tbody></table></div>\
                   <button id=\"more\" type=\"button\" hidden>Show more</button></section>\n",
    );
    let _ = writeln!(
        html,
        "<details><summary>The scenario</summary><pre>{}</pre></details>",
        escape(&run.scenario.to_toml())
    );
    // Inside a script only `<` could end it.
    let data = Value::Array(events).to_string().replace('<', "\\u003c");
    let _ = writeln!(html, "</main><script>const EVENTS = {data};\n{SCRIPT}</script></body></html>");
    html
}

fn header(html: &mut String, run: &Run, title: &str) {
    let disappointments = run.disappointments();
    let (class, verdict) =
        if disappointments.is_empty() { ("kept", "As expected") } else { ("broken", "Not as expected") };
    let _ = write!(html, "<header><p class=\"verdict {class}\">{verdict}</p><h1>{title}</h1>");
    let _ = write!(html, "<p class=\"teaches\">{}</p>", escape(&run.scenario.teaches));
    if !disappointments.is_empty() {
        html.push_str("<ul class=\"disappointments\">");
        for sentence in &disappointments {
            let _ = write!(html, "<li>{}</li>", escape(sentence));
        }
        html.push_str("</ul>");
    }
    let reached: Vec<String> = run.reached.iter().map(ToString::to_string).collect();
    let stats = &run.stats;
    let facts = [
        ("Scenario", escape(&run.source)),
        ("Seed", run.seed.to_string()),
        ("Digest", format!("<code>{}</code>", escape(&run.digest))),
        ("Claims", escape(&run.claims().join("; "))),
        ("Reached", if reached.is_empty() { "nothing".into() } else { escape(&reached.join(", ")) }),
        ("Records", format!("{} acknowledged, {} consumed", stats.acknowledged, stats.consumed)),
        (
            "Time",
            format!(
                "{:.3} simulated seconds in {:.3} real ones, {} events",
                stats.simulated.as_secs_f64(),
                stats.wall.as_secs_f64(),
                stats.events
            ),
        ),
        ("Again", format!("<code>{}</code>", escape(&run.replay))),
    ];
    html.push_str("<dl>");
    for (name, value) in facts {
        let _ = write!(html, "<dt>{name}</dt><dd>{value}</dd>");
    }
    html.push_str("</dl></header>\n");
}

fn promises(html: &mut String, run: &Run) {
    html.push_str("<section><h2>Promises</h2><div class=\"scroll\"><table class=\"promises\"><tbody>");
    for verdict in &run.verdicts {
        let outcome = verdict.outcome.name();
        let place = match verdict.at {
            Some(index) if verdict.outcome != Outcome::Kept => format!(" <a href=\"#e={index}\">event {index}</a>"),
            _ => String::new(),
        };
        let _ = write!(
            html,
            "<tr><td><span class=\"verdict {outcome}\">{outcome}</span><td>{}<td>{}{place}</tr>",
            escape(verdict.promise),
            escape(&verdict.detail)
        );
    }
    html.push_str("</tbody></table></div>");
    for sentence in compare(&run.verdicts).sentences() {
        let _ = write!(html, "<p>{}</p>", escape(&sentence));
    }
    html.push_str("</section>\n");
}

/// The rows that the page carries, and sentences on those that it does not.
fn events(run: &Run, names: &Names) -> (Vec<Value>, Vec<String>) {
    let whole = run.entries.len() <= EVENTS_MAX;
    let near_bad =
        |index: u64| run.first_bad().is_some_and(|bad| (bad.saturating_sub(FLOW_BEFORE_BAD)..=bad).contains(&index));
    let mut world = World::default();
    let mut rows = Vec::new();
    let (mut flow_cut, mut rest_cut) = (0_u64, 0_u64);
    for entry in &run.entries {
        let telling = world.tell(entry, names);
        let bad_is_near = near_bad(entry.index);
        if !whole && telling.weight == Weight::Flow && !bad_is_near {
            flow_cut += 1;
        } else if EVENTS_MAX <= rows.len() && !bad_is_near {
            rest_cut += 1;
        } else {
            rows.push(row(entry, &telling, names));
        }
    }
    let mut omitted = Vec::new();
    let total = run.entries.len();
    if 0 < flow_cut {
        omitted.push(format!(
            "This run has {total} events, too many for one page: {flow_cut} appends, syncs, commits and answers are left out."
        ));
    }
    if 0 < rest_cut {
        omitted.push(format!("Of the other events the last {rest_cut} are left out."));
    }
    (rows, omitted)
}

/// `[index, seconds, node, partition, epoch, log end, high watermark, what, weight]`, as the script reads it.
fn row(entry: &evidence::Entry, telling: &Telling, names: &Names) -> Value {
    let weight = match telling.weight {
        Weight::Transition => 0,
        Weight::Story => 1,
        Weight::Flow => 2,
    };
    json!([
        entry.index,
        seconds(entry.time),
        entry.node.0,
        telling.partition.map_or(String::new(), |partition| names.partition(partition)),
        telling.epoch,
        telling.log_end.map(|end| end.0),
        telling.high_watermark.map(|high| high.0),
        telling.what,
        weight,
    ])
}

/// Text that HTML takes as text, between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
