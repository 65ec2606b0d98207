//! The error codes of the protocol.

/// Kafka's error codes by name; `code()` gives the number, `try_from_code` reads one (none for 0).
pub use proto_kafka::ResponseError as ErrorCode;

/// The code that says that all is well.
pub const NO_ERROR: i16 = 0;
