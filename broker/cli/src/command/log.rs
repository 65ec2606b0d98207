//! `broker log`: looks into the files of a log.

mod dump;
mod lines;
mod read_only;

use clap::{Args, Subcommand};

use crate::failure::Failure;

/// Look into the files of a log.
#[derive(Args)]
pub(crate) struct Log {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Dump(dump::Dump),
}

impl Log {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.what {
            What::Dump(dump) => dump.run(),
        }
    }
}
