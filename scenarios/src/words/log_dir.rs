//! Which of a broker's log directories: `2`, or `of orders/0`.

use std::fmt;
use std::str::FromStr;

use super::{PartitionName, WordError, word};

/// One log directory of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogDir {
    /// By number, from 1. The first one has the metadata.
    Number(u32),
    /// That which has the broker's replica of this partition.
    Of(PartitionName),
}

word!(LogDir, "a log directory, as \"2\" or \"of orders/0\"", "^([1-9][0-9]*|of [^ ]+/[0-9]+)$");

impl FromStr for LogDir {
    type Err = WordError;

    fn from_str(text: &str) -> Result<LogDir, WordError> {
        if let Some(name) = text.strip_prefix("of ") {
            return name.parse().map(LogDir::Of);
        }
        match text.parse() {
            Ok(number) if 0 < number => Ok(LogDir::Number(number)),
            _ => Err(WordError::new(
                format!("{text:?} is no log directory"),
                "write its number, from \"1\", or \"of orders/0\"",
            )),
        }
    }
}

impl fmt::Display for LogDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogDir::Number(number) => number.fmt(f),
            LogDir::Of(partition) => write!(f, "of {partition}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_directory_reads_back_and_another_word_is_refused() {
        for text in ["1", "12", "of orders/0"] {
            assert_eq!(text.parse::<LogDir>().unwrap().to_string(), text);
        }
        for wrong in ["0", "-1", "two", "of orders", "", "of"] {
            assert!(wrong.parse::<LogDir>().is_err(), "{wrong:?}");
        }
    }
}
