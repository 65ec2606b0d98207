//! The shell: sockets and timers in, outputs done.

mod config;

pub use config::{Config, FlushPolicy, Voter};
