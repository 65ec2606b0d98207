//! The value of one key: from a file into a configuration, and back as TOML writes it.

use server::Config;
use server::keys::{Draft, Key, Kind, Shape, Unit};

use super::entries::{Entry, Value};
use super::problem::Wrong;

/// How values of a key are written.
pub(super) enum Form {
    /// From and to, both allowed.
    Integer {
        unit: Unit,
        from: i64,
        to: i64,
    },
    Ratio,
    Boolean,
    /// What the text looks like.
    Text(String),
}

impl Form {
    pub(super) fn of(key: &Key) -> Form {
        match key.shape {
            Shape::Integer { unit, from, to, .. } => Form::Integer { unit, from, to },
            Shape::Boolean { .. } => Form::Boolean,
            Shape::Text { form, .. } => Form::Text(form.into()),
            Shape::Topics(setting) => Form::of_kind(setting.kind),
        }
    }

    pub(super) fn of_kind(kind: Kind) -> Form {
        let quoted = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
        match kind {
            Kind::Integer { unit, from, to } => Form::Integer { unit, from, to },
            Kind::Ratio => Form::Ratio,
            Kind::Boolean => Form::Boolean,
            Kind::OneOf(words) => Form::Text(quoted(words).join(" or ")),
            Kind::SomeOf(words) => Form::Text(format!("{}, several with commas", quoted(words).join(" or "))),
            Kind::Replicas => Form::Text("`*`, or replicas as `partition:broker`, with commas".into()),
        }
    }

    fn takes(&self) -> &'static str {
        match self {
            Form::Integer { unit: Unit::Count, .. } => "a whole number",
            Form::Integer { unit: Unit::Bytes, .. } => "a whole number of bytes",
            Form::Integer { unit: Unit::Milliseconds, .. } => "a whole number of milliseconds",
            Form::Ratio => "a number from 0 to 1",
            Form::Boolean => "true or false",
            Form::Text(_) => "a text in double quotes",
        }
    }

    /// The same thought in the right type, where it can be guessed.
    fn instead(&self, value: &Value) -> String {
        match (self, value) {
            (Form::Integer { unit, .. }, Value::Text(text)) => match plain_number(text, *unit) {
                Some(number) => format!("write {number}, without quotes or units"),
                None => "write digits only, without quotes or units".into(),
            },
            (Form::Integer { .. }, _) => "write digits only".into(),
            (Form::Ratio, _) => "write something like 0.5, without quotes".into(),
            (Form::Boolean, _) => "write true or false, without quotes".into(),
            (Form::Text(_), Value::Integer(digits)) => format!("write \"{digits}\", with the quotes"),
            (Form::Text(form), _) => format!("write {form}, in double quotes"),
        }
    }
}

/// Takes the value of `entry` into `draft`.
pub(super) fn read(key: &Key, draft: &mut Draft, entry: &Entry) -> Result<(), Wrong> {
    let form = Form::of(key);
    let text = match (&form, &entry.value) {
        (Form::Integer { from, to, .. }, Value::Integer(digits)) => {
            if !digits.parse().is_ok_and(|value| (*from..=*to).contains(&value)) {
                let why = format!("is {digits}, which is out of range");
                return Err(Wrong { why, help: format!("write a number from {from} to {to}") });
            }
            digits.clone()
        }
        (Form::Ratio, Value::Fraction(digits) | Value::Integer(digits)) => digits.clone(),
        (Form::Boolean, Value::Boolean(value)) => value.to_string(),
        (Form::Text(_), Value::Text(text)) => text.clone(),
        (form, value) => {
            let why = format!("takes {}, not {}", form.takes(), value.kind());
            return Err(Wrong { why, help: form.instead(value) });
        }
    };
    let refused = |why: String| Wrong {
        why,
        help: match &form {
            Form::Text(form) => format!("write {form}"),
            other => format!("write {}", other.takes()),
        },
    };
    match key.shape {
        // Both were parsed above.
        Shape::Integer { set, .. } => set(&mut draft.config, text.parse().unwrap_or_default()),
        Shape::Boolean { set, .. } => set(&mut draft.config, text == "true"),
        Shape::Text { set, .. } => set(draft, &text).map_err(refused)?,
        Shape::Topics(_) => {
            let set = draft.config.topic_defaults.set(key.name, &text);
            set.map_err(|_| refused(format!("is \"{text}\", which it does not take")))?;
        }
    }
    Ok(())
}

/// Its value in `config` as TOML writes it; none if it has none.
pub(super) fn write(key: &Key, config: &Config) -> Option<String> {
    let value = key.value(config)?;
    Some(match Form::of(key) {
        Form::Integer { .. } | Form::Ratio | Form::Boolean => value,
        Form::Text(_) => toml::Value::String(value).to_string(),
    })
}

/// What `2s` or `1 MiB` come to in the unit of a key.
fn plain_number(text: &str, unit: Unit) -> Option<i64> {
    let digits =
        text.trim().find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(text.trim().len());
    let (number, word) = text.trim().split_at(digits);
    let number: i64 = number.replace('_', "").parse().ok()?;
    let factor = match (unit, word.trim()) {
        (_, "") => 1,
        (Unit::Milliseconds, "ms") => 1,
        (Unit::Milliseconds, "s") => 1_000,
        (Unit::Milliseconds, "m" | "min") => 60_000,
        (Unit::Milliseconds, "h") => 3_600_000,
        (Unit::Bytes, "B") => 1,
        (Unit::Bytes, "kB" | "KB") => 1_000,
        (Unit::Bytes, "MB") => 1_000_000,
        (Unit::Bytes, "GB") => 1_000_000_000,
        (Unit::Bytes, "KiB") => 1 << 10,
        (Unit::Bytes, "MiB") => 1 << 20,
        (Unit::Bytes, "GiB") => 1 << 30,
        (_, _) => return None,
    };
    number.checked_mul(factor)
}
