//! The keys as people read them: a table in the terminal, a page of the docs, an example file, and the file of one node.

use std::fmt::Write;

use server::Config;

use super::default_config;
use super::keys::{KEYS, Key, Shape, Unit};

/// `broker config describe`.
pub(crate) fn terminal() -> String {
    let mut text = String::new();
    for key in KEYS {
        let _ = writeln!(text, "{}\n    {}. Default: {}.\n    {}\n", key.name, takes(key), default(key), key.means);
    }
    text
}

/// docs/configuration.md.
pub(crate) fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of a node\n\n\
         `broker serve --config FILE` reads a TOML file of these keys; `--listen` and `--data` have the last word over \
         `listeners` and `log.dirs`. Names are Kafka's where Kafka has the key. `node.id = 1` and `\"node.id\" = 1` say the same. \
         A key that is not in this table is refused, and so is a value that is out of range or contradicts another: the \
         error names the line and the remedy. [broker.example.toml](broker.example.toml) has every key.\n\n\
         This page is made from the table that reads the file, by `broker config describe --format markdown`.\n\n\
         | Key | Type | Default | Meaning |\n|---|---|---|---|\n",
    );
    for key in KEYS {
        let _ = writeln!(text, "| `{}` | {} | {} | {} |", key.name, takes(key), default(key), key.means);
    }
    text
}

/// docs/broker.example.toml: every key with its default. One without a plain default stands as a comment.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# The configuration of one node: every key, with its default.\n# Start it with: broker serve --config broker.example.toml\n",
    );
    for key in KEYS {
        text.push('\n');
        for line in wrapped(key.means, 118) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "# {}.", takes(key).replace('`', "\""));
        match key.absent {
            Some(absent) => {
                let _ = writeln!(text, "# Default: {}.\n# {} = {}", absent.replace('`', "\""), key.name, sample(key));
            }
            None => {
                let _ = writeln!(text, "{} = {}", key.name, sample(key));
            }
        }
    }
    text
}

/// The file that makes a node of `config`: the keys that differ from the defaults, and those whose default follows from others.
pub(crate) fn render(config: &Config) -> String {
    let plain = default_config();
    let differs = |key: &&Key| key.absent.is_some() || key.write(config) != key.write(&plain);
    let line = |key: &Key| key.write(config).map(|value| format!("{} = {value}\n", key.name));
    KEYS.iter().filter(differs).filter_map(line).collect()
}

fn takes(key: &Key) -> String {
    match &key.shape {
        Shape::Integer { unit, from, to, .. } => {
            let unit = match unit {
                Unit::Count => "Number",
                Unit::Bytes => "Bytes",
                Unit::Milliseconds => "Milliseconds",
            };
            format!("{unit}, {from} to {to}")
        }
        Shape::Boolean { .. } => "`true` or `false`".into(),
        Shape::Text { form, .. } => {
            let mut letters = form.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

fn default(key: &Key) -> String {
    match key.absent {
        Some(absent) => absent.into(),
        None => format!("`{}`", sample(key)),
    }
}

/// A value that may be written: the default, or where there is none something of the right form.
fn sample(key: &Key) -> String {
    let stands_for = match key.name {
        "cluster.id" => "\"orders-production\"",
        "advertised.listeners" => "\"broker-1.example.org:9092\"",
        "broker.rack" => "\"room-a\"",
        _ => "\"\"",
    };
    key.write(&default_config()).unwrap_or_else(|| stands_for.into())
}

/// `text` in lines of at most `width` letters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}
