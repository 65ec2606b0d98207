//! The flat list of what a file says: each dotted key, its value and where both stand.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Source};

/// Where an entry comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    File { key: Range<usize>, value: Range<usize> },
    Flag(&'static str),
}

/// What is written behind a key.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Integer(String),
    Fraction(String),
    Boolean(bool),
    Text(String),
    /// Anything else, with its name.
    Other(&'static str),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// All that was said, by key.
pub(super) struct Entries(BTreeMap<String, Entry>);

impl Entries {
    pub(super) fn read(source: &Source) -> Result<Entries, Vec<Problem>> {
        let table = DeTable::parse(source.text()).map_err(|error| {
            vec![source.problem(
                error.span(),
                format!("this is not TOML: {}", error.message()),
                "mend it here",
                "write one `key = value` on each line, with texts in double quotes",
            )]
        })?;
        let mut entries = Entries(BTreeMap::new());
        let mut problems = Vec::new();
        entries.flatten("", table.get_ref(), source, &mut problems);
        if problems.is_empty() { Ok(entries) } else { Err(problems) }
    }

    fn flatten(&mut self, prefix: &str, table: &DeTable<'_>, source: &Source, problems: &mut Vec<Problem>) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            if let DeValue::Table(inner) = value.get_ref() {
                self.flatten(&format!("{name}."), inner, source, problems);
                continue;
            }
            let origin = Origin::File { key: key.span(), value: value.span() };
            let entry = Entry { value: Value::from(value.get_ref()), origin };
            if self.0.insert(name.clone(), entry).is_some() {
                problems.push(source.problem(
                    Some(key.span()),
                    format!("\"{name}\" is said twice"),
                    "said again here",
                    "keep one of the two",
                ));
            }
        }
    }

    /// Lets a flag have the last word, if it was given.
    pub(super) fn replace(&mut self, name: &str, origin: Origin, text: Option<&str>) {
        if let Some(text) = text {
            self.0.insert(name.into(), Entry { value: Value::Text(text.into()), origin });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }
}

impl From<&DeValue<'_>> for Value {
    fn from(value: &DeValue<'_>) -> Value {
        match value {
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number.to_string()),
                Err(_) => Value::Integer(number.as_str().into()),
            },
            DeValue::Boolean(value) => Value::Boolean(*value),
            DeValue::String(text) => Value::Text(text.to_string()),
            // Kafka's lists are texts with commas; TOML's own are welcome too.
            DeValue::Array(items) => match items.iter().map(|item| item.get_ref().as_str()).collect::<Option<Vec<_>>>()
            {
                Some(texts) => Value::Text(texts.join(",")),
                None => Value::Other("a list"),
            },
            DeValue::Float(number) => Value::Fraction(number.as_str().into()),
            DeValue::Datetime(_) => Value::Other("a date"),
            DeValue::Table(_) => Value::Other("a table"),
        }
    }
}

impl Value {
    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "a number",
            Value::Fraction(_) => "a fraction",
            Value::Boolean(_) => "true or false",
            Value::Text(_) => "a text",
            Value::Other(kind) => kind,
        }
    }
}
