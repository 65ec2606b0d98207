//! The commands of the binary `broker`: one node, a local cluster, and the tools that speak to any cluster of this protocol.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or bad input.

mod command;
mod config_file;
mod failure;

use std::process::ExitCode;

use clap::Parser;

use command::Command;

/// A replicated log that speaks Kafka's protocol.
///
/// Without anything else, `broker serve` is a whole cluster of one node on localhost:9092 that keeps its data in ./data:
///
///     broker serve
///     broker topic create orders --partitions 3
///     echo hello | broker produce orders
///     broker consume orders --from earliest --count 1
#[derive(Parser)]
#[command(name = "broker", version, verbatim_doc_comment, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message.trim_end());
            ExitCode::from(failure.code)
        }
    }
}

/// Reads `text` as the configuration file `name`, as `broker serve --config` does.
///
/// # Errors
/// All mistakes at once, each with its place and its remedy, for people.
pub fn read_config(name: &str, text: &str) -> Result<server::Config, String> {
    config_file::parse(name, text, &config_file::Overrides::default()).map_err(|error| error.report(false))
}
