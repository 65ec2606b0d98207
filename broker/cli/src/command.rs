//! The commands, one file each.

mod bench;
mod cluster;
mod cluster_access;
mod completion;
mod config;
mod consume;
mod elect;
mod features;
mod log;
mod produce;
mod quorum;
mod reassign;
mod serve;
mod topic;
mod unregister;

use std::io::{ErrorKind, Write, stdout};

use clap::Subcommand;

use crate::failure::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    Serve(serve::Serve),
    Cluster(cluster::Cluster),
    Topic(topic::Topic),
    Reassign(reassign::Reassign),
    Elect(elect::Elect),
    Unregister(unregister::Unregister),
    Quorum(quorum::Quorum),
    Features(features::Features),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Bench(bench::Bench),
    Config(config::Config),
    Log(log::Log),
    Completion(completion::Completion),
}

impl Command {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Command::Serve(command) => command.run(),
            Command::Cluster(command) => command.run(),
            Command::Topic(command) => command.run(),
            Command::Reassign(command) => command.run(),
            Command::Elect(command) => command.run(),
            Command::Unregister(command) => command.run(),
            Command::Quorum(command) => command.run(),
            Command::Features(command) => command.run(),
            Command::Produce(command) => command.run(),
            Command::Consume(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Config(command) => command.run(),
            Command::Log(command) => command.run(),
            Command::Completion(command) => command.run(),
        }
    }
}

/// Writes to standard output. A reader that closes early, as `head` does, has had enough, which is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut output = stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
