//! Why a command ends without having done what it was asked to.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};

use crate::config_file::ConfigError;

/// What is printed, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: u8,
}

impl Failure {
    /// It was tried and did not work: exit code 1.
    pub(crate) fn failed(why: impl Display) -> Failure {
        Failure { message: format!("error: {why}"), code: 1 }
    }

    /// It cannot be tried as it was asked for: exit code 2.
    pub(crate) fn bad_input(why: impl Display) -> Failure {
        Failure { message: format!("error: {why}"), code: 2 }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        let report = error.report(stderr().is_terminal());
        Failure { message: format!("error: {error}\n{report}"), code: 2 }
    }
}
