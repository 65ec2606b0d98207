//! The configuration file: TOML with Kafka's keys, read strictly. Every mistake is named with its file, line and remedy.
//!
//! ```text
//!  text ── entries ──► key by key ───────────► rules between keys ──► server::Config
//!          (toml)      server::keys, values.rs   rules.rs
//! ```
//! `node.id = 1` is a nested table to TOML and `"node.id" = 1` is not: both are the key `node.id` here.

mod entries;
mod problem;
mod reference;
mod rules;
mod values;

use std::path::Path;

use model::Endpoint;
use server::Config;
use server::keys::{Draft, keys};

use entries::{Entries, Origin};
pub(crate) use problem::ConfigError;
use problem::Source;
pub(crate) use reference::{example, markdown, render, terminal};

/// What the command line says in the place of the file.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) listen: Option<String>,
    pub(crate) data: Option<String>,
}

/// The node that `broker serve` starts without a file.
pub(crate) fn default_config() -> Config {
    Config::single(Endpoint::new("localhost", 9092))
}

/// Reads the file at `path`, if there is one, and lets the command line have the last word. `log.dirs` is left as it was
/// written, relative to the working directory.
///
/// # Errors
/// All mistakes at once, each with its place and its remedy.
#[allow(clippy::disallowed_methods, reason = "the file is the operator's, not the broker's")]
pub(crate) fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    let Some(path) = path else {
        return parse("the command line", "", overrides);
    };
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ConfigError::unreadable(&name, &error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| ConfigError::unreadable(&name, "it is not UTF-8 text"))?;
    parse(&name, &text, overrides)
}

/// Reads `text` as the content of a file called `name`.
pub(crate) fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let source = Source::new(name, text);
    let mut entries = Entries::read(&source).map_err(ConfigError::from)?;
    entries.replace("listeners", Origin::Flag("--listen"), overrides.listen.as_deref());
    entries.replace("log.dirs", Origin::Flag("--data"), overrides.data.as_deref());

    let mut draft = Draft::new(default_config());
    let mut problems = Vec::new();
    for (name, entry) in entries.iter() {
        match keys().find(|key| key.name == name) {
            Some(key) => {
                problems.extend(values::read(&key, &mut draft, entry).err().map(|wrong| wrong.at(&source, name, entry)))
            }
            None => problems.push(problem::unknown_key(&source, name, entry)),
        }
    }
    // Rules between keys would only repeat what is wrong with one of them.
    if problems.is_empty() {
        problems = rules::check(&mut draft, &entries, &source);
    }
    if problems.is_empty() { Ok(draft.config) } else { Err(ConfigError::from(problems)) }
}

#[cfg(test)]
mod tests;
