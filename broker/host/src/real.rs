//! The real machine: tokio, files, the system's clocks.
