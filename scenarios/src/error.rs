//! What is wrong with a scenario file, pointing at the place.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use thiserror::Error;

/// One mistake in a file: where it is, what it is, and what to write instead. As a `miette` diagnostic it shows the lines.
#[derive(Clone, Debug, Error)]
#[error("{}:{}:{}: {}", .0.file, .0.line, .0.column, .0.message)]
pub struct ScenarioError(Box<Placed>);

/// A mistake and its place.
#[derive(Clone, Debug)]
struct Placed {
    file: String,
    line: usize,
    column: usize,
    message: String,
    help: Option<String>,
    label: String,
    span: std::ops::Range<usize>,
    text: NamedSource<String>,
    /// The place is small enough to be shown.
    is_shown: bool,
}

/// More than this of a file is no help to anybody.
const SHOWN_BYTES_MAX: usize = 4 << 10;

impl ScenarioError {
    pub(crate) fn new(file: &str, text: &str, span: std::ops::Range<usize>, mistake: Mistake) -> ScenarioError {
        let span = inside_a_string(text, &span, &mistake.message).unwrap_or(span);
        let start = span.start.min(text.len());
        let before = text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let end = span.end.clamp(start, text.len());
        ScenarioError(Box::new(Placed {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            message: mistake.message,
            help: mistake.help,
            label: mistake.label,
            is_shown: with_neighbours(text, start..end).len() <= SHOWN_BYTES_MAX,
            span: start..end,
            text: NamedSource::new(file, text.into()),
        }))
    }

    /// Line and column in the file, both from 1.
    pub fn place(&self) -> (usize, usize) {
        (self.0.line, self.0.column)
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }

    pub fn remedy(&self) -> Option<&str> {
        self.0.help.as_deref()
    }
}

/// The lines of a span, and one on each side.
fn with_neighbours(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let newline = |byte: &u8| *byte == b'\n';
    let (before, after) = (&text.as_bytes()[..span.start], &text.as_bytes()[span.end..]);
    let from = before.iter().rev().enumerate().filter(|(_, byte)| newline(byte)).nth(1);
    let to = after.iter().enumerate().filter(|(_, byte)| newline(byte)).nth(1);
    span.start - from.map_or(span.start, |(at, _)| at)..span.end + to.map_or(after.len(), |(at, _)| at)
}

/// The part of a string that a message quotes, if it quotes one that is there once.
fn inside_a_string(text: &str, span: &std::ops::Range<usize>, message: &str) -> Option<std::ops::Range<usize>> {
    let value = text.get(span.clone())?.strip_prefix('"')?.strip_suffix('"')?;
    let quoted = message.split('"').nth(1).filter(|quoted| !quoted.is_empty() && quoted.len() < value.len())?;
    let mut found = value.match_indices(quoted);
    let (at, _) = found.next().filter(|_| found.next().is_none())?;
    let start = span.start + 1 + at;
    Some(start..start + quoted.len())
}

impl Diagnostic for ScenarioError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        self.0.help.as_ref().map(|help| Box::new(help) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.is_shown.then_some(&self.0.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if !self.0.is_shown {
            return None;
        }
        let label = LabeledSpan::new(Some(self.0.label.clone()), self.0.span.start, self.0.span.len());
        Some(Box::new(std::iter::once(label)))
    }
}

/// A mistake before it has a place.
pub(crate) struct Mistake {
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Mistake {
        Mistake { message: message.into(), label: "here".into(), help: Some(help.into()) }
    }
}
