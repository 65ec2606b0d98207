//! The controller's rules, each by itself, and under random commands.

mod brokers;
mod cluster;
mod configs;
mod directories;
mod features;
mod in_sync;
mod moves;
mod random;
mod topics;
