//! The binary `trial`: scenarios in, verdicts out.

mod allocator;
mod commands;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

/// Runs a real replicated log inside a simulated world, and judges what it promised.
///
/// Without a command: runs the first scenario of the catalogue, shows it, and writes a report.
#[derive(Parser)]
#[command(name = "trial", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenario files, one seed or several
    Run(commands::run::Arguments),
    /// Run random scenarios, so many or for so long; make what fails smaller
    Fuzz(commands::fuzz::Arguments),
    /// Make a failing scenario as small as it gets
    Shrink(commands::shrink::Arguments),
    /// Plant each known bug, and count the seeds that it takes to find it
    Hunt(commands::hunt::Arguments),
    /// Show a run that is over, from the file that it left
    Report(commands::report::Arguments),
    /// Judge a history of what clients asked and were told, from anywhere
    Check(commands::check::Arguments),
    /// List the scenarios of the catalogue
    Lessons,
    /// Measure how fast the simulation runs
    Bench(commands::bench::Arguments),
    /// Print the JSON Schema of scenario files, for editors
    Schema,
    /// Run what is asked for, line by line, for a command that shares its runs among processes
    #[command(hide = true)]
    Worker,
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    allocator::keep_memory();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_help = !error.use_stderr();
            // Nothing can be done about a terminal that takes no text.
            let _unprinted = error.print();
            return if is_help { ExitCode::SUCCESS } else { commands::Exit::BadInput.into() };
        }
    };
    let result = match &arguments.command {
        None => commands::first::first(),
        Some(Command::Run(arguments)) => commands::run::run(arguments),
        Some(Command::Fuzz(arguments)) => commands::fuzz::fuzz(arguments),
        Some(Command::Shrink(arguments)) => commands::shrink::shrink(arguments),
        Some(Command::Hunt(arguments)) => commands::hunt::hunt(arguments),
        Some(Command::Report(arguments)) => commands::report::report(arguments),
        Some(Command::Worker) => commands::worker::worker(),
        Some(Command::Check(arguments)) => commands::check::check(arguments),
        Some(Command::Lessons) => commands::first::lessons(),
        Some(Command::Bench(arguments)) => commands::bench::bench(arguments),
        Some(Command::Schema) => commands::first::schema(),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(*shell, &mut Arguments::command(), "trial", &mut std::io::stdout());
            Ok(commands::Exit::AsExpected)
        }
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            commands::tell(&format!("{error:?}"));
            commands::Exit::BadInput.into()
        }
    }
}
