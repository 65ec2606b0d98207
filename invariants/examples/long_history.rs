//! Writes a long and lawful history to standard output: `long_history [OPERATIONS]`, four polled records an operation.
//!
//! Producers, some of them transactional, fill sixteen keys; readers follow at their own pace, and a group commits where it is.

use std::io::{self, BufWriter, Write};

const KEYS: usize = 16;
const PRODUCERS: usize = 12;
const READERS: usize = 8;
/// Records that a poll brings, of each of two keys.
const POLLED: usize = 5;

#[allow(dead_code, reason = "the bench takes the generator alone")]
fn main() -> io::Result<()> {
    let asked = std::env::args().nth(1).and_then(|text| text.parse().ok());
    write(BufWriter::new(io::stdout().lock()), asked.unwrap_or(1_000_000))
}

struct Lines<W> {
    sink: W,
    index: u64,
}

impl<W: Write> Lines<W> {
    fn line(&mut self, process: usize, kind: &str, f: &str, value: &str) -> io::Result<()> {
        let (index, time) = (self.index, self.index * 1_117);
        self.index += 1;
        writeln!(
            self.sink,
            r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
        )
    }
}

/// Of ten operations six send, one of them in a transaction with a second record, and four poll.
pub(crate) fn write(sink: impl Write, operations: u64) -> io::Result<()> {
    let mut lines = Lines { sink, index: 0 };
    writeln!(lines.sink, r#"{{"history":1,"claims":{{"acks":"all","idempotent":true}}}}"#)?;
    let mut logs: Vec<Vec<u64>> = vec![Vec::new(); KEYS];
    let mut positions = [[0usize; KEYS]; READERS];
    let mut next = 0u64;
    let mut chance = 0x9e37_79b9_7f4a_7c15u64;
    let mut draw = |below: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % below
    };
    for reader in 0..READERS {
        let keys: Vec<String> = (0..KEYS).map(|key| format!("\"orders/{key}\"")).collect();
        let keys = format!("[{}]", keys.join(","));
        lines.line(PRODUCERS + reader, "invoke", "assign", &keys)?;
        lines.line(PRODUCERS + reader, "ok", "assign", &keys)?;
    }
    let mut done = READERS as u64;
    while done < operations {
        // Producers ask together and are answered in another order.
        let mut told: Vec<(usize, &str, String)> = Vec::new();
        for turn in 0..6 {
            let producer = (done as usize + turn) % PRODUCERS;
            let f = if turn == 0 { "txn" } else { "send" };
            let (mut ask, mut tell) = (Vec::new(), Vec::new());
            for _ in 0..if turn == 0 { 2 } else { 1 } {
                let key = draw(KEYS);
                let value = producer as u64 * 1_000_000_000 + next;
                next += 1;
                ask.push(format!(r#"["send","orders/{key}",{value}]"#));
                tell.push(format!(r#"["send","orders/{key}",[{},{value}]]"#, logs[key].len()));
                logs[key].push(value);
            }
            lines.line(producer, "invoke", f, &format!("[{}]", ask.join(",")))?;
            told.push((producer, f, format!("[{}]", tell.join(","))));
        }
        for (producer, f, value) in told.into_iter().rev() {
            lines.line(producer, "ok", f, &value)?;
        }
        for turn in 0..4 {
            let reader = (done as usize / 10 * 4 + turn) % READERS;
            lines.line(PRODUCERS + reader, "invoke", "poll", r#"[["poll"]]"#)?;
            let first = draw(KEYS);
            let mut lists = Vec::new();
            for key in [first, (first + KEYS / 2) % KEYS] {
                let position = &mut positions[reader][key];
                let end = (*position + POLLED).min(logs[key].len());
                let records: Vec<String> =
                    (*position..end).map(|offset| format!("[{offset},{}]", logs[key][offset])).collect();
                *position = end;
                lists.push(format!(r#""orders/{key}":[{}]"#, records.join(",")));
            }
            lines.line(PRODUCERS + reader, "ok", "poll", &format!(r#"[["poll",{{{}}}]]"#, lists.join(",")))?;
        }
        done += 10;
    }
    lines.sink.flush()
}
