//! Decisions: what a broker does about what it hears. Machines that take one input and push outputs.
//!
//! Absent from here: sockets, files, clocks, tasks, randomness, wire formats. A role never waits.

pub mod controller;
pub mod limits;
pub mod quorum;
pub mod replica;
