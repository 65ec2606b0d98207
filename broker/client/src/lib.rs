//! What a Rust user of the log holds: a producer, a consumer, an admin, and the one connection that they and the brokers use.
//!
//! Absent from here: sockets, clocks and tasks other than the Host's; knowledge of how a broker works inside.

mod channel;

pub use channel::{CallError, Channel};
