//! The history of clients' operations, as JSON lines.
