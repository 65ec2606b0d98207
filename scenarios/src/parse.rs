//! Text to scenario: TOML, then the types, then sense; every mistake with its place.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::check;
use crate::error::{Mistake, ScenarioError};
use crate::scenario::{Format, Scenario};
use crate::words::{WordError, nearest};

/// A scenario is written by hand: a larger file is something else.
const TEXT_BYTES_MAX: usize = 1 << 20;

impl Scenario {
    /// Reads a scenario. `file_name` is for messages.
    ///
    /// # Errors
    /// The first mistake: of TOML, of a key or a value, or of sense (a fault on a partition that no topic has, …).
    pub fn parse(file_name: &str, text: &str) -> Result<Scenario, ScenarioError> {
        if text.len() > TEXT_BYTES_MAX {
            let message = format!("the file has {} bytes; a scenario has at most {TEXT_BYTES_MAX}", text.len());
            let mistake = Mistake::new(message, "check that this is a scenario file");
            return Err(ScenarioError::new(file_name, "", 0..0, mistake));
        }
        let refuse = |error: toml::de::Error| {
            let span = error.span().unwrap_or(0..0);
            ScenarioError::new(file_name, text, span, translate(error.message()))
        };
        let tree = DeTable::parse(text).map_err(refuse)?;
        // Before anything else: of another format even the keys may be others.
        if let Some(format) = tree.get_ref().get("format")
            && let Some(version) = format.get_ref().as_integer().map(|version| version.as_str())
            && version != Format::VERSION.to_string()
        {
            let WordError { message, help } = Format::unknown(version);
            return Err(ScenarioError::new(file_name, text, format.span(), Mistake::new(message, help)));
        }
        let scenario: Scenario = toml::from_str(text).map_err(refuse)?;
        match check::first_mistake(&scenario) {
            None => Ok(scenario),
            Some((path, mistake)) => Err(ScenarioError::new(file_name, text, locate(tree.get_ref(), &path), mistake)),
        }
    }
}

/// One step into a file: a key or a place in a list.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Key(String),
    Item(usize),
    /// The key itself rather than what it stands for; the last step of a path.
    Name(String),
}

impl From<&str> for Step {
    fn from(key: &str) -> Step {
        Step::Key(key.into())
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Step {
        Step::Item(item)
    }
}

/// Where a path leads, or as far along it as the file goes.
fn locate(root: &DeTable<'_>, path: &[Step]) -> Range<usize> {
    let mut span = 0..0;
    let mut steps = path.iter();
    let mut here = match steps.next() {
        Some(Step::Key(key)) => root.get(key.as_str()),
        _ => None,
    };
    while let Some(value) = here {
        span = value.span();
        here = match (steps.next(), value.get_ref()) {
            (Some(Step::Key(key)), DeValue::Table(table)) => table.get(key.as_str()),
            (Some(Step::Item(item)), DeValue::Array(array)) => array.get(*item),
            (Some(Step::Name(key)), DeValue::Table(table)) => {
                span = table.get_key_value(key.as_str()).map_or(span, |(key, _)| key.span());
                None
            }
            _ => None,
        };
    }
    span
}

/// The parser's words in ours.
fn translate(message: &str) -> Mistake {
    if let Some(WordError { message, help }) = WordError::unpack(message) {
        return Mistake::new(message, help);
    }
    // In serde's messages what is quoted comes in this order: the wrong word, then the right ones.
    let mut quoted = message.split('`').skip(1).step_by(2);
    let word = quoted.next().unwrap_or("").to_string();
    if message.starts_with("unknown field") {
        return unknown(format!("unknown key `{word}`"), &word, "keys", quoted);
    }
    if message.starts_with("unknown variant") {
        return unknown(format!("unknown word \"{word}\""), &word, "words", quoted);
    }
    if message.starts_with("missing field") {
        let mistake = Mistake::new(format!("`{word}` is missing"), format!("add {word} = …"));
        return Mistake { label: "in here".into(), ..mistake };
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        return Mistake::new(format!("{found} does not fit here"), format!("write {expected}"));
    }
    if message == "duplicate key" {
        return Mistake::new("this key is there twice", "keep one of the two");
    }
    Mistake::new(message.replace('\n', "; "), "check the TOML around here: key = value, and texts in quotes")
}

fn unknown<'a>(message: String, word: &str, what: &str, known: impl Iterator<Item = &'a str>) -> Mistake {
    let known: Vec<&str> = known.collect();
    let list = format!("{what} that fit here: {}", known.join(", "));
    let help = match nearest(word, known) {
        Some(meant) => format!("did you mean `{meant}`? ({list})"),
        None => list,
    };
    Mistake::new(message, help)
}
