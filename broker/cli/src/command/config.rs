//! `broker config`: what a configuration may say, and whether one is right.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::config_file::{self, Overrides};
use crate::failure::Failure;

/// What a node's configuration may say, and whether a file says it well.
#[derive(Args)]
pub(crate) struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// List every key with its type, its default and what it means.
    Describe {
        /// As text, as the page of the documentation, or as a file to start from.
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Check a file as `broker serve` would, without starting anything.
    ///
    /// Prints the keys that differ from the defaults. Exits with 2 and says what to mend if the file is wrong.
    Check { file: PathBuf },
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Toml,
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Describe { format: Format::Text } => super::print(&config_file::terminal()),
            What::Describe { format: Format::Markdown } => super::print(&config_file::markdown()),
            What::Describe { format: Format::Toml } => super::print(&config_file::example()),
            What::Check { file } => {
                let config = config_file::load(Some(&file), &Overrides::default())?;
                super::print(&config_file::render(&config))
            }
        }
    }
}
