//! Promises over the history: what clients asked and were told, and nothing else, so that the history of any cluster can be judged.
//!
//! Definitions and names are those of Jepsen's Kafka workload where it has one. Claims decide whether an anomaly breaks a
//! promise or is allowed. Nothing here looks into a broker: what brokers know only helps to tell where a lost record
//! went.

mod acked_offsets_are_true;
mod acknowledged_records_survive;
mod available_after_healing;
mod ledger;
mod no_duplicate;
mod no_invented_record;
mod order_within_a_partition;
mod real_time_order;
mod refused_records_stay_away;

use evidence::{Acks, Claims, History, Key};
use serde::Serialize;

use crate::{Outcome, Verdict};
pub(crate) use available_after_healing::Calm;
use ledger::Ledger;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    /// Worth knowing; no promise speaks of it.
    Informational,
    /// The claims permit it.
    Allowed,
    Broken,
}

/// One anomaly of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, Jepsen's where there is one.
    pub anomaly: &'static str,
    pub verdict: Gravity,
    pub key: String,
    /// Indexes of the lines that show it.
    pub operations: Vec<u64>,
    /// One sentence.
    pub why: String,
    /// The promise that it speaks of.
    #[serde(skip)]
    pub promise: &'static str,
}

/// All that a history shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub verdicts: Vec<Verdict>,
}

impl Report {
    /// The gravest of all verdicts; a history in which one promise found nothing to judge is unknown unless another is broken.
    pub fn outcome(&self) -> Outcome {
        let outcomes = || self.verdicts.iter().map(|verdict| verdict.outcome);
        if outcomes().any(|outcome| outcome == Outcome::Broken) {
            return Outcome::Broken;
        }
        if self.verdicts.is_empty() || outcomes().any(|outcome| outcome == Outcome::Unknown) {
            return Outcome::Unknown;
        }
        outcomes().max().unwrap_or(Outcome::Unknown)
    }
}

/// What a judgement stands on besides the history itself.
pub(crate) struct Grounds<'a> {
    pub(crate) claims: &'a Claims,
    /// Producers send again what they got no answer for.
    pub(crate) producers_retry: bool,
    /// Why acknowledged records may be gone, if the run went beyond what the claims cover.
    pub(crate) excused_loss: Option<String>,
    /// Where a record went, by the replicas' own word.
    pub(crate) whereabouts: &'a dyn Fn(&Key, i64) -> Option<String>,
}

/// What one promise found.
#[derive(Default)]
pub(crate) struct Judgement {
    findings: Vec<Finding>,
    /// How many facts were judged; with none the promise is unknown.
    judged: u64,
    /// Facts that nobody looked at: with one of them the promise is not kept but unknown.
    unjudged: u64,
}

impl Judgement {
    fn find(&mut self, anomaly: &'static str, verdict: Gravity, key: &Key, operations: Vec<u64>, why: String) {
        self.findings.push(Finding { anomaly, verdict, key: key.to_string(), operations, why, promise: "" });
    }
}

/// Judges a history by itself.
pub fn check(history: &History) -> Report {
    let nowhere = |_: &Key, _: i64| None;
    judge(
        history,
        &Grounds { claims: &history.claims, producers_retry: true, excused_loss: None, whereabouts: &nowhere },
    )
}

pub(crate) fn judge(history: &History, grounds: &Grounds<'_>) -> Report {
    let ledger = Ledger::new(history);
    let mut report = Report { findings: Vec::new(), verdicts: Vec::new() };
    report.add(acknowledged_records_survive::NAME, acknowledged_records_survive::judge(&ledger, grounds));
    report.add(order_within_a_partition::NAME, order_within_a_partition::judge(&ledger, history, grounds));
    report.add(no_invented_record::NAME, no_invented_record::judge(&ledger));
    report.add(no_duplicate::NAME, no_duplicate::judge(&ledger, grounds));
    report.add(refused_records_stay_away::NAME, refused_records_stay_away::judge(&ledger, grounds));
    if grounds.claims.acks != Acks::None {
        report.add(acked_offsets_are_true::NAME, acked_offsets_are_true::judge(&ledger, grounds));
    }
    if history.operations.iter().all(|operation| operation.time.is_some()) {
        report.add(real_time_order::NAME, real_time_order::judge(&ledger, grounds));
    }
    report
}

impl Report {
    fn add(&mut self, promise: &'static str, judgement: Judgement) {
        let Judgement { mut findings, judged, unjudged } = judgement;
        let gravest = findings.iter().map(|finding| finding.verdict).max();
        let outcome = match gravest {
            Some(Gravity::Broken) => Outcome::Broken,
            _ if judged == 0 || 0 < unjudged => Outcome::Unknown,
            Some(Gravity::Allowed) => Outcome::Allowed,
            Some(Gravity::Informational) | None => Outcome::Kept,
        };
        self.verdicts.push(Verdict {
            promise,
            outcome,
            detail: detail(&findings, gravest, judged, unjudged),
            at: None,
        });
        findings.iter_mut().for_each(|finding| finding.promise = promise);
        self.findings.append(&mut findings);
    }
}

/// The gravest findings in a few sentences.
fn detail(findings: &[Finding], gravest: Option<Gravity>, judged: u64, unjudged: u64) -> String {
    const TOLD_MAX: usize = 3;
    let grave: Vec<_> = findings.iter().filter(|finding| Some(finding.verdict) == gravest).collect();
    let mut text = grave.iter().take(TOLD_MAX).map(|finding| finding.why.as_str()).collect::<Vec<_>>().join(". ");
    if TOLD_MAX < grave.len() {
        text += &format!(". And {} more like these", grave.len() - TOLD_MAX);
    }
    if text.is_empty() && judged == 0 {
        text = "the history holds nothing to judge it by".into();
    } else if text.is_empty() && 0 < unjudged {
        text = format!("{unjudged} acknowledged records that nobody tried to read afterwards");
    }
    text
}
