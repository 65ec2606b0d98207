//! Why a run is not as expected, told so that two runs with one bug tell the same.
//!
//! Numbers, nodes and topics differ from run to run; what is left is the shape of the sentence. Runs are grouped by it, and a
//! scenario is made smaller only as long as it stays the same.

use std::collections::BTreeSet;

use evidence::{Entry, What};
use invariants::Outcome;
use serde::{Deserialize, Serialize};

use crate::run::Finished;

/// One thing that speaks against a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The promise that is broken; none: something else was expected and missed.
    pub promise: Option<String>,
    /// What happened, without what differs from run to run.
    pub shape: String,
    /// What the first bad event was, where the trace shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

impl Reason {
    /// True if `other` has the same promise broken in the same way. The event at which it first showed may be another one.
    pub fn is_same(&self, other: &Reason) -> bool {
        self.promise == other.promise && self.shape == other.shape
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.promise, &self.event) {
            (Some(promise), Some(event)) => write!(f, "{promise} (at: {event})"),
            (Some(promise), None) => f.write_str(promise),
            (None, _) => f.write_str(&self.shape),
        }
    }
}

impl Finished {
    /// Everything that speaks against the run, what ended it first, each with its details. Empty: it went as expected.
    pub fn reasons(&self) -> Vec<(Reason, String)> {
        let run = &self.run;
        let expected = |promise: &str| run.scenario.expect.broken.iter().any(|broken| broken == promise);
        let shape = |text: &str| shape(text, run.scenario.topics.iter().map(|topic| topic.name.as_str()));
        let mut reasons = Vec::new();
        let mut told = BTreeSet::new();
        let first = self.violation.as_ref().map(|violation| violation.promise);
        let mut broken: Vec<_> = run.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Broken).collect();
        broken.sort_by_key(|verdict| (Some(verdict.promise) != first, verdict.at.unwrap_or(u64::MAX)));
        for verdict in broken.into_iter().filter(|verdict| !expected(verdict.promise)) {
            told.insert(format!("a promise is broken: {}", verdict.promise));
            let event = verdict.at.and_then(|at| run.entries.get(usize::try_from(at).ok()?)).map(event);
            let reason = Reason { promise: Some(verdict.promise.into()), shape: shape(&verdict.detail), event };
            reasons.push((reason, verdict.detail.clone()));
        }
        for missed in run.disappointments().into_iter().filter(|missed| !told.contains(missed)) {
            reasons.push((Reason { promise: None, shape: shape(&missed), event: None }, missed));
        }
        reasons
    }
}

/// What kind of entry it is, in words: `high watermark advanced`.
fn event(entry: &Entry) -> String {
    let told = match &entry.what {
        What::Witnessed(event) => format!("{event:?}"),
        what => format!("{what:?}"),
    };
    let name = told.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// A sentence without numbers and names: `broker 2 lost 3 of orders/0` is `broker # lost # of topic/#`. Lists of numbers are one,
/// and what is told after the first clause is left out: it says more of the run than of the bug.
fn shape<'a>(text: &str, topics: impl Iterator<Item = &'a str>) -> String {
    let mut text = text.split([';', '(', '\n']).next().unwrap_or("").trim().to_owned();
    for topic in topics {
        text = text.replace(&format!("{topic}/"), "topic/").replace(&format!("\"{topic}\""), "\"topic\"");
    }
    let is_hexadecimal = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut shape = String::new();
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let end = word.get(bare.len()..).unwrap_or("");
        if is_hexadecimal(bare) || bare.bytes().any(|byte| byte.is_ascii_digit()) {
            shape.push('#');
        } else {
            shape.push_str(bare);
        }
        shape.push_str(end);
    }
    for list in ["#, #", "# #", "#.#", "#..#", "#-#", "##"] {
        while shape.contains(list) {
            shape = shape.replace(list, "#");
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_by_its_kind() {
        let what = What::FaultBegan { id: 3, text: "crash of broker 1".into() };
        let entry = Entry { index: 1, time: model::Time::ZERO, node: evidence::NodeName("broker 1".into()), what };
        assert_eq!(event(&entry), "fault began");
    }

    #[test]
    fn a_shape_has_no_numbers_and_no_names() {
        let topics = || ["orders", "payments"].into_iter();
        for (one, other) in [
            ("broker 2 acked orders/0 5..7", "broker 11 acked payments/2 105..106"),
            ("in sync {1 2 3} at 4.5s", "in sync {2} at 12s"),
            ("lost: 1, 2, 3, 17", "lost: 4"),
            ("lost 5; broker 1 has it (entry 7)", "lost 7"),
            ("checksum 0badcafe instead of deadbeef", "checksum 12345678 instead of fedcba98"),
        ] {
            assert_eq!(shape(one, topics()), shape(other, topics()));
        }
        assert_eq!(shape("broker 2 leads orders/0", topics()), "broker # leads topic/#");
        assert_ne!(shape("broker 2 leads", topics()), shape("broker 2 follows", topics()));
    }
}
