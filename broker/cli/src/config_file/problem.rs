//! A mistake in a configuration: what, where, and what to write instead.

use std::ops::Range;

use miette::{Diagnostic, NamedSource, SourceSpan};
use server::keys::keys;
use thiserror::Error;

use super::entries::{Entry, Origin};

/// One mistake.
#[derive(Clone, Debug, Error, Diagnostic)]
#[error("{message}")]
pub(crate) struct Problem {
    message: String,
    #[source_code]
    source_code: NamedSource<String>,
    #[label("{label}")]
    span: Option<SourceSpan>,
    label: String,
    #[help]
    help: String,
}

/// All mistakes of one configuration.
#[derive(Debug, Error)]
#[error("the configuration is wrong in {}", places(problems.len()))]
pub(crate) struct ConfigError {
    problems: Vec<Problem>,
}

fn places(count: usize) -> String {
    if count == 1 { "one place".into() } else { format!("{count} places") }
}

impl ConfigError {
    pub(super) fn unreadable(name: &str, why: &str) -> ConfigError {
        let source = Source::new(name, "");
        let message = format!("cannot read the configuration {name}: {why}");
        source.problem(None, message, "", "give the path of a file that this user may read, or none at all").into()
    }

    /// As people read it: for each mistake the line, marked, and the remedy.
    pub(crate) fn report(&self, colour: bool) -> String {
        let theme = if colour { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::unicode_nocolor() };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
        let mut report = String::new();
        for problem in &self.problems {
            // Writing into a text cannot fail; if it did, the sentence alone must do.
            if handler.render_report(&mut report, problem).is_err() {
                report.push_str(&problem.message);
            }
        }
        report
    }
}

impl From<Vec<Problem>> for ConfigError {
    fn from(problems: Vec<Problem>) -> ConfigError {
        ConfigError { problems }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> ConfigError {
        ConfigError { problems: vec![problem] }
    }
}

/// The file that is read.
pub(super) struct Source(NamedSource<String>);

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Source {
        Source(NamedSource::new(name, text.to_owned()))
    }

    pub(super) fn text(&self) -> &str {
        self.0.inner()
    }

    pub(super) fn problem(
        &self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        Problem {
            message: message.into(),
            source_code: self.0.clone(),
            span: span.map(SourceSpan::from),
            label: label.into(),
            help: help.into(),
        }
    }

    /// A problem with the value of `entry`; one that nobody gave has no place to point at.
    pub(super) fn problem_of(
        &self,
        entry: Option<&Entry>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) -> Problem {
        let message = message.into();
        match entry.map(|entry| &entry.origin) {
            Some(Origin::File { value, .. }) => self.problem(Some(value.clone()), message, label, help),
            Some(Origin::Flag(flag)) => self.problem(None, format!("{flag}: {message}"), label, help),
            None => self.problem(None, message, label, help),
        }
    }
}

/// A value that its key does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Completes `node.id …`.
    pub(super) why: String,
    pub(super) help: String,
}

impl Wrong {
    pub(super) fn at(self, source: &Source, name: &str, entry: &Entry) -> Problem {
        source.problem_of(Some(entry), format!("{name} {}", self.why), "this value", self.help)
    }
}

pub(super) fn unknown_key(source: &Source, name: &str, entry: &Entry) -> Problem {
    let nearest = keys()
        .map(|key| (strsim::damerau_levenshtein(name, key.name), key.name))
        .min()
        .filter(|&(distance, nearest)| distance <= 2 + nearest.len() / 4);
    let help = match nearest {
        Some((_, nearest)) => format!("did you mean \"{nearest}\"? `broker config describe` lists every key"),
        None => "remove it; `broker config describe` lists every key".into(),
    };
    let span = match &entry.origin {
        Origin::File { key, .. } => Some(key.clone()),
        Origin::Flag(_) => None,
    };
    source.problem(span, format!("there is no key \"{name}\""), "unknown", help)
}
