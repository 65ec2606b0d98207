//! The keys as people read them: a table in the terminal, a page of the docs, an example file, and the file of one node.

use std::fmt::Write;

use server::Config;
use server::keys::{BROKER_SETTINGS, BrokerSetting, Key, Shape, TOPIC_SETTINGS, TopicSetting, Unit, keys};

use super::default_config;
use super::values::{Form, write};

/// `broker config describe`.
pub(crate) fn terminal() -> String {
    let mut text = String::new();
    for key in keys() {
        let _ = writeln!(
            text,
            "{}\n    {}. Default: {}.\n    {}\n",
            key.name,
            takes(&Form::of(&key)),
            default(&key),
            key.means
        );
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
    for key in keys() {
        if let Shape::Topics(_) = key.shape {
            continue;
        }
        let takes = takes(&Form::of(&key));
        let _ = writeln!(text, "| `{}` | {takes} | {} | {} |", key.name, default(&key), key.means);
    }
    text.push_str(
        "\n## Settings of topics\n\n\
         A topic has settings of its own: `broker topic create --config`, `broker topic alter --config`, or any client's \
         CreateTopics and IncrementalAlterConfigs. What it does not say itself, the cluster says for all of its topics, by the \
         key of the node (IncrementalAlterConfigs of the broker with the empty name); then the file of the node, by the same key; \
         then the default holds. A change takes effect on every replica at once, without a restart.\n\n\
         | Setting of a topic | Key of a node | Type | Default | Meaning |\n|---|---|---|---|---|\n",
    );
    for key in keys() {
        let Shape::Topics(TopicSetting { name, .. }) = key.shape else { continue };
        let takes = takes(&Form::of(&key));
        let _ = writeln!(text, "| `{name}` | `{}` | {takes} | {} | {} |", key.name, default(&key), key.means);
    }
    for TopicSetting { name, kind, means, .. } in TOPIC_SETTINGS.iter().filter(|setting| setting.broker_key.is_none()) {
        let _ = writeln!(text, "| `{name}` | | {} | none | {means} |", takes(&Form::of_kind(*kind)));
    }
    text.push_str(
        "\n## Settings of running brokers\n\n\
         These are set while brokers run, and nowhere else: IncrementalAlterConfigs of a broker by its number, or, for all of \
         them, of the broker with the empty name. `broker reassign start --throttle` sets them for a move.\n\n\
         | Setting of a broker | Type | Default | Meaning |\n|---|---|---|---|\n",
    );
    for BrokerSetting { name, kind, default, means } in BROKER_SETTINGS {
        let _ = writeln!(text, "| `{name}` | {} | `{default}` | {means} |", takes(&Form::of_kind(*kind)));
    }
    text
}

/// docs/broker.example.toml: every key with its default. One without a plain default stands as a comment.
pub(crate) fn example() -> String {
    let mut text = String::from(
        "# The configuration of one node: every key, with its default.\n# Start it with: broker serve --config broker.example.toml\n",
    );
    for key in &keys().collect::<Vec<_>>() {
        text.push('\n');
        for line in wrapped(key.means, 118) {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "# {}.", takes(&Form::of(key)).replace('`', "\""));
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
    let differs = |key: &Key| key.absent.is_some() || write(key, config) != write(key, &plain);
    let line = |key: Key| write(&key, config).map(|value| format!("{} = {value}\n", key.name));
    keys().filter(differs).filter_map(line).collect()
}

fn takes(form: &Form) -> String {
    match form {
        Form::Integer { unit, from, to } => {
            let unit = match unit {
                Unit::Count => "Number",
                Unit::Bytes => "Bytes",
                Unit::Milliseconds => "Milliseconds",
            };
            if *to == i64::MAX { format!("{unit}, from {from} on") } else { format!("{unit}, {from} to {to}") }
        }
        Form::Ratio => "Number from 0 to 1".into(),
        Form::Boolean => "`true` or `false`".into(),
        Form::Text(form) => {
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
        "metrics.listener" => "\"localhost:9404\"",
        "metadata.log.dir" => "\"/ssd/metadata\"",
        "broker.rack" => "\"room-a\"",
        "replica.selector.class" => "\"org.apache.kafka.common.replica.RackAwareReplicaSelector\"",
        _ => "\"\"",
    };
    write(key, &default_config()).unwrap_or_else(|| stands_for.into())
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
