//! `--set key=value`: a scenario file with a value put in place of another, before it is read strictly.
//!
//! ```text
//! cluster.brokers=5            a key in tables          producers.0.rate=50/s        an item of a list, from 0
//! expect.reach=["all read"]    a value as in TOML       faults.0.crash=broker 2      or a text without its quotes
//! ```

use std::str::FromStr;

use toml_edit::{DocumentMut, Item, Value};

use crate::error::{Mistake, ScenarioError};
use crate::words::WordError;

/// One value to put into a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    keys: Vec<String>,
    value: String,
}

impl FromStr for Setting {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Setting, WordError> {
        let wrong = |message: String| {
            let help =
                "write keys with dots between them, =, and a value, such as cluster.brokers=5 or producers.0.rate=50/s";
            WordError::new(message, help)
        };
        let (path, value) = text.split_once('=').ok_or_else(|| wrong(format!("\"{text}\" sets nothing")))?;
        let keys = toml_edit::Key::parse(path.trim()).map_err(|_| wrong(format!("\"{path}\" is no key")))?;
        let keys = keys.into_iter().map(|key| key.get().to_owned()).collect();
        Ok(Setting { keys, value: value.trim().to_owned() })
    }
}

/// As it is written on a command line, without quotes against a shell.
impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(|key| toml_edit::Key::new(key).to_string()).collect();
        write!(f, "{}={}", keys.join("."), self.value)
    }
}

impl Setting {
    /// The file's text with this value in it.
    ///
    /// # Errors
    /// If the text is no TOML, or has no such place.
    pub fn apply(&self, file_name: &str, text: &str) -> Result<String, ScenarioError> {
        let refuse = |span: Option<std::ops::Range<usize>>, message: String, help: String| {
            ScenarioError::new(file_name, text, span.unwrap_or(0..0), Mistake::new(message, help))
        };
        let mut document = text.parse::<DocumentMut>().map_err(|error| {
            let help = "check the TOML around here: key = value, and texts in quotes";
            refuse(error.span(), error.message().replace('\n', "; "), help.into())
        })?;
        self.put(document.as_item_mut()).map_err(|WordError { message, help }| refuse(None, message, help))?;
        Ok(document.to_string())
    }

    fn put(&self, root: &mut Item) -> Result<(), WordError> {
        let Some((last, path)) = self.keys.split_last() else { return Ok(()) };
        let mut here = root;
        for key in path {
            here = self.step(here, key)?;
        }
        let place = self.step(here, last)?;
        if matches!(place, Item::Table(_) | Item::ArrayOfTables(_)) {
            return Err(WordError::new(format!("--set {self}: {last} is a table"), "name one of its keys"));
        }
        *place = Item::Value(self.value());
        Ok(())
    }

    /// The place one key further in; a key that is not there yet is made.
    fn step<'a>(&self, here: &'a mut Item, key: &str) -> Result<&'a mut Item, WordError> {
        let nowhere = |message: String, help: String| WordError::new(format!("--set {self}: {message}"), help);
        let length = match &*here {
            Item::ArrayOfTables(tables) => Some(tables.len()),
            Item::Value(Value::Array(items)) => Some(items.len()),
            _ => None,
        };
        let Some(length) = length else {
            if matches!(here, Item::Value(value) if !value.is_inline_table()) {
                return Err(nowhere(format!("nothing is inside the value before {key}"), "name its key alone".into()));
            }
            let is_new = here.get(key).is_none();
            let place = &mut here[key];
            if is_new {
                *place = Item::None;
            }
            return Ok(place);
        };
        match key.parse::<usize>() {
            Ok(index) if index < length => Ok(&mut here[index]),
            Ok(index) => {
                let help = if length == 0 { "it is empty".into() } else { format!("write 0 to {}", length - 1) };
                Err(nowhere(format!("there is no item {index}"), help))
            }
            Err(_) => Err(nowhere(format!("{key} is no place in a list"), "write a number, from 0".into())),
        }
    }

    /// As TOML if it is that, else as a text.
    fn value(&self) -> Value {
        self.value.parse().unwrap_or_else(|_| Value::from(self.value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title = \"t\" # kept\n[cluster]\nbrokers = 3\n\n[[producers]]\ntopic = \"orders\"\n\n[[faults]]\nat = \"1s\"\npartition = { split = \"broker 1\" }\n";

    fn set(setting: &str) -> Result<String, String> {
        let setting: Setting = setting.parse().map_err(|error: WordError| error.to_string())?;
        setting.apply("t.toml", TEXT).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_value_is_put_in_place_of_another_and_all_else_stays() {
        assert_eq!(set("cluster.brokers=5").unwrap(), TEXT.replace("brokers = 3", "brokers =5").replace("=5", "= 5"));
        assert!(set("title=other").unwrap().contains("title = \"other\""));
        assert!(set("producers.0.rate=50/s").unwrap().contains("topic = \"orders\"\nrate = \"50/s\"\n"));
        assert!(set("faults.0.partition.split=broker 2").unwrap().contains("{ split = \"broker 2\" }"));
        assert!(set("cluster.config.\"a.b\"=1").unwrap().contains("\"a.b\" = 1"));
        assert!(set("expect.reach=[\"all read\"]").unwrap().contains("reach = [\"all read\"]"));
    }

    #[test]
    fn a_place_that_is_not_there_is_named() {
        assert_eq!(set("cluster.brokers").unwrap_err(), "\"cluster.brokers\" sets nothing");
        assert_eq!(set("=3").unwrap_err(), "\"\" is no key");
        assert_eq!(set("producers.4.rate=1/s").unwrap_err(), "--set producers.4.rate=1/s: there is no item 4");
        assert_eq!(set("producers.first=1").unwrap_err(), "--set producers.first=1: first is no place in a list");
        assert_eq!(set("title.x=1").unwrap_err(), "--set title.x=1: nothing is inside the value before x");
        assert_eq!(set("cluster=1").unwrap_err(), "--set cluster=1: cluster is a table");
    }
}
